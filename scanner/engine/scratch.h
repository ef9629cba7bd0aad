/* The folder of a worker's temporary files: STATE/scratch/PID. */
#ifndef GATEHOUSE_SCANNER_ENGINE_SCRATCH_H
#define GATEHOUSE_SCANNER_ENGINE_SCRATCH_H

#include "common/error.h"
#include "scanner/engine/engine.h"

#include <stdbool.h>
#include <sys/types.h>

/* Makes the folder of process `pid`, empty, mode 0700, and puts its path into `path`. */
bool scratch_make(const char *state, pid_t pid, char path[ENGINE_PATH_SIZE], struct error *error);

/* Removes everything in the folder, however deep, and follows no link. */
void scratch_clear(const char *path);

/* Removes the folder of a process that is gone. */
void scratch_remove(const char *state, pid_t pid);

/* Removes the folders of processes that are gone, or (`all`, before any worker is started) of all.
 */
void scratch_sweep(const char *state, bool all);

#endif
