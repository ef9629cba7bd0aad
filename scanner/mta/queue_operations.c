#include "scanner/mta/queue_operations.h"

#include "common/json.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/delivery.h"
#include "scanner/mta/destination.h"
#include "scanner/mta/queue_action.h"

#include <stdlib.h>
#include <string.h>

#define NAME_LIMIT 128          /* bytes of an administrator's name */
#define PAUSE_MS 1              /* between two slices */
#define BUSY_PAUSE_MS 100       /* until busy messages are looked at again */
#define BLOCKED_PAUSE_MS 500    /* while the disk has no room for changes */
#define CHANGES_OF_A_SLICE 1000 /* also where they are quicker than the time of a slice */

struct job {
    struct job *next;
    struct queue_operations *operations;
    struct message_id id;
    char action[16];
    queue_action run;
    struct queue_action_order order;
    char *administrator, *route;
    int64_t ended_at; /* monotonic; 0: it still runs */

    /* What it is about: the messages of `ids`, or what the walk finds of those that were there when
     * it began. */
    struct message_id *ids;
    size_t id_count, id_at;
    struct queue_filter filter;
    struct queue_walk walk;
    int64_t until; /* milliseconds since 1970 */

    struct message_id *busy; /* those to be looked at again */
    size_t busy_count, busy_at;
    int64_t busy_until;

    uint64_t matched, changed, failed;
    struct event *timer;
};

struct queue_operations {
    struct mta *mta;
    struct job *jobs; /* the newest first */
};

/* --- one message --- */

static void keep_busy(struct job *job, const struct message_id *id)
{
    if (job->busy_count == QUEUE_JOB_BUSY_MOST) {
        job->failed++;
        return;
    }
    if (!job->busy) {
        job->busy = calloc(QUEUE_JOB_BUSY_MOST, sizeof *job->busy);
        if (!job->busy)
            abort();
    }
    job->busy[job->busy_count++] = *id;
}

/* False where it has to be asked again. */
static bool act(struct job *job, struct queue_message *message)
{
    enum queue_action_result result =
        queue_action_run(job->run, job->operations->mta, message, &job->order);
    job->changed += result == QUEUE_ACTION_CHANGED;
    job->failed += result == QUEUE_ACTION_REFUSED;
    return result != QUEUE_ACTION_BUSY;
}

/* --- slices --- */

static struct queue_message *next_of_ids(struct job *job)
{
    while (job->id_at < job->id_count) {
        if (timestamp_monotonic_ms() >= job->walk.until)
            return NULL;
        struct queue_message *message =
            queue_find(job->operations->mta->queue, &job->ids[job->id_at++]);
        if (message)
            return message;
        job->matched++; /* it was there when the administrator chose it */
        job->failed++;
    }
    job->walk.over = true;
    return NULL;
}

static struct queue_message *next_message(struct job *job)
{
    struct queue_message *message = job->ids ? next_of_ids(job) : queue_walk_next(&job->walk);
    if (!message || job->ids || message_id_time_ms(&message->id) <= job->until)
        return message;
    job->walk.over = true; /* it came after the job */
    return NULL;
}

static void go_on(struct job *job, int64_t milliseconds)
{
    struct timeval interval = timestamp_interval(milliseconds);
    event_add(job->timer, &interval);
}

static void finish(struct job *job)
{
    job->ended_at = timestamp_monotonic_ms();
    log_info("queue: %s by %s: %llu found, %llu changed, %llu failed", job->action,
             job->administrator, (unsigned long long)job->matched, (unsigned long long)job->changed,
             (unsigned long long)job->failed);
    free(job->busy);
    free(job->ids);
    job->busy = job->ids = NULL;
    queue_filter_clear(&job->filter);
}

static void walk_on(struct job *job)
{
    struct queue_message *message;
    for (int i = 0; i < CHANGES_OF_A_SLICE && (message = next_message(job)) != NULL; i++) {
        struct message_id id = message->id;
        job->matched++;
        if (!act(job, message))
            keep_busy(job, &id);
    }
    job->busy_until = timestamp_monotonic_ms() + QUEUE_JOB_BUSY_MS;
    go_on(job, PAUSE_MS);
}

/* Looks at some of the busy ones again; those that are still busy stay in the list. */
static void ask_busy_again(struct job *job)
{
    while (job->busy_at < job->busy_count && timestamp_monotonic_ms() < job->walk.until) {
        struct queue_message *message =
            queue_find(job->operations->mta->queue, &job->busy[job->busy_at]);
        if (message && !act(job, message)) {
            job->busy_at++;
            continue;
        }
        job->failed += !message; /* the attempt was its last one */
        job->busy[job->busy_at] = job->busy[--job->busy_count];
    }
    bool all_asked = job->busy_at >= job->busy_count;
    if (all_asked)
        job->busy_at = 0;
    go_on(job, all_asked && job->busy_count ? BUSY_PAUSE_MS : PAUSE_MS);
}

static void on_slice(evutil_socket_t fd, short what, void *argument)
{
    struct job *job = argument;
    struct queue *queue = job->operations->mta->queue;
    (void)fd;
    (void)what;
    queue_walk_slice(&job->walk);
    if (queue_log_blocked(queue_log_of(queue))) {
        go_on(job, BLOCKED_PAUSE_MS);
    } else if (!job->walk.over) {
        walk_on(job);
    } else if (job->busy_count && timestamp_monotonic_ms() < job->busy_until) {
        ask_busy_again(job);
    } else {
        job->failed += job->busy_count;
        finish(job);
    }
}

/* --- jobs --- */

static void job_free(struct job *job)
{
    queue_filter_clear(&job->filter);
    if (job->timer)
        event_free(job->timer);
    free(job->administrator);
    free(job->route);
    free(job->busy);
    free(job->ids);
    free(job);
}

/* Forgets what ended long ago, and of too many those that ended first. Returns how many run. */
static size_t clear_out(struct queue_operations *operations)
{
    int64_t now = timestamp_monotonic_ms();
    size_t running = 0, kept = 0;
    for (struct job **link = &operations->jobs, *job; (job = *link) != NULL;) {
        bool ended = job->ended_at > 0;
        if (ended && (now - job->ended_at > QUEUE_JOB_KEPT_MS || kept >= QUEUE_JOBS_KEPT)) {
            *link = job->next;
            job_free(job);
            continue;
        }
        running += !ended;
        kept++;
        link = &job->next;
    }
    return running;
}

static char *copy(const char *text)
{
    char *made = strdup(text);
    if (!made)
        abort();
    return made;
}

static bool read_ids(struct job *job, const json_t *ids, struct error *error)
{
    size_t index;
    const json_t *value;
    job->ids = calloc(json_array_size(ids) + 1, sizeof *job->ids);
    if (!job->ids)
        abort();
    json_array_foreach((json_t *)ids, index, value)
    {
        const char *text = json_string_value(value);
        if (!text || !message_id_parse(text, &job->ids[job->id_count++]))
            return error_set(error, ERROR_INVALID, "ids", "must be ids of messages");
    }
    return true;
}

static bool read_target(struct job *job, const json_t *request, struct error *error)
{
    const json_t *ids, *filter;
    if (!json_get_array(request, NULL, "ids", false, QUEUE_JOB_IDS_MOST, &ids, error) ||
        !json_get_object(request, NULL, "filter", false, &filter, error))
        return false;
    if (!ids == !filter)
        return error_set(error, ERROR_INVALID, NULL, "either ids or a filter must be given");
    return ids ? read_ids(job, ids, error) : queue_filter_read(&job->filter, filter, error);
}

static bool read_route(struct job *job, const json_t *request, struct error *error)
{
    const char *route;
    if (strcmp(job->action, "reroute") != 0)
        return true;
    if (!json_get_text(request, NULL, "route", DESTINATION_ROUTE_LIMIT, &route, error))
        return false;
    const char *problem = *route ? destination_check_route(route) : NULL;
    if (problem)
        return error_set(error, ERROR_INVALID, "route", "%s", problem);
    job->route = copy(route);
    return true;
}

static bool read_job(struct job *job, const json_t *request, struct error *error)
{
    const char *action, *administrator;
    if (!json_get_text(request, NULL, "action", sizeof job->action - 1, &action, error) ||
        !json_get_text(request, NULL, "administrator", NAME_LIMIT, &administrator, error))
        return false;
    job->run = queue_action_find(action);
    if (!job->run)
        return error_set(error, ERROR_INVALID, "action", "there is no such action");
    snprintf(job->action, sizeof job->action, "%s", action);
    job->administrator = copy(administrator);
    if (!read_target(job, request, error) || !read_route(job, request, error))
        return false;
    job->order = (struct queue_action_order){job->administrator, job->route};
    return true;
}

static bool may_start(struct queue_operations *operations, const struct job *job,
                      struct error *error)
{
    const struct mta *mta = operations->mta;
    if (!mta->config || !mta->delivery)
        return error_set(error, ERROR_UNAVAILABLE, NULL,
                         "the scanner waits for its first configuration");
    if (clear_out(operations) >= QUEUE_JOBS_RUNNING)
        return error_set(error, ERROR_LIMIT, NULL,
                         "%d actions on the queue are under way already; try again when one ends",
                         QUEUE_JOBS_RUNNING);
    if (strcmp(job->action, "flush") == 0 || strcmp(job->action, "reroute") == 0)
        delivery_retry(mta->delivery);
    return true;
}

bool queue_operations_act(struct queue_operations *operations, const json_t *request,
                          struct buffer *out, struct error *error)
{
    static const struct message_id beginning;
    char text[MESSAGE_ID_TEXT_SIZE];
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        abort();
    job->operations = operations;
    if (!read_job(job, request, error) || !may_start(operations, job, error)) {
        job_free(job);
        return false;
    }
    job->id = message_id_new();
    job->until = timestamp_now_ms();
    job->timer = evtimer_new(operations->mta->base, on_slice, job);
    if (!job->timer)
        abort();
    queue_walk_begin(&job->walk, operations->mta->queue, &job->filter, &beginning);
    job->next = operations->jobs;
    operations->jobs = job;
    go_on(job, 0);
    return buffer_add_format(out, "{\"ok\":true,\"job\":\"%s\"}", message_id_text(&job->id, text));
}

bool queue_operations_job(struct queue_operations *operations, const json_t *request,
                          struct buffer *out, struct error *error)
{
    struct message_id id;
    const char *text;
    clear_out(operations);
    if (!json_get_text(request, NULL, "job", MESSAGE_ID_TEXT_SIZE, &text, error))
        return false;
    if (!message_id_parse(text, &id))
        return error_set(error, ERROR_INVALID, "job", "must be the id of a job");
    struct job *job = operations->jobs;
    while (job && !message_id_equal(&job->id, &id))
        job = job->next;
    if (!job)
        return error_set(error, ERROR_NOT_FOUND, "job", "there is no such job any more");
    return buffer_add_format(
        out,
        "{\"ok\":true,\"done\":%s,\"action\":\"%s\",\"matched\":%llu,\"changed\":%llu,"
        "\"failed\":%llu,\"busy\":%zu}",
        job->ended_at ? "true" : "false", job->action, (unsigned long long)job->matched,
        (unsigned long long)job->changed, (unsigned long long)job->failed, job->busy_count);
}

/* --- life --- */

struct queue_operations *queue_operations_new(struct mta *mta)
{
    struct queue_operations *operations = calloc(1, sizeof *operations);
    if (!operations)
        abort();
    operations->mta = mta;
    return operations;
}

void queue_operations_free(struct queue_operations *operations)
{
    if (!operations)
        return;
    for (struct job *job = operations->jobs, *next; job; job = next) {
        next = job->next;
        job_free(job);
    }
    free(operations);
}
