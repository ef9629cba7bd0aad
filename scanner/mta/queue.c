#include "scanner/mta/queue.h"

#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/queue_private.h"
#include "scanner/mta/queue_record.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

static void buffer_move(struct buffer *to, struct buffer *from)
{
    if (!from)
        return;
    *to = *from;
    *from = (struct buffer)BUFFER_INIT;
}

/* Accepting */

struct acceptance {
    struct queue *queue;
    struct queue_message *message;
    void (*done)(void *argument, enum error_code result);
    void *argument;
};

static void on_accepted(void *argument, const struct queue_record *record, enum error_code result)
{
    struct acceptance *acceptance = argument;
    struct queue *queue = acceptance->queue;
    struct queue_message *message = acceptance->message;
    if (result == ERROR_NONE) {
        message->body_offset = record->body_offset;
        queue_submitted_add(queue, message);
        queue_table_add(queue, message);
        queue_segment_take(queue, record->segment, message);
        queue_schedule(queue, message);
    } else {
        queue_message_free(message);
    }
    if (acceptance->done)
        acceptance->done(acceptance->argument, result);
    free(acceptance);
}

static bool is_within_limits(const struct queue_draft *draft, const struct queue_record *record)
{
    if (record->body.failed || record->events.failed ||
        record->body.length > QUEUE_LOG_INLINE_LIMIT)
        return false;
    return draft->state != QUEUE_TO_BE_HANDED_OVER ||
           (draft->extra_header && strlen(draft->extra_header) <= QUEUE_HANDOVER_INFO_LIMIT);
}

void queue_accept(struct queue *queue, struct queue_draft *draft,
                  void (*done)(void *argument, enum error_code result), void *argument)
{
    struct acceptance *acceptance = calloc(1, sizeof *acceptance);
    struct queue_record *record = queue_record_new(QUEUE_RECORD_MESSAGE, &draft->id);
    if (!acceptance)
        abort();
    queue_record_put_draft(&record->meta, draft);
    buffer_move(&record->body, &draft->body);
    buffer_move(&record->events, &draft->events);
    record->large_fd = draft->large_fd;
    record->large_length = draft->large_length;
    draft->large_fd = -1;
    record->urgent = true;
    record->done = on_accepted;
    record->argument = acceptance;

    struct queue_message *message =
        queue_record_get_message(record->meta.data, record->meta.length);
    *acceptance = (struct acceptance){queue, message, done, argument};
    if (!message || !is_within_limits(draft, record)) {
        record->result = ERROR_LIMIT;
    } else {
        message->id = record->id;
        message->large = record->large_fd >= 0;
        message->body_length = message->large ? record->large_length : record->body.length;
    }
    queue_log_append(queue->log, record);
}

struct notification {
    void (*done)(void *argument, enum error_code result);
    void *argument;
};

static void on_logged(void *argument, const struct queue_record *record, enum error_code result)
{
    (void)record;
    struct notification *notification = argument;
    notification->done(notification->argument, result);
    free(notification);
}

void queue_log_only(struct queue *queue, const struct message_id *id, struct buffer *events,
                    void (*done)(void *argument, enum error_code result), void *argument)
{
    struct queue_record *record = queue_record_new(QUEUE_RECORD_EVENT, id);
    buffer_move(&record->events, events);
    if (done) {
        struct notification *notification = malloc(sizeof *notification);
        if (!notification)
            abort();
        *notification = (struct notification){done, argument};
        record->urgent = true;
        record->done = on_logged;
        record->argument = notification;
    }
    queue_log_append(queue->log, record);
}

/* Changing */

/* What is left of a message that is gone until the record that says so is on stable storage: only
 * then may its body, or the segment with it, go too. */
struct removal {
    struct queue *queue;
    struct queue_segment *segment;
    uint64_t bytes;
    struct message_id id;
    bool large;
};

static void on_removed(void *argument, const struct queue_record *record, enum error_code result)
{
    (void)record;
    struct removal *removal = argument;
    struct queue *queue = removal->queue;
    queue_segment_release(queue, removal->segment, removal->bytes);
    if (removal->large && result == ERROR_NONE)
        queue_log_large_remove(queue->log, &removal->id);
    queue_log_trim(queue->log);
    free(removal);
}

static void on_bury(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    struct queue *queue = argument;
    while (queue->graves) {
        struct queue_message *message = queue->graves;
        queue->graves = message->hash_next;
        queue_message_free(message);
    }
}

void queue_bury(struct queue *queue, struct queue_message *message)
{
    message->hash_next = queue->graves;
    queue->graves = message;
    event_add(queue->grave_timer, &(struct timeval){0});
}

static void remove_message(struct queue *queue, struct queue_message *message,
                           struct queue_record *record)
{
    struct removal *removal = malloc(sizeof *removal);
    if (!removal)
        abort();
    *removal = (struct removal){queue, message->segment, queue_message_log_bytes(message),
                                message->id, message->large};
    record->done = on_removed;
    record->argument = removal;
    queue_schedule_remove(queue, message);
    queue_table_remove(queue, message);
    queue_segment_detach(message);
    message->segment = NULL;
    message->removed = true;
    if (!message->busy && queue->handed != message)
        queue_bury(queue, message);
}

/* Logs and applies one change. One of a message that is gone changes nothing, but its events are
 * still told: what they say has happened. */
static void change(struct queue *queue, struct queue_message *message, struct queue_record *record,
                   struct buffer *events)
{
    char text[MESSAGE_ID_TEXT_SIZE];
    buffer_move(&record->events, events);
    if (message->removed) {
        queue_log_append(queue->log, record);
        return;
    }
    queue_count_change(queue, message, -1);
    if (!queue_record_apply(message, record->meta.data, record->meta.length))
        log_error("queue: a change of message %s breaks the rules",
                  message_id_text(&message->id, text));
    queue_count_change(queue, message, 1);
    if (!message->open_recipients)
        remove_message(queue, message, record);
    else if (!message->busy && queue->handed != message)
        queue_schedule(queue, message);
    queue_log_append(queue->log, record);
}

void queue_change_recipients(struct queue *queue, struct queue_message *message,
                             const struct queue_change *changes, size_t count,
                             struct buffer *events)
{
    struct queue_record *record = queue_record_new(QUEUE_RECORD_STATE, &message->id);
    queue_record_put_changes(&record->meta, changes, count);
    change(queue, message, record, events);
}

void queue_change_scanned(struct queue *queue, struct queue_message *message,
                          const char *extra_header, struct buffer *events)
{
    struct queue_record *record = queue_record_new(QUEUE_RECORD_STATE, &message->id);
    queue_record_put_scanned(&record->meta, extra_header);
    change(queue, message, record, events);
}

void queue_change_flags(struct queue *queue, struct queue_message *message, uint8_t flags,
                        struct buffer *events)
{
    struct queue_record *record = queue_record_new(QUEUE_RECORD_STATE, &message->id);
    queue_record_put_flags(&record->meta, flags);
    change(queue, message, record, events);
}

void queue_hold_busy(struct queue *queue, struct queue_message *message)
{
    message->busy++;
    queue_schedule_remove(queue, message);
}

void queue_release_busy(struct queue *queue, struct queue_message *message)
{
    if (--message->busy || queue->handed == message)
        return;
    if (message->removed)
        queue_bury(queue, message);
    else
        queue_schedule(queue, message);
}

/* Space */

#define SPACE_MARGIN_MOST (512ull << 20)
#define SPACE_MARGIN_PART 50 /* of the file system */
#define SPACE_LOOK_MS 20

/* The file system is asked so often and not for every message; what was granted since counts. */
static bool look_for_space(struct queue *queue)
{
    int64_t now = timestamp_monotonic_ms();
    struct statvfs status;
    if (queue->space_looked_at && now < queue->space_looked_at + SPACE_LOOK_MS)
        return true;
    if (statvfs(queue->folder, &status) != 0)
        return false;
    uint64_t margin = (uint64_t)status.f_blocks * status.f_frsize / SPACE_MARGIN_PART;
    if (margin > SPACE_MARGIN_MOST)
        margin = SPACE_MARGIN_MOST;
    uint64_t available = (uint64_t)status.f_bavail * status.f_frsize;
    queue->space = available > margin ? available - margin : 0;
    queue->space_looked_at = now;
    return true;
}

bool queue_has_space(struct queue *queue, uint64_t bytes)
{
    if (!queue_log_has_space(queue->log) || !look_for_space(queue) || queue->space < bytes)
        return false;
    queue->space -= bytes;
    return true;
}

struct queue_log *queue_log_of(struct queue *queue)
{
    return queue->log;
}

/* Opening */

static bool schedule_recovered(void *argument, struct queue_message *message)
{
    queue_schedule(argument, message);
    return true;
}

static bool open_timers(struct queue *queue, struct error *error)
{
    queue->grave_timer = evtimer_new(queue->base, on_bury, queue);
    if (!queue->grave_timer)
        return error_set(error, ERROR_INTERNAL, queue->folder, "cannot make the queue's timer");
    return queue_schedule_open(queue, error) && queue_compact_open(queue, error);
}

struct queue *queue_open(const char *folder, struct event_base *base,
                         const struct queue_hooks *hooks, struct error *error)
{
    return queue_open_sized(folder, base, hooks, QUEUE_LOG_SEGMENT_BYTES, error);
}

struct queue *queue_open_sized(const char *folder, struct event_base *base,
                               const struct queue_hooks *hooks, size_t segment_bytes,
                               struct error *error)
{
    struct queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        abort();
    int64_t begun = timestamp_monotonic_ms();
    snprintf(queue->folder, sizeof queue->folder, "%s", folder);
    queue->base = base;
    queue->hooks = *hooks;
    queue->handovers_end = &queue->handovers;
    queue->log = queue_log_open(folder, base, segment_bytes, queue_recover_record, queue, error);
    if (!queue->log || !open_timers(queue, error)) {
        queue_close(queue);
        return NULL;
    }
    queue_recover_large(queue);
    queue_each(queue, schedule_recovered, queue);
    queue_log_trim(queue->log);
    log_info("queue: %zu messages recovered in %lld ms", queue->message_count,
             (long long)(timestamp_monotonic_ms() - begun));
    return queue;
}

void queue_close(struct queue *queue)
{
    if (!queue)
        return;
    queue_log_close(queue->log);
    queue_compact_close(queue);
    queue_schedule_close(queue);
    if (queue->grave_timer) {
        on_bury(-1, 0, queue);
        event_free(queue->grave_timer);
    }
    for (size_t i = 0; i < queue->bucket_count; i++)
        for (struct queue_message *message = queue->buckets[i], *next; message; message = next) {
            next = message->hash_next;
            queue_message_free(message);
        }
    free(queue->buckets);
    free(queue->submitted);
    free(queue);
}
