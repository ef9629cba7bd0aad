/* The clock that `stop_us` refers to. */
#ifndef GATEHOUSE_SCANNER_POLICY_CLOCK_H
#define GATEHOUSE_SCANNER_POLICY_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#endif
