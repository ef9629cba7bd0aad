/* Everything of one message, and the figures of the dashboard. */
#include "controlcenter/store/audit_internal.h"

#include "common/cleanup.h"
#include "common/message_id.h"

#include <string.h>

#define MOST_RECIPIENTS 10000
#define MOST_EVENTS 10000
#define MOST_HOURS 744

/* The day's bounds let the planner see which partition it is. */
static const char select_message[] =
    "SELECT jsonb_build_object('id', m.id, 'at', to_ms(m.at), 'scanner_id', m.scanner_id,"
    " 'scanner_host', coalesce(s.host_name, ''), 'received_at', to_ms(m.received_at),"
    " 'direction', m.direction, 'peer_ip', host(m.peer_ip), 'peer_port', m.peer_port,"
    " 'helo', m.helo, 'protocol', m.protocol, 'tls', m.tls, 'sender', m.sender,"
    " 'subject', m.subject, 'from', m.header_from, 'message_id', m.header_message_id,"
    " 'size', m.size, 'verdict', m.verdict, 'reason', m.reason, 'threats', m.threats,"
    " 'parts', m.parts, 'elapsed_us', m.elapsed_us, 'action', m.action, 'policy', m.policy,"
    " 'detail', m.detail, 'reply', m.reply)"
    " FROM audit_message m LEFT JOIN scanner s ON s.id = m.scanner_id"
    " WHERE m.at = $1::timestamptz AND m.id = $2::uuid";
static const char select_recipients[] =
    "SELECT jsonb_build_object('index', idx, 'address', coalesce(address, ''), 'state', state,"
    " 'changed_at', to_ms(changed_at), 'attempts', attempts,"
    " 'next_attempt', to_ms(next_attempt), 'host', host, 'ip', host(ip), 'port', port, 'tls', tls,"
    " 'reply', reply, 'action', action, 'policy', policy, 'dsn', dsn)"
    " FROM audit_recipient WHERE message_at = $1::timestamptz AND message_id = $2::uuid"
    " ORDER BY idx LIMIT $3::bigint";
static const char select_events[] =
    "SELECT payload || jsonb_build_object('at', to_ms(at), 'type', type, 'seq', seq,"
    " 'stream', stream, 'scanner_id', scanner_id)"
    " FROM audit_event WHERE message_at = $1::timestamptz AND message_id = $2::uuid"
    " ORDER BY at, stream, seq LIMIT $3::bigint";

static const char select_hours[] =
    "SELECT to_ms(hour), sum(received), sum(delivered), sum(virus), sum(spam), sum(rejected)"
    " FROM audit_hour WHERE hour >= $1::timestamptz AND hour < $2::timestamptz"
    " GROUP BY hour ORDER BY hour";
static const char count_deferred[] =
    "SELECT count(*) FROM audit_recipient WHERE state = '" AUDIT_DEFERRED "'"
    " AND message_at >= $1::timestamptz AND message_at < $2::timestamptz";

/* --- one message --- */

/* The JSON values of a column as an array. */
static json_t *read_array(const PGresult *result)
{
    json_t *array = json_array();
    for (int row = 0; row < PQntuples(result); row++)
        if (json_array_append_new(array, store_json(result, row, 0)) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *select_array(PGconn *connection, const char *sql, int64_t at, const char *id,
                            int64_t most, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_time(&parameters, at);
    store_add_text(&parameters, id);
    if (most)
        store_add_integer(&parameters, most);
    PGresult *result = store_query(connection, sql, &parameters, error);
    json_t *array = result ? read_array(result) : NULL;
    if (result && !array)
        store_out_of_memory(error);
    PQclear(result);
    return array;
}

static json_t *read_message(PGconn *connection, int64_t at, const char *id, struct error *error)
{
    cleanup_json json_t *messages = select_array(connection, select_message, at, id, 0, error);
    if (messages && json_array_size(messages) == 0)
        error_set(error, ERROR_NOT_FOUND, "id", "there is no such message");
    if (!messages || json_array_size(messages) == 0)
        return NULL;
    cleanup_json json_t *recipients =
        select_array(connection, select_recipients, at, id, MOST_RECIPIENTS, error);
    cleanup_json json_t *events =
        recipients ? select_array(connection, select_events, at, id, MOST_EVENTS, error) : NULL;
    if (!events)
        return NULL;
    json_t *whole = json_pack("{s:O,s:O,s:O}", "message", json_array_get(messages, 0), "recipients",
                              recipients, "events", events);
    if (!whole)
        store_out_of_memory(error);
    return whole;
}

json_t *store_audit_message(struct store *store, const char *id, struct error *error)
{
    struct store_transaction transaction;
    struct message_id parsed;
    char canonical[37];
    if (!message_id_parse(id, &parsed)) {
        error_set(error, ERROR_NOT_FOUND, "id", "there is no such message");
        return NULL;
    }
    if (!store_begin(store, &transaction, error))
        return NULL;
    json_t *whole = read_message(transaction.connection, message_id_time_ms(&parsed),
                                 message_id_text(&parsed, canonical), error);
    if (store_finish(&transaction, whole != NULL, error))
        return whole;
    json_decref(whole);
    return NULL;
}

/* --- the dashboard --- */

#define HOUR_MS 3600000LL

static const char *const figures[] = {"received", "delivered", "virus", "spam", "rejected"};
#define FIGURE_COUNT (sizeof(figures) / sizeof(figures[0]))

/* Hours without a row have zeros. */
static bool add_hour(json_t *by_hour, int64_t hour, const PGresult *result, int row)
{
    bool there = row < PQntuples(result) && store_integer(result, row, 0) == hour;
    json_t *entry = json_pack("{s:I,s:I,s:I}", "at", (json_int_t)hour, "received",
                              (json_int_t)(there ? store_integer(result, row, 1) : 0), "virus",
                              (json_int_t)(there ? store_integer(result, row, 3) : 0));
    return json_array_append_new(by_hour, entry) == 0 && there;
}

static json_t *read_hours(const PGresult *result, int64_t from, int64_t until)
{
    json_t *by_hour = json_array();
    int row = 0;
    for (int64_t hour = from; by_hour && hour < until; hour += HOUR_MS)
        row += add_hour(by_hour, hour, result, row);
    return by_hour;
}

static bool add_sums(json_t *summary, const PGresult *result)
{
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        int64_t sum = 0;
        for (int row = 0; row < PQntuples(result); row++)
            sum += store_integer(result, row, (int)i + 1);
        if (json_object_set_new(summary, figures[i], json_integer(sum)) != 0)
            return false;
    }
    return true;
}

static bool add_deferred(PGconn *connection, const struct store_parameters *range, json_t *summary,
                         struct error *error)
{
    PGresult *result = store_query(connection, count_deferred, range, error);
    bool ok = result && json_object_set_new(summary, "deferred",
                                            json_integer(store_integer(result, 0, 0))) == 0;
    PQclear(result);
    return ok;
}

static bool fill_summary(PGconn *connection, int64_t from, int64_t until, json_t *summary,
                         struct error *error)
{
    struct store_parameters range = {0};
    store_add_time(&range, from);
    store_add_time(&range, until);
    PGresult *result = store_query(connection, select_hours, &range, error);
    bool ok = result && add_sums(summary, result) &&
              json_object_set_new(summary, "by_hour", read_hours(result, from, until)) == 0;
    if (result && !ok)
        store_out_of_memory(error);
    PQclear(result);
    return ok && add_deferred(connection, &range, summary, error);
}

json_t *store_audit_summary(struct store *store, int hours, struct error *error)
{
    struct store_transaction transaction;
    if (hours < 1 || hours > MOST_HOURS) {
        error_set(error, ERROR_INVALID, "hours", "must be 1 to %d", MOST_HOURS);
        return NULL;
    }
    int64_t now = timestamp_now_ms();
    int64_t until = now - now % HOUR_MS + HOUR_MS;
    json_t *summary = json_object();
    if (!summary) {
        store_out_of_memory(error);
        return NULL;
    }
    bool ok = store_begin(store, &transaction, error) &&
              store_finish(&transaction,
                           fill_summary(transaction.connection, until - hours * HOUR_MS, until,
                                        summary, error),
                           error);
    if (ok)
        return summary;
    json_decref(summary);
    return NULL;
}
