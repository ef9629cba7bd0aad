/* The supervisor: starts, watches and stops the processes of a scanner. */
#ifndef GATEHOUSE_SCANNER_SUPERVISOR_SUPERVISOR_H
#define GATEHOUSE_SCANNER_SUPERVISOR_SUPERVISOR_H

#include "common/error.h"
#include "scanner/supervisor/accounts.h"

#include <stdbool.h>

/* Runs until SIGTERM or SIGINT, then stops mta, agent, directory and engine, in this order. SIGHUP
 * opens the log files again. `state` is an absolute path. False with *error where it cannot start:
 * not enrolled, another supervisor runs, a program is missing. */
bool supervisor_run(const char *state, const struct accounts *accounts, struct error *error);

#endif
