/* Moving messages forward: those that stay long hold old segments, and with them the disk.
 *
 * A segment goes when it is the oldest, none of its messages is left, and its events are
 * acknowledged. So once the log is over twice what its messages need, or the disk is full, what is
 * left in the oldest segment is appended again with its present state, and the segment goes. A
 * message is thus copied at most about as often as the log turns over. */
#include "scanner/mta/queue_private.h"

#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/queue_record.h"

#include <stdlib.h>

#define LOOK_EVERY_MS 1000
#define SEGMENTS_OF_SLACK 4
#define MOVED_AT_ONCE 64
#define MOVED_BYTES_AT_ONCE (2u << 20)

struct move {
    struct queue *queue;
    struct queue_segment *from;
};

static void look_again(struct queue *queue, int milliseconds)
{
    struct timeval interval = timestamp_interval(milliseconds);
    event_add(queue->compact_timer, &interval);
}

static bool wanted(struct queue *queue, const struct queue_segment *oldest)
{
    uint64_t bytes = queue_log_bytes(queue->log);
    if (!oldest->next || oldest->last_seq > queue_log_acked(queue->log) || !oldest->messages)
        return false;
    if (!queue_log_has_space(queue->log))
        return oldest->live_bytes < oldest->size / 4;
    return bytes > 2 * queue->live_bytes + SEGMENTS_OF_SLACK * (uint64_t)oldest->size;
}

/* The message may have changed or gone since; the changes stand behind the new record then. */
static void on_moved(void *argument, const struct queue_record *record, enum error_code result)
{
    struct move *move = argument;
    struct queue *queue = move->queue;
    struct queue_message *message = queue_find(queue, &record->id);
    if (result == ERROR_NONE && message && message->segment == move->from) {
        queue_segment_detach(message);
        queue_segment_release(queue, move->from, queue_message_log_bytes(message));
        message->body_offset = record->body_offset;
        queue_segment_take(queue, record->segment, message);
    }
    free(move);
    if (--queue->moves_in_flight)
        return;
    queue_log_trim(queue->log);
    if (queue->compact_timer)
        look_again(queue, result == ERROR_NONE ? 0 : LOOK_EVERY_MS);
}

static bool read_body(struct queue *queue, const struct queue_message *message, struct buffer *body)
{
    struct error error;
    char *into = buffer_reserve(body, message->body_length + 1);
    while (into && body->length < message->body_length) {
        long count = queue_read_body(queue, message, body->length, into + body->length,
                                     message->body_length - body->length, &error);
        if (count <= 0) {
            char text[700];
            log_error("queue: a message cannot be moved: %s",
                      error_text(&error, text, sizeof text));
            return false;
        }
        body->length += (size_t)count;
    }
    return into != NULL;
}

/* Returns the bytes that were appended. */
static uint64_t move_message(struct queue *queue, struct queue_message *message)
{
    struct queue_record *record = queue_record_new(QUEUE_RECORD_MESSAGE, &message->id);
    struct move *move = malloc(sizeof *move);
    if (!move)
        abort();
    if (!message->large && !read_body(queue, message, &record->body)) {
        queue_record_free(record);
        free(move);
        return 0;
    }
    *move = (struct move){queue, message->segment};
    queue_record_put_message(&record->meta, message);
    record->large = message->large;
    record->large_length = message->body_length;
    record->moved = true;
    record->done = on_moved;
    record->argument = move;
    queue->moves_in_flight++;
    queue_log_append(queue->log, record);
    return queue_message_log_bytes(message);
}

void queue_compact(struct queue *queue)
{
    struct queue_segment *oldest = queue_log_segments(queue->log);
    if (queue->moves_in_flight || !wanted(queue, oldest))
        return;
    uint64_t bytes = 0;
    struct queue_message *message = oldest->messages;
    for (int i = 0; message && i < MOVED_AT_ONCE && bytes < MOVED_BYTES_AT_ONCE; i++) {
        bytes += move_message(queue, message);
        message = message->segment_next;
    }
}

static void on_look(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    struct queue *queue = argument;
    queue_compact(queue);
    if (!queue->moves_in_flight)
        look_again(queue, LOOK_EVERY_MS);
}

bool queue_compact_open(struct queue *queue, struct error *error)
{
    queue->compact_timer = evtimer_new(queue->base, on_look, queue);
    if (!queue->compact_timer)
        return error_set(error, ERROR_INTERNAL, queue->folder, "cannot make the queue's timer");
    look_again(queue, LOOK_EVERY_MS);
    return true;
}

void queue_compact_close(struct queue *queue)
{
    if (queue->compact_timer)
        event_free(queue->compact_timer);
    queue->compact_timer = NULL;
}
