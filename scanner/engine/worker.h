/* A worker: takes one connection of the mta at a time and answers its scans, in the sandbox. */
#ifndef GATEHOUSE_SCANNER_ENGINE_WORKER_H
#define GATEHOUSE_SCANNER_ENGINE_WORKER_H

#include "scanner/engine/board.h"
#include "scanner/engine/engine.h"
#include "scanner/engine/filters.h"
#include "scanner/engine/signatures.h"

#include <clamav.h>
#include <stdatomic.h>

#define WORKER_EXIT_FAILED 70 /* it could not get as far as serving */

struct worker {
    const struct engine_settings *settings;
    const struct signatures_info *signatures;
    struct cl_engine *engine;      /* shared copy-on-write */
    const struct filters *filters; /* as well */
    struct board *board;
    size_t slot;  /* on the board */
    int listener; /* non-blocking, inherited */
    int drain;    /* becomes readable (end of file) when the worker shall end */
    pid_t parent; /* the generation */
};

/* The body of the forked process; never returns. Told to drain, it finishes its scan, answers what
 * is already in the socket, closes and exits with 0. A scan beyond its time dies by SIGALRM. */
void worker_run(const struct worker *worker) __attribute__((noreturn));

#endif
