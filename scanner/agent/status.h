/* How the processes of this host are, as the Control Center is told. */
#ifndef GATEHOUSE_SCANNER_AGENT_STATUS_H
#define GATEHOUSE_SCANNER_AGENT_STATUS_H

#include <jansson.h>

/* {"mta":REPLY,"engine":REPLY,"directory":REPLY,"supervisor":REPLY}: what each answers to "status",
 * or "unknown" where it gives no answer within 2 s. The caller owns the value; NULL only when memory
 * ran out. */
json_t *status_gather(const char *state);

#endif
