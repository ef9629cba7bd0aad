/* A request to stop that threads can wait for, and waiting with growing pauses. */
#ifndef GATEHOUSE_COMMON_STOP_H
#define GATEHOUSE_COMMON_STOP_H

#include "common/error.h"

#include <stdatomic.h>
#include <stdbool.h>

struct stop {
    atomic_bool requested;
    int event; /* eventfd; readable once requested */
};

bool stop_open(struct stop *stop, struct error *error);
void stop_close(struct stop *stop);
void stop_request(struct stop *stop);
static inline bool stop_requested(const struct stop *stop)
{
    return atomic_load(&((struct stop *)stop)->requested);
}
/* Waits `milliseconds`, or until the stop is requested; returns whether it is. */
bool stop_wait(const struct stop *stop, int milliseconds);

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_LAST_MS 60000

/* Pauses between attempts: doubled each time from 1 s to 60 s, each with up to half of jitter so
 * that a thousand scanners do not come back in the same second. Zero-initialise. */
struct backoff {
    int next_ms;
};

/* The pause before the next attempt, in milliseconds. */
int backoff_next(struct backoff *backoff);
void backoff_reset(struct backoff *backoff);

#endif
