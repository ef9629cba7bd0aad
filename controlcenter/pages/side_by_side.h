/* Waiting for many at once. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_SIDE_BY_SIDE_H
#define GATEHOUSE_CONTROLCENTER_PAGES_SIDE_BY_SIDE_H

#include <stddef.h>

/* Calls visit for each index below `count`, up to 32 of them at a time on threads of their own, and
 * returns when all are through. Where no thread can be had they come one after the other. */
void side_by_side(size_t count, void (*visit)(void *argument, size_t index), void *argument);

#endif
