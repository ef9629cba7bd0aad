/* Taking rights away from the process that talks to directory servers. */
#ifndef GATEHOUSE_SCANNER_DIRECTORY_HARDENING_H
#define GATEHOUSE_SCANNER_DIRECTORY_HARDENING_H

#include "common/error.h"

#include <stdbool.h>

/* For good: no capabilities, no new privileges, no core dump (it would hold passwords), nobody may
 * trace it, limits to descriptors and files, and no call that starts a program, changes what the
 * process sees of the system, or looks into other processes (EPERM). */
bool hardening_enter(struct error *error);

#endif
