#include "scanner/engine/board.h"

#include <stddef.h>
#include <sys/mman.h>

struct board *board_new(void)
{
    void *memory =
        mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void board_free(struct board *board)
{
    if (board)
        munmap(board, sizeof(*board));
}

void board_count(const struct board *board, int *workers, int *busy)
{
    *workers = *busy = 0;
    for (size_t i = 0; i < ENGINE_WORKERS_LIMIT; i++) {
        int state = atomic_load(&board->slots[i]);
        *workers += state == BOARD_IDLE || state == BOARD_BUSY;
        *busy += state == BOARD_BUSY;
    }
}
