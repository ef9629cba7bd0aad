/* Sessions of the console, shared by all Control Centers on the database. */
#include "controlcenter/store/store_internal.h"

#include <string.h>

#define ALIVE                                                                                      \
    "session.seen_at > now() - interval '30 minutes'"                                              \
    " AND session.created_at > now() - interval '12 hours'"

static const char delete_dead[] = "DELETE FROM session WHERE NOT (" ALIVE ")";
static const char insert_session[] =
    "INSERT INTO session (token_hash, csrf, administrator_id, peer) VALUES ($1, $2, $3, $4)";
static const char see_session[] =
    "UPDATE session SET seen_at = now() FROM administrator a"
    " WHERE session.token_hash = $1 AND a.id = session.administrator_id AND " ALIVE
    " RETURNING a.id, a.name, session.csrf, a.must_change_password, to_ms(session.created_at),"
    " to_ms(session.seen_at), session.peer";
static const char delete_session[] = "DELETE FROM session WHERE token_hash = $1";

static bool check_text(const char *name, const char *text, size_t most, struct error *error)
{
    size_t length = strlen(text);
    return (length > 0 && length <= most) ||
           error_set(error, ERROR_INVALID, name, "must have 1 to %zu bytes", most);
}

bool store_session_create(struct store *store, const char *token_hash, const char *csrf,
                          int64_t administrator_id, const char *peer, struct error *error)
{
    struct store_parameters parameters = {0};
    struct store_transaction transaction;
    char clean_peer[64];
    if (!check_text("token_hash", token_hash, 128, error) || !check_text("csrf", csrf, 64, error))
        return false;
    store_add_text(&parameters, token_hash);
    store_add_text(&parameters, csrf);
    store_add_integer(&parameters, administrator_id);
    store_add_text(&parameters, store_clean(clean_peer, sizeof(clean_peer), peer));
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = store_run(transaction.connection, delete_dead, NULL, error) &&
              store_run(transaction.connection, insert_session, &parameters, error);
    return store_finish(&transaction, ok, error);
}

static void read_session(const PGresult *result, struct store_session *to)
{
    to->administrator_id = store_integer(result, 0, 0);
    store_text(result, 0, 1, to->administrator_name, sizeof(to->administrator_name));
    store_text(result, 0, 2, to->csrf, sizeof(to->csrf));
    to->must_change_password = store_boolean(result, 0, 3);
    to->created_at = store_integer(result, 0, 4);
    to->seen_at = store_integer(result, 0, 5);
    store_text(result, 0, 6, to->peer, sizeof(to->peer));
}

bool store_session_get(struct store *store, const char *token_hash, struct store_session *session,
                       struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, token_hash);
    PGresult *result = store_single(store, see_session, &parameters, error);
    bool found = result && PQntuples(result) == 1;
    if (found)
        read_session(result, session);
    else if (result)
        error_set(error, ERROR_NOT_FOUND, "session", "there is no such session, or it has ended");
    PQclear(result);
    return found;
}

bool store_session_end(struct store *store, const char *token_hash, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, token_hash);
    PGresult *result = store_single(store, delete_session, &parameters, error);
    PQclear(result);
    return result != NULL;
}
