#include "controlcenter/pages/side_by_side.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS_MOST 32

struct round {
    atomic_size_t next;
    size_t count;
    void (*visit)(void *argument, size_t index);
    void *argument;
};

static void *walk(void *argument)
{
    struct round *round = argument;
    for (;;) {
        size_t index = atomic_fetch_add(&round->next, 1);
        if (index >= round->count)
            return NULL;
        round->visit(round->argument, index);
    }
}

void side_by_side(size_t count, void (*visit)(void *argument, size_t index), void *argument)
{
    struct round round = {.count = count, .visit = visit, .argument = argument};
    pthread_t threads[THREADS_MOST];
    size_t started = 0;
    /* The caller's own thread walks too. */
    while (started + 1 < count && started < THREADS_MOST - 1 &&
           pthread_create(&threads[started], NULL, walk, &round) == 0)
        started++;
    walk(&round);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}
