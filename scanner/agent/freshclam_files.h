/* What freshclam finds when it is started: its configuration, and its folder. */
#ifndef GATEHOUSE_SCANNER_AGENT_FRESHCLAM_FILES_H
#define GATEHOUSE_SCANNER_AGENT_FRESHCLAM_FILES_H

#include "common/config_model.h"
#include "common/error.h"
#include "scanner/agent/node.h"

struct freshclam_files {
    char configuration[NODE_PATH_SIZE]; /* in the folder that is the agent's alone */
    char folder[NODE_PATH_SIZE];
};

/* Writes the one, makes the other and removes from it what is not asked for any more. */
bool freshclam_files_prepare(const char *state, const struct config_signature_update *update,
                             struct freshclam_files *files, struct error *error);

#endif
