/* Where a message came from, as the trace header field and the audit log tell it. */
#ifndef GATEHOUSE_SCANNER_MTA_TRANSACTION_H
#define GATEHOUSE_SCANNER_MTA_TRANSACTION_H

#include "common/ip.h"
#include "scanner/mta/queue.h"

/* Text is borrowed. */
struct transaction {
    enum queue_direction direction;
    struct ip_address peer;
    uint16_t peer_port;
    const char *helo;     /* as given; "" before EHLO or HELO */
    const char *protocol; /* the "with" keyword of RFC 3848 and RFC 6531: "SMTP", "ESMTPS", ... */
    const char *user;     /* who signed in (RFC 4954), or NULL */
    const char *tls;      /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or NULL in clear */
};

#endif
