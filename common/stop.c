#include "common/stop.h"

#include "common/timestamp.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool stop_open(struct stop *stop, struct error *error)
{
    atomic_store(&stop->requested, false);
    stop->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return stop->event >= 0 || error_set_errno(error, "stop", "cannot make an event descriptor");
}

void stop_close(struct stop *stop)
{
    if (stop->event >= 0)
        close(stop->event);
    stop->event = -1;
}

void stop_request(struct stop *stop)
{
    atomic_store(&stop->requested, true);
    /* Cannot fail for a counter that is far from its limit. */
    (void)!eventfd_write(stop->event, 1);
}

bool stop_wait(const struct stop *stop, int milliseconds)
{
    struct pollfd event = {.fd = stop->event, .events = POLLIN};
    int64_t deadline = timestamp_monotonic_ms() + milliseconds;
    for (;;) {
        int64_t left = deadline - timestamp_monotonic_ms();
        if (stop_requested(stop) || left <= 0)
            return stop_requested(stop);
        if (poll(&event, 1, (int)left) < 0 && errno != EINTR)
            return stop_requested(stop);
    }
}

int backoff_next(struct backoff *backoff)
{
    int base = backoff->next_ms ? backoff->next_ms : BACKOFF_FIRST_MS;
    int pause = base / 2 + (int)randombytes_uniform((uint32_t)base / 2 + 1);
    backoff->next_ms = base * 2 > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : base * 2;
    return pause < BACKOFF_FIRST_MS ? BACKOFF_FIRST_MS : pause;
}

void backoff_reset(struct backoff *backoff)
{
    backoff->next_ms = 0;
}
