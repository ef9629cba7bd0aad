#include "scanner/mta/control_requests.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "scanner/mta/queue.h"
#include "scanner/mta/smtp_server.h"

#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

static json_int_t disk_free_bytes(const char *path)
{
    struct statvfs status;
    if (statvfs(path, &status) != 0)
        return -1;
    return (json_int_t)(status.f_bavail * status.f_frsize);
}

bool control_read_id(const json_t *request, struct message_id *id, struct error *error)
{
    const char *text;
    if (!json_get_text(request, NULL, "id", MESSAGE_ID_TEXT_SIZE, &text, error))
        return false;
    return message_id_parse(text, id) ||
           error_set(error, ERROR_INVALID, "id", "must be the id of a message");
}

bool control_status(const struct mta *mta, struct buffer *out, struct error *error)
{
    struct queue_log *log = queue_log_of(mta->queue);
    struct queue_counts counts = queue_count(mta->queue);
    cleanup_json json_t *reply = json_pack(
        "{s:b,s:{s:I,s:I,s:I},s:I,s:I,s:I,s:s,s:I,s:I}", "ok", 1, "queues", "i_qmsgs",
        (json_int_t)counts.inbound, "o_qmsgs", (json_int_t)counts.outbound, "d_qmsgs",
        (json_int_t)counts.delivery, "sessions",
        (json_int_t)(mta->smtp_server ? smtp_server_sessions(mta->smtp_server) : 0),
        "configuration_version", (json_int_t)(mta->config ? mta->config->config->version : 0),
        "disk_free_bytes", disk_free_bytes(mta->state), "stream", queue_log_stream(log), "last_seq",
        (json_int_t)queue_log_last_seq(log), "acked_seq", (json_int_t)queue_log_acked(log));
    cleanup_free char *text = reply ? json_text(reply) : NULL;
    return (text && buffer_add_text(out, text)) ||
           error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

bool control_ack(const struct mta *mta, const json_t *request, struct error *error)
{
    struct queue_log *log = queue_log_of(mta->queue);
    const char *stream;
    int64_t seq;
    if (!json_get_text(request, NULL, "stream", MESSAGE_ID_TEXT_SIZE, &stream, error) ||
        !json_get_integer(request, NULL, "seq", 0, INT64_MAX, &seq, error))
        return false;
    if (strcmp(stream, queue_log_stream(log)) != 0)
        return error_set(error, ERROR_INVALID, "stream", "this queue has another stream");
    if ((uint64_t)seq > queue_log_last_seq(log))
        return error_set(error, ERROR_INVALID, "seq", "is over the last event");
    queue_log_ack(log, (uint64_t)seq);
    return true;
}

bool control_read_events(const json_t *request, struct control_events *events, struct error *error)
{
    int64_t after, most, wait;
    if (!json_get_integer(request, NULL, "after", 0, INT64_MAX, &after, error) ||
        !json_get_integer(request, NULL, "max", 1, INT32_MAX, &most, error) ||
        !json_get_integer_or(request, NULL, "wait_ms", 0, INT32_MAX, 0, &wait, error))
        return false;
    events->after = (uint64_t)after;
    events->most = (size_t)(most < CONTROL_EVENTS_MOST ? most : CONTROL_EVENTS_MOST);
    events->until =
        timestamp_monotonic_ms() + (wait < CONTROL_WAIT_MOST_MS ? wait : CONTROL_WAIT_MOST_MS);
    return true;
}

bool control_events_due(const struct mta *mta, const struct control_events *events)
{
    return queue_log_last_seq(queue_log_of(mta->queue)) > events->after ||
           timestamp_monotonic_ms() >= events->until;
}

bool control_write_events(const struct mta *mta, const struct control_events *events,
                          struct buffer *out, struct error *error)
{
    struct queue_log *log = queue_log_of(mta->queue);
    size_t count = 0;
    buffer_add_format(out, "{\"ok\":true,\"stream\":\"%s\",\"events\":[", queue_log_stream(log));
    if (!queue_log_events(log, events->after, events->most, CONTROL_EVENTS_BYTES, out, &count,
                          error))
        return false;
    return buffer_add_text(out, "]}") || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}
