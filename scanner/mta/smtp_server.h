/* The SMTP servers of a scanner (RFC 5321): the inbound and the outbound listeners and their
 * sessions. */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_SERVER_H
#define GATEHOUSE_SCANNER_MTA_SMTP_SERVER_H

#include "common/error.h"
#include "scanner/mta/mta.h"

#include <stdbool.h>
#include <stddef.h>

struct smtp_server;

struct smtp_server *smtp_server_new(struct mta *mta);
/* Opens the listeners of mta->config that are not open yet and closes those that are not in it any
 * more; sessions go on with the configuration that they began with. Where a listener cannot be
 * opened none is closed, and *error names its address and port. */
bool smtp_server_configure(struct smtp_server *server, struct error *error);
/* Sessions that are open now. */
size_t smtp_server_sessions(const struct smtp_server *server);
/* Closes listeners and sessions (421). */
void smtp_server_free(struct smtp_server *server);

#endif
