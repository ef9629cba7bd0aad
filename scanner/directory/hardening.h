/* Taking rights away from the process that talks to directory servers. */
#ifndef GATEHOUSE_SCANNER_DIRECTORY_HARDENING_H
#define GATEHOUSE_SCANNER_DIRECTORY_HARDENING_H

#include "common/error.h"

#include <stdbool.h>

/* For good: no capabilities, no new privileges, no core dump (it would hold passwords), nobody may
 * trace it, and limits to descriptors, files and locked memory. */
bool hardening_enter(struct error *error);

#endif
