/* The folder of a worker's temporary files: STATE/scratch/PID. */
#ifndef GATEHOUSE_SCANNER_ENGINE_SCRATCH_H
#define GATEHOUSE_SCANNER_ENGINE_SCRATCH_H

#include "common/error.h"
#include "scanner/engine/engine.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Makes the folder of process `pid`, empty, mode 0700, and puts its path into `path`. */
bool scratch_make(const char *state, pid_t pid, char path[ENGINE_PATH_SIZE], struct error *error);

/* Lays a private file system in memory over the folder, which only the calling process sees:
 * `bytes` at most, gone with the process. Where that is not allowed, or `workers` of them would
 * fill half of the machine's memory, the folder stays on disk. Before the sandbox, in a process
 * with one thread. */
void scratch_use_memory(const char *path, uint64_t bytes, int workers);

/* Removes everything in the folder, however deep, and follows no link. */
void scratch_clear(const char *path);

/* Removes the folder of a process that is gone. */
void scratch_remove(const char *state, pid_t pid);

/* Removes the folders of processes that are gone, or (`all`, before any worker is started) of all.
 */
void scratch_sweep(const char *state, bool all);

#endif
