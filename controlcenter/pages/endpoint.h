/* How people write a host or address with a port. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_ENDPOINT_H
#define GATEHOUSE_CONTROLCENTER_PAGES_ENDPOINT_H

#include "common/address.h"

#include <stdbool.h>

#define ENDPOINT_TEXT_SIZE (DOMAIN_SIZE + 16)

struct endpoint {
    char host[DOMAIN_SIZE]; /* not checked; IPv6 without brackets */
    int port;
};

/* "host:port", "[IPv6]:port" and, where default_port is above 0, "host", "[IPv6]" or a bare IPv6
 * address. False where the form is none of these or the port is not 1 to 65535. */
bool endpoint_parse(const char *text, int default_port, struct endpoint *endpoint);
/* What endpoint_parse reads; the port is always there. Returns text (ENDPOINT_TEXT_SIZE bytes). */
const char *endpoint_text(const char *host, int port, char *text);

#endif
