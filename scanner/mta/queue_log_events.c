#include "scanner/mta/queue_log_private.h"

#include "common/timestamp.h"

#include <inttypes.h>
#include <string.h>

/* What queue_log_events gathers: events from seq `wanted` on, `until` not included. */
struct gathering {
    uint64_t wanted, until;
    size_t bytes;
    struct buffer *out;
    size_t *count;
};

static bool begin_event(struct gathering *gathering)
{
    if (gathering->out->length >= gathering->bytes)
        return false;
    if (*gathering->count)
        buffer_add(gathering->out, ",", 1);
    buffer_add_format(gathering->out, "{\"seq\":%" PRIu64 ",", gathering->wanted);
    gathering->wanted++;
    ++*gathering->count;
    return true;
}

/* Stands for the events before `next` that are not there any more. The Control Center asks for an
 * identifier of about now. */
static void add_lost(struct gathering *gathering, uint64_t next)
{
    char at[TIMESTAMP_TEXT_SIZE], text[MESSAGE_ID_TEXT_SIZE];
    while (gathering->wanted < next && gathering->wanted < gathering->until &&
           begin_event(gathering)) {
        struct message_id id = message_id_new();
        buffer_add_format(gathering->out, "\"at\":\"%s\",\"type\":\"lost\",\"id\":\"%s\"}",
                          timestamp_text(timestamp_now_ms(), at), message_id_text(&id, text));
    }
}

/* Adds those of a record's events that are wanted. */
static void add_events(struct gathering *gathering, const struct log_record_header *header,
                       const char *text)
{
    const char *end = text + header->events_length;
    for (uint64_t seq = header->seq; text < end; seq++) {
        const char *line = memchr(text, '\n', (size_t)(end - text));
        if (!line || line == text || seq >= gathering->until)
            return;
        if (seq == gathering->wanted) {
            if (!begin_event(gathering))
                return;
            buffer_add(gathering->out, text + 1, (size_t)(line - text - 1));
        }
        text = line + 1;
    }
}

/* Puts the reader where seq is, or where it would be. */
static void seek(struct queue_log *log, uint64_t seq)
{
    struct queue_segment *segment = log->reader_segment;
    if (segment && log->reader_seq == seq && segment->last_seq >= seq)
        return;
    segment = log->oldest;
    while (segment->last_seq < seq)
        segment = segment->next;
    log->reader_segment = segment;
    log->reader_offset = sizeof(struct log_segment_header);
    log->reader_seq = seq;
}

/* Takes the events of the record at the reader's place and goes on to the next. */
static void read_record(struct queue_log *log, struct gathering *gathering, struct buffer *scratch)
{
    struct queue_segment *segment = log->reader_segment;
    struct log_record_header header;
    if (!queue_log_record_read(segment, log->reader_offset, &header, scratch)) {
        uint64_t next = queue_log_record_find(log, segment, log->reader_offset + 8);
        if (next)
            log->reader_offset = next;
        else
            add_lost(gathering, segment->last_seq + 1);
        return;
    }
    uint64_t end = header.seq + header.event_count;
    if (header.event_count) {
        add_lost(gathering, header.seq);
        add_events(gathering, &header, scratch->data + header.meta_length);
        add_lost(gathering, end); /* those that the record counts but does not hold */
    }
    if (gathering->wanted >= end)
        log->reader_offset += log_align(sizeof header + header.meta_length + header.events_length +
                                        (header.flags & LOG_FLAG_LARGE ? 0 : header.body_length));
}

bool queue_log_events(struct queue_log *log, uint64_t after, size_t most, size_t bytes,
                      struct buffer *out, size_t *count, struct error *error)
{
    uint64_t last = log->current->last_seq;
    struct gathering gathering = {after + 1, last + 1, bytes, out, count};
    struct buffer scratch = BUFFER_INIT;
    *count = 0;
    if (after >= last)
        return true;
    if (last - after > most)
        gathering.until = after + 1 + most;
    add_lost(&gathering, log->oldest->first_seq);
    while (gathering.wanted < gathering.until && out->length < bytes && !out->failed) {
        seek(log, gathering.wanted);
        read_record(log, &gathering, &scratch);
        log->reader_seq = gathering.wanted;
    }
    buffer_free(&scratch);
    return !out->failed ||
           error_set(error, ERROR_LIMIT, log->folder, "the events do not fit into memory");
}
