#include "scanner/mta/queue_log_private.h"

#include <inttypes.h>
#include <string.h>

static struct queue_segment *segment_with(struct queue_log *log, uint64_t seq)
{
    for (struct queue_segment *segment = log->oldest; segment; segment = segment->next)
        if (segment->last_seq >= seq)
            return segment;
    return NULL;
}

static void reader_seek(struct queue_log *log, uint64_t seq)
{
    if (log->reader_segment && log->reader_seq == seq && log->reader_segment->last_seq >= seq)
        return;
    log->reader_segment = segment_with(log, seq);
    log->reader_offset = sizeof(struct log_segment_header);
}

/* Adds those of a record's events that are wanted. */
static bool add_events(const struct log_record_header *header, const char *text, uint64_t from,
                       uint64_t until, struct buffer *out, size_t *count)
{
    const char *end = text + header->events_length;
    for (uint64_t seq = header->seq; text < end; seq++) {
        const char *line = memchr(text, '\n', (size_t)(end - text));
        if (!line)
            break;
        if (seq >= from && seq < until) {
            if (*count)
                buffer_add(out, ",", 1);
            buffer_add_format(out, "{\"seq\":%" PRIu64 ",", seq);
            if (!buffer_add(out, text + 1, (size_t)(line - text - 1)))
                return false;
            ++*count;
        }
        text = line + 1;
    }
    return true;
}

bool queue_log_events(struct queue_log *log, uint64_t after, size_t most, size_t bytes,
                      struct buffer *out, size_t *count, struct error *error)
{
    struct buffer scratch = BUFFER_INIT;
    uint64_t wanted = after + 1, until = log->current->last_seq + 1;
    if (until > wanted + most)
        until = wanted + most;
    *count = 0;
    bool good = true;
    while (good && wanted < until && out->length < bytes) {
        reader_seek(log, wanted);
        struct queue_segment *segment = log->reader_segment;
        struct log_record_header header;
        if (!segment || !queue_log_record_read(segment, log->reader_offset, &header, &scratch)) {
            good = error_set(error, ERROR_IO, log->folder,
                             "cannot read event %" PRIu64 " back from the log", wanted);
            break;
        }
        uint64_t next = header.seq + header.event_count;
        if (header.event_count && next > wanted) {
            good =
                add_events(&header, scratch.data + header.meta_length, wanted, until, out, count) ||
                error_set(error, ERROR_LIMIT, log->folder, "events do not fit");
            wanted = next < until ? next : until;
        }
        log->reader_seq = wanted;
        if (next > until || wanted < next)
            continue;
        log->reader_offset += log_align(sizeof header + header.meta_length + header.events_length +
                                        (header.flags & LOG_FLAG_LARGE ? 0 : header.body_length));
    }
    buffer_free(&scratch);
    return good;
}
