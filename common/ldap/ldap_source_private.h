/* What the files of a source share; not for other folders. */
#ifndef GATEHOUSE_COMMON_LDAP_LDAP_SOURCE_PRIVATE_H
#define GATEHOUSE_COMMON_LDAP_LDAP_SOURCE_PRIVATE_H

#include "common/ldap/ldap_connection.h"
#include "common/ldap/ldap_source.h"

#define LDAP_SERVERS_MOST 8

struct ldap_session {
    struct ldap_source *source;
    struct ldap_connection *connection; /* NULL: none is kept */
    const char *server;                 /* its URI, borrowed of the configuration */
    int64_t used_at;
};

const struct config_directory_source *ldap_source_config(const struct ldap_source *source);

/* The servers without those that stand there twice; returns how many. */
size_t ldap_source_distinct(const struct config_directory_source *config,
                            const char *servers[LDAP_SERVERS_MOST]);

/* Searches over the kept connection or, where that is none any more, over a new one to the first
 * server that answers. False with *error where no server gave an answer within `until` and the
 * source's timeout. The caller frees *entries in every case. */
bool ldap_session_search(struct ldap_session *session, const struct ldap_search *search,
                         int64_t until, struct ldap_entries *entries, struct error *error);

#endif
