/* Messages between the queue and the Control Center: those that it is to be given, in order, and
 * the ids of those that it submitted. */
#include "scanner/mta/queue_private.h"

#include "common/timestamp.h"

#include <stdlib.h>
#include <string.h>

#define SUBMITTED_MOST 65536u /* a power of two */
#define SUBMITTED_MS (24 * 3600 * 1000ll)
#define NONE UINT32_MAX

/* --- to be handed over --- */

void queue_handover_add(struct queue *queue, struct queue_message *message)
{
    if (message->state != QUEUE_TO_BE_HANDED_OVER)
        return;
    message->handover_next = NULL;
    message->handover_link = queue->handovers_end;
    *queue->handovers_end = message;
    queue->handovers_end = &message->handover_next;
}

void queue_handover_remove(struct queue *queue, struct queue_message *message)
{
    if (!message->handover_link)
        return;
    *message->handover_link = message->handover_next;
    if (message->handover_next)
        message->handover_next->handover_link = message->handover_link;
    else
        queue->handovers_end = message->handover_link;
    message->handover_next = NULL;
    message->handover_link = NULL;
}

struct queue_message *queue_handover_next(const struct queue *queue,
                                          const struct queue_message *after)
{
    return after ? after->handover_next : queue->handovers;
}

/* --- submitted --- */

/* The oldest ids give way to the newest; each bucket is a chain of places. */
struct queue_submitted {
    struct {
        struct message_id id;
        int64_t at; /* milliseconds since 1970 */
        uint32_t next;
    } places[SUBMITTED_MOST];
    uint32_t buckets[SUBMITTED_MOST];
    uint32_t first, count;
};

static uint32_t *bucket_of(struct queue_submitted *submitted, const struct message_id *id)
{
    uint32_t hash;
    memcpy(&hash, id->bytes + sizeof id->bytes - sizeof hash, sizeof hash);
    return &submitted->buckets[hash & (SUBMITTED_MOST - 1)];
}

static struct queue_submitted *submitted_new(void)
{
    struct queue_submitted *submitted = calloc(1, sizeof *submitted);
    if (!submitted)
        abort();
    memset(submitted->buckets, 0xff, sizeof submitted->buckets);
    return submitted;
}

static void forget_oldest(struct queue_submitted *submitted)
{
    uint32_t place = submitted->first;
    uint32_t *link = bucket_of(submitted, &submitted->places[place].id);
    while (*link != place)
        link = &submitted->places[*link].next;
    *link = submitted->places[place].next;
    submitted->first = (place + 1) & (SUBMITTED_MOST - 1);
    submitted->count--;
}

bool queue_was_submitted(const struct queue *queue, const struct message_id *id)
{
    struct queue_submitted *submitted = queue->submitted;
    if (!submitted)
        return false;
    uint32_t place = *bucket_of(submitted, id);
    while (place != NONE && !message_id_equal(&submitted->places[place].id, id))
        place = submitted->places[place].next;
    return place != NONE;
}

void queue_submitted_add(struct queue *queue, const struct queue_message *message)
{
    int64_t oldest = timestamp_now_ms() - SUBMITTED_MS;
    if (!message->submitted || message->received_at < oldest ||
        queue_was_submitted(queue, &message->id))
        return;
    if (!queue->submitted)
        queue->submitted = submitted_new();
    struct queue_submitted *submitted = queue->submitted;
    while (submitted->count &&
           (submitted->count == SUBMITTED_MOST || submitted->places[submitted->first].at < oldest))
        forget_oldest(submitted);
    uint32_t place = (submitted->first + submitted->count++) & (SUBMITTED_MOST - 1);
    uint32_t *bucket = bucket_of(submitted, &message->id);
    submitted->places[place].id = message->id;
    submitted->places[place].at = message->received_at;
    submitted->places[place].next = *bucket;
    *bucket = place;
}
