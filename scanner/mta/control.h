/* run/mta.sock: requests of the agent, the supervisor and the command line (docs/architecture.md),
 * served on the event loop. */
#ifndef GATEHOUSE_SCANNER_MTA_CONTROL_H
#define GATEHOUSE_SCANNER_MTA_CONTROL_H

#include "common/error.h"
#include "scanner/mta/mta.h"

#include <jansson.h>
#include <stdbool.h>

#define CONTROL_REQUEST_LIMIT 65536 /* bytes of a request */

struct control;

/* Loads config/current.json and makes it the one that runs; false leaves the old one. */
typedef bool (*control_reload)(void *argument, struct error *error);

struct control *control_open(struct mta *mta, const char *path, control_reload reload,
                             void *argument, struct error *error);
void control_free(struct control *control);

#endif
