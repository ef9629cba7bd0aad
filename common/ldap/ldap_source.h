/* One directory source of the configuration, asked over LDAP (RFC 4511) by OpenLDAP's libldap.
 *
 * Functions block, at most as long as their time limit says (looking up a server's name aside, for
 * which the system's resolver has its own). What could not be asked is LDAP_ANSWER_UNAVAILABLE, and
 * never LDAP_ANSWER_UNKNOWN: the servers are away, refuse the bind or the search, have no such
 * base, or gave an answer that cannot be used. Referrals are not followed.
 *
 * The primary server is asked first, then the alternates; those that did not answer a moment ago
 * come last, and a server that stands in the list twice is tried once. */
#ifndef GATEHOUSE_COMMON_LDAP_LDAP_SOURCE_H
#define GATEHOUSE_COMMON_LDAP_LDAP_SOURCE_H

#include "common/address.h"
#include "common/config_model.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LDAP_GROUPS_MOST 256     /* of one address; more are left out */
#define LDAP_GROUP_NAME_MOST 160 /* bytes; longer names are left out */

struct ldap_source;  /* what is known of its servers; used by any number of threads at once */
struct ldap_session; /* a connection that is kept between questions; used by one thread */

enum ldap_answer {
    LDAP_ANSWER_KNOWN,
    LDAP_ANSWER_UNKNOWN,
    LDAP_ANSWER_UNAVAILABLE,
};

struct ldap_routing {
    char address[ADDRESS_SIZE];  /* "": the mail's own */
    char route[DOMAIN_SIZE + 8]; /* "HOST" or "HOST:PORT" (IPv6 in brackets); "": none */
};

struct ldap_groups {
    char **names;
    size_t count;
};

/* `config` is borrowed and must outlive the source. NULL when memory ran out. */
struct ldap_source *ldap_source_new(const struct config_directory_source *config);
void ldap_source_free(struct ldap_source *source);

/* A server answered the last time that one was asked; true before the first question. */
bool ldap_source_answers(struct ldap_source *source);

/* Connects with its first question. For one thread at a time; `source` outlives it. NULL: out of
 * memory. */
struct ldap_session *ldap_session_new(struct ldap_source *source);
void ldap_session_free(struct ldap_session *session); /* NULL is allowed */

/* Each asks with one filter of the configuration, which must be there, and sets *error where the
 * answer is LDAP_ANSWER_UNAVAILABLE. `until` is the latest time (timestamp_monotonic_ms); the
 * source's own timeout holds too.
 *
 * Whether any entry matches. */
enum ldap_answer ldap_session_recipient(struct ldap_session *session, const char *address,
                                        int64_t until, struct error *error);
/* KNOWN with *routing where exactly one entry matches; two are UNAVAILABLE, and so is a value that
 * is no host or no address. */
enum ldap_answer ldap_session_routing(struct ldap_session *session, const char *address,
                                      int64_t until, struct ldap_routing *routing,
                                      struct error *error);
/* KNOWN where exactly one entry matches and the server takes the password for its DN. The empty
 * password is always UNKNOWN, as servers take it for a request to be nobody (RFC 4513 section
 * 5.1.2). `name` is the user's name as the entry has it: the first value of the first attribute
 * that the filter compares, in lower case. */
enum ldap_answer ldap_session_password(struct ldap_session *session, const char *user,
                                       const char *password, int64_t until, char name[ADDRESS_SIZE],
                                       struct error *error);
/* The groups of an address; KNOWN where there are any. Where the filter has %D, the entries are
 * those that the recipients' filter finds (else the routing's, else the authentication's). Free
 * with ldap_groups_free. */
enum ldap_answer ldap_session_groups(struct ldap_session *session, const char *address,
                                     int64_t until, struct ldap_groups *groups,
                                     struct error *error);
void ldap_groups_free(struct ldap_groups *groups);

/* Tells step by step what works, for a person who sets the source up. Each server is given at most
 * ten seconds. `address` is one to look up, or NULL or "" for none. *report, which the caller owns:
 *
 * {"ok":B,"servers":[{"server":URI,"ok":B,"steps":[
 *    {"step":"connect"|"tls"|"bind"|"base"|"recipients"|"routing"|"authentication"|"groups","ok":B,
 *     "count":N (entries found; of the last five),"detail":S (what a person should know; may be
 *     "")}]}]}
 *
 * A step is there where it was tried; the first four have to work before the others are. An address
 * that is not found is no failure: its count is 0. False with *error only where the test could not
 * be made at all. */
bool ldap_source_test(const struct config_directory_source *config, const char *address,
                      json_t **report, struct error *error);

#endif
