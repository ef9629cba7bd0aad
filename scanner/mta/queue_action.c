#include "scanner/mta/queue_action.h"

#include "common/cleanup.h"
#include "common/timestamp.h"
#include "scanner/mta/audit_event.h"
#include "scanner/mta/delivery.h"

#include <stdlib.h>
#include <string.h>

#define POLICY "administrator"
#define DETAIL_SIZE 300

static const char returned[] =
    "554 5.7.1 [internal] the administrator returned this message to its sender";

/* The queued recipients' indices; the caller frees them. */
static uint32_t *queued_recipients(const struct queue_message *message, size_t *count)
{
    uint32_t *indices = calloc(message->recipient_count, sizeof *indices);
    if (!indices)
        abort();
    *count = 0;
    for (uint32_t i = 0; i < message->recipient_count; i++)
        if (message->recipients[i].state == QUEUE_RECIPIENT_QUEUED)
            indices[(*count)++] = i;
    return indices;
}

/* Gives every queued recipient `state`, with `next_attempt` and `route` (NULL leaves it). */
static void change_queued(struct mta *mta, struct queue_message *message, const uint32_t *indices,
                          size_t count, const struct queue_change *to, struct buffer *events)
{
    cleanup_free struct queue_change *changes = calloc(count, sizeof *changes);
    if (!changes)
        abort();
    for (size_t i = 0; i < count; i++) {
        changes[i] = *to;
        changes[i].recipient = indices[i];
        changes[i].attempts = message->recipients[indices[i]].attempts;
    }
    queue_change_recipients(mta->queue, message, changes, count, events);
}

/* Whether the message can be changed: it is in no line of the delivery any more. */
static bool withdraw(struct mta *mta, struct queue_message *message)
{
    return !mta->delivery || delivery_withdraw(mta->delivery, message);
}

static enum queue_action_result change_flags(struct mta *mta, struct queue_message *message,
                                             const char *action,
                                             const struct queue_action_order *order, uint8_t flags)
{
    struct buffer events = BUFFER_INIT;
    size_t count;
    cleanup_free uint32_t *indices = queued_recipients(message, &count);
    audit_queue(&events, &message->id, action, order->administrator, indices, count, NULL);
    queue_change_flags(mta->queue, message, flags, &events);
    return QUEUE_ACTION_CHANGED;
}

/* An attempt that is under way goes on; it is the last one. */
static enum queue_action_result hold(struct mta *mta, struct queue_message *message,
                                     const struct queue_action_order *order)
{
    if (message->flags & QUEUE_FLAG_HELD)
        return QUEUE_ACTION_NEEDLESS;
    enum queue_action_result result =
        change_flags(mta, message, "hold", order, message->flags | QUEUE_FLAG_HELD);
    withdraw(mta, message);
    return result;
}

static bool is_suspect(const struct queue_message *message)
{
    return (message->flags & QUEUE_FLAG_SUSPECT) && message->state == QUEUE_TO_BE_SCANNED;
}

/* Out of quarantine and on to delivery, whatever the scan said: the administrator answers for it.
 */
static enum queue_action_result release_suspect(struct mta *mta, struct queue_message *message,
                                                const struct queue_action_order *order)
{
    struct buffer events = BUFFER_INIT;
    size_t count;
    if (message->busy)
        return QUEUE_ACTION_BUSY;
    cleanup_free uint32_t *indices = queued_recipients(message, &count);
    audit_queue(&events, &message->id, "release", order->administrator, indices, count, NULL);
    if (message->flags & QUEUE_FLAG_HELD)
        queue_change_flags(mta->queue, message, message->flags & (uint8_t)~QUEUE_FLAG_HELD, NULL);
    queue_change_scanned(mta->queue, message, NULL, &events);
    return QUEUE_ACTION_CHANGED;
}

static enum queue_action_result release(struct mta *mta, struct queue_message *message,
                                        const struct queue_action_order *order)
{
    if (is_suspect(message))
        return release_suspect(mta, message, order);
    if (!(message->flags & QUEUE_FLAG_HELD))
        return QUEUE_ACTION_NEEDLESS;
    return change_flags(mta, message, "release", order, message->flags & (uint8_t)~QUEUE_FLAG_HELD);
}

/* What is in line already is as good as tried; the result of an attempt under way counts. */
static enum queue_action_result flush(struct mta *mta, struct queue_message *message,
                                      const struct queue_action_order *order)
{
    struct buffer events = BUFFER_INIT;
    struct queue_change now = {.state = QUEUE_RECIPIENT_QUEUED, .next_attempt = timestamp_now_ms()};
    size_t count;
    if (message->flags & QUEUE_FLAG_HELD)
        return QUEUE_ACTION_NEEDLESS;
    cleanup_free uint32_t *indices = queued_recipients(message, &count);
    audit_queue(&events, &message->id, "flush", order->administrator, indices, count, NULL);
    change_queued(mta, message, indices, count, &now, &events);
    return QUEUE_ACTION_CHANGED;
}

static enum queue_action_result delete_message(struct mta *mta, struct queue_message *message,
                                               const struct queue_action_order *order)
{
    struct buffer events = BUFFER_INIT;
    struct queue_change deleted = {.state = QUEUE_RECIPIENT_DELETED};
    char detail[DETAIL_SIZE];
    size_t count;
    if (!withdraw(mta, message))
        return QUEUE_ACTION_BUSY;
    cleanup_free uint32_t *indices = queued_recipients(message, &count);
    snprintf(detail, sizeof detail, "deleted from the queue by %s", order->administrator);
    audit_action(&events, &message->id, "delete", POLICY, indices, count, detail);
    change_queued(mta, message, indices, count, &deleted, &events);
    return QUEUE_ACTION_CHANGED;
}

static enum queue_action_result bounce(struct mta *mta, struct queue_message *message,
                                       const struct queue_action_order *order)
{
    struct buffer events = BUFFER_INIT;
    char detail[DETAIL_SIZE];
    size_t count;
    if (!withdraw(mta, message))
        return QUEUE_ACTION_BUSY;
    cleanup_free uint32_t *indices = queued_recipients(message, &count);
    snprintf(detail, sizeof detail, "returned to the sender by %s", order->administrator);
    audit_action(&events, &message->id, "bounce", POLICY, indices, count, detail);
    delivery_refuse(mta->delivery, message, returned, &events);
    return QUEUE_ACTION_CHANGED;
}

static enum queue_action_result reroute(struct mta *mta, struct queue_message *message,
                                        const struct queue_action_order *order)
{
    struct buffer events = BUFFER_INIT;
    struct queue_change moved = {
        .state = QUEUE_RECIPIENT_QUEUED, .next_attempt = timestamp_now_ms(), .route = order->route};
    size_t count;
    if (!withdraw(mta, message))
        return QUEUE_ACTION_BUSY;
    cleanup_free uint32_t *indices = queued_recipients(message, &count);
    audit_queue(&events, &message->id, "reroute", order->administrator, indices, count,
                order->route);
    change_queued(mta, message, indices, count, &moved, &events);
    return QUEUE_ACTION_CHANGED;
}

static const struct {
    const char *name;
    queue_action run;
} actions[] = {{"flush", flush},           {"hold", hold},     {"release", release},
               {"delete", delete_message}, {"bounce", bounce}, {"reroute", reroute}};

queue_action queue_action_find(const char *name)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(name, actions[i].name) == 0)
            return actions[i].run;
    return NULL;
}

enum queue_action_result queue_action_run(queue_action run, struct mta *mta,
                                          struct queue_message *message,
                                          const struct queue_action_order *order)
{
    if (message->state == QUEUE_TO_BE_HANDED_OVER && run != delete_message)
        return QUEUE_ACTION_REFUSED;
    return run(mta, message, order);
}
