/* The users that the processes run as, and the state directory that they share. */
#ifndef GATEHOUSE_SCANNER_SUPERVISOR_ACCOUNTS_H
#define GATEHOUSE_SCANNER_SUPERVISOR_ACCOUNTS_H

#include "common/error.h"

#include <stdbool.h>
#include <sys/types.h>

enum role { ROLE_MTA, ROLE_ENGINE, ROLE_DIRECTORY, ROLE_AGENT, ROLE_COUNT };

struct accounts {
    bool separate; /* each process has its own user; false: all run as who started us */
    uid_t users[ROLE_COUNT];
    gid_t group; /* "gatehouse" */
};

/* Started by root, the users gatehouse-mta, gatehouse-engine, gatehouse-directory and
 * gatehouse-agent and the group gatehouse must exist: ERROR_NOT_FOUND otherwise, unless the
 * environment has GATEHOUSE_ALLOW_ROOT=1 (for containers that have no other user). Started by
 * anybody else, all processes run as that user. */
bool accounts_find(struct accounts *accounts, struct error *error);

/* Makes the folders of a state directory (docs/architecture.md) where they are missing, and gives
 * each the owner and mode that it must have. */
bool accounts_make_state(const struct accounts *accounts, const char *state, struct error *error);

/* Takes the state directory for this process: ERROR_EXISTS where another supervisor has it. The
 * lock lasts until the returned descriptor is closed; -1 on failure. */
int accounts_lock_state(const char *state, struct error *error);

#endif
