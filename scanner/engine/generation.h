/* A generation: the process that loads one state of the signatures and keeps its workers going. */
#ifndef GATEHOUSE_SCANNER_ENGINE_GENERATION_H
#define GATEHOUSE_SCANNER_ENGINE_GENERATION_H

#include "scanner/engine/board.h"
#include "scanner/engine/engine.h"
#include "scanner/engine/signatures.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct generation_start {
    const struct engine_settings *settings;
    const struct signatures_place *place;
    struct board *board;
    int listener; /* engine.sock, non-blocking */
    int master;   /* SOCK_SEQPACKET; its end of file says: drain */
    bool first;   /* no other generation serves: better without custom signatures than not at all */
    pid_t parent; /* the master */
};

/* The body of the forked process; never returns. Sends one packet to the master: either
 * {"ready":{"signatures":...,"problem":TEXT}} once all workers serve ("" for no problem), or
 * {"failed":TEXT} and exits. Told to drain, it lets the workers end and exits with 0. */
void generation_run(const struct generation_start *start) __attribute__((noreturn));

#endif
