/* Notifications that filters asked for, until their mail is in the outbox. */
#include "controlcenter/store/notifications_internal.h"
#include "controlcenter/store/outbox_internal.h"

#include "common/cleanup.h"
#include "controlcenter/store/notifications.h"

#include <stdlib.h>
#include <string.h>

#define ID_MOST 64
#define MOST_OF_AN_EVENT 100

static const char insert_notification[] =
    "INSERT INTO notification (scanner_id, message_id, template, filter, send_to, recipients)"
    " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
static const char take_notifications[] =
    "UPDATE notification SET due_at = now() + $1 * interval '1 second' WHERE id IN"
    " (SELECT id FROM notification WHERE sent_at IS NULL AND NOT given_up AND due_at <= now()"
    "  ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
    " RETURNING id, scanner_id, message_id, template, filter, send_to, recipients,"
    " to_ms(created_at)";
static const char put_off[] = "UPDATE notification SET due_at = $2, problem = $3 WHERE id = $1";
static const char give_up[] =
    "UPDATE notification SET given_up = true, problem = $2 WHERE id = $1 RETURNING message_id";
static const char lock_notification[] =
    "SELECT 1 FROM notification WHERE id = $1 AND sent_at IS NULL FOR UPDATE";
static const char end_notification[] =
    "UPDATE notification SET sent_at = now(), problem = '' WHERE id = $1";
static const char insert_link[] =
    "INSERT INTO mailed_link (token_hash, incident, action, mailed_to, expires_at)"
    " VALUES ($1, $2, $3, $4, $5)";
static const char expunge[] =
    "DELETE FROM notification WHERE id IN (SELECT id FROM notification WHERE created_at < $1"
    " AND (sent_at IS NOT NULL OR given_up) LIMIT $2)";

/* --- what events ask for --- */

static bool is_texts(const json_t *value)
{
    const json_t *item;
    size_t index;
    json_array_foreach((json_t *)value, index, item)
    {
        if (!json_is_string(item))
            return false;
    }
    return json_array_size(value) > 0;
}

static bool insert(PGconn *connection, const char *scanner_id, const char *message_id,
                   const json_t *entry, struct error *error)
{
    struct store_parameters parameters = {0};
    const char *template = json_string_value(json_object_get(entry, "template"));
    const char *filter = json_string_value(json_object_get(entry, "filter"));
    const json_t *to = json_object_get(entry, "to");
    const json_t *recipients = json_object_get(entry, "recipients");
    if (!template || !filter || strlen(template) > ID_MOST || strlen(filter) > ID_MOST ||
        !is_texts(to) || !json_is_array(recipients))
        return true;
    cleanup_free char *to_text = store_json_text(to, error);
    cleanup_free char *recipients_text = to_text ? store_json_text(recipients, error) : NULL;
    if (!recipients_text)
        return false;
    store_add_text(&parameters, scanner_id);
    store_add_text(&parameters, message_id);
    store_add_text(&parameters, template);
    store_add_text(&parameters, filter);
    store_add_text(&parameters, to_text);
    store_add_text(&parameters, recipients_text);
    return store_run(connection, insert_notification, &parameters, error);
}

bool store_notification_insert(PGconn *connection, const char *scanner_id, const char *message_id,
                               const json_t *notify, struct error *error)
{
    const json_t *entry;
    size_t index;
    json_array_foreach((json_t *)notify, index, entry)
    {
        if (index < MOST_OF_AN_EVENT && !insert(connection, scanner_id, message_id, entry, error))
            return false;
    }
    return true;
}

/* --- who sends them --- */

static bool read_row(const PGresult *result, int row, struct store_notification *to)
{
    to->id = store_integer(result, row, 0);
    store_text(result, row, 1, to->scanner_id, sizeof(to->scanner_id));
    store_text(result, row, 2, to->message_id, sizeof(to->message_id));
    store_text(result, row, 3, to->template, sizeof(to->template));
    store_text(result, row, 4, to->filter, sizeof(to->filter));
    to->send_to = store_json(result, row, 5);
    to->recipients = store_json(result, row, 6);
    to->created_at = store_integer(result, row, 7);
    return to->send_to && to->recipients;
}

bool store_notification_take(struct store *store, int lease_seconds, size_t limit,
                             struct store_notification **notifications, size_t *count,
                             struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_integer(&parameters, lease_seconds);
    store_add_integer(&parameters, (int64_t)limit);
    PGresult *result = store_single(store, take_notifications, &parameters, error);
    if (!result)
        return false;
    *count = (size_t)PQntuples(result);
    bool ok = (*notifications = calloc(*count + 1, sizeof(**notifications))) != NULL;
    for (size_t row = 0; row < *count && ok; row++)
        ok = read_row(result, (int)row, &(*notifications)[row]);
    PQclear(result);
    if (ok)
        return true;
    store_notification_list_free(*notifications, *count);
    return store_out_of_memory(error);
}

void store_notification_list_free(struct store_notification *notifications, size_t count)
{
    for (size_t i = 0; notifications && i < count; i++) {
        json_decref(notifications[i].send_to);
        json_decref(notifications[i].recipients);
    }
    free(notifications);
}

bool store_notification_put_off(struct store *store, int64_t id, int64_t until, const char *problem,
                                struct error *error)
{
    struct store_parameters parameters = {0};
    char text[501];
    store_add_integer(&parameters, id);
    store_add_time(&parameters, until);
    store_add_text(&parameters, store_clean(text, sizeof(text), problem));
    PGresult *result = store_single(store, put_off, &parameters, error);
    PQclear(result);
    return result != NULL;
}

bool store_notification_give_up(struct store *store, int64_t id, const char *problem,
                                struct error *error)
{
    struct store_transaction transaction;
    struct store_parameters parameters = {0};
    char text[501], message_id[37] = "";
    if (!store_begin(store, &transaction, error))
        return false;
    store_add_integer(&parameters, id);
    store_add_text(&parameters, store_clean(text, sizeof(text), problem));
    PGresult *result = store_query(transaction.connection, give_up, &parameters, error);
    bool ok = result != NULL;
    if (ok && PQntuples(result) == 1)
        store_text(result, 0, 0, message_id, sizeof(message_id));
    PQclear(result);
    cleanup_json json_t *detail = ok ? json_pack("{s:s}", "reason", text) : NULL;
    struct store_log_line line = {
        .action = "notification.given_up", .object = message_id, .detail = detail};
    ok = ok && store_log_write(transaction.connection, &line, error);
    return store_finish(&transaction, ok, error);
}

static bool add_link(PGconn *connection, const struct store_link_new *link, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, link->token_hash);
    store_add_integer(&parameters, link->incident);
    store_add_text(&parameters, link->action);
    store_add_text(&parameters, link->mailed_to);
    store_add_time(&parameters, link->expires_at);
    return store_run(connection, insert_link, &parameters, error);
}

static bool lock(PGconn *connection, const struct store_parameters *id, struct error *error)
{
    PGresult *result = store_query(connection, lock_notification, id, error);
    bool waits = result && PQntuples(result) == 1;
    bool answered = result != NULL;
    PQclear(result);
    return waits ||
           (answered && error_set(error, ERROR_EXISTS, "notification", "it was sent already"));
}

bool store_notification_sent(struct store *store, int64_t id, const struct store_outbox_new *mails,
                             size_t mail_count, const struct store_link_new *links,
                             size_t link_count, struct error *error)
{
    struct store_transaction transaction;
    struct store_parameters parameters = {0};
    char mail_id[37];
    if (!store_begin(store, &transaction, error))
        return false;
    store_add_integer(&parameters, id);
    bool ok = lock(transaction.connection, &parameters, error);
    for (size_t i = 0; i < mail_count && ok; i++)
        ok = store_outbox_insert(transaction.connection, &mails[i], mail_id, error);
    for (size_t i = 0; i < link_count && ok; i++)
        ok = add_link(transaction.connection, &links[i], error);
    ok = ok && store_run(transaction.connection, end_notification, &parameters, error);
    return store_finish(&transaction, ok, error);
}

bool store_notification_expunge(struct store *store, int64_t before, size_t limit, int64_t *removed,
                                struct error *error)
{
    return store_expunge(store, expunge, before, limit, removed, error);
}
