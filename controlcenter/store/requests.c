#include "controlcenter/store/requests.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "controlcenter/store/store_internal.h"

#include <stdlib.h>
#include <string.h>

/* Also clears out what has expired. The statement does no harm twice: the row stays one row. */
static const char add_request[] =
    "WITH expired AS (DELETE FROM scanner_request WHERE expires_at < now()),"
    " addressee AS (SELECT id FROM scanner WHERE id = $2::uuid AND removed_at IS NULL),"
    " waiting AS (SELECT count(*) AS number FROM scanner_request"
    "  WHERE scanner_id = $2::uuid AND reply IS NULL AND expires_at >= now() AND id <> $1::uuid),"
    " added AS (INSERT INTO scanner_request (id, scanner_id, target, request, expires_at)"
    "  SELECT $1::uuid, addressee.id, $3, $4, now() + $5::bigint * interval '1 millisecond'"
    "  FROM addressee, waiting WHERE waiting.number < $6::bigint"
    "  ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at RETURNING id)"
    " SELECT (SELECT count(*) FROM addressee), (SELECT count(*) FROM added),"
    " pg_notify('" STORE_REQUEST_CHANNEL "', $2::uuid::text)";
static const char select_reply[] =
    "SELECT reply FROM scanner_request WHERE id = $1::uuid AND reply IS NOT NULL";
static const char remove_request[] =
    "DELETE FROM scanner_request WHERE id = $1::uuid RETURNING taken_at IS NOT NULL";
static const char take_requests[] =
    "UPDATE scanner_request SET taken_at = now() WHERE id IN (SELECT id FROM scanner_request"
    "  WHERE scanner_id = $1::uuid AND taken_at IS NULL AND expires_at >= now()"
    "  ORDER BY created_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED)"
    " RETURNING id::text, target, request";
static const char answer_request[] =
    "WITH answered AS (UPDATE scanner_request SET reply = $3 WHERE id = $1::uuid"
    "  AND scanner_id = $2::uuid AND taken_at IS NOT NULL AND reply IS NULL RETURNING id)"
    " SELECT pg_notify('" STORE_REQUEST_CHANNEL "', id::text) FROM answered";

/* --- who asks --- */

/* The JSON text of a value; bounded. */
static char *value_text(const json_t *value, size_t limit, const char *what, struct error *error)
{
    char *text = value ? json_text(value) : NULL;
    if (!text) {
        store_out_of_memory(error);
        return NULL;
    }
    if (strlen(text) <= limit)
        return text;
    free(text);
    error_set(error, ERROR_LIMIT, NULL, "the %s has over %zu bytes", what, limit);
    return NULL;
}

static bool check_added(const PGresult *result, struct error *error)
{
    if (store_integer(result, 0, 0) == 0)
        return error_set(error, ERROR_NOT_FOUND, "scanner", "there is no such scanner");
    return store_integer(result, 0, 1) == 1 ||
           error_set(error, ERROR_LIMIT, "scanner",
                     "%d requests to this scanner are unanswered already", STORE_REQUESTS_MOST);
}

bool store_request_add(struct store *store, const char *id, const char *scanner_id,
                       const char *target, const json_t *request, int64_t lifetime_ms,
                       struct error *error)
{
    struct store_parameters parameters = {0};
    char scanner[37];
    if (!store_uuid(scanner_id, scanner))
        return error_set(error, ERROR_NOT_FOUND, "scanner", "there is no such scanner");
    cleanup_free char *text = value_text(request, STORE_REQUEST_LIMIT, "request", error);
    if (!text)
        return false;
    store_add_text(&parameters, id);
    store_add_text(&parameters, scanner);
    store_add_text(&parameters, target);
    store_add_text(&parameters, text);
    store_add_integer(&parameters, lifetime_ms);
    store_add_integer(&parameters, STORE_REQUESTS_MOST);
    PGresult *result = store_single(store, add_request, &parameters, error);
    bool ok = result && check_added(result, error);
    PQclear(result);
    return ok;
}

static json_t *parse_text(const PGresult *result, int row, int column, struct error *error)
{
    const char *text = PQgetvalue(result, row, column);
    return json_parse(text, (size_t)PQgetlength(result, row, column), NULL, error);
}

json_t *store_request_reply(struct store *store, const char *id, struct error *error)
{
    struct store_parameters parameters = {0};
    json_t *reply = NULL;
    store_add_text(&parameters, id);
    PGresult *result = store_single(store, select_reply, &parameters, error);
    if (result && PQntuples(result) == 1)
        reply = parse_text(result, 0, 0, error);
    PQclear(result);
    return reply;
}

bool store_request_remove(struct store *store, const char *id, bool *taken, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, id);
    PGresult *result = store_single(store, remove_request, &parameters, error);
    *taken = result && PQntuples(result) == 1 && store_boolean(result, 0, 0);
    PQclear(result);
    return result != NULL;
}

/* --- whom it is for --- */

static bool read_requests(const PGresult *result, struct store_request **requests, size_t *count,
                          struct error *error)
{
    int rows = PQntuples(result);
    *requests = calloc((size_t)rows + 1, sizeof(**requests));
    if (!*requests)
        return store_out_of_memory(error);
    for (int row = 0; row < rows; row++) {
        struct store_request *request = &(*requests)[(*count)++];
        store_text(result, row, 0, request->id, sizeof(request->id));
        store_text(result, row, 1, request->target, sizeof(request->target));
        request->request = parse_text(result, row, 2, error);
        if (!request->request)
            return false;
    }
    return true;
}

bool store_request_take(struct store *store, const char *scanner_id, size_t most,
                        struct store_request **requests, size_t *count, struct error *error)
{
    struct store_parameters parameters = {0};
    *requests = NULL;
    *count = 0;
    store_add_text(&parameters, scanner_id);
    store_add_integer(&parameters, (int64_t)most);
    PGresult *result = store_single(store, take_requests, &parameters, error);
    bool ok = result && read_requests(result, requests, count, error);
    PQclear(result);
    if (!ok) {
        store_request_list_free(*requests, *count);
        *requests = NULL;
        *count = 0;
    }
    return ok;
}

void store_request_list_free(struct store_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_decref(requests[i].request);
    free(requests);
}

bool store_request_answer(struct store *store, const char *scanner_id, const char *id,
                          const json_t *reply, struct error *error)
{
    struct store_parameters parameters = {0};
    char canonical[37];
    if (!store_uuid(id, canonical))
        return true;
    cleanup_free char *text = value_text(reply, STORE_REPLY_LIMIT, "reply", error);
    if (!text)
        return false;
    store_add_text(&parameters, canonical);
    store_add_text(&parameters, scanner_id);
    store_add_text(&parameters, text);
    PGresult *result = store_single(store, answer_request, &parameters, error);
    PQclear(result);
    return result != NULL;
}
