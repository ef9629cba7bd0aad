/* Domains that mail is taken for, and where it goes. */
#include "controlcenter/store/store_internal.h"

#include "common/address.h"
#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define MOST_LISTED 100000
#define ROUTE_LIMIT (64u << 10) /* bytes of JSON text */

static const char list_domains[] =
    "SELECT name, route FROM domain"
    " WHERE name > $1 AND ($2::text IS NULL OR strpos(name, lower($2)) > 0)"
    " ORDER BY name LIMIT $3";
static const char count_domains[] = "SELECT count(*) FROM domain";
static const char lock_domain[] = "SELECT route FROM domain WHERE name = $1 FOR UPDATE";
static const char insert_domain[] = "INSERT INTO domain (name, route) VALUES ($1, $2::jsonb)";
static const char update_domain[] =
    "UPDATE domain SET route = $2::jsonb, changed_at = now() WHERE name = $1";
static const char delete_domain[] = "DELETE FROM domain WHERE name = $1";

/* --- reading --- */

static bool read_rows(const PGresult *result, struct store_domain **domains, size_t *count,
                      struct error *error)
{
    int rows = PQntuples(result);
    *count = (size_t)rows;
    *domains = calloc(*count + 1, sizeof(**domains));
    if (!*domains)
        return store_out_of_memory(error);
    for (int row = 0; row < rows; row++) {
        struct store_domain *domain = &(*domains)[row];
        store_text(result, row, 0, domain->name, sizeof(domain->name));
        domain->route = store_json(result, row, 1);
        if (!domain->route) {
            store_domain_list_free(*domains, *count);
            return store_out_of_memory(error);
        }
    }
    return true;
}

bool store_domain_list(struct store *store, const char *search, const char *after, size_t limit,
                       struct store_domain **domains, size_t *count, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, after ? after : "");
    store_add_text(&parameters, search && *search ? search : NULL);
    store_add_integer(&parameters, limit < MOST_LISTED ? (int64_t)limit : MOST_LISTED);
    PGresult *result = store_single(store, list_domains, &parameters, error);
    bool ok = result && read_rows(result, domains, count, error);
    PQclear(result);
    return ok;
}

void store_domain_list_free(struct store_domain *domains, size_t count)
{
    for (size_t i = 0; domains && i < count; i++)
        json_decref(domains[i].route);
    free(domains);
}

bool store_domain_count(struct store *store, int64_t *count, struct error *error)
{
    PGresult *result = store_single(store, count_domains, NULL, error);
    if (result)
        *count = store_integer(result, 0, 0);
    PQclear(result);
    return result != NULL;
}

/* --- changing --- */

static bool check_name(const char *name, char normal[DOMAIN_SIZE], struct error *error)
{
    const char *reason = domain_normalise(name, true, normal);
    return !reason || error_set(error, ERROR_INVALID, "name", "must be a domain: %s", reason);
}

/* *route is the one that is there, or NULL; the row is locked. */
static bool present_route(PGconn *connection, const char *name, json_t **route, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, name);
    PGresult *result = store_query(connection, lock_domain, &parameters, error);
    *route = NULL;
    if (result && PQntuples(result) == 1)
        *route = store_json(result, 0, 0);
    PQclear(result);
    return result != NULL;
}

static bool exists_error(const char *name, struct error *error)
{
    return error_set(error, ERROR_EXISTS, "name", "the domain %s is there already", name);
}

/* Somebody else may insert the domain between the look and the insertion. */
static bool write_route(PGconn *connection, const char *name, const json_t *route, bool present,
                        struct error *error)
{
    struct store_parameters parameters = {0};
    struct error local = {0};
    cleanup_free char *text = store_json_text(route, error);
    if (!text)
        return false;
    if (strlen(text) > ROUTE_LIMIT)
        return error_set(error, ERROR_LIMIT, "route", "is larger than %u bytes", ROUTE_LIMIT);
    store_add_text(&parameters, name);
    store_add_text(&parameters, text);
    if (store_run(connection, present ? update_domain : insert_domain, &parameters, &local))
        return true;
    if (local.code == ERROR_EXISTS)
        return exists_error(name, error);
    if (error)
        *error = local;
    return false;
}

static bool put(PGconn *connection, const char *name, const json_t *route, bool replace,
                const char *administrator, struct error *error)
{
    cleanup_json json_t *old = NULL;
    if (!present_route(connection, name, &old, error))
        return false;
    if (old && !replace)
        return exists_error(name, error);
    struct store_log_line line = {.administrator = administrator,
                                  .action = old ? "domain.change" : "domain.create",
                                  .object = name,
                                  .old_value = old,
                                  .new_value = route};
    return write_route(connection, name, route, old != NULL, error) &&
           store_log_write(connection, &line, error);
}

bool store_domain_put(struct store *store, const char *name, const json_t *route, bool replace,
                      const char *administrator, struct error *error)
{
    struct store_transaction transaction;
    char normal[DOMAIN_SIZE];
    if (!check_name(name, normal, error))
        return false;
    if (!json_is_object(route))
        return error_set(error, ERROR_INVALID, "route", "must be an object");
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = put(transaction.connection, normal, route, replace, administrator, error) &&
              store_raise_version(&transaction, error);
    return store_finish(&transaction, ok, error);
}

static bool remove_domain(PGconn *connection, const char *name, const char *administrator,
                          struct error *error)
{
    struct store_parameters parameters = {0};
    cleanup_json json_t *old = NULL;
    if (!present_route(connection, name, &old, error))
        return false;
    if (!old)
        return error_set(error, ERROR_NOT_FOUND, "name", "there is no domain %s", name);
    struct store_log_line line = {.administrator = administrator,
                                  .action = "domain.remove",
                                  .object = name,
                                  .old_value = old};
    store_add_text(&parameters, name);
    return store_run(connection, delete_domain, &parameters, error) &&
           store_log_write(connection, &line, error);
}

bool store_domain_remove(struct store *store, const char *name, const char *administrator,
                         struct error *error)
{
    struct store_transaction transaction;
    char normal[DOMAIN_SIZE];
    if (!check_name(name, normal, error) || !store_begin(store, &transaction, error))
        return false;
    bool ok = remove_domain(transaction.connection, normal, administrator, error) &&
              store_raise_version(&transaction, error);
    return store_finish(&transaction, ok, error);
}
