#include "scanner/mta/retry.h"

#define JITTER_PART 10 /* one tenth */

int64_t retry_next_attempt(const struct config_delivery *limits, uint32_t attempt,
                           int64_t received_at, int64_t now, uint32_t random)
{
    int64_t end = received_at + 1000 * (int64_t)limits->lifetime_seconds;
    size_t step = attempt > 0 ? attempt - 1 : 0;
    if (step >= limits->retry_count)
        step = limits->retry_count - 1;
    int64_t wait = 1000 * (int64_t)limits->retry_seconds[step];
    int64_t next = now + wait + random % (wait / JITTER_PART + 1);
    if (now >= end)
        return 0;
    return next < end ? next : end;
}
