#include "scanner/directory/work_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define IDLE_SECONDS 30
#define STACK_SIZE (1u << 20)

struct work_list {
    struct work *first, **end;
};

struct work_results {
    pthread_mutex_t lock;
    struct work_list list;
    int eventfd;
    struct event *event;
};

struct work_pool {
    struct work_results *results;
    struct work_pool_options options;
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t more;
    struct work_list queue;
    size_t queued, threads, idle;
    size_t leaving; /* threads that take no more work and are not gone yet */
    bool retired;
    struct work last; /* tells the event loop that the last thread has ended */
};

static void list_init(struct work_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_add(struct work_list *list, struct work *work)
{
    work->next = NULL;
    *list->end = work;
    list->end = &work->next;
}

static struct work *list_take(struct work_list *list)
{
    struct work *work = list->first;
    if (!work)
        return NULL;
    list->first = work->next;
    if (!list->first)
        list->end = &list->first;
    return work;
}

/* --- results --- */

static void post(struct work_results *results, struct work *work)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&results->lock);
    list_add(&results->list, work);
    pthread_mutex_unlock(&results->lock);
    while (write(results->eventfd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static void on_results(int fd, short events, void *argument)
{
    struct work_results *results = argument;
    struct work *work;
    uint64_t count;
    (void)events;
    while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
    do {
        pthread_mutex_lock(&results->lock);
        work = list_take(&results->list);
        pthread_mutex_unlock(&results->lock);
        if (work)
            work->done(work);
    } while (work);
}

struct work_results *work_results_new(struct event_base *base)
{
    struct work_results *results = calloc(1, sizeof(*results));
    if (!results)
        return NULL;
    list_init(&results->list);
    pthread_mutex_init(&results->lock, NULL);
    results->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (results->eventfd >= 0)
        results->event =
            event_new(base, results->eventfd, EV_READ | EV_PERSIST, on_results, results);
    if (results->event && event_add(results->event, NULL) == 0)
        return results;
    work_results_free(results);
    return NULL;
}

void work_results_free(struct work_results *results)
{
    if (!results)
        return;
    if (results->event)
        event_free(results->event);
    if (results->eventfd >= 0)
        close(results->eventfd);
    pthread_mutex_destroy(&results->lock);
    free(results);
}

/* --- threads --- */

/* The next work; NULL where the thread shall end. Called and left with the lock. */
static struct work *wait_for_work(struct work_pool *pool)
{
    struct timespec until;
    int status = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_SECONDS;
    pool->idle++;
    while (!pool->queue.first && !pool->retired && status == 0)
        status = pthread_cond_timedwait(&pool->more, &pool->lock, &until);
    pool->idle--;
    struct work *work = list_take(&pool->queue);
    pool->queued -= work ? 1 : 0;
    return work;
}

static void end_thread(struct work_pool *pool, void *state)
{
    if (pool->options.thread_end)
        pool->options.thread_end(state);
}

static void *run_thread(void *argument)
{
    struct work_pool *pool = argument;
    struct work_results *results = pool->results;
    struct work *work;
    void *state =
        pool->options.thread_begin ? pool->options.thread_begin(pool->options.argument) : NULL;
    pthread_mutex_lock(&pool->lock);
    while ((work = wait_for_work(pool))) {
        pthread_mutex_unlock(&pool->lock);
        work->run(work, state);
        post(results, work);
        pthread_mutex_lock(&pool->lock);
    }
    pool->threads--;
    pool->leaving++;
    pthread_mutex_unlock(&pool->lock);
    end_thread(pool, state);
    pthread_mutex_lock(&pool->lock);
    pool->leaving--;
    bool last = pool->retired && pool->threads + pool->leaving == 0;
    pthread_mutex_unlock(&pool->lock);
    if (last)
        post(results, &pool->last);
    return NULL;
}

static bool start_thread(struct work_pool *pool)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    bool started = pthread_create(&thread, &attributes, run_thread, pool) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

/* --- pools --- */

static void on_ended(struct work *last)
{
    struct work_pool *pool = (struct work_pool *)((char *)last - offsetof(struct work_pool, last));
    void (*ended)(void *argument) = pool->options.ended;
    void *argument = pool->options.argument;
    pthread_cond_destroy(&pool->more);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
    if (ended)
        ended(argument);
}

struct work_pool *work_pool_new(struct work_results *results,
                                const struct work_pool_options *options)
{
    struct work_pool *pool = calloc(1, sizeof(*pool));
    pthread_condattr_t attributes;
    if (!pool)
        return NULL;
    pool->results = results;
    pool->options = *options;
    pool->last.done = on_ended;
    list_init(&pool->queue);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->more, &attributes);
    pthread_condattr_destroy(&attributes);
    return pool;
}

bool work_pool_add(struct work_pool *pool, struct work *work)
{
    pthread_mutex_lock(&pool->lock);
    bool room = !pool->retired && pool->queued < pool->options.queue_most;
    if (room && pool->idle <= pool->queued && pool->threads < pool->options.thread_most &&
        start_thread(pool))
        pool->threads++;
    room = room && pool->threads > 0;
    if (room) {
        list_add(&pool->queue, work);
        pool->queued++;
        pthread_cond_signal(&pool->more);
    }
    pthread_mutex_unlock(&pool->lock);
    return room;
}

size_t work_pool_count(struct work_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t count = pool->queued + pool->threads - pool->idle;
    pthread_mutex_unlock(&pool->lock);
    return count;
}

void work_pool_retire(struct work_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->retired = true;
    bool last = pool->threads + pool->leaving == 0;
    pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->lock);
    if (last)
        post(pool->results, &pool->last);
}
