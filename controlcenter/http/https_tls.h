/* The TLS of the HTTPS transport: what it is configured with, and who the client is. */
#ifndef GATEHOUSE_CONTROLCENTER_HTTP_HTTPS_TLS_H
#define GATEHOUSE_CONTROLCENTER_HTTP_HTTPS_TLS_H

#include "controlcenter/http/http.h"

#include <gnutls/gnutls.h>

/* TLS 1.2 and 1.3, forward secrecy, authenticated ciphers. */
#define HTTPS_PRIORITIES                                                                           \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-DHE-RSA:-CIPHER-ALL:+AES-256-GCM:"           \
    "+CHACHA20-POLY1305:+AES-128-GCM:%SERVER_PRECEDENCE"

/* Checks key, certificate, client CA and priorities, because libmicrohttpd does not say which of
 * them it cannot use. */
bool https_tls_check(const struct http_server_options *options, struct error *error);

/* The common name of the client's certificate where it verifies against the client CA for use by a
 * client at this moment; "" otherwise (none sent, another CA, expired, several or strange names).
 */
void https_client_name(gnutls_session_t session, char *name, size_t size);

#endif
