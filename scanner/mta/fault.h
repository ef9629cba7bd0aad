/* Fault points: places between two writes at which a test lets the process end as if by kill -9.
 *
 * They are in every build, so that what is tested is what runs; an unarmed one costs one load and
 * one branch. A process is armed by the environment variable GATEHOUSE_FAULT when it starts, or by
 * fault_arm in a forked child: "NAME:COUNT" ends it at the COUNT-th time that point NAME is reached
 * ("*": any point). It ends by _exit(FAULT_STATUS): nothing is flushed, no handler runs. */
#ifndef GATEHOUSE_SCANNER_MTA_FAULT_H
#define GATEHOUSE_SCANNER_MTA_FAULT_H

#include <stdbool.h>

#define FAULT_STATUS 77

extern bool fault_armed;

/* A malformed `spec` (or NULL) disarms. Call it before threads start. */
void fault_arm(const char *spec);
void fault_reached(const char *name);

static inline void fault_point(const char *name)
{
    if (__builtin_expect(fault_armed, 0))
        fault_reached(name);
}

#endif
