/* Listening TCP sockets of the transports. */
#ifndef GATEHOUSE_CONTROLCENTER_HTTP_LISTEN_H
#define GATEHOUSE_CONTROLCENTER_HTTP_LISTEN_H

#include "common/error.h"

/* Listens on an IP address and port (0: any, see *bound). "::" takes IPv4 too. The descriptor is
 * non-blocking and close-on-exec; -1 with *error naming address and port. */
int http_listen(const char *address, unsigned port, unsigned *bound, struct error *error);

#endif
