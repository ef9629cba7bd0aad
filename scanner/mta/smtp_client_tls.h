/* What TLS with a next hop must show, and what it showed. Private to smtp_client*.c. */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_CLIENT_TLS_H
#define GATEHOUSE_SCANNER_MTA_SMTP_CLIENT_TLS_H

#include "scanner/mta/smtp_client.h"

/* The TLS side of a connection to `host`, ready for the handshake; NULL where memory ran out. */
SSL *smtp_tls_new(const struct smtp_client_security *security, const char *host);

/* What is wrong with the certificate that the peer showed, whether or not that ends the handshake:
 * the result type of RFC 8460 section 4.3, or NULL where it is trusted. `reason` (SMTP_REPLY_SIZE
 * bytes) gets OpenSSL's words for it. */
const char *smtp_tls_failure(const SSL *ssl, char *reason);

#endif
