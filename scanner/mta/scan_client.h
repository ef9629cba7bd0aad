/* The mta's end of run/engine.sock (docs/architecture.md): a few kept connections, each with one
 * message at a time; the rest waits in order. */
#ifndef GATEHOUSE_SCANNER_MTA_SCAN_CLIENT_H
#define GATEHOUSE_SCANNER_MTA_SCAN_CLIENT_H

#include "common/message_id.h"

#include <event2/event.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct scan_client;
struct scan_request;

/* `connections` as many as the engine has workers. It connects when there is work, again and again
 * while the engine is away. */
struct scan_client *scan_client_new(struct event_base *base, const char *socket_path,
                                    int connections);
void scan_client_set_connections(struct scan_client *client, int connections);
void scan_client_free(struct scan_client *client);

struct scan_order {
    struct message_id id;
    int fd;        /* taken over; cannot be written through */
    uint64_t size; /* of the file */
    int seconds;   /* most seconds of the scan itself */
    int wait_ms;   /* most time until an answer; <= 0: no limit */
};

/* `done` gets the engine's result object (borrowed), or NULL where no answer came in time. A
 * message over which a worker died or ran out of time twice has the verdict "unscannable". Never
 * called before this function returned. */
struct scan_request *scan_client_scan(struct scan_client *client, const struct scan_order *order,
                                      void (*done)(void *argument, const json_t *result),
                                      void *argument);

#endif
