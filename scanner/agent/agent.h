/* The agent: the scanner's channel to the Control Center. One thread polls (status up,
 * configuration down), one carries audit events, one the messages
 * that are handed over, one passes requests of the console on, one keeps
 * the signatures up to date. */
#ifndef GATEHOUSE_SCANNER_AGENT_AGENT_H
#define GATEHOUSE_SCANNER_AGENT_AGENT_H

#include "common/error.h"

struct agent;

/* Starts the threads for an enrolled state directory. NULL with ERROR_NOT_FOUND where it is not
 * enrolled. The Control Center may be away. */
struct agent *agent_start(const char *state, struct error *error);
/* Ends the threads (within about a second) and frees the agent. */
void agent_stop(struct agent *agent);

#endif
