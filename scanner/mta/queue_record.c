#include "scanner/mta/queue_record.h"

#include <stdlib.h>
#include <string.h>

enum { CHANGE_RECIPIENTS = 1, CHANGE_SCANNED = 2, CHANGE_FLAGS = 3 };

#define ENVELOPE_VERSION 1
/* What a byte behind the recipients says; envelopes that were written before there was one have
 * none. */
#define TRAIT_SUBMITTED 1
#define RECIPIENTS_LIMIT 100000u
#define REPLY_LIMIT 500u /* bytes that are kept of a reply; the event has all of it */
#define TEXT_ABSENT UINT32_MAX

static void put(struct buffer *meta, const void *data, size_t length)
{
    if (!buffer_add(meta, data, length))
        abort();
}

static void put_u8(struct buffer *meta, uint8_t value)
{
    put(meta, &value, sizeof value);
}

static void put_u32(struct buffer *meta, uint32_t value)
{
    put(meta, &value, sizeof value);
}

static void put_i64(struct buffer *meta, int64_t value)
{
    put(meta, &value, sizeof value);
}

static void put_text(struct buffer *meta, const char *text)
{
    if (!text) {
        put_u32(meta, TEXT_ABSENT);
        return;
    }
    size_t length = strlen(text);
    put_u32(meta, (uint32_t)length);
    put(meta, text, length);
}

static void put_reply(struct buffer *meta, const char *reply)
{
    size_t length = reply ? strlen(reply) : 0;
    if (length <= REPLY_LIMIT) {
        put_text(meta, reply);
        return;
    }
    for (length = REPLY_LIMIT; length && (reply[length] & 0xc0) == 0x80;)
        length--; /* not within a character */
    put_u32(meta, (uint32_t)length);
    put(meta, reply, length);
}

struct reader {
    const char *at, *end;
    bool good;
};

static void get(struct reader *reader, void *value, size_t length)
{
    if (!reader->good || (size_t)(reader->end - reader->at) < length) {
        reader->good = false;
        memset(value, 0, length);
        return;
    }
    memcpy(value, reader->at, length);
    reader->at += length;
}

static uint8_t get_u8(struct reader *reader)
{
    uint8_t value;
    get(reader, &value, sizeof value);
    return value;
}

static uint32_t get_u32(struct reader *reader)
{
    uint32_t value;
    get(reader, &value, sizeof value);
    return value;
}

static int64_t get_i64(struct reader *reader)
{
    int64_t value;
    get(reader, &value, sizeof value);
    return value;
}

struct span {
    const char *text; /* NULL: absent */
    size_t length;
};

static struct span get_span(struct reader *reader)
{
    uint32_t length = get_u32(reader);
    if (!reader->good || length == TEXT_ABSENT)
        return (struct span){0};
    if ((size_t)(reader->end - reader->at) < length || memchr(reader->at, 0, length)) {
        reader->good = false;
        return (struct span){0};
    }
    struct span span = {reader->at, length};
    reader->at += length;
    return span;
}

static char *span_copy(struct span span)
{
    if (!span.text)
        return NULL;
    char *copy = strndup(span.text, span.length);
    if (!copy)
        abort();
    return copy;
}

struct recipient_fields {
    const char *address, *original, *reply, *route;
    int64_t next_attempt;
    uint32_t attempts;
    uint8_t state, notify;
};

static void put_recipient(struct buffer *meta, const struct recipient_fields *fields)
{
    put_text(meta, fields->address);
    put_text(meta, fields->original);
    put_text(meta, fields->reply);
    put_text(meta, fields->route);
    put_i64(meta, fields->next_attempt);
    put_u32(meta, fields->attempts);
    put_u8(meta, fields->state);
    put_u8(meta, fields->notify);
}

static void put_envelope(struct buffer *meta, uint8_t direction, uint8_t state, uint8_t flags,
                         int64_t received_at, const char *sender, const char *envelope_id,
                         const char *extra_header, size_t recipients)
{
    put_u8(meta, ENVELOPE_VERSION);
    put_u8(meta, direction);
    put_u8(meta, state);
    put_u8(meta, flags);
    put_i64(meta, received_at);
    put_text(meta, sender);
    put_text(meta, envelope_id);
    put_text(meta, extra_header);
    put_u32(meta, (uint32_t)recipients);
}

static void put_traits(struct buffer *meta, bool submitted)
{
    if (submitted)
        put_u8(meta, TRAIT_SUBMITTED);
}

void queue_record_put_draft(struct buffer *meta, const struct queue_draft *draft)
{
    put_envelope(meta, (uint8_t)draft->direction, (uint8_t)draft->state, draft->flags,
                 draft->received_at, draft->sender, draft->envelope_id, draft->extra_header,
                 draft->recipient_count);
    for (size_t i = 0; i < draft->recipient_count; i++)
        put_recipient(meta, &(struct recipient_fields){.address = draft->recipients[i].address,
                                                       .original = draft->recipients[i].original,
                                                       .route = draft->recipients[i].route,
                                                       .notify = draft->recipients[i].notify});
    put_traits(meta, draft->submitted);
}

void queue_record_put_message(struct buffer *meta, const struct queue_message *message)
{
    put_envelope(meta, message->direction, message->state, message->flags, message->received_at,
                 message->sender, message->envelope_id, message->extra_header,
                 message->recipient_count);
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        const struct queue_recipient *from = &message->recipients[i];
        put_recipient(meta, &(struct recipient_fields){from->address, from->original, from->reply,
                                                       from->route, from->next_attempt,
                                                       from->attempts, from->state, from->notify});
    }
    put_traits(meta, message->submitted);
}

/* Copies a span behind the fixed part of a message and moves the cursor on. */
static const char *keep(char **cursor, struct span span)
{
    if (!span.text)
        return NULL;
    char *text = *cursor;
    memcpy(text, span.text, span.length);
    text[span.length] = 0;
    *cursor += span.length + 1;
    return text;
}

static bool get_recipient(struct reader *reader, struct queue_recipient *recipient, char **cursor)
{
    struct span address = get_span(reader), original = get_span(reader);
    struct span reply = get_span(reader), route = get_span(reader);
    recipient->next_attempt = get_i64(reader);
    recipient->attempts = get_u32(reader);
    recipient->state = get_u8(reader);
    recipient->notify = get_u8(reader);
    if (!reader->good || !address.text || recipient->state > QUEUE_RECIPIENT_HANDED_OVER)
        return false;
    recipient->address = keep(cursor, address);
    recipient->original = keep(cursor, original);
    recipient->reply = span_copy(reply);
    recipient->route = span_copy(route);
    return true;
}

struct queue_message *queue_record_get_message(const char *meta, size_t length)
{
    struct reader reader = {meta, meta + length, true};
    if (get_u8(&reader) != ENVELOPE_VERSION)
        return NULL;
    uint8_t direction = get_u8(&reader), state = get_u8(&reader), flags = get_u8(&reader);
    int64_t received_at = get_i64(&reader);
    struct span sender = get_span(&reader), envelope_id = get_span(&reader);
    struct span extra_header = get_span(&reader);
    uint32_t count = get_u32(&reader);
    if (!reader.good || !sender.text || count == 0 || count > RECIPIENTS_LIMIT ||
        direction > QUEUE_INTERNAL || state > QUEUE_TO_BE_HANDED_OVER)
        return NULL;
    /* The text of the fixed part takes fewer bytes than its encoding did. */
    struct queue_message *message =
        calloc(1, sizeof *message + count * sizeof message->recipients[0] + length);
    if (!message)
        abort();
    char *cursor = (char *)&message->recipients[count];
    message->direction = direction;
    message->state = state;
    message->flags = flags;
    message->received_at = received_at;
    message->sender = keep(&cursor, sender);
    message->envelope_id = keep(&cursor, envelope_id);
    message->extra_header = span_copy(extra_header);
    for (; message->recipient_count < count; message->recipient_count++) {
        struct queue_recipient *recipient = &message->recipients[message->recipient_count];
        if (!get_recipient(&reader, recipient, &cursor)) {
            queue_message_free(message);
            return NULL;
        }
        message->open_recipients += recipient->state == QUEUE_RECIPIENT_QUEUED;
    }
    message->submitted = reader.at < reader.end && (get_u8(&reader) & TRAIT_SUBMITTED);
    return message;
}

void queue_message_free(struct queue_message *message)
{
    if (!message)
        return;
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        free(message->recipients[i].reply);
        free(message->recipients[i].route);
    }
    free(message->extra_header);
    free(message);
}

void queue_record_put_changes(struct buffer *meta, const struct queue_change *changes, size_t count)
{
    put_u8(meta, CHANGE_RECIPIENTS);
    put_u32(meta, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        put_u32(meta, changes[i].recipient);
        put_u8(meta, (uint8_t)changes[i].state);
        put_u32(meta, changes[i].attempts);
        put_i64(meta, changes[i].next_attempt);
        put_reply(meta, changes[i].reply);
        put_text(meta, changes[i].route);
    }
}

void queue_record_put_scanned(struct buffer *meta, const char *extra_header)
{
    put_u8(meta, CHANGE_SCANNED);
    put_text(meta, extra_header);
}

void queue_record_put_flags(struct buffer *meta, uint8_t flags)
{
    put_u8(meta, CHANGE_FLAGS);
    put_u8(meta, flags);
}

static void replace_text(char **text, struct span span)
{
    if (!span.text)
        return;
    free(*text);
    *text = span.length ? span_copy(span) : NULL;
}

static bool apply_recipient(struct queue_message *message, struct reader *reader)
{
    uint32_t index = get_u32(reader);
    uint8_t state = get_u8(reader);
    uint32_t attempts = get_u32(reader);
    int64_t next_attempt = get_i64(reader);
    struct span reply = get_span(reader), route = get_span(reader);
    if (!reader->good || index >= message->recipient_count || state > QUEUE_RECIPIENT_HANDED_OVER)
        return false;
    struct queue_recipient *recipient = &message->recipients[index];
    message->open_recipients -= recipient->state == QUEUE_RECIPIENT_QUEUED;
    message->open_recipients += state == QUEUE_RECIPIENT_QUEUED;
    recipient->state = state;
    recipient->attempts = attempts;
    recipient->next_attempt = next_attempt;
    replace_text(&recipient->reply, reply);
    replace_text(&recipient->route, route);
    return true;
}

bool queue_record_apply(struct queue_message *message, const char *meta, size_t length)
{
    struct reader reader = {meta, meta + length, true};
    switch (get_u8(&reader)) {
    case CHANGE_RECIPIENTS: {
        uint32_t count = get_u32(&reader);
        for (uint32_t i = 0; i < count; i++)
            if (!apply_recipient(message, &reader))
                return false;
        return reader.good;
    }
    case CHANGE_SCANNED:
        replace_text(&message->extra_header, get_span(&reader));
        message->state = QUEUE_TO_BE_DELIVERED;
        return reader.good;
    case CHANGE_FLAGS:
        message->flags = get_u8(&reader);
        return reader.good;
    default:
        return false;
    }
}
