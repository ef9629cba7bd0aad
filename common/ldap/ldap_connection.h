/* A connection to one LDAP server: opening it with TLS, binding, searching, each within a time. */
#ifndef GATEHOUSE_COMMON_LDAP_LDAP_CONNECTION_H
#define GATEHOUSE_COMMON_LDAP_LDAP_CONNECTION_H

#include "common/config_model.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LDAP_DN_MOST 4096            /* bytes */
#define LDAP_VALUES_MOST 512         /* of one entry */
#define LDAP_VALUE_MOST 1024         /* bytes; longer ones are left out */
#define LDAP_MESSAGE_MOST (1u << 20) /* bytes of one message of a server */

struct ldap_connection;

/* How far opening a connection came. */
enum ldap_stage { LDAP_STAGE_CONNECT, LDAP_STAGE_TLS, LDAP_STAGE_BIND, LDAP_STAGE_OPEN };

/* Connects, starts TLS where the source says so, and binds as the source's DN where it has one.
 * NULL with *error and the stage that failed (`stage` may be NULL). `until` is a
 * timestamp_monotonic_ms. */
struct ldap_connection *ldap_connection_open(const struct config_directory_source *source,
                                             const char *server, int64_t until,
                                             enum ldap_stage *stage, struct error *error);
/* NULL is allowed. */
void ldap_connection_close(struct ldap_connection *connection);

enum ldap_bind { LDAP_BIND_DONE, LDAP_BIND_WRONG, LDAP_BIND_FAILED };

/* The same without the source's bind: as `dn`, which must not be empty, with `password`, which must
 * not be either. LDAP_BIND_WRONG: the server does not take them. */
enum ldap_bind ldap_connection_try_password(const struct config_directory_source *source,
                                            const char *server, const char *dn,
                                            const char *password, int64_t until,
                                            struct error *error);

struct ldap_value {
    size_t attribute; /* index of what was asked for */
    char *text;       /* UTF-8 without control characters */
};

struct ldap_entry {
    char *dn;
    struct ldap_value *values;
    size_t value_count;
};

struct ldap_entries {
    struct ldap_entry *list;
    size_t count;
};

struct ldap_search {
    const char *base;
    const char *filter;
    bool base_alone;               /* the base's entry, not what is below it */
    const char *const *attributes; /* NULL-terminated; NULL: none are needed */
    size_t most;                   /* entries; the server is not asked for more */
};

/* False with *error where the search did not end well. Nothing found is no error. The caller frees
 * with ldap_entries_free in every case. */
bool ldap_connection_search(struct ldap_connection *connection, const struct ldap_search *search,
                            int64_t until, struct ldap_entries *entries, struct error *error);
void ldap_entries_free(struct ldap_entries *entries);

#endif
