/* run/directory-control.sock: requests of the agent (docs/architecture.md). */
#ifndef GATEHOUSE_SCANNER_DIRECTORY_CONTROL_H
#define GATEHOUSE_SCANNER_DIRECTORY_CONTROL_H

#include "common/error.h"

#include <event2/event.h>
#include <jansson.h>

struct control;

/* A new reply to one request. */
typedef json_t *(*control_handler)(void *argument, const json_t *request);

/* Listens at `path` and serves each request on the loop, by `handler`. NULL with *error where it
 * cannot listen; ERROR_EXISTS where another process does. */
struct control *control_open(struct event_base *base, const char *path, control_handler handler,
                             void *argument, struct error *error);
/* Hangs up and removes the socket. NULL is allowed. */
void control_close(struct control *control);

#endif
