/* A message against policies that nobody uses yet: a worker scans it as it would scan mail, and the
 * filters are compiled and evaluated in a process of its own that the sandbox holds and that has
 * little memory and time. */
#ifndef GATEHOUSE_SCANNER_ENGINE_DRY_RUN_H
#define GATEHOUSE_SCANNER_ENGINE_DRY_RUN_H

#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DRY_RUNS_MOST 2 /* at a time */
#define DRY_RUN_SECONDS 25
#define DRY_RUN_MEMORY (2ull << 30) /* bytes */
#define DRY_RUN_BYTES (12u << 20)   /* of the message */
#define DRY_RUN_REPLY (3u << 20)    /* bytes */

struct dry_run {
    pid_t pid;       /* 0: free */
    int file;        /* the answer is written to it */
    uint64_t number; /* by which who asked is found again */
    int64_t kill_at_ms;
};

/* Starts the run of `request`, {"policies":{...},"envelope":{...},"message":BASE64} as
 * docs/architecture.md has them. ERROR_LIMIT where others run, ERROR_INVALID where a member is
 * missing or too large. */
bool dry_run_start(struct dry_run runs[DRY_RUNS_MOST], const char *state, const json_t *request,
                   uint64_t number, struct error *error);

/* Takes the end of a process. The answer where it was one of these, which then is free again and
 * whose number is in *number: {"ok":true,"answer":{...},"trace":[...],"result":{...},"problem":S},
 * or {"ok":false,"error":S}; where the policies are wrong S names the member. */
json_t *dry_run_ended(struct dry_run runs[DRY_RUNS_MOST], const char *state, pid_t pid, int status,
                      uint64_t *number);

/* Kills those that take too long. */
void dry_runs_kill_late(const struct dry_run runs[DRY_RUNS_MOST]);

/* The body of the process (dry_run_process.c): writes its answer to `file` and ends. */
void dry_run_process(const char *state, const json_t *request, int file) __attribute__((noreturn));

#endif
