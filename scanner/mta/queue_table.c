#include "scanner/mta/queue_private.h"

#include "scanner/mta/queue_log_format.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_BUCKETS 1024

/* The last bytes of a UUIDv7 are random. */
static size_t bucket_of(const struct queue *queue, const struct message_id *id)
{
    uint64_t hash;
    memcpy(&hash, id->bytes + sizeof id->bytes - sizeof hash, sizeof hash);
    hash ^= hash >> 32;
    return hash & (queue->bucket_count - 1);
}

static void grow(struct queue *queue)
{
    size_t old_count = queue->bucket_count;
    struct queue_message **old = queue->buckets;
    queue->bucket_count = old_count ? old_count * 2 : LEAST_BUCKETS;
    queue->buckets = calloc(queue->bucket_count, sizeof(struct queue_message *));
    if (!queue->buckets)
        abort();
    for (size_t i = 0; i < old_count; i++)
        for (struct queue_message *message = old[i], *next; message; message = next) {
            next = message->hash_next;
            struct queue_message **bucket = &queue->buckets[bucket_of(queue, &message->id)];
            message->hash_next = *bucket;
            *bucket = message;
        }
    free(old);
}

void queue_count_change(struct queue *queue, const struct queue_message *message, int by)
{
    uint64_t *count = message->state != QUEUE_TO_BE_SCANNED ? &queue->counts.delivery
                      : message->direction == QUEUE_INBOUND ? &queue->counts.inbound
                                                            : &queue->counts.outbound;
    *count += (uint64_t)(int64_t)by;
}

void queue_table_add(struct queue *queue, struct queue_message *message)
{
    if (queue->message_count >= queue->bucket_count)
        grow(queue);
    struct queue_message **bucket = &queue->buckets[bucket_of(queue, &message->id)];
    message->hash_next = *bucket;
    *bucket = message;
    queue_order_add(queue, message);
    queue_handover_add(queue, message);
    queue->message_count++;
    queue_count_change(queue, message, 1);
}

void queue_table_remove(struct queue *queue, struct queue_message *message)
{
    struct queue_message **link = &queue->buckets[bucket_of(queue, &message->id)];
    while (*link != message)
        link = &(*link)->hash_next;
    *link = message->hash_next;
    queue_order_remove(queue, message);
    queue_handover_remove(queue, message);
    queue->message_count--;
    queue_count_change(queue, message, -1);
}

struct queue_message *queue_find(struct queue *queue, const struct message_id *id)
{
    if (!queue->bucket_count)
        return NULL;
    struct queue_message *message = queue->buckets[bucket_of(queue, id)];
    while (message && !message_id_equal(&message->id, id))
        message = message->hash_next;
    return message;
}

void queue_each(struct queue *queue, bool (*visit)(void *argument, struct queue_message *message),
                void *argument)
{
    for (size_t i = 0; i < queue->bucket_count; i++)
        for (struct queue_message *message = queue->buckets[i], *next; message; message = next) {
            next = message->hash_next;
            if (!visit(argument, message))
                return;
        }
}

struct queue_counts queue_count(const struct queue *queue)
{
    return queue->counts;
}

uint64_t queue_message_log_bytes(const struct queue_message *message)
{
    return log_align(sizeof(struct log_record_header) +
                     (message->large ? 0 : message->body_length) +
                     message->recipient_count * sizeof message->recipients[0]);
}

void queue_segment_take(struct queue *queue, struct queue_segment *segment,
                        struct queue_message *message)
{
    uint64_t bytes = queue_message_log_bytes(message);
    message->segment = segment;
    message->segment_next = segment->messages;
    message->segment_link = &segment->messages;
    if (segment->messages)
        segment->messages->segment_link = &message->segment_next;
    segment->messages = message;
    segment->live_messages++;
    segment->live_bytes += bytes;
    queue->live_bytes += bytes;
}

void queue_segment_detach(struct queue_message *message)
{
    *message->segment_link = message->segment_next;
    if (message->segment_next)
        message->segment_next->segment_link = message->segment_link;
    message->segment_next = NULL;
    message->segment_link = NULL;
}

void queue_segment_release(struct queue *queue, struct queue_segment *segment, uint64_t bytes)
{
    segment->live_messages--;
    segment->live_bytes -= bytes;
    queue->live_bytes -= bytes;
}
