/* The mails that decisions over incidents make. */
#ifndef GATEHOUSE_CONTROLCENTER_INCIDENTS_COMPOSE_H
#define GATEHOUSE_CONTROLCENTER_INCIDENTS_COMPOSE_H

#include "common/buffer.h"
#include "common/error.h"
#include "controlcenter/store/incidents.h"

/* The whole body of an incident's message. ERROR_LIMIT beyond 128 MiB. */
bool incident_read_body(struct store *store, const struct store_incident *incident, size_t most,
                        struct buffer *body, struct error *error);

/* A message to `address` with that of the incident as its attachment (RFC 2046 section 5.2.1). */
bool incident_compose_forward(const struct store_incident *incident, const struct buffer *body,
                              const char *address, struct buffer *mail);
/* What the sender is told of a message that is not delivered (RFC 3464), with the header of the
 * message. `text` may be "". */
bool incident_compose_bounce(const struct store_incident *incident, const struct buffer *body,
                             const char *text, struct buffer *mail);
/* The header fields with the envelope that an archived copy gets. */
bool incident_compose_envelope(const struct store_incident *incident, struct buffer *header);

#endif
