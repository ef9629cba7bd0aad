/* Shared by queue*.c (queue.h); nobody else. */
#ifndef GATEHOUSE_SCANNER_MTA_QUEUE_PRIVATE_H
#define GATEHOUSE_SCANNER_MTA_QUEUE_PRIVATE_H

#include "scanner/mta/queue.h"

/* A message that waits for a time. */
struct queue_wait {
    int64_t when; /* milliseconds since 1970 */
    struct queue_message *message;
};

struct queue_submitted;

struct queue {
    char folder[4000];
    struct event_base *base;
    struct queue_log *log;
    struct queue_hooks hooks;

    /* Every message of the queue by its id. */
    struct queue_message **buckets;
    size_t bucket_count; /* a power of two */
    size_t message_count;
    struct queue_message *order; /* the same ones by their ids (queue_order.c) */
    struct queue_counts counts;
    struct queue_message *handovers, **handovers_end;
    struct queue_submitted *submitted; /* NULL while there was none */
    uint64_t live_bytes;               /* of the message records that are still needed */

    /* A heap over the idle messages, the earliest first; place 0 is not used. */
    struct queue_wait *waits;
    size_t wait_count, wait_capacity;
    struct event *due_timer;
    struct queue_message *handed; /* given to hooks.due just now */

    /* Messages that wait while their direction is paused are in no heap. */
    bool paused[QUEUE_INTERNAL + 1];
    struct event *resume_timer;
    struct message_id resumed; /* those up to it are looked at since a direction went on */

    /* Bytes that may still be taken, as the file system said at that time (monotonic ms). */
    uint64_t space;
    int64_t space_looked_at;

    /* Moving messages out of the oldest segments (queue_compact.c). */
    struct event *compact_timer;
    size_t moves_in_flight;

    /* Removed messages. They are freed by the loop, so that a caller may name one once more after
     * its last call on it. */
    struct queue_message *graves;
    struct event *grave_timer;
};

/* Bytes that the message's record takes in the log; the same as long as the message lives. */
uint64_t queue_message_log_bytes(const struct queue_message *message);
/* Binds a message to the segment that holds its record, and lets go of it again. */
void queue_segment_take(struct queue *queue, struct queue_segment *segment,
                        struct queue_message *message);
void queue_segment_detach(struct queue_message *message);
void queue_segment_release(struct queue *queue, struct queue_segment *segment, uint64_t bytes);

/* The table of messages and the counts. An id is added once. */
void queue_table_add(struct queue *queue, struct queue_message *message);
void queue_table_remove(struct queue *queue, struct queue_message *message);
void queue_order_add(struct queue *queue, struct queue_message *message);
void queue_order_remove(struct queue *queue, struct queue_message *message);
void queue_count_change(struct queue *queue, const struct queue_message *message, int by);

/* queue_handover.c: what the queue and the Control Center owe each other. */
void queue_handover_add(struct queue *queue, struct queue_message *message);
void queue_handover_remove(struct queue *queue, struct queue_message *message);
/* Remembers the id of a message that is submitted; passed over for one that is too old. */
void queue_submitted_add(struct queue *queue, const struct queue_message *message);

/* Puts an idle message into the heap at the time that its state asks for, or takes it out where
 * nothing is to be done with it now. */
void queue_schedule(struct queue *queue, struct queue_message *message);
void queue_schedule_remove(struct queue *queue, struct queue_message *message);
bool queue_schedule_open(struct queue *queue, struct error *error);
void queue_schedule_close(struct queue *queue);

/* Frees a removed message that nobody is at work on, a little later. */
void queue_bury(struct queue *queue, struct queue_message *message);

/* Recovery: takes one record of the log; then removes large bodies that no message needs. */
void queue_recover_record(void *argument, const struct queue_record_view *view);
void queue_recover_large(struct queue *queue);

/* queue_open with segments of another size, so that tests see many of them. */
struct queue *queue_open_sized(const char *folder, struct event_base *base,
                               const struct queue_hooks *hooks, size_t segment_bytes,
                               struct error *error);

/* Begins to move messages where that is wanted now. The queue's timer does it by itself. */
void queue_compact(struct queue *queue);
bool queue_compact_open(struct queue *queue, struct error *error);
void queue_compact_close(struct queue *queue);

#endif
