/* Who waits for one thing in the database, and is woken for that alone. */
#include "controlcenter/store/store_internal.h"

#include "common/timestamp.h"

#include <stdlib.h>
#include <string.h>

struct store_bells {
    pthread_mutex_t lock;
    struct store_bell *first;
};

struct store_bell {
    struct store *store;
    struct store_bell *next, **link;
    char id[37];
    pthread_cond_t rings;
    bool rung;
};

struct store_bells *store_bells_new(void)
{
    struct store_bells *bells = calloc(1, sizeof(*bells));
    if (bells)
        pthread_mutex_init(&bells->lock, NULL);
    return bells;
}

void store_bells_free(struct store_bells *bells)
{
    if (!bells)
        return;
    pthread_mutex_destroy(&bells->lock);
    free(bells);
}

void store_bells_ring(struct store_bells *bells, const char *id)
{
    pthread_mutex_lock(&bells->lock);
    for (struct store_bell *bell = bells->first; bell; bell = bell->next) {
        if (id && strcmp(bell->id, id) != 0)
            continue;
        bell->rung = true;
        pthread_cond_signal(&bell->rings);
    }
    pthread_mutex_unlock(&bells->lock);
}

struct store_bell *store_bell_open(struct store *store, const char *id)
{
    struct store_bells *bells = store->bells;
    pthread_condattr_t attributes;
    struct store_bell *bell = calloc(1, sizeof(*bell));
    if (!bell || pthread_condattr_init(&attributes) != 0) {
        free(bell);
        return NULL;
    }
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&bell->rings, &attributes);
    pthread_condattr_destroy(&attributes);
    bell->store = store;
    if (!store_uuid(id, bell->id))
        bell->id[0] = '\0'; /* nothing rings for it */
    pthread_mutex_lock(&bells->lock);
    bell->next = bells->first;
    bell->link = &bells->first;
    if (bell->next)
        bell->next->link = &bell->next;
    bells->first = bell;
    pthread_mutex_unlock(&bells->lock);
    store_watch_start(store->watch);
    return bell;
}

void store_bell_close(struct store_bell *bell)
{
    if (!bell)
        return;
    struct store_bells *bells = bell->store->bells;
    pthread_mutex_lock(&bells->lock);
    *bell->link = bell->next;
    if (bell->next)
        bell->next->link = bell->link;
    pthread_mutex_unlock(&bells->lock);
    pthread_cond_destroy(&bell->rings);
    free(bell);
}

bool store_bell_wait(struct store_bell *bell, int wait_ms)
{
    struct store_bells *bells = bell->store->bells;
    int64_t end = timestamp_monotonic_ms() + (wait_ms > 0 ? wait_ms : 0);
    struct timespec until = {.tv_sec = end / 1000, .tv_nsec = end % 1000 * 1000000};
    int waited = 0;
    pthread_mutex_lock(&bells->lock);
    while (!bell->rung && waited == 0)
        waited = pthread_cond_timedwait(&bell->rings, &bells->lock, &until);
    bool rung = bell->rung;
    bell->rung = false;
    pthread_mutex_unlock(&bells->lock);
    return rung;
}
