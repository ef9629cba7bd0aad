/* The control socket of the engine: requests {"op":...} by frames of common/ipc.h, never blocking.
 */
#ifndef GATEHOUSE_SCANNER_ENGINE_CONTROL_H
#define GATEHOUSE_SCANNER_ENGINE_CONTROL_H

#include "common/error.h"

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_CLIENTS 32
#define CONTROL_REQUEST_LIMIT (16u << 20) /* custom signatures to try are in one */
#define CONTROL_REPLY_LIMIT (4u << 20) /* a dry run's trace is in one */
/* What a client waits for that is not a generation has a number with this bit. */
#define CONTROL_OTHERS (UINT64_C(1) << 62)

struct control;

/* Answers one request: a new reply, or NULL and *wait_for, the generation whose end of loading the
 * client waits for (control_generation_ended answers it) or, with CONTROL_OTHERS, a number of
 * anything else (control_answer does). */
typedef json_t *(*control_handler)(const json_t *request, uint64_t *wait_for, void *context);

/* Opens the socket at `path`. NULL with *error. */
struct control *control_new(const char *path, control_handler handler, void *context,
                            struct error *error);
/* Closes all and removes the socket. */
void control_free(struct control *control);

/* Adds what is to be polled to `fds` (room for CONTROL_CLIENTS + 1); returns how many. */
size_t control_poll(const struct control *control, struct pollfd *fds);
/* Handles the result of polling those same `count` entries, and closes clients that say nothing. */
void control_handle(struct control *control, const struct pollfd *fds, size_t count);

/* Answers the client that waits for exactly that number; `reply` is borrowed. */
void control_answer(struct control *control, uint64_t number, const json_t *reply);

/* Answers the clients that wait for generation `number` or an earlier one; `reply` is borrowed. */
void control_generation_ended(struct control *control, uint64_t number, const json_t *reply);

#endif
