/* Threads for work that blocks: LDAP and password hashes. Work is handed in on the event loop, done
 * in a thread, and its end is told on the event loop again. */
#ifndef GATEHOUSE_SCANNER_DIRECTORY_WORK_POOL_H
#define GATEHOUSE_SCANNER_DIRECTORY_WORK_POOL_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

struct work_results;
struct work_pool;

/* Part of what the caller allocates; it belongs to the pool until `done` is called. */
struct work {
    struct work *next;
    void (*run)(struct work *work, void *thread_state); /* in a thread */
    void (*done)(struct work *work);                    /* on the event loop */
};

/* Brings the results of all pools to the event loop. NULL where the system refuses. */
struct work_results *work_results_new(struct event_base *base);
/* After all pools have ended. */
void work_results_free(struct work_results *results);

struct work_pool_options {
    size_t thread_most;
    size_t queue_most; /* work that waits for a thread */
    /* What a thread keeps from work to work; both run in it, and may be NULL. */
    void *(*thread_begin)(void *argument);
    void (*thread_end)(void *thread_state);
    /* On the event loop: the last thread has ended after work_pool_retire. */
    void (*ended)(void *argument);
    void *argument;
};

/* Threads start when there is work, and end after half a minute without. NULL: no memory. */
struct work_pool *work_pool_new(struct work_results *results,
                                const struct work_pool_options *options);
/* False where the queue is full, or no thread can be started. */
bool work_pool_add(struct work_pool *pool, struct work *work);
/* Work that waits or runs. */
size_t work_pool_count(struct work_pool *pool);
/* No work may be added any more; what is there is done, then `ended` is called, and the pool is
 * gone. */
void work_pool_retire(struct work_pool *pool);

#endif
