/* When messages are due: a heap of times, one timer, and the hand-out from the loop. */
#include "scanner/mta/queue_private.h"

#include "common/timestamp.h"

#include <stdlib.h>

#define HANDED_OUT_AT_ONCE 64 /* before the loop looks at its sockets again */
#define RESUMED_AT_ONCE 256
#define RESUME_EVERY_US 2000
#define LONGEST_TIMER_MS (60 * 1000)
#define NOT_TAKEN_RETRY_MS 1000
#define BLOCKED_RETRY_MS 500 /* nothing is sent whose result could not be written down */

static void place(struct queue *queue, size_t index, struct queue_wait wait)
{
    queue->waits[index] = wait;
    wait.message->heap_index = index;
}

static void sift_up(struct queue *queue, size_t index, struct queue_wait wait)
{
    while (index > 1 && wait.when < queue->waits[index / 2].when) {
        place(queue, index, queue->waits[index / 2]);
        index /= 2;
    }
    place(queue, index, wait);
}

static void sift_down(struct queue *queue, size_t index, struct queue_wait wait)
{
    for (;;) {
        size_t child = index * 2;
        if (child > queue->wait_count)
            break;
        if (child < queue->wait_count && queue->waits[child + 1].when < queue->waits[child].when)
            child++;
        if (wait.when <= queue->waits[child].when)
            break;
        place(queue, index, queue->waits[child]);
        index = child;
    }
    place(queue, index, wait);
}

static void heap_remove(struct queue *queue, struct queue_message *message)
{
    size_t index = message->heap_index;
    message->heap_index = 0;
    struct queue_wait last = queue->waits[queue->wait_count--];
    if (last.message == message)
        return;
    if (index > 1 && last.when < queue->waits[index / 2].when)
        sift_up(queue, index, last);
    else
        sift_down(queue, index, last);
}

static void heap_add(struct queue *queue, struct queue_message *message, int64_t when)
{
    if (queue->wait_count + 1 >= queue->wait_capacity) {
        queue->wait_capacity = queue->wait_capacity ? queue->wait_capacity * 2 : 1024;
        struct queue_wait *more =
            realloc(queue->waits, queue->wait_capacity * sizeof *queue->waits);
        if (!more)
            abort();
        queue->waits = more;
    }
    sift_up(queue, ++queue->wait_count, (struct queue_wait){when, message});
}

static void arm_in(struct queue *queue, int64_t delay)
{
    struct timeval interval = timestamp_interval(delay);
    event_add(queue->due_timer, &interval);
}

static void arm(struct queue *queue)
{
    if (!queue->wait_count) {
        event_del(queue->due_timer);
        return;
    }
    int64_t delay = queue->waits[1].when - timestamp_now_ms();
    /* The wall clock may be set; the timer counts on its own. */
    arm_in(queue, delay < 0 ? 0 : delay > LONGEST_TIMER_MS ? LONGEST_TIMER_MS : delay);
}

static void schedule_at(struct queue *queue, struct queue_message *message, int64_t when)
{
    bool was_first = message->heap_index == 1;
    if (message->heap_index)
        heap_remove(queue, message);
    heap_add(queue, message, when);
    if (was_first || message->heap_index == 1)
        arm(queue);
}

void queue_schedule_remove(struct queue *queue, struct queue_message *message)
{
    if (message->heap_index)
        heap_remove(queue, message);
}

/* The earliest time at which something is to be done; INT64_MAX for never. */
static int64_t due_time(const struct queue *queue, const struct queue_message *message)
{
    if (message->flags & QUEUE_FLAG_HELD || message->state == QUEUE_TO_BE_HANDED_OVER)
        return INT64_MAX;
    if (message->state == QUEUE_TO_BE_SCANNED)
        return 0;
    if (queue_is_paused(queue, message->direction))
        return INT64_MAX;
    int64_t earliest = INT64_MAX;
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        const struct queue_recipient *recipient = &message->recipients[i];
        if (recipient->state == QUEUE_RECIPIENT_QUEUED && !recipient->in_delivery &&
            recipient->next_attempt < earliest)
            earliest = recipient->next_attempt;
    }
    return earliest;
}

void queue_schedule(struct queue *queue, struct queue_message *message)
{
    int64_t when = due_time(queue, message);
    if (message->removed || message->busy || when == INT64_MAX)
        queue_schedule_remove(queue, message);
    else
        schedule_at(queue, message, when);
}

void queue_due_at(struct queue *queue, struct queue_message *message, int64_t when)
{
    if (message->removed || message->busy || message->flags & QUEUE_FLAG_HELD)
        return;
    if (due_time(queue, message) == INT64_MAX)
        return; /* paused, to be handed over, or all of it is under way */
    int64_t earliest = queue->handed == message ? timestamp_now_ms() + NOT_TAKEN_RETRY_MS : 0;
    schedule_at(queue, message, when < earliest ? earliest : when);
}

/* A message that the hook neither took nor put off comes again a little later, so that none is
 * forgotten and none keeps the loop busy. */
static void hand_out(struct queue *queue, struct queue_message *message, int64_t now)
{
    queue->handed = message;
    queue->hooks.due(queue->hooks.argument, message);
    queue->handed = NULL;
    if (message->removed) {
        if (!message->busy)
            queue_bury(queue, message);
        return;
    }
    int64_t when = due_time(queue, message);
    if (!message->busy && !message->heap_index && when != INT64_MAX)
        schedule_at(queue, message,
                    when < now + NOT_TAKEN_RETRY_MS ? now + NOT_TAKEN_RETRY_MS : when);
}

static void on_due(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    struct queue *queue = argument;
    int64_t now = timestamp_now_ms();
    if (queue_log_blocked(queue->log)) {
        arm_in(queue, BLOCKED_RETRY_MS);
        return;
    }
    for (int i = 0; i < HANDED_OUT_AT_ONCE && queue->wait_count && queue->waits[1].when <= now;
         i++) {
        struct queue_message *message = queue->waits[1].message;
        heap_remove(queue, message);
        if (due_time(queue, message) != INT64_MAX)
            hand_out(queue, message, now);
    }
    arm(queue);
}

/* --- pausing --- */

bool queue_is_paused(const struct queue *queue, enum queue_direction direction)
{
    return queue->paused[direction];
}

/* A piece of the queue at a time: with a million messages the whole of it would keep sessions
 * waiting. */
static void on_resume(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    struct queue *queue = argument;
    struct queue_message *messages[RESUMED_AT_ONCE];
    size_t count = queue_next(queue, &queue->resumed, messages, RESUMED_AT_ONCE);
    if (!count)
        return;
    for (size_t i = 0; i < count; i++)
        if (!messages[i]->heap_index)
            queue_schedule(queue, messages[i]);
    queue->resumed = messages[count - 1]->id;
    event_add(queue->resume_timer, &(struct timeval){.tv_usec = RESUME_EVERY_US});
}

void queue_pause(struct queue *queue, enum queue_direction direction, bool paused)
{
    if (queue->paused[direction] == paused)
        return;
    queue->paused[direction] = paused;
    if (paused)
        return; /* those that wait leave the heap when their time comes */
    queue->resumed = (struct message_id){0};
    event_add(queue->resume_timer, &(struct timeval){0});
}

/* --- life --- */

bool queue_schedule_open(struct queue *queue, struct error *error)
{
    queue->due_timer = evtimer_new(queue->base, on_due, queue);
    queue->resume_timer = evtimer_new(queue->base, on_resume, queue);
    if (!queue->due_timer || !queue->resume_timer)
        return error_set(error, ERROR_INTERNAL, queue->folder, "cannot make the queue's timer");
    return true;
}

void queue_schedule_close(struct queue *queue)
{
    if (queue->due_timer)
        event_free(queue->due_timer);
    if (queue->resume_timer)
        event_free(queue->resume_timer);
    queue->due_timer = queue->resume_timer = NULL;
    free(queue->waits);
}
