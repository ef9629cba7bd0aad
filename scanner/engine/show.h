/* What the engine sees in one message, for administrators and tests: gatehouse-engine --show. */
#ifndef GATEHOUSE_SCANNER_ENGINE_SHOW_H
#define GATEHOUSE_SCANNER_ENGINE_SHOW_H

#include "common/error.h"

#include <stdbool.h>

/* Writes a JSON object to standard output: "result" as the mta gets it (docs/architecture.md),
 * "limit" (which one the tree hit, "" for none), "language" (language.h), "text_cut", and "nodes", the tree in its order
 * with path, kind, types, sizes, text and addresses. It is read by a process in the sandbox and
 * under the limits of a worker. `state` names the folder whose configuration and signatures count;
 * NULL: the defaults. False with *error where nothing was written. */
bool engine_show(const char *state, const char *file, struct error *error);

#endif
