/* The mta's end of run/engine.sock (docs/architecture.md): a few kept connections, each with one
 * message at a time; the rest waits in order. */
#ifndef GATEHOUSE_SCANNER_MTA_SCAN_CLIENT_H
#define GATEHOUSE_SCANNER_MTA_SCAN_CLIENT_H

#include "common/message_id.h"

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scan_client;
struct scan_request;

/* `connections` as many as the engine has workers. It connects when there is work, again and again
 * while the engine is away. */
struct scan_client *scan_client_new(struct event_base *base, const char *socket_path,
                                    int connections);
/* `changed` is called when workers say that they have other signatures than before, and when the
 * first one says which; a restart of the engine alone is no change. From then on no worker that had
 * the others is given a message, and one connection stands also while there is no work. */
void scan_client_watch_signatures(struct scan_client *client, void (*changed)(void *argument),
                                  void *argument);
/* Keeps messages that get "unscannable" because workers died over them in `folder` (samples.h). */
void scan_client_keep_samples(struct scan_client *client, const char *folder);
void scan_client_set_connections(struct scan_client *client, int connections);
void scan_client_free(struct scan_client *client);

/* What the engine says; all of it is borrowed for the call. Files that it says it sends and does
 * not are missing (-1, or fewer bodies). */
struct scan_answer {
    const json_t *result; /* NULL: no answer came in time */
    int cleaned;          /* the clean file, where the result has "cleaned"; else -1 */
    int policy;           /* the policy's answer, where the result has "policy":true; else -1 */
    const int *bodies;    /* messages that were written anew */
    size_t body_count;
};

typedef void (*scan_done)(void *argument, const struct scan_answer *answer);

struct scan_order {
    struct message_id id;
    int fd;           /* taken over; cannot be written through */
    uint64_t size;    /* of the file */
    int seconds;      /* most seconds of the scan itself */
    uint32_t clean;   /* verdicts of which a clean file is wanted: bits 1 << enum config_verdict */
    int64_t age_ms;   /* since the message was received */
    bool asks_policy; /* the content filters are to be evaluated */
    int envelope;     /* with asks_policy: the envelope as JSON; taken over, as `fd` */
    int wait_ms;      /* most time until an answer; <= 0: no limit */
};

/* `done` is called once. A message over which a worker died or ran out of time twice has the
 * verdict "unscannable", and no policy's answer. Never called before this function returned. */
struct scan_request *scan_client_scan(struct scan_client *client, const struct scan_order *order,
                                      scan_done done, void *argument);

#endif
