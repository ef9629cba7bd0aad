/* DNS lookups for deliveries: MX, addresses, TLSA and TXT, cached by their TTL, over c-ares on the
 * event loop.
 *
 * DNSSEC is left to the name servers: each query sets the AD bit (RFC 6840 section 5.7), and an
 * answer counts as `secure` where the server sets it too. That means something only where the
 * configured servers validate and are reached a trusted way (the configuration says so); bogus
 * answers come as SERVFAIL from such a server, and so as RESOLVER_NO_ANSWER.
 * The environment variable GATEHOUSE_DNS_PORT names another port than 53 (for tests). */
#ifndef GATEHOUSE_SCANNER_MTA_RESOLVER_H
#define GATEHOUSE_SCANNER_MTA_RESOLVER_H

#include "common/address.h"
#include "common/error.h"
#include "common/ip.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct resolver;

enum resolver_status {
    RESOLVER_FOUND,     /* count >= 1 */
    RESOLVER_NO_DATA,   /* the name exists, such records do not */
    RESOLVER_NO_NAME,   /* NXDOMAIN */
    RESOLVER_NO_ANSWER, /* no server could say it at this time */
};

struct resolver_record {
    uint16_t preference;       /* MX */
    char name[DOMAIN_SIZE];    /* MX: normalised; "" is the root, a null MX (RFC 7505) */
    struct ip_address address; /* addresses */
    /* TLSA: the record's data. TXT: its strings, joined. Inside the answer. */
    const unsigned char *data;
    size_t data_length;
};

struct resolver_answer {
    enum resolver_status status;
    bool secure;                 /* whole answer, aliases too */
    char canonical[DOMAIN_SIZE]; /* the name at the end of the aliases */
    int64_t expires;             /* monotonic milliseconds */
    size_t count;
    struct resolver_record records[];
};

/* The answer is borrowed for the call. */
typedef void (*resolver_callback)(void *argument, const struct resolver_answer *answer);

/* No servers: those of the system. NULL with *error. */
struct resolver *resolver_new(struct event_base *base, const struct ip_address *servers,
                              size_t server_count, struct error *error);
/* Other servers from now on; lookups under way begin again there. False leaves all as it was. */
bool resolver_set_servers(struct resolver *resolver, const struct ip_address *servers,
                          size_t server_count, struct error *error);
/* Who waits gets RESOLVER_NO_ANSWER, and so does who asks again because of that. */
void resolver_free(struct resolver *resolver);

/* `name` is a normalised domain name. The callback may come before the function returns. CNAMEs are
 * followed. */
void resolver_find_mx(struct resolver *resolver, const char *name, resolver_callback callback,
                      void *argument);
/* `name` is "_25._tcp.host.example" or the like, in lower case. */
void resolver_find_tlsa(struct resolver *resolver, const char *name, resolver_callback callback,
                        void *argument);
void resolver_find_text(struct resolver *resolver, const char *name, resolver_callback callback,
                        void *argument);
/* The system's hosts file is asked before the DNS. */
void resolver_find_addresses(struct resolver *resolver, const char *name,
                             resolver_callback callback, void *argument);

#endif
