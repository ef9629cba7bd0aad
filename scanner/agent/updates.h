/* When signatures are updated, and what came of it. */
#ifndef GATEHOUSE_SCANNER_AGENT_UPDATES_H
#define GATEHOUSE_SCANNER_AGENT_UPDATES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct agent;

struct updates {
    bool wanted; /* somebody asked for one now */
    bool running;
    int64_t last_run, last_success; /* since 1970, the end of each; 0: never */
    char version[32];
    char problem[301]; /* of the last run; "" where it worked */
};

/* Takes up what an earlier agent of this host wrote down. */
void updates_open(struct agent *agent);

/* {"program":B,"running":B,"last_run":ISO,"last_success":ISO,"version":S,"error":S}; what is not
 * known is left out. New reference, NULL when memory ran out. */
json_t *updates_status(struct agent *agent);

/* The answer to {"op":"update_signatures"}: the run begins within a second. */
json_t *updates_request(struct agent *agent, const json_t *request);

#endif
