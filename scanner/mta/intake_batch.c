#include "scanner/mta/intake_batch.h"

#include "common/cleanup.h"
#include "scanner/mta/audit_event.h"

#include <stdlib.h>

struct intake_batches {
    struct queue *queue;
    struct intake_batch *first;
};

struct stored {
    struct intake_batch *batch;
    struct message_id id;
    bool is_there;
};

struct intake_batch {
    struct intake_batches *batches; /* NULL: the queue closes */
    struct intake_batch *next, **link;
    struct stored *messages;
    size_t count, open;
    enum error_code result;
    void (*done)(void *argument, enum error_code result);
    void *argument;
};

static void batch_free(struct intake_batch *batch)
{
    if (batch->batches) {
        *batch->link = batch->next;
        if (batch->next)
            batch->next->link = batch->link;
    }
    free(batch->messages);
    free(batch);
}

/* --- what was stored --- */

static void withdraw(struct queue *queue, struct queue_message *message)
{
    struct buffer events = BUFFER_INIT;
    cleanup_free struct queue_change *changes = calloc(message->recipient_count, sizeof(*changes));
    if (!changes)
        abort();
    for (uint32_t i = 0; i < message->recipient_count; i++)
        changes[i] = (struct queue_change){.recipient = i, .state = QUEUE_RECIPIENT_DELETED};
    if (message->state != QUEUE_TO_BE_HANDED_OVER)
        audit_action(&events, &message->id, "delete", NULL, NULL, message->recipient_count,
                     "the message that it came from could not be stored");
    queue_change_recipients(queue, message, changes, message->recipient_count, &events);
}

void intake_batch_release(struct intake_batch *batch, bool go)
{
    if (!batch)
        return;
    for (size_t i = 0; batch->batches && i < batch->count; i++) {
        struct queue *queue = batch->batches->queue;
        struct queue_message *message =
            batch->messages[i].is_there ? queue_find(queue, &batch->messages[i].id) : NULL;
        if (!message)
            continue;
        if (!go)
            withdraw(queue, message);
        queue_release_busy(queue, message);
    }
    batch_free(batch);
}

/* --- storing --- */

static void finish(struct intake_batch *batch)
{
    void (*done)(void *argument, enum error_code result) = batch->done;
    void *argument = batch->argument;
    enum error_code result = batch->result;
    batch->done = NULL;
    if (result != ERROR_NONE)
        intake_batch_release(batch, false);
    done(argument, result);
}

static void on_stored(void *argument, enum error_code result)
{
    struct stored *stored = argument;
    struct intake_batch *batch = stored->batch;
    batch->open--;
    if (!batch->batches) {
        if (batch->open == 0)
            batch_free(batch);
        return;
    }
    struct queue *queue = batch->batches->queue;
    stored->is_there = result == ERROR_NONE;
    if (stored->is_there)
        queue_hold_busy(queue, queue_find(queue, &stored->id));
    else
        batch->result = result;
    if (batch->open == 0)
        finish(batch);
}

struct intake_batch *intake_batch_store(struct intake_batches *batches, struct intake_plan *plan,
                                        void (*done)(void *argument, enum error_code result),
                                        void *argument)
{
    struct intake_batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        abort();
    *batch = (struct intake_batch){.batches = batches,
                                   .next = batches->first,
                                   .link = &batches->first,
                                   .count = plan->further_count,
                                   .open = plan->further_count,
                                   .done = done,
                                   .argument = argument};
    batch->messages = calloc(batch->count, sizeof(*batch->messages));
    if (!batch->messages)
        abort();
    if (batch->next)
        batch->next->link = &batch->next;
    batches->first = batch;
    for (size_t i = 0; i < batch->count; i++) {
        struct queue_draft *draft = &plan->further[i].draft;
        batch->messages[i] = (struct stored){.batch = batch, .id = draft->id};
        queue_accept(batches->queue, draft, on_stored, &batch->messages[i]);
    }
    return batch;
}

/* --- life --- */

struct intake_batches *intake_batches_new(struct queue *queue)
{
    struct intake_batches *batches = calloc(1, sizeof(*batches));
    if (!batches)
        abort();
    batches->queue = queue;
    return batches;
}

/* Records that are under way come back while the queue closes; the last one frees the batch, or
 * who waits to release it does. */
static void abandon(struct intake_batch *batch)
{
    void (*done)(void *argument, enum error_code result) = batch->done;
    void *argument = batch->argument;
    batch->batches = NULL;
    batch->done = NULL;
    if (done)
        done(argument, ERROR_UNAVAILABLE);
}

void intake_batches_free(struct intake_batches *batches)
{
    while (batches->first) {
        struct intake_batch *batch = batches->first;
        batches->first = batch->next;
        abandon(batch);
    }
    free(batches);
}
