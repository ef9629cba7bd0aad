/* Rows of the audit tables: what a run of events makes of messages, recipients and figures is
 * gathered first, so that each row is written once; the events themselves go in by COPY.
 *
 * A message belongs to the scanner that wrote it first. The messages are therefore written before
 * anything else: that waits for whoever writes the same message at this moment, so that its owner
 * is certain when the events of other scanners' messages are taken out. */
#include "controlcenter/store/audit_internal.h"
#include "controlcenter/store/notifications_internal.h"

#include "common/cleanup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS 3600000LL
#define COPY_LIMIT (512u << 20) /* bytes of one COPY */

struct rows {
    json_t *messages;   /* by id: columns of audit_message that are told */
    json_t *mentioned;  /* by id: messages of which nothing is told but that they are there */
    json_t *recipients; /* by "id:idx" */
    json_t *hours;      /* by hour: figures */
    json_t *foreign;    /* by id: messages that another scanner owns */
};

static const char upsert_messages[] =
    "INSERT INTO audit_message AS m (at, id, scanner_id, received_at, direction, peer_ip,"
    " peer_port, helo, protocol, tls, sender, subject, header_from, header_message_id, size,"
    " verdict, reason, threats, parts, elapsed_us, action, policy, detail, reply)"
    " SELECT at, id, $2::uuid, received_at, direction, peer_ip, peer_port, helo, protocol, tls,"
    " sender, subject, header_from, header_message_id, size, verdict, reason, threats, parts,"
    " elapsed_us, action, policy, detail, reply"
    " FROM json_to_recordset($1::json) AS t (at timestamptz, id uuid, received_at timestamptz,"
    " direction text, peer_ip inet, peer_port integer, helo text, protocol text, tls text,"
    " sender text, subject text, header_from text, header_message_id text, size bigint,"
    " verdict text, reason text, threats jsonb, parts integer, elapsed_us bigint, action text,"
    " policy text, detail text, reply text) ORDER BY at, id"
    " ON CONFLICT (at, id) DO UPDATE SET"
    " received_at = coalesce(EXCLUDED.received_at, m.received_at),"
    " direction = coalesce(EXCLUDED.direction, m.direction),"
    " peer_ip = coalesce(EXCLUDED.peer_ip, m.peer_ip),"
    " peer_port = coalesce(EXCLUDED.peer_port, m.peer_port),"
    " helo = coalesce(EXCLUDED.helo, m.helo),"
    " protocol = coalesce(EXCLUDED.protocol, m.protocol),"
    " tls = coalesce(EXCLUDED.tls, m.tls),"
    " sender = coalesce(EXCLUDED.sender, m.sender),"
    " subject = coalesce(EXCLUDED.subject, m.subject),"
    " header_from = coalesce(EXCLUDED.header_from, m.header_from),"
    " header_message_id = coalesce(EXCLUDED.header_message_id, m.header_message_id),"
    " size = coalesce(EXCLUDED.size, m.size),"
    " verdict = coalesce(EXCLUDED.verdict, m.verdict),"
    " reason = coalesce(EXCLUDED.reason, m.reason),"
    " threats = coalesce(EXCLUDED.threats, m.threats),"
    " parts = coalesce(EXCLUDED.parts, m.parts),"
    " elapsed_us = coalesce(EXCLUDED.elapsed_us, m.elapsed_us),"
    " action = coalesce(EXCLUDED.action, m.action),"
    " policy = coalesce(EXCLUDED.policy, m.policy),"
    " detail = coalesce(EXCLUDED.detail, m.detail),"
    " reply = coalesce(EXCLUDED.reply, m.reply)"
    " WHERE m.scanner_id = EXCLUDED.scanner_id";

static const char insert_mentioned[] =
    "INSERT INTO audit_message (at, id, scanner_id) SELECT at, id, $2::uuid"
    " FROM json_to_recordset($1::json) AS t (at timestamptz, id uuid) ORDER BY at, id"
    " ON CONFLICT (at, id) DO NOTHING";

/* By one look-up a message, whatever the planner believes of the size of a partition. */
static const char select_foreign[] =
    "SELECT asked.id FROM unnest($1::timestamptz[], $2::uuid[]) AS asked (at, id)"
    " WHERE $3::uuid <> (SELECT m.scanner_id FROM audit_message m"
    " WHERE m.at = asked.at AND m.id = asked.id)";

/* A recipient of whom only the address is told keeps the state that it has. */
static const char upsert_recipients[] =
    "INSERT INTO audit_recipient AS r (message_at, message_id, idx, address, state, changed_at,"
    " attempts, next_attempt, host, ip, port, tls, reply, action, policy, dsn)"
    " SELECT at, id, idx, address, coalesce(state, '" AUDIT_TO_BE_SCANNED "'),"
    " coalesce(changed_at, at), coalesce(attempts, 0), next_attempt, host, ip, port, tls, reply,"
    " action, policy, dsn"
    " FROM json_to_recordset($1::json) AS t (at timestamptz, id uuid, idx integer, address text,"
    " state text, changed_at timestamptz, attempts integer, next_attempt timestamptz, host text,"
    " ip inet, port integer, tls text, reply text, action text, policy text, dsn uuid)"
    " ORDER BY at, id, idx"
    " ON CONFLICT (message_at, message_id, idx) DO UPDATE SET"
    " address = coalesce(EXCLUDED.address, r.address),"
    " state = CASE EXCLUDED.state WHEN '" AUDIT_TO_BE_SCANNED "' THEN r.state"
    " ELSE EXCLUDED.state END,"
    " changed_at = CASE EXCLUDED.state WHEN '" AUDIT_TO_BE_SCANNED "' THEN r.changed_at"
    " ELSE EXCLUDED.changed_at END,"
    " attempts = greatest(EXCLUDED.attempts, r.attempts),"
    " next_attempt = CASE EXCLUDED.state WHEN '" AUDIT_TO_BE_SCANNED "' THEN r.next_attempt"
    " ELSE EXCLUDED.next_attempt END,"
    " host = coalesce(EXCLUDED.host, r.host),"
    " ip = coalesce(EXCLUDED.ip, r.ip),"
    " port = coalesce(EXCLUDED.port, r.port),"
    " tls = coalesce(EXCLUDED.tls, r.tls),"
    " reply = coalesce(EXCLUDED.reply, r.reply),"
    " action = coalesce(EXCLUDED.action, r.action),"
    " policy = coalesce(EXCLUDED.policy, r.policy),"
    " dsn = coalesce(EXCLUDED.dsn, r.dsn)";

static const char add_figures[] =
    "INSERT INTO audit_hour AS h (hour, scanner_id, received, delivered, virus, spam, rejected)"
    " SELECT hour, $2::uuid, coalesce(received, 0), coalesce(delivered, 0), coalesce(virus, 0),"
    " coalesce(spam, 0), coalesce(rejected, 0)"
    " FROM json_to_recordset($1::json) AS t (hour timestamptz, received bigint, delivered bigint,"
    " virus bigint, spam bigint, rejected bigint) ORDER BY hour"
    " ON CONFLICT (hour, scanner_id) DO UPDATE SET"
    " received = h.received + EXCLUDED.received,"
    " delivered = h.delivered + EXCLUDED.delivered,"
    " virus = h.virus + EXCLUDED.virus,"
    " spam = h.spam + EXCLUDED.spam,"
    " rejected = h.rejected + EXCLUDED.rejected";

static const char copy_events[] =
    "COPY audit_event (message_at, message_id, at, scanner_id, stream, seq, type, payload)"
    " FROM STDIN";

/* --- gathering --- */

static bool rows_open(struct rows *rows)
{
    rows->messages = json_object();
    rows->mentioned = json_object();
    rows->recipients = json_object();
    rows->hours = json_object();
    rows->foreign = json_object();
    return rows->messages && rows->mentioned && rows->recipients && rows->hours && rows->foreign;
}

static void rows_close(struct rows *rows)
{
    json_decref(rows->messages);
    json_decref(rows->mentioned);
    json_decref(rows->recipients);
    json_decref(rows->hours);
    json_decref(rows->foreign);
}

/* The row of that key, which is made with the message's key columns where it is not there. */
static json_t *row_of(json_t *table, const char *key, const struct audit_event *event)
{
    char at[TIMESTAMP_TEXT_SIZE];
    json_t *row = json_object_get(table, key);
    if (row)
        return row;
    row = json_pack("{s:s,s:s}", "at", timestamp_text(event->message_at, at), "id", event->id);
    return row && json_object_set_new(table, key, row) == 0 ? row : NULL;
}

static bool gather_message(struct rows *rows, const struct audit_event *event)
{
    if (json_object_size(event->message) == 0)
        return json_object_get(rows->messages, event->id) ||
               row_of(rows->mentioned, event->id, event);
    json_object_del(rows->mentioned, event->id);
    json_t *row = row_of(rows->messages, event->id, event);
    return row && json_object_update(row, event->message) == 0;
}

static bool gather_recipients(struct rows *rows, const struct audit_event *event)
{
    size_t i;
    json_t *columns;
    char key[64];
    json_array_foreach(event->recipients, i, columns)
    {
        snprintf(key, sizeof(key), "%s:%" JSON_INTEGER_FORMAT, event->id,
                 json_integer_value(json_object_get(columns, "idx")));
        json_t *row = row_of(rows->recipients, key, event);
        if (!row || json_object_update(row, columns) != 0)
            return false;
    }
    return true;
}

static bool gather_figure(struct rows *rows, const struct audit_event *event)
{
    char hour[TIMESTAMP_TEXT_SIZE];
    if (!event->figure)
        return true;
    timestamp_text(event->at - event->at % HOUR_MS, hour);
    json_t *row = json_object_get(rows->hours, hour);
    if (!row) {
        row = json_pack("{s:s}", "hour", hour);
        if (json_object_set_new(rows->hours, hour, row) != 0)
            return false;
    }
    json_int_t before = json_integer_value(json_object_get(row, event->figure));
    return json_object_set_new(row, event->figure, json_integer(before + 1)) == 0;
}

static bool gather_messages(struct rows *rows, const struct audit_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!gather_message(rows, &events[i]))
            return false;
    return true;
}

/* What the events tell beyond their messages, of those that are the scanner's own. */
static bool gather_rest(struct rows *rows, const struct audit_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!events[i].foreign &&
            (!gather_recipients(rows, &events[i]) || !gather_figure(rows, &events[i])))
            return false;
    return true;
}

/* --- writing rows --- */

static json_t *values_of(json_t *table)
{
    json_t *array = json_array(), *row;
    const char *key;
    json_object_foreach(table, key, row) if (array && json_array_append(array, row) != 0)
    {
        json_decref(array);
        return NULL;
    }
    return array;
}

static bool write_table(PGconn *connection, const char *sql, json_t *table, const char *scanner_id,
                        bool *is_data, struct error *error)
{
    struct store_parameters parameters = {0};
    if (json_object_size(table) == 0)
        return true;
    cleanup_json json_t *array = values_of(table);
    cleanup_free char *text = array ? store_json_text(array, error) : NULL;
    if (!text)
        return store_out_of_memory(error);
    store_add_text(&parameters, text);
    if (sql != upsert_recipients)
        store_add_text(&parameters, scanner_id);
    PGresult *result = store_execute(connection, sql, &parameters);
    bool ok = store_succeeded(result);
    if (!ok) {
        *is_data = store_is_data_error(result);
        store_query_error(connection, result, error);
    }
    PQclear(result);
    return ok;
}

/* --- whose messages --- */

static bool add_element(struct buffer *array, const char *text)
{
    return buffer_add_text(array, array->length ? "," : "{") && buffer_add_text(array, text);
}

/* The key columns of all rows of the table, each as the elements of an array. */
static bool add_keys(const json_t *table, struct buffer *times, struct buffer *ids)
{
    const char *id;
    json_t *row;
    json_object_foreach((json_t *)table, id, row)
    {
        const char *at = json_string_value(json_object_get(row, "at"));
        if (!add_element(times, at) || !add_element(ids, id))
            return false;
    }
    return true;
}

static bool query_foreign(PGconn *connection, struct rows *rows, const char *scanner_id,
                          const char *times, const char *ids, struct error *error)
{
    struct store_parameters parameters = {0};
    store_add_text(&parameters, times);
    store_add_text(&parameters, ids);
    store_add_text(&parameters, scanner_id);
    PGresult *result = store_query(connection, select_foreign, &parameters, error);
    bool ok = result != NULL;
    for (int i = 0; ok && i < PQntuples(result); i++)
        ok = json_object_set_new(rows->foreign, PQgetvalue(result, i, 0), json_true()) == 0 ||
             store_out_of_memory(error);
    PQclear(result);
    return ok;
}

/* Finds the messages that another scanner wrote first, and marks their events. */
static bool mark_foreign(PGconn *connection, struct rows *rows, const char *scanner_id,
                         struct audit_event *events, size_t count, struct error *error)
{
    struct buffer times = BUFFER_INIT, ids = BUFFER_INIT;
    bool built = add_keys(rows->messages, &times, &ids) &&
                 add_keys(rows->mentioned, &times, &ids) && buffer_add_text(&times, "}") &&
                 buffer_add_text(&ids, "}");
    bool ok = built ? query_foreign(connection, rows, scanner_id, buffer_text(&times),
                                    buffer_text(&ids), error)
                    : store_out_of_memory(error);
    buffer_free(&times);
    buffer_free(&ids);
    for (size_t i = 0; i < count && ok; i++)
        events[i].foreign = json_object_get(rows->foreign, events[i].id) != NULL;
    return ok;
}

/* --- COPY of the events --- */

/* One column in COPY's text format. */
static bool add_column(struct buffer *buffer, const char *text, char end)
{
    for (;;) {
        size_t plain = strcspn(text, "\\\t\n\r");
        if (!buffer_add(buffer, text, plain))
            return false;
        text += plain;
        if (!*text)
            return buffer_add(buffer, &end, 1);
        char escape[2] = {'\\', *text == '\t'   ? 't'
                                : *text == '\n' ? 'n'
                                : *text == '\r' ? 'r'
                                                : '\\'};
        if (!buffer_add(buffer, escape, 2))
            return false;
        text++;
    }
}

/* The event without the members that have columns. Caller frees. */
static char *payload_text(const struct audit_event *event, struct error *error)
{
    static const char *const columns[] = {"seq", "at", "type", "id"};
    cleanup_json json_t *payload = json_copy((json_t *)event->value);
    if (!payload) {
        store_out_of_memory(error);
        return NULL;
    }
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
        json_object_del(payload, columns[i]);
    return store_json_text(payload, error);
}

static bool add_event_line(struct buffer *buffer, const struct audit_source *source,
                           const struct audit_event *event, struct error *error)
{
    char message_at[TIMESTAMP_TEXT_SIZE], at[TIMESTAMP_TEXT_SIZE], seq[24];
    cleanup_free char *payload = payload_text(event, error);
    if (!payload)
        return false;
    snprintf(seq, sizeof(seq), "%" PRId64, event->seq);
    bool ok = add_column(buffer, timestamp_text(event->message_at, message_at), '\t') &&
              add_column(buffer, event->id, '\t') &&
              add_column(buffer, timestamp_text(event->at, at), '\t') &&
              add_column(buffer, source->scanner_id, '\t') &&
              add_column(buffer, source->stream, '\t') && add_column(buffer, seq, '\t') &&
              add_column(buffer, event->type, '\t') && add_column(buffer, payload, '\n');
    return ok || store_out_of_memory(error);
}

static bool send_copy(PGconn *connection, const struct buffer *lines, bool *is_data,
                      struct error *error)
{
    if (!store_run(connection, copy_events, NULL, error))
        return false;
    bool sent = PQputCopyData(connection, lines->data, (int)lines->length) == 1 &&
                PQputCopyEnd(connection, NULL) == 1;
    PGresult *result = store_last_result(connection);
    bool ok = sent && store_succeeded(result);
    if (!ok) {
        *is_data = store_is_data_error(result);
        store_query_error(connection, result, error);
    }
    PQclear(result);
    return ok;
}

static bool write_events(PGconn *connection, const struct audit_source *source,
                         const struct audit_event *events, size_t count, bool *is_data,
                         struct error *error)
{
    struct buffer lines;
    struct error local = {0};
    bool ok = true;
    buffer_init(&lines, COPY_LIMIT);
    for (size_t i = 0; i < count && ok; i++)
        ok = events[i].foreign || add_event_line(&lines, source, &events[i], &local);
    if (!ok) {
        *is_data = local.code == ERROR_INVALID; /* cannot be written as JSON */
        if (error)
            *error = local;
    }
    ok = ok && send_copy(connection, &lines, is_data, error);
    buffer_free(&lines);
    return ok;
}

/* Notes what filters want people to be told. Whatever of an event the database cannot take has
 * failed by its COPY already, so that nothing here is an event's fault. */
static bool write_notifications(PGconn *connection, const char *scanner_id,
                                const struct audit_event *events, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *notify = json_object_get(events[i].value, "notify");
        if (!events[i].foreign && notify && strcmp(events[i].type, "filters") == 0 &&
            !store_notification_insert(connection, scanner_id, events[i].id, notify, error))
            return false;
    }
    return true;
}

static bool write_messages(PGconn *connection, struct rows *rows, const char *scanner_id,
                           struct audit_event *events, size_t count, bool *is_data,
                           struct error *error)
{
    if (!gather_messages(rows, events, count))
        return store_out_of_memory(error);
    return write_table(connection, upsert_messages, rows->messages, scanner_id, is_data, error) &&
           write_table(connection, insert_mentioned, rows->mentioned, scanner_id, is_data, error) &&
           mark_foreign(connection, rows, scanner_id, events, count, error);
}

static bool write_rest(PGconn *connection, struct rows *rows, const struct audit_source *source,
                       const struct audit_event *events, size_t count, bool *is_data,
                       struct error *error)
{
    const char *scanner_id = source->scanner_id;
    if (!gather_rest(rows, events, count))
        return store_out_of_memory(error);
    return write_table(connection, upsert_recipients, rows->recipients, scanner_id, is_data,
                       error) &&
           write_events(connection, source, events, count, is_data, error) &&
           write_notifications(connection, scanner_id, events, count, error) &&
           write_table(connection, add_figures, rows->hours, scanner_id, is_data, error);
}

bool audit_rows_write(PGconn *connection, const struct audit_source *source,
                      struct audit_event *events, size_t count, bool *is_data, struct error *error)
{
    struct rows rows = {0};
    *is_data = false;
    bool opened = rows_open(&rows);
    if (!opened)
        store_out_of_memory(error);
    bool ok =
        opened &&
        write_messages(connection, &rows, source->scanner_id, events, count, is_data, error) &&
        write_rest(connection, &rows, source, events, count, is_data, error);
    rows_close(&rows);
    return ok;
}
