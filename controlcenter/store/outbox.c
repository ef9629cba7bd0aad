#include "controlcenter/store/outbox.h"

#include "common/cleanup.h"
#include "common/message_id.h"
#include "controlcenter/store/bytes.h"
#include "controlcenter/store/outbox_internal.h"
#include "controlcenter/store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#define PROBLEM_SIZE 641
/* As scanners take them, with the NUL: what is longer is cut, for the mail matters more. */
#define REASON_SIZE 101
#define ADMINISTRATOR_SIZE 129

static const char insert_mail[] =
    "WITH added AS (INSERT INTO outbox (id, sender, recipients, message, message_id, header, route,"
    " inbound, reason, administrator, scanner_id) VALUES ($1, $2, $3::jsonb, $4::bytea, $5, $6, $7,"
    " $8, $9, $10, $11))"
    " SELECT pg_notify('" STORE_REQUEST_CHANNEL "', '" STORE_OUTBOX_BELL "')";
static const char take_mails[] =
    "UPDATE outbox SET attempts = attempts + 1, leased = true,"
    " next_attempt = now() + $2::bigint * interval '1 s'"
    " WHERE id IN (SELECT id FROM outbox WHERE next_attempt <= now() ORDER BY next_attempt LIMIT $1"
    " FOR UPDATE SKIP LOCKED) RETURNING id, message_id, scanner_id, bound_to, inbound, attempts,"
    " sender, header, route, reason, administrator, recipients, message";
static const char renew_lease[] =
    "UPDATE outbox SET next_attempt = now() + $2::bigint * interval '1 s' WHERE id = $1";
static const char bind_mail[] =
    "WITH mail AS (SELECT id, bound_to FROM outbox WHERE id = $1 FOR UPDATE),"
    " bound AS (UPDATE outbox o SET bound_to = $2::uuid FROM mail WHERE o.id = mail.id"
    " AND ($2::uuid IS NULL OR mail.bound_to IS NULL OR mail.bound_to = $2::uuid) RETURNING o.id)"
    " SELECT (SELECT count(*) FROM mail), (SELECT count(*) FROM bound)";
static const char delete_mail[] = "DELETE FROM outbox WHERE id = $1";
static const char note_failure[] = "UPDATE outbox SET problem = $2, leased = false, next_attempt = "
                                   "now() + $3::bigint * interval '1 s'"
                                   " WHERE id = $1";
static const char retry_failed[] =
    "WITH due AS (UPDATE outbox SET next_attempt = now() WHERE NOT leased AND next_attempt > now())"
    " SELECT pg_notify('" STORE_REQUEST_CHANNEL "', '" STORE_OUTBOX_BELL "')";
static const char select_waiting[] =
    "SELECT id, message_id, to_ms(created_at), to_ms(next_attempt), attempts, reason,"
    " administrator, problem, recipients FROM outbox WHERE $1::uuid IS NULL OR message_id = "
    "$1::uuid"
    " ORDER BY created_at LIMIT $2";

/* --- adding --- */

static json_t *recipients_of(const struct store_outbox_new *mail)
{
    json_t *list = json_array();
    for (size_t i = 0; i < mail->recipient_count; i++)
        json_array_append_new(list, json_string(mail->recipients[i]));
    return list;
}

static bool check(const struct store_outbox_new *mail, struct error *error)
{
    char canonical[37];
    if (mail->recipient_count == 0)
        return error_set(error, ERROR_INVALID, "recipients", "must not be empty");
    if (!mail->message == !mail->message_id)
        return error_set(error, ERROR_INVALID, "message", "either a text or a message is sent");
    return !mail->message_id || store_uuid(mail->message_id, canonical) ||
           error_set(error, ERROR_INVALID, "message_id", "must be a UUID");
}

bool store_outbox_insert(PGconn *connection, const struct store_outbox_new *mail, char id[37],
                         struct error *error)
{
    struct store_parameters parameters = {0};
    struct message_id made = message_id_new();
    char scanner[37], reason[REASON_SIZE], administrator[ADMINISTRATOR_SIZE];
    if (!check(mail, error))
        return false;
    cleanup_json json_t *list = recipients_of(mail);
    cleanup_free char *recipients = store_json_text(list, error);
    cleanup_free char *message =
        mail->message ? store_bytes_text(mail->message, mail->message_length) : NULL;
    if (!recipients)
        return false;
    if (mail->message && !message)
        return store_out_of_memory(error);
    store_add_text(&parameters, message_id_text(&made, id));
    store_add_text(&parameters, mail->sender);
    store_add_text(&parameters, recipients);
    store_add_text(&parameters, message);
    store_add_text(&parameters, mail->message_id);
    store_add_text(&parameters, mail->header);
    store_add_text(&parameters, mail->route);
    store_add_boolean(&parameters, mail->inbound);
    store_add_text(&parameters, store_clean(reason, sizeof(reason), mail->reason));
    store_add_text(&parameters,
                   store_clean(administrator, sizeof(administrator), mail->administrator));
    store_add_text(&parameters,
                   mail->scanner_id && store_uuid(mail->scanner_id, scanner) ? scanner : NULL);
    return store_run(connection, insert_mail, &parameters, error);
}

bool store_outbox_add(struct store *store, const struct store_outbox_new *mail, char id[37],
                      struct error *error)
{
    struct store_transaction transaction;
    if (!store_begin(store, &transaction, error))
        return false;
    return store_finish(&transaction, store_outbox_insert(transaction.connection, mail, id, error),
                        error);
}

/* --- sending --- */

static bool read_mail(const PGresult *result, int row, struct store_outbox_mail *mail)
{
    store_text(result, row, 0, mail->id, sizeof(mail->id));
    store_text(result, row, 1, mail->message_id, sizeof(mail->message_id));
    store_text(result, row, 2, mail->scanner_id, sizeof(mail->scanner_id));
    store_text(result, row, 3, mail->bound_to, sizeof(mail->bound_to));
    mail->inbound = store_boolean(result, row, 4);
    mail->attempts = (int)store_integer(result, row, 5);
    mail->sender = store_copy(result, row, 6);
    mail->header = store_copy(result, row, 7);
    mail->route = store_copy(result, row, 8);
    mail->reason = store_copy(result, row, 9);
    mail->administrator = store_copy(result, row, 10);
    mail->recipients = store_json(result, row, 11);
    mail->message = store_bytes(result, row, 12, &mail->message_length);
    return mail->sender && mail->header && mail->route && mail->reason && mail->administrator &&
           mail->recipients && mail->message;
}

bool store_outbox_take(struct store *store, size_t most, struct store_outbox_mail **mails,
                       size_t *count, struct error *error)
{
    struct store_parameters parameters = {0};
    *mails = NULL;
    *count = 0;
    store_add_integer(&parameters, (int64_t)most);
    store_add_integer(&parameters, STORE_OUTBOX_LEASE_SECONDS);
    PGresult *result = store_single(store, take_mails, &parameters, error);
    if (!result)
        return false;
    int rows = PQntuples(result);
    *mails = calloc((size_t)rows + 1, sizeof(**mails));
    bool ok = *mails != NULL;
    for (int row = 0; row < rows && ok; row++, ++*count)
        ok = read_mail(result, row, &(*mails)[row]);
    PQclear(result);
    if (ok)
        return true;
    store_outbox_list_free(*mails, *count);
    *mails = NULL;
    *count = 0;
    return store_out_of_memory(error);
}

void store_outbox_list_free(struct store_outbox_mail *mails, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(mails[i].sender);
        free(mails[i].header);
        free(mails[i].route);
        free(mails[i].reason);
        free(mails[i].administrator);
        free(mails[i].message);
        json_decref(mails[i].recipients);
    }
    free(mails);
}

static bool run_single(struct store *store, const char *sql,
                       const struct store_parameters *parameters, struct error *error)
{
    PGresult *result = store_single(store, sql, parameters, error);
    PQclear(result);
    return result != NULL;
}

bool store_outbox_renew(struct store *store, const char *id, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, id);
    store_add_integer(&parameters, STORE_OUTBOX_LEASE_SECONDS);
    return run_single(store, renew_lease, &parameters, error);
}

bool store_outbox_bind(struct store *store, const char *id, const char *scanner_id,
                       struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, id);
    store_add_text(&parameters, *scanner_id ? scanner_id : NULL);
    PGresult *result = store_single(store, bind_mail, &parameters, error);
    if (!result)
        return false;
    bool found = store_integer(result, 0, 0) == 1, bound = store_integer(result, 0, 1) == 1;
    PQclear(result);
    if (!found)
        return error_set(error, ERROR_NOT_FOUND, "outbox", "the mail is sent already");
    return bound || error_set(error, ERROR_EXISTS, "outbox", "another scanner may have the mail");
}

static bool log_sent(PGconn *connection, const struct store_outbox_mail *mail,
                     const char *scanner_id, struct error *error)
{
    if (!*mail->administrator)
        return true;
    cleanup_json json_t *detail = json_pack("{s:s,s:s,s:O}", "reason", mail->reason, "scanner",
                                            scanner_id, "recipients", mail->recipients);
    struct store_log_line line = {.administrator = mail->administrator,
                                  .action = "mail.submit",
                                  .object = mail->id,
                                  .detail = detail};
    return detail ? store_log_write(connection, &line, error) : store_out_of_memory(error);
}

static bool delete_once(PGconn *connection, const struct store_outbox_mail *mail, bool *deleted,
                        struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, mail->id);
    PGresult *result = store_query(connection, delete_mail, &parameters, error);
    *deleted = result && store_changed(result) == 1;
    PQclear(result);
    return result != NULL;
}

bool store_outbox_sent(struct store *store, const struct store_outbox_mail *mail,
                       const char *scanner_id, struct error *error)
{
    struct store_transaction transaction;
    bool deleted;
    if (!store_begin(store, &transaction, error))
        return false;
    PGconn *connection = transaction.connection;
    bool ok = delete_once(connection, mail, &deleted, error) &&
              (!deleted || log_sent(connection, mail, scanner_id, error));
    return store_finish(&transaction, ok, error);
}

bool store_outbox_failed(struct store *store, const char *id, const char *problem, int wait_seconds,
                         struct error *error)
{
    struct store_parameters parameters = {0};
    char clean[PROBLEM_SIZE];
    store_add_text(&parameters, id);
    store_add_text(&parameters, store_clean(clean, sizeof(clean), problem));
    store_add_integer(&parameters, wait_seconds);
    return run_single(store, note_failure, &parameters, error);
}

/* --- what administrators see --- */

bool store_outbox_retry(struct store *store, struct error *error)
{
    return run_single(store, retry_failed, NULL, error);
}

static bool read_waiting(const PGresult *result, int row, struct store_outbox_waiting *to)
{
    store_text(result, row, 0, to->id, sizeof(to->id));
    store_text(result, row, 1, to->message_id, sizeof(to->message_id));
    to->created_at = store_integer(result, row, 2);
    to->next_attempt = store_integer(result, row, 3);
    to->attempts = (int)store_integer(result, row, 4);
    store_text(result, row, 5, to->reason, sizeof(to->reason));
    store_text(result, row, 6, to->administrator, sizeof(to->administrator));
    store_text(result, row, 7, to->problem, sizeof(to->problem));
    to->recipients = store_json(result, row, 8);
    return to->recipients != NULL;
}

bool store_outbox_waiting(struct store *store, const char *message_id, size_t limit,
                          struct store_outbox_waiting **waiting, size_t *count, struct error *error)
{
    struct store_parameters parameters = {0};
    *waiting = NULL;
    *count = 0;
    store_add_text(&parameters, message_id);
    store_add_integer(&parameters, (int64_t)limit);
    PGresult *result = store_single(store, select_waiting, &parameters, error);
    if (!result)
        return false;
    int rows = PQntuples(result);
    *waiting = calloc((size_t)rows + 1, sizeof(**waiting));
    bool ok = *waiting != NULL;
    for (int row = 0; row < rows && ok; row++, ++*count)
        ok = read_waiting(result, row, &(*waiting)[row]);
    PQclear(result);
    if (ok)
        return true;
    store_outbox_waiting_free(*waiting, *count);
    *waiting = NULL;
    *count = 0;
    return store_out_of_memory(error);
}

void store_outbox_waiting_free(struct store_outbox_waiting *waiting, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_decref(waiting[i].recipients);
    free(waiting);
}
