/* Certificates of the SMTP servers, and which scanner uses which. */
#include "controlcenter/store/store_internal.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define MOST_CERTIFICATES 10000
#define NAME_LIMIT 200
#define PEM_LIMIT 65536

/* A scanner that chose none uses the one that was made for it. */
#define USES                                                                                       \
    "(s.certificate_id = c.id OR (s.certificate_id IS NULL AND c.scanner_id = s.id))"              \
    " AND s.removed_at IS NULL"
#define CERTIFICATE_COLUMNS                                                                        \
    "SELECT c.id, c.name, c.certificate, c.request, to_ms(c.created_at), to_ms(c.expires_at),"     \
    " c.scanner_id, (SELECT coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'host_name',"        \
    " s.host_name) ORDER BY s.host_name), '[]') FROM scanner s WHERE " USES ") FROM certificate c"
static const char select_certificates[] = CERTIFICATE_COLUMNS " ORDER BY lower(c.name), c.id"
                                                              " LIMIT $1";
static const char select_certificate[] = CERTIFICATE_COLUMNS " WHERE c.id = $1";
static const char select_expiring[] =
    CERTIFICATE_COLUMNS " WHERE c.expires_at < $1 AND EXISTS (SELECT FROM scanner s WHERE " USES
                        ") ORDER BY c.expires_at, c.id LIMIT $2";
static const char select_key[] = "SELECT key FROM certificate WHERE id = $1";
static const char select_of_scanner[] =
    "SELECT c.certificate, c.key FROM scanner s JOIN certificate c"
    " ON c.id = s.certificate_id OR (s.certificate_id IS NULL AND c.scanner_id = s.id)"
    " WHERE s.id = $1";
static const char insert_certificate[] =
    "INSERT INTO certificate (name, certificate, key, request, expires_at, scanner_id)"
    " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (scanner_id) DO NOTHING RETURNING id";
static const char lock_certificate[] = "SELECT name FROM certificate WHERE id = $1 FOR UPDATE";
static const char answer_request[] =
    "UPDATE certificate SET certificate = $2, expires_at = $3, request = '' WHERE id = $1";
static const char select_users[] = "SELECT s.host_name FROM certificate c JOIN scanner s ON " USES
                                   " WHERE c.id = $1 ORDER BY s.host_name LIMIT 1";
static const char delete_certificate[] = "DELETE FROM certificate WHERE id = $1";
static const char choose_certificate[] =
    "UPDATE scanner SET certificate_id = $2 WHERE id = $1 AND removed_at IS NULL"
    " AND ($2::bigint IS NULL OR EXISTS (SELECT FROM certificate WHERE id = $2"
    " AND certificate <> '' AND scanner_id IS NULL)) RETURNING host_name";

static bool unknown_certificate(struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "certificate", "there is no such certificate");
}

/* --- reading --- */

static bool read_certificate(const PGresult *result, int row, struct store_certificate *to)
{
    to->id = store_integer(result, row, 0);
    store_text(result, row, 1, to->name, sizeof(to->name));
    to->certificate = store_copy(result, row, 2);
    to->request = store_copy(result, row, 3);
    to->created_at = store_integer(result, row, 4);
    to->expires_at = store_integer(result, row, 5);
    store_text(result, row, 6, to->scanner_id, sizeof(to->scanner_id));
    to->hosts = store_json(result, row, 7);
    return to->certificate && to->request && to->hosts;
}

static bool read_list(PGresult *result, struct store_certificate **certificates, size_t *count,
                      struct error *error)
{
    if (!result)
        return false;
    int rows = PQntuples(result);
    bool ok = (*certificates = calloc((size_t)rows + 1, sizeof(**certificates))) != NULL;
    for (int row = 0; row < rows && ok; row++)
        ok = read_certificate(result, row, &(*certificates)[row]);
    PQclear(result);
    *count = (size_t)rows;
    if (ok)
        return true;
    store_certificate_list_free(*certificates, (size_t)rows);
    return store_out_of_memory(error);
}

bool store_certificate_list(struct store *store, struct store_certificate **certificates,
                            size_t *count, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, MOST_CERTIFICATES);
    return read_list(store_single(store, select_certificates, &parameters, error), certificates,
                     count, error);
}

bool store_certificate_expiring(struct store *store, int64_t before, size_t limit,
                                struct store_certificate **certificates, size_t *count,
                                struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_time(&parameters, before);
    store_add_integer(&parameters, limit < MOST_CERTIFICATES ? (int64_t)limit : MOST_CERTIFICATES);
    return read_list(store_single(store, select_expiring, &parameters, error), certificates, count,
                     error);
}

bool store_certificate_get(struct store *store, int64_t id, struct store_certificate *certificate,
                           struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    PGresult *result = store_single(store, select_certificate, &parameters, error);
    bool found = result && PQntuples(result) == 1;
    bool ok = found && read_certificate(result, 0, certificate);
    if (found && !ok) {
        store_certificate_clear(certificate);
        store_out_of_memory(error);
    } else if (result && !found) {
        unknown_certificate(error);
    }
    PQclear(result);
    return ok;
}

void store_certificate_clear(struct store_certificate *certificate)
{
    free(certificate->certificate);
    free(certificate->request);
    json_decref(certificate->hosts);
    *certificate = (struct store_certificate){0};
}

void store_certificate_list_free(struct store_certificate *certificates, size_t count)
{
    for (size_t i = 0; certificates && i < count; i++)
        store_certificate_clear(&certificates[i]);
    free(certificates);
}

char *store_certificate_key(struct store *store, int64_t id, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    PGresult *result = store_single(store, select_key, &parameters, error);
    bool found = result && PQntuples(result) == 1;
    char *key = found ? store_copy(result, 0, 0) : NULL;
    if (found && !key)
        store_out_of_memory(error);
    else if (result && !found)
        unknown_certificate(error);
    PQclear(result);
    return key;
}

bool store_certificate_of_scanner(struct store *store, const char *scanner_id, char **certificate,
                                  char **key, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, scanner_id);
    PGresult *result = store_single(store, select_of_scanner, &parameters, error);
    if (!result)
        return false;
    bool found = PQntuples(result) == 1;
    *certificate = found ? store_copy(result, 0, 0) : NULL;
    *key = found ? store_copy(result, 0, 1) : NULL;
    PQclear(result);
    if (!found)
        return unknown_certificate(error);
    if (*certificate && *key)
        return true;
    free(*certificate);
    free(*key);
    return store_out_of_memory(error);
}

/* --- changing --- */

static bool check_new(const struct store_new_certificate *new, struct error *error)
{
    size_t length = strlen(new->name);
    if (length < 1 || length > NAME_LIMIT)
        return error_set(error, ERROR_INVALID, "name", "must have 1 to %d bytes", NAME_LIMIT);
    if (strlen(new->key) > PEM_LIMIT || (new->certificate &&strlen(new->certificate) > PEM_LIMIT))
        return error_set(error, ERROR_LIMIT, "certificate", "is larger than %d bytes", PEM_LIMIT);
    return true;
}

static bool log_certificate(PGconn *connection, const char *action, const char *name,
                            const char *administrator, struct error *error)
{
    struct store_log_line line = {.administrator = administrator, .action = action, .object = name};
    return store_log_write(connection, &line, error);
}

/* *id is 0 where the scanner has one that was made for it already. */
static bool insert(PGconn *connection, const struct store_new_certificate *new,
                   const char *administrator, int64_t *id, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, new->name);
    store_add_text(&parameters, new->certificate ? new->certificate : "");
    store_add_text(&parameters, new->key);
    store_add_text(&parameters, new->request ? new->request : "");
    store_add_time(&parameters, new->expires_at);
    store_add_text(&parameters, new->scanner_id);
    PGresult *result = store_query(connection, insert_certificate, &parameters, error);
    if (result)
        *id = PQntuples(result) == 1 ? store_integer(result, 0, 0) : 0;
    PQclear(result);
    return result && (*id == 0 || log_certificate(connection, "certificate.add", new->name,
                                                  administrator, error));
}

bool store_certificate_add(struct store *store, const struct store_new_certificate *new,
                           const char *administrator, int64_t *id, struct error *error)
{
    struct store_transaction transaction;
    if (!check_new(new, error) || !store_begin(store, &transaction, error))
        return false;
    bool ok = insert(transaction.connection, new, administrator, id, error);
    return store_finish(&transaction, ok, error);
}

/* The name of the certificate; its row is locked. */
static bool lock(PGconn *connection, int64_t id, char name[NAME_LIMIT + 1], struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, id);
    PGresult *result = store_query(connection, lock_certificate, &parameters, error);
    bool found = result && PQntuples(result) == 1;
    if (found)
        store_text(result, 0, 0, name, NAME_LIMIT + 1);
    else if (result)
        unknown_certificate(error);
    PQclear(result);
    return found;
}

bool store_certificate_answer(struct store *store, int64_t id, const char *certificate,
                              int64_t expires_at, const char *administrator, struct error *error)
{
    struct store_parameters parameters = {0};
    struct store_transaction transaction;
    char name[NAME_LIMIT + 1];
    if (strlen(certificate) > PEM_LIMIT)
        return error_set(error, ERROR_LIMIT, "certificate", "is larger than %d bytes", PEM_LIMIT);
    if (!store_begin(store, &transaction, error))
        return false;
    store_add_integer(&parameters, id);
    store_add_text(&parameters, certificate);
    store_add_time(&parameters, expires_at);
    PGconn *connection = transaction.connection;
    bool ok = lock(connection, id, name, error) &&
              store_run(connection, answer_request, &parameters, error) &&
              log_certificate(connection, "certificate.renew", name, administrator, error) &&
              store_raise_version(&transaction, error);
    return store_finish(&transaction, ok, error);
}

static bool is_unused(PGconn *connection, int64_t id, struct error *error)
{
    struct store_parameters parameters = {0};
    char host[256] = "";
    store_add_integer(&parameters, id);
    PGresult *result = store_query(connection, select_users, &parameters, error);
    bool used = result && PQntuples(result) > 0;
    if (used)
        store_text(result, 0, 0, host, sizeof(host));
    PQclear(result);
    if (used)
        error_set(error, ERROR_EXISTS, "certificate", "the host %s uses it", host);
    return result && !used;
}

bool store_certificate_remove(struct store *store, int64_t id, const char *administrator,
                              struct error *error)
{
    struct store_parameters parameters = {0};
    struct store_transaction transaction;
    char name[NAME_LIMIT + 1];
    if (!store_begin(store, &transaction, error))
        return false;
    store_add_integer(&parameters, id);
    PGconn *connection = transaction.connection;
    bool ok = lock(connection, id, name, error) && is_unused(connection, id, error) &&
              store_run(connection, delete_certificate, &parameters, error) &&
              log_certificate(connection, "certificate.remove", name, administrator, error);
    return store_finish(&transaction, ok, error);
}

static bool choose(PGconn *connection, const char *scanner_id, int64_t id,
                   const char *administrator, struct error *error)
{
    struct store_parameters parameters = {0};
    char host[256] = "";
    store_add_text(&parameters, scanner_id);
    if (id > 0)
        store_add_integer(&parameters, id);
    else
        store_add_text(&parameters, NULL);
    PGresult *result = store_query(connection, choose_certificate, &parameters, error);
    bool found = result && PQntuples(result) == 1;
    if (found)
        store_text(result, 0, 0, host, sizeof(host));
    else if (result)
        unknown_certificate(error);
    PQclear(result);
    cleanup_json json_t *chosen = json_pack("{s:I}", "certificate_id", (json_int_t)id);
    struct store_log_line line = {.administrator = administrator,
                                  .action = "scanner.certificate",
                                  .object = host,
                                  .new_value = chosen};
    return found && store_log_write(connection, &line, error);
}

bool store_scanner_set_certificate(struct store *store, const char *scanner_id,
                                   int64_t certificate_id, const char *administrator,
                                   struct error *error)
{
    struct store_transaction transaction;
    char canonical[37];
    if (!store_uuid(scanner_id, canonical))
        return unknown_certificate(error);
    if (!store_begin(store, &transaction, error))
        return false;
    bool ok = choose(transaction.connection, canonical, certificate_id, administrator, error) &&
              store_raise_version(&transaction, error);
    return store_finish(&transaction, ok, error);
}
