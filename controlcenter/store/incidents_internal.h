/* What the other files of this folder need of incidents. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_INCIDENTS_INTERNAL_H
#define GATEHOUSE_CONTROLCENTER_STORE_INCIDENTS_INTERNAL_H

#include "controlcenter/store/store_internal.h"

/* Writes the incident of a message that is there as a whole, within the transaction of
 * store_message_complete. `message_id` is the one that it is handed over and kept by (UUID), `info`
 * what came with it (docs/architecture.md), `size` its bytes. What `info` lacks or what breaks its
 * form is left empty: a message that is held must not be lost for it. Done twice it is done once.
 */
bool store_incident_insert(PGconn *connection, const char *message_id, const char *scanner_id,
                           const json_t *info, int64_t size, struct error *error);

#endif
