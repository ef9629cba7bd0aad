/* Taking up a configuration: checked, written atomically, handed to the processes, and taken back
 * where one of them refuses it. */
#ifndef GATEHOUSE_SCANNER_AGENT_CONFIGURATION_H
#define GATEHOUSE_SCANNER_AGENT_CONFIGURATION_H

#include "common/error.h"
#include "scanner/agent/node.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct configuration {
    char state[NODE_PATH_SIZE];
    char scanner_id[37];
    int64_t version;        /* of config/current.json; 0: none */
    int64_t failed_version; /* the last one that was refused; 0: none */
    char failed_reason[641];
    unsigned undelivered;  /* processes that were away when the current one was handed out */
    int delivery_attempts; /* since then */
};

/* Reads which version is current. A missing or broken file is version 0, so that the Control Center
 * sends a new one. Where the mta still runs another version (the agent died in the middle of a
 * change), the change is finished. False only when the path is too long. */
bool configuration_open(struct configuration *configuration, const char *state,
                        const char *scanner_id, struct error *error);

/* Hands the current configuration again to processes that were away before: one may have looked for
 * it just before it was written, and begun to listen just after. Nothing to do where all have it.
 * Where one refuses it now, the previous one comes back and failed_version says so. */
void configuration_deliver(struct configuration *configuration);

/* Takes up an envelope {"document","signature"}. False with *error where it was refused: then the
 * configuration from before is in place, and failed_version and failed_reason say what was wrong.
 * A process that does not run is no refusal: it reads the file when it starts. */
bool configuration_take(struct configuration *configuration, const json_t *envelope,
                        struct error *error);

#endif
