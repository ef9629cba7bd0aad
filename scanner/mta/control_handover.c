#include "scanner/mta/control_handover.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "scanner/mta/control_requests.h"

#include <sodium.h>
#include <stdlib.h>

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

/* --- the list --- */

bool control_handover_read(const json_t *request, struct control_handover *wanted,
                           struct error *error)
{
    const char *after;
    int64_t limit, wait;
    if (!json_get_text_or(request, NULL, "after", MESSAGE_ID_TEXT_SIZE, "", &after, error) ||
        !json_get_integer_or(request, NULL, "limit", 1, CONTROL_HANDOVER_MOST, 100, &limit,
                             error) ||
        !json_get_integer_or(request, NULL, "wait_ms", 0, CONTROL_WAIT_MOST_MS, 0, &wait, error))
        return false;
    *wanted =
        (struct control_handover){.limit = (size_t)limit, .until = timestamp_monotonic_ms() + wait};
    return *after == '\0' || message_id_parse(after, &wanted->after) ||
           error_set(error, ERROR_INVALID, "after", "must be the id of a message");
}

/* Where the one that it should be behind has gone, the list begins at its start again. */
static struct queue_message *first_wanted(const struct mta *mta,
                                          const struct control_handover *wanted)
{
    struct queue_message *after = queue_find(mta->queue, &wanted->after);
    if (after && after->state != QUEUE_TO_BE_HANDED_OVER)
        after = NULL;
    return queue_handover_next(mta->queue, after);
}

bool control_handover_due(const struct mta *mta, const struct control_handover *wanted)
{
    return first_wanted(mta, wanted) || timestamp_monotonic_ms() >= wanted->until;
}

static bool add_message(struct buffer *out, const struct queue_message *message, bool first)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    return buffer_add_format(out, "%s{\"id\":\"%s\",\"size\":%llu,\"info\":", first ? "" : ",",
                             message_id_text(&message->id, id),
                             (unsigned long long)message->body_length) &&
           buffer_add_text(out, message->extra_header) && buffer_add_text(out, "}");
}

/* The list ends before it is too long for a frame, never before its first message. */
bool control_handover_write(const struct mta *mta, const struct control_handover *wanted,
                            struct buffer *out, struct error *error)
{
    struct queue_message *message = first_wanted(mta, wanted);
    bool good = buffer_add_text(out, "{\"ok\":true,\"messages\":[");
    for (size_t i = 0; good && message && i < wanted->limit; i++) {
        if (out->length > CONTROL_HANDOVER_LIST_BYTES)
            break;
        good = add_message(out, message, i == 0);
        message = queue_handover_next(mta->queue, message);
    }
    return (good && buffer_add_text(out, "]}")) || out_of_memory(error);
}

/* --- one message --- */

static struct queue_message *find_waiting(const struct mta *mta, const struct message_id *id)
{
    struct queue_message *message = queue_find(mta->queue, id);
    return message && message->state == QUEUE_TO_BE_HANDED_OVER ? message : NULL;
}

static bool read_part(struct queue *queue, const struct queue_message *message, uint64_t offset,
                      struct buffer *part, size_t length, struct error *error)
{
    char *to = buffer_reserve(part, length);
    if (!to)
        return out_of_memory(error);
    while (part->length < length) {
        long count = queue_read_body(queue, message, offset + part->length, to + part->length,
                                     length - part->length, error);
        if (count < 0)
            return false;
        if (count == 0)
            break;
        part->length += (size_t)count;
    }
    return true;
}

static bool write_part(const struct buffer *part, struct buffer *out, struct error *error)
{
    size_t size = sodium_base64_encoded_len(part->length, sodium_base64_VARIANT_ORIGINAL);
    bool good = buffer_add_text(out, "{\"ok\":true,\"data\":\"");
    char *to = good ? buffer_reserve(out, size) : NULL;
    if (!to)
        return out_of_memory(error);
    sodium_bin2base64(to, size, (const unsigned char *)buffer_text(part), part->length,
                      sodium_base64_VARIANT_ORIGINAL);
    out->length += size - 1; /* without the NUL */
    return buffer_add_text(out, "\"}") || out_of_memory(error);
}

bool control_handover_content(const struct mta *mta, const json_t *request, struct buffer *out,
                              struct error *error)
{
    struct message_id id;
    int64_t offset, length;
    struct buffer part = BUFFER_INIT;
    if (!control_read_id(request, &id, error) ||
        !json_get_integer(request, NULL, "offset", 0, INT64_MAX, &offset, error) ||
        !json_get_integer(request, NULL, "length", 1, CONTROL_HANDOVER_CONTENT_BYTES, &length,
                          error))
        return false;
    struct queue_message *message = find_waiting(mta, &id);
    if (!message)
        return error_set(error, ERROR_NOT_FOUND, "id", "the message does not wait for a handover");
    bool good = read_part(mta->queue, message, (uint64_t)offset, &part, (size_t)length, error) &&
                write_part(&part, out, error);
    buffer_free(&part);
    return good;
}

/* No event: that the message goes to the Control Center was told when it was queued. */
static void finish(struct queue *queue, struct queue_message *message)
{
    cleanup_free struct queue_change *changes = calloc(message->recipient_count, sizeof(*changes));
    size_t count = 0;
    if (!changes)
        abort();
    for (uint32_t i = 0; i < message->recipient_count; i++)
        if (message->recipients[i].state == QUEUE_RECIPIENT_QUEUED)
            changes[count++] =
                (struct queue_change){.recipient = i, .state = QUEUE_RECIPIENT_HANDED_OVER};
    queue_change_recipients(queue, message, changes, count, NULL);
}

bool control_handover_done(const struct mta *mta, const json_t *request, struct buffer *out,
                           struct error *error)
{
    struct message_id id;
    if (!control_read_id(request, &id, error))
        return false;
    struct queue_message *message = queue_find(mta->queue, &id);
    if (message && message->state != QUEUE_TO_BE_HANDED_OVER)
        return error_set(error, ERROR_INVALID, "id", "the message is not one to be handed over");
    if (message)
        finish(mta->queue, message);
    return buffer_add_text(out, "{\"ok\":true}") || out_of_memory(error);
}
