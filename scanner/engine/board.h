/* What a generation's workers do, in memory that master, generation and workers share. A worker may
 * write anything here once it is taken over, so that nothing but counters for people stands here.
 */
#ifndef GATEHOUSE_SCANNER_ENGINE_BOARD_H
#define GATEHOUSE_SCANNER_ENGINE_BOARD_H

#include "scanner/engine/engine.h"

#include <stdatomic.h>
#include <stdint.h>

enum board_state {
    BOARD_EMPTY, /* no worker */
    BOARD_IDLE,
    BOARD_BUSY, /* in a scan */
};

struct board {
    _Atomic uint64_t scans; /* results given */
    _Atomic int slots[ENGINE_WORKERS_LIMIT];
};

/* A new board, all zero; NULL without memory. */
struct board *board_new(void);
void board_free(struct board *board);

/* How many workers are there, and how many of them scan. */
void board_count(const struct board *board, int *workers, int *busy);

#endif
