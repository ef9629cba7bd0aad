/* What opening a connection and searching over it share; not for other folders. */
#ifndef GATEHOUSE_COMMON_LDAP_LDAP_CONNECTION_PRIVATE_H
#define GATEHOUSE_COMMON_LDAP_LDAP_CONNECTION_PRIVATE_H

#include "common/ldap/ldap_connection.h"

#include <ldap.h>
#include <sys/time.h>

struct ldap_connection {
    const struct config_directory_source *source;
    const char *server;
    LDAP *ld;
    struct ldap_conncb callback;
    int64_t open_until;
    char host[512]; /* of the server's address */
    bool is_tls;    /* "ldaps" */
};

/* Sets *error from a result code and the server's own text; returns false. */
bool ldap_connection_fail(LDAP *ld, int code, const char *server, const char *what,
                          struct error *error);
/* Tells libldap how long it may take from now on. False where no time is left. */
bool ldap_connection_set_time(LDAP *ld, int64_t until, struct timeval *left);
/* Waits for the next message that answers request `id`: LDAP_SUCCESS with *message, which the
 * caller frees; otherwise a code, and the request is given up. */
int ldap_connection_wait(LDAP *ld, int id, int64_t until, LDAPMessage **message);

#endif
