/* The scanning engine: a master that holds the sockets, a generation that loads the signatures
 * once, and sandboxed workers that share them copy-on-write. docs/architecture.md has the frames.
 */
#ifndef GATEHOUSE_SCANNER_ENGINE_ENGINE_H
#define GATEHOUSE_SCANNER_ENGINE_ENGINE_H

#include "common/config_model.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_PATH_SIZE 1024
#define ENGINE_WORKERS_LIMIT 256
#define ENGINE_SCAN_SECONDS_LIMIT 3600

/* What a generation is started with; it never changes within one. */
struct engine_settings {
    char state[ENGINE_PATH_SIZE]; /* absolute path of the state directory */
    int workers;                  /* 1 to ENGINE_WORKERS_LIMIT */
    int scan_seconds;             /* most seconds of one scan, 1 to ENGINE_SCAN_SECONDS_LIMIT */
    uint64_t message_limit;       /* most bytes of a message; a larger one is unscannable */
    uint64_t worker_scans;        /* after so many a worker ends and another takes its place */
    uint64_t memory_limit;        /* bytes that a worker may map beside the database; 0: no limit */
    struct config_engine_limits limits; /* of what is unpacked; memory is memory_limit */
    bool sandbox;                       /* false only in tests under a sanitizer */
    uint64_t policy_fingerprint;        /* of the configuration's policies */
    struct scanner_config *config;      /* for the generation's filters; NULL: there is none */
};

/* Fills `settings` from STATE/config/current.json, checked with STATE/config/configuration.pub, and
 * the environment: GATEHOUSE_ENGINE_MEMORY (MiB), and in tests only
 * GATEHOUSE_ENGINE_SANDBOX=off and GATEHOUSE_ENGINE_SCANS (`worker_scans`). A
 * missing configuration means 2 workers and 60 seconds. `settings->state` must be set. Brings
 * STATE/signatures/custom to what the configuration says. False with *error where the configuration
 * is broken (then the defaults are in place) or the files cannot be written. Release in any case. */
bool engine_settings_read(struct engine_settings *settings, struct error *error);
/* Frees the configuration; everything else stays. */
void engine_settings_release(struct engine_settings *settings);

/* Runs the master in the foreground until SIGTERM or SIGINT; SIGHUP reloads. False with *error
 * where it cannot start. */
bool engine_run(const char *state, struct error *error);

#endif
