/* The directory process: answers who is known, whose password is right, and who is in which group.
 */
#ifndef GATEHOUSE_SCANNER_DIRECTORY_DIRECTORY_H
#define GATEHOUSE_SCANNER_DIRECTORY_DIRECTORY_H

#include "common/error.h"

#include <stdbool.h>

/* Serves run/directory.sock and run/directory-control.sock of the state directory until SIGTERM or
 * SIGINT. SIGHUP reads the configuration again. False with *error where it cannot start. */
bool directory_run(const char *state, struct error *error);

#endif
