/* TLS of a connection to an LDAP server, by OpenSSL. libldap's own, where it is built with GnuTLS,
 * waits for a silent server without end, whatever the time limit. */
#ifndef GATEHOUSE_COMMON_LDAP_LDAP_TLS_H
#define GATEHOUSE_COMMON_LDAP_LDAP_TLS_H

#include "common/error.h"

#include <ldap.h>
#include <stdbool.h>
#include <stdint.h>

/* Shakes hands over the socket of `ld`, which must be connected, and has all further messages go
 * through TLS. The server's certificate must be for `host` (a name or an IP address) and come from
 * one of the authorities in `ca` (PEM; NULL: those that the system trusts). False with *error; the
 * connection is of no use then. */
bool ldap_tls_start(LDAP *ld, const char *host, const char *ca, int64_t until, struct error *error);

#endif
