/* Trying custom signatures before anybody uses them: they are loaded, and scan two messages, in a
 * process of its own that the sandbox holds and that has little memory and time. */
#ifndef GATEHOUSE_SCANNER_ENGINE_TRIAL_H
#define GATEHOUSE_SCANNER_ENGINE_TRIAL_H

#include "common/error.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TRIALS_MOST 2 /* at a time */
#define TRIAL_SECONDS 20
#define TRIAL_MEMORY (1ull << 30) /* bytes */

struct trial {
    pid_t pid; /* 0: free */
    int socket;
    uint64_t number; /* by which who asked is found again */
    int64_t kill_at_ms;
    json_t *files;
    _Atomic int *at; /* which file is being loaded; files' count: none any more */
};

/* Starts a trial of `files`, [{"name":S,"text":S}]; the array is borrowed and kept alive.
 * ERROR_LIMIT where others run, ERROR_INVALID where the list breaks a limit of
 * common/config_model.h. */
bool trial_start(struct trial trials[TRIALS_MOST], const char *state, const json_t *files,
                 uint64_t number, struct error *error);

/* Takes the end of a process. The answer where it was a trial, which then is free again and whose
 * number is in *number: {"ok":true,"files":[{"name":S,"signatures":N}],"refused":null or
 * {"name":S,"line":N,"reason":S}} (line 0: unknown; name "": all together). */
json_t *trial_ended(struct trial trials[TRIALS_MOST], const char *state, pid_t pid, int status,
                    uint64_t *number);

/* Kills those that take too long. */
void trials_kill_late(const struct trial trials[TRIALS_MOST]);

/* The body of the process (trial_run.c): sends its answer on `socket` and ends. */
void trial_run(const char *state, const json_t *files, _Atomic int *at, int socket)
    __attribute__((noreturn));

#endif
