/* run/supervisor.sock: requests from the agent and the command line (docs/architecture.md), served
 * without ever blocking the supervisor's loop. */
#ifndef GATEHOUSE_SCANNER_SUPERVISOR_CONTROL_H
#define GATEHOUSE_SCANNER_SUPERVISOR_CONTROL_H

#include "common/buffer.h"
#include "common/error.h"

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CONTROL_CLIENT_MOST 16
#define CONTROL_FRAME_LIMIT 65536 /* bytes of a request */
#define CONTROL_IDLE_MS 10000     /* a client that says nothing for so long is dropped */

/* Answers one request; `peer` is the user on the other side. The value is taken over. */
typedef json_t *(*control_handler)(void *context, const json_t *request, uid_t peer);

struct control_client {
    int fd; /* -1: free */
    uid_t peer;
    int64_t idle_at; /* monotonic milliseconds */
    struct buffer input;
    struct buffer output;
};

struct control {
    int listener;
    struct control_client clients[CONTROL_CLIENT_MOST];
    control_handler handler;
    void *context;
};

bool control_open(struct control *control, const char *path, gid_t group, control_handler handler,
                  void *context, struct error *error);
void control_close(struct control *control);
/* Fills at most 1 + CONTROL_CLIENT_MOST entries and returns their count. */
size_t control_poll_entries(struct control *control, struct pollfd *entries);
/* Serves what poll reported in those entries, and drops idle clients. Returns the monotonic time at
 * which the next client is to be dropped, or INT64_MAX. */
int64_t control_serve(struct control *control, const struct pollfd *entries, size_t count);

#endif
