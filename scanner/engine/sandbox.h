/* Taking rights away from a worker before it sees the first byte of mail. */
#ifndef GATEHOUSE_SCANNER_ENGINE_SANDBOX_H
#define GATEHOUSE_SCANNER_ENGINE_SANDBOX_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

struct sandbox {
    const char *folder;    /* the only folder whose files may be opened */
    uint64_t memory_limit; /* bytes that may be mapped beyond what is now; 0: no limit */
    uint64_t file_limit;   /* bytes of the largest file that may be written */
};

/* For good, in this order: no supplementary groups, no capabilities, no new privileges, resource
 * limits, Landlock, and a seccomp filter that kills the process at any call that scanning does not
 * need. Threads keep what holds for the process. A kernel without Landlock is no error
 * (sandbox_has_landlock tells). False with *error otherwise; the process must then end. */
bool sandbox_enter(const struct sandbox *sandbox, struct error *error);

/* Whether this kernel has Landlock. */
bool sandbox_has_landlock(void);

/* The parts of sandbox_enter, each in its own file. */
bool sandbox_restrict_files(const char *folder, struct error *error);
bool sandbox_restrict_calls(struct error *error);

#endif
