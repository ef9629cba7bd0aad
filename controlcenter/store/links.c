/* Links in mail: what they may do, and what was done with them. */
#include "controlcenter/store/store_internal.h"

#include "controlcenter/store/notifications.h"

#include <stdlib.h>

static const char select_link[] =
    "SELECT id, incident, action, mailed_to, to_ms(created_at), to_ms(expires_at), to_ms(used_at)"
    " FROM mailed_link WHERE token_hash = $1";
static const char insert_use[] =
    "INSERT INTO mailed_link_use (link, peer, what) VALUES ($1, $2, $3)";
static const char use_link[] = "UPDATE mailed_link SET used_at = now(), used_from = $2"
                               " WHERE id = $1 AND used_at IS NULL AND expires_at > now()";
static const char is_used[] = "SELECT used_at IS NOT NULL FROM mailed_link WHERE id = $1";
static const char unuse_link[] =
    "UPDATE mailed_link SET used_at = NULL, used_from = '' WHERE id = $1";
static const char expunge[] = "DELETE FROM mailed_link WHERE id IN"
                              " (SELECT id FROM mailed_link WHERE expires_at < $1 LIMIT $2)";

static bool unknown_link(struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "link", "there is no such link");
}

bool store_link_get(struct store *store, const char *token_hash, struct store_link *link,
                    struct error *error)
{
    struct store_parameters parameters = {0};
    *link = (struct store_link){0};
    store_add_text(&parameters, token_hash);
    PGresult *result = store_single(store, select_link, &parameters, error);
    if (!result)
        return false;
    bool found = PQntuples(result) == 1;
    if (found) {
        link->id = store_integer(result, 0, 0);
        link->incident = store_integer(result, 0, 1);
        store_text(result, 0, 2, link->action, sizeof(link->action));
        link->mailed_to = store_copy(result, 0, 3);
        link->created_at = store_integer(result, 0, 4);
        link->expires_at = store_integer(result, 0, 5);
        link->used_at = store_integer(result, 0, 6);
    }
    PQclear(result);
    if (!found)
        return unknown_link(error);
    return link->mailed_to || store_out_of_memory(error);
}

void store_link_clear(struct store_link *link)
{
    free(link->mailed_to);
    *link = (struct store_link){0};
}

bool store_link_log(struct store *store, int64_t id, const char *peer, const char *what,
                    struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    store_add_text(&parameters, peer);
    store_add_text(&parameters, what);
    PGresult *result = store_single(store, insert_use, &parameters, error);
    PQclear(result);
    return result != NULL;
}

static bool why_not(PGconn *connection, int64_t id, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    PGresult *result = store_query(connection, is_used, &parameters, error);
    if (!result)
        return false;
    bool found = PQntuples(result) == 1;
    bool used = found && store_boolean(result, 0, 0);
    PQclear(result);
    if (!found)
        return unknown_link(error);
    return used ? error_set(error, ERROR_EXISTS, "link", "it was used already")
                : error_set(error, ERROR_DENIED, "link", "its time is over");
}

bool store_link_use(struct store *store, int64_t id, const char *peer, struct error *error)
{
    struct store_transaction transaction;
    struct store_parameters parameters = {0};
    if (!store_begin(store, &transaction, error))
        return false;
    store_add_integer(&parameters, id);
    store_add_text(&parameters, peer);
    PGresult *result = store_query(transaction.connection, use_link, &parameters, error);
    bool ok = result != NULL;
    bool used = ok && store_changed(result) == 1;
    PQclear(result);
    ok = ok && (used || why_not(transaction.connection, id, error));
    return store_finish(&transaction, ok, error);
}

bool store_link_unuse(struct store *store, int64_t id, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    PGresult *result = store_single(store, unuse_link, &parameters, error);
    PQclear(result);
    return result != NULL;
}

bool store_link_expunge(struct store *store, int64_t before, size_t limit, int64_t *removed,
                        struct error *error)
{
    return store_expunge(store, expunge, before, limit, removed, error);
}
