/* run/mta.sock: requests of the agent, the supervisor and the command line (docs/architecture.md),
 * served on the event loop. */
#ifndef GATEHOUSE_SCANNER_MTA_CONTROL_H
#define GATEHOUSE_SCANNER_MTA_CONTROL_H

#include "common/error.h"
#include "scanner/mta/mta.h"

#include <jansson.h>
#include <stdbool.h>

#define CONTROL_REQUEST_LIMIT (2u << 20) /* bytes of a request: a piece of a message in base64 */

struct control;

/* Begins to load config/current.json; control_reloaded says what became of it. */
typedef void (*control_reload)(void *argument);

/* Listens at `path`; each request for a new configuration calls `reload`. NULL with *error where it
 * cannot listen; ERROR_EXISTS where another process does. */
struct control *control_open(struct mta *mta, const char *path, control_reload reload,
                             void *argument, struct error *error);
/* Hangs up and removes the socket. NULL is allowed. */
void control_free(struct control *control);
/* Answers those who asked for a reload. `error` says why the old configuration stays; NULL: the new
 * one runs. */
void control_reloaded(struct control *control, const struct error *error);

#endif
