/* Where the signatures come from, and loading them into one libclamav engine. */
#ifndef GATEHOUSE_SCANNER_ENGINE_SIGNATURES_H
#define GATEHOUSE_SCANNER_ENGINE_SIGNATURES_H

#include "common/error.h"
#include "scanner/engine/engine.h"

#include <clamav.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define SIGNATURES_DEFAULT_FOLDER "/var/lib/clamav" /* GATEHOUSE_SIGNATURES names another */

struct signatures_info {
    char source[16];      /* "clamav" or "builtin" */
    int64_t version;      /* of the newest database file; 0 where none says it */
    int64_t count;        /* signatures, custom ones included */
    int64_t built_at_ms;  /* since 1970 */
    uint64_t fingerprint; /* of all files, as signatures_fingerprint has it */
};

struct signatures_place {
    char folder[ENGINE_PATH_SIZE];
    char further[ENGINE_PATH_SIZE]; /* what is loaded beside `folder`; "" for nothing */
    char custom[ENGINE_PATH_SIZE];  /* "" where there are no custom signatures */
    bool builtin;
};

/* Writes Gatehouse's own database, which knows the EICAR test file, to STATE/signatures/builtin. */
bool signatures_write_builtin(const char *state, struct error *error);

/* Chooses STATE/signatures/clamav where it holds ClamAV's own databases, else GATEHOUSE_SIGNATURES
 * where it holds a database, else the builtin one. Databases in the first that are not ClamAV's own
 * are loaded beside the others: a private one must not take the place of all that is known. */
bool signatures_choose(const char *state, struct signatures_place *place, struct error *error);

/* A number that changes when a file of the place is added, replaced or removed. */
uint64_t signatures_fingerprint(const struct signatures_place *place);

/* Loads and compiles. The caller frees the engine with cl_engine_free. cl_init must have been
 * called. NULL with *error where a file is broken or there is no signature. */
struct cl_engine *signatures_load(const struct signatures_place *place,
                                  const struct engine_settings *settings,
                                  struct signatures_info *info, struct error *error);

/* {"source","version","count","built_at","fingerprint"}; new reference, NULL without memory. */
json_t *signatures_json(const struct signatures_info *info);

#endif
