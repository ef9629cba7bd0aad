/* The scanners of the fleet, and the tokens that enrol them. */
#include "controlcenter/store/store_internal.h"

#include "common/cleanup.h"
#include "common/message_id.h"

#include <stdlib.h>
#include <string.h>

#define MOST_SCANNERS 10000
#define STATUS_LIMIT (256u << 10) /* bytes of JSON text; a larger one is unknown */
#define SMTP_LIMIT (1u << 20)

static const char insert_enrolment[] =
    "INSERT INTO enrolment (secret_hash, host_name, expires_at, created_by)"
    " VALUES ($1, $2, $3, $4)";
static const char use_enrolment[] =
    "UPDATE enrolment SET used_at = now()"
    " WHERE secret_hash = $1 AND used_at IS NULL AND expires_at > now()"
    " RETURNING host_name, created_by";
static const char insert_scanner[] =
    "INSERT INTO scanner (id, host_name, smtp) VALUES ($1, $2, $3::jsonb)";
static const char link_enrolment[] = "UPDATE enrolment SET scanner_id = $2 WHERE secret_hash = $1";

#define SCANNER_COLUMNS                                                                            \
    "SELECT s.id, s.host_name, to_ms(s.enrolled_at), to_ms(s.seen_at), s.configuration_version,"   \
    " v.version, s.failed_version, s.failed_reason, s.software_version, s.status, s.smtp,"         \
    " s.certificate_id"                                                                            \
    " FROM scanner s CROSS JOIN configuration_version v WHERE s.removed_at IS NULL"
static const char select_scanners[] =
    SCANNER_COLUMNS " ORDER BY s.host_name, s.enrolled_at, s.id LIMIT $1";
static const char select_scanner[] = SCANNER_COLUMNS " AND s.id = $1";
static const char note_poll[] =
    "UPDATE scanner SET seen_at = now(), configuration_version = $2, failed_version = $3,"
    " failed_reason = $4, software_version = $5, status = $6::jsonb"
    " WHERE id = $1 AND removed_at IS NULL";
static const char lock_smtp[] =
    "SELECT host_name, smtp FROM scanner WHERE id = $1 AND removed_at IS NULL FOR UPDATE";
static const char update_smtp[] = "UPDATE scanner SET smtp = $2::jsonb WHERE id = $1";
/* Its own certificate and key have no further use. */
static const char mark_removed[] =
    "WITH own AS (DELETE FROM certificate WHERE scanner_id = $1)"
    " UPDATE scanner SET removed_at = now(), certificate_id = NULL WHERE id = $1";

static bool unknown_scanner(struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "scanner", "there is no such scanner");
}

static bool check_id(const char *id, char canonical[37], struct error *error)
{
    return store_uuid(id, canonical) || unknown_scanner(error);
}

/* --- enrolment --- */

static bool check_token(const char *secret_hash, const char *host_name, struct error *error)
{
    size_t length = strlen(secret_hash), host_length = strlen(host_name);
    if (length < 1 || length > 128)
        return error_set(error, ERROR_INVALID, "secret_hash", "must have 1 to 128 bytes");
    if (host_length < 1 || host_length > 255)
        return error_set(error, ERROR_INVALID, "host_name", "must have 1 to 255 bytes");
    return true;
}

bool store_enrolment_create(struct store *store, const char *secret_hash, const char *host_name,
                            int64_t expires_at, const char *administrator, struct error *error)
{
    struct store_log_line line = {
        .administrator = administrator, .action = "scanner.token", .object = host_name};
    struct store_parameters parameters = {0};
    struct store_transaction transaction;
    if (!check_token(secret_hash, host_name, error) || !store_begin(store, &transaction, error))
        return false;
    store_add_text(&parameters, secret_hash);
    store_add_text(&parameters, host_name);
    store_add_time(&parameters, expires_at ? expires_at : 1);
    store_add_text(&parameters, administrator ? administrator : "");
    bool ok = store_run(transaction.connection, insert_enrolment, &parameters, error) &&
              store_log_write(transaction.connection, &line, error);
    return store_finish(&transaction, ok, error);
}

static bool use_token(PGconn *connection, const char *secret_hash, char host_name[256],
                      char created_by[256], struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, secret_hash);
    PGresult *result = store_query(connection, use_enrolment, &parameters, error);
    bool ok = result && PQntuples(result) == 1;
    if (ok) {
        store_text(result, 0, 0, host_name, 256);
        store_text(result, 0, 1, created_by, 256);
    } else if (result) {
        error_set(error, ERROR_DENIED, "token", "is unknown, has been used, or has expired");
    }
    PQclear(result);
    return ok;
}

static bool create_scanner(PGconn *connection, const char *secret_hash, const char *smtp,
                           const char *id, char host_name[256], struct error *error)
{
    struct store_parameters row = {0}, link = {0};
    char created_by[256];
    if (!use_token(connection, secret_hash, host_name, created_by, error))
        return false;
    struct store_log_line line = {
        .administrator = created_by, .action = "scanner.enrol", .object = host_name};
    store_add_text(&row, id);
    store_add_text(&row, host_name);
    store_add_text(&row, smtp);
    store_add_text(&link, secret_hash);
    store_add_text(&link, id);
    return store_run(connection, insert_scanner, &row, error) &&
           store_run(connection, link_enrolment, &link, error) &&
           store_log_write(connection, &line, error);
}

/* The text of the settings, within the limit. Caller frees. */
static char *smtp_text(const json_t *smtp, struct error *error)
{
    char *text = json_is_object(smtp) ? store_json_text(smtp, error) : NULL;
    if (!json_is_object(smtp)) {
        error_set(error, ERROR_INVALID, "smtp", "must be an object");
    } else if (text && strlen(text) > SMTP_LIMIT) {
        free(text);
        text = NULL;
        error_set(error, ERROR_LIMIT, "smtp", "is larger than %u bytes", SMTP_LIMIT);
    }
    return text;
}

bool store_enrolment_use(struct store *store, const char *secret_hash, const json_t *smtp,
                         char scanner_id[37], char host_name[256], struct error *error)
{
    struct store_transaction transaction;
    struct message_id id = message_id_new();
    cleanup_free char *text = smtp_text(smtp, error);
    if (!text || !store_begin(store, &transaction, error))
        return false;
    message_id_text(&id, scanner_id);
    return store_finish(
        &transaction,
        create_scanner(transaction.connection, secret_hash, text, scanner_id, host_name, error),
        error);
}

/* --- reading --- */

static bool read_scanner(const PGresult *result, int row, struct store_scanner *to)
{
    store_text(result, row, 0, to->id, sizeof(to->id));
    store_text(result, row, 1, to->host_name, sizeof(to->host_name));
    to->enrolled_at = store_integer(result, row, 2);
    to->seen_at = store_integer(result, row, 3);
    to->configuration_version = store_integer(result, row, 4);
    to->wanted_version = store_integer(result, row, 5);
    to->failed_version = store_integer(result, row, 6);
    store_text(result, row, 7, to->failed_reason, sizeof(to->failed_reason));
    store_text(result, row, 8, to->software_version, sizeof(to->software_version));
    to->status = store_json(result, row, 9);
    to->smtp = store_json(result, row, 10);
    to->certificate_id = store_integer(result, row, 11);
    return to->smtp && (to->status || PQgetisnull(result, row, 9));
}

bool store_scanner_list(struct store *store, struct store_scanner **scanners, size_t *count,
                        struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, MOST_SCANNERS);
    PGresult *result = store_single(store, select_scanners, &parameters, error);
    if (!result)
        return false;
    int rows = PQntuples(result);
    bool ok = (*scanners = calloc((size_t)rows + 1, sizeof(**scanners))) != NULL;
    for (int row = 0; row < rows && ok; row++)
        ok = read_scanner(result, row, &(*scanners)[row]);
    PQclear(result);
    *count = (size_t)rows;
    if (ok)
        return true;
    store_scanner_list_free(*scanners, (size_t)rows);
    return store_out_of_memory(error);
}

bool store_scanner_get(struct store *store, const char *id, struct store_scanner *scanner,
                       struct error *error)
{
    struct store_parameters parameters = {0};
    char canonical[37];
    if (!check_id(id, canonical, error))
        return false;
    store_add_text(&parameters, canonical);
    PGresult *result = store_single(store, select_scanner, &parameters, error);
    bool found = result && PQntuples(result) == 1;
    bool ok = found && read_scanner(result, 0, scanner);
    if (found && !ok) {
        store_scanner_clear(scanner);
        store_out_of_memory(error);
    } else if (result && !found) {
        unknown_scanner(error);
    }
    PQclear(result);
    return ok;
}

void store_scanner_clear(struct store_scanner *scanner)
{
    json_decref(scanner->status);
    json_decref(scanner->smtp);
    scanner->status = NULL;
    scanner->smtp = NULL;
}

void store_scanner_list_free(struct store_scanner *scanners, size_t count)
{
    for (size_t i = 0; scanners && i < count; i++)
        store_scanner_clear(&scanners[i]);
    free(scanners);
}

/* --- changing --- */

/* A status that is no object, too large or unreadable is an unknown one, never an error. */
static char *status_text(const json_t *status)
{
    char *text = json_is_object(status) ? store_json_text(status, NULL) : NULL;
    if (text && strlen(text) <= STATUS_LIMIT)
        return text;
    free(text);
    return NULL;
}

bool store_scanner_seen(struct store *store, const char *id, int64_t configuration_version,
                        int64_t failed_version, const char *failed_reason,
                        const char *software_version, const json_t *status, struct error *error)
{
    struct store_parameters parameters = {0};
    struct store_scanner limits;
    char canonical[37];
    if (!check_id(id, canonical, error))
        return false;
    cleanup_free char *text = status_text(status);
    store_add_text(&parameters, canonical);
    store_add_integer(&parameters, configuration_version);
    store_add_integer(&parameters, failed_version);
    store_add_text(&parameters,
                   store_clean(limits.failed_reason, sizeof(limits.failed_reason), failed_reason));
    store_add_text(&parameters, store_clean(limits.software_version,
                                            sizeof(limits.software_version), software_version));
    store_add_text(&parameters, text);
    PGresult *result = store_single(store, note_poll, &parameters, error);
    bool known = result && store_changed(result) == 1;
    if (result && !known)
        unknown_scanner(error);
    PQclear(result);
    return known;
}

/* The host's name and settings as they are; the row is locked. */
static bool lock_scanner(PGconn *connection, const char *id, char host_name[256], json_t **smtp,
                         struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, id);
    PGresult *result = store_query(connection, lock_smtp, &parameters, error);
    bool found = result && PQntuples(result) == 1;
    *smtp = found ? store_json(result, 0, 1) : NULL;
    if (found)
        store_text(result, 0, 0, host_name, 256);
    else if (result)
        unknown_scanner(error);
    PQclear(result);
    return found;
}

/* Sets the settings, or removes the scanner where `smtp` is NULL. */
static bool change(PGconn *connection, const char *id, const json_t *smtp, const char *text,
                   const char *administrator, struct error *error)
{
    struct store_parameters parameters = {0};
    cleanup_json json_t *old = NULL;
    char host_name[256];
    if (!lock_scanner(connection, id, host_name, &old, error))
        return false;
    struct store_log_line line = {.administrator = administrator,
                                  .action = smtp ? "scanner.change" : "scanner.remove",
                                  .object = host_name,
                                  .old_value = old,
                                  .new_value = smtp};
    store_add_text(&parameters, id);
    if (smtp)
        store_add_text(&parameters, text);
    return store_run(connection, smtp ? update_smtp : mark_removed, &parameters, error) &&
           store_log_write(connection, &line, error);
}

static bool change_and_raise(struct store *store, const char *id, const json_t *smtp,
                             const char *text, const char *administrator, struct error *error)
{
    struct store_transaction transaction;
    char canonical[37];
    if (!check_id(id, canonical, error) || !store_begin(store, &transaction, error))
        return false;
    bool ok = change(transaction.connection, canonical, smtp, text, administrator, error) &&
              store_raise_version(&transaction, error);
    return store_finish(&transaction, ok, error);
}

bool store_scanner_set_smtp(struct store *store, const char *id, const json_t *smtp,
                            const char *administrator, struct error *error)
{
    cleanup_free char *text = smtp_text(smtp, error);
    return text && change_and_raise(store, id, smtp, text, administrator, error);
}

/* The version rises so that polls which wait for this scanner end and find it removed. */
bool store_scanner_remove(struct store *store, const char *id, const char *administrator,
                          struct error *error)
{
    return change_and_raise(store, id, NULL, NULL, administrator, error);
}
