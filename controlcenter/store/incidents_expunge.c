/* What incidents leave when their time is over, or their folder is full. */
#include "controlcenter/store/incidents_rows.h"

static const char select_overdue[] =
    "SELECT number FROM incident WHERE folder = $1 AND state = 'open' AND quarantine"
    " AND received_at < $2::timestamptz ORDER BY received_at, number LIMIT $3";
static const char delete_old[] =
    "DELETE FROM incident WHERE number IN (SELECT number FROM incident WHERE folder = $1"
    " AND received_at < $2::timestamptz AND (state <> 'open' OR NOT quarantine)"
    " ORDER BY received_at, number LIMIT $3 FOR UPDATE SKIP LOCKED)";
/* Those whose bytes, the oldest first, are still above what may stay. */
static const char delete_over[] =
    "DELETE FROM incident WHERE number IN (SELECT number FROM"
    " (SELECT number, sum(size) OVER (ORDER BY rank, received_at, number) - size AS before FROM"
    " (SELECT number, size, received_at, (state = 'open')::integer AS rank FROM incident"
    " WHERE folder = $1 AND (state <> 'open' OR NOT quarantine)"
    " ORDER BY (state = 'open')::integer, received_at, number LIMIT $3) oldest) summed"
    " WHERE before < (SELECT bytes - $2 FROM incident_folder WHERE folder = $1))";

bool store_incident_overdue(struct store *store, const char *folder, int64_t before, size_t limit,
                            int64_t *numbers, size_t *count, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, folder);
    store_add_time(&parameters, before);
    store_add_integer(&parameters, (int64_t)limit);
    PGresult *result = store_single(store, select_overdue, &parameters, error);
    if (!result)
        return false;
    *count = (size_t)PQntuples(result);
    for (size_t i = 0; i < *count; i++)
        numbers[i] = store_integer(result, (int)i, 0);
    PQclear(result);
    return true;
}

static bool remove_some(struct store *store, const char *sql,
                        const struct store_parameters *parameters, int64_t *removed,
                        struct error *error)
{
    PGresult *result = store_single(store, sql, parameters, error);
    *removed = result ? store_changed(result) : 0;
    PQclear(result);
    return result != NULL;
}

bool store_incident_expunge(struct store *store, const char *folder, int64_t before, size_t limit,
                            int64_t *removed, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, folder);
    store_add_time(&parameters, before);
    store_add_integer(&parameters, (int64_t)limit);
    return remove_some(store, delete_old, &parameters, removed, error);
}

bool store_incident_expunge_over(struct store *store, const char *folder, int64_t bytes,
                                 size_t limit, int64_t *removed, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, folder);
    store_add_integer(&parameters, bytes);
    store_add_integer(&parameters, (int64_t)limit);
    return remove_some(store, delete_over, &parameters, removed, error);
}
