/* What the threads of the agent share. */
#ifndef GATEHOUSE_SCANNER_AGENT_AGENT_PRIVATE_H
#define GATEHOUSE_SCANNER_AGENT_AGENT_PRIVATE_H

#include "common/stop.h"
#include "scanner/agent/agent.h"
#include "scanner/agent/https_client.h"
#include "scanner/agent/node.h"
#include "scanner/agent/updates.h"

#include <jansson.h>
#include <pthread.h>
#include <stdint.h>

#define AGENT_THREADS 5

struct agent {
    char state[NODE_PATH_SIZE];
    struct node node;
    struct stop stop;
    pthread_t threads[AGENT_THREADS];

    pthread_mutex_t lock; /* guards the rest: how threads are, for the status */
    char stream[65];
    int64_t sent_seq; /* the Control Center has everything up to here */
    char event_problem[641];
    struct updates updates;
};

/* The bodies of the threads; they return once the stop is requested. */
void *poll_run(void *agent);
void *event_sender_run(void *agent);
void *handover_run(void *agent);
void *requests_run(void *agent);
void *updates_run(void *agent);

/* Has the process `target` answer `request` where that is an operation that the Control Center may
 * ask for, else an error: {"ok":false,"error":TEXT}. The caller owns the reply; NULL only when
 * memory ran out. */
json_t *requests_pass_on(const char *state, const char *target, const json_t *request);

/* Says a problem once, when it begins or changes, and when it is over; `last` is the caller's
 * memory of it. A Control Center that is away for a day must not fill the log. */
void agent_note_problem(const char *what, const struct error *error, char last[641]);

#endif
