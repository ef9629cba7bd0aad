/* Where a recipient's mail goes: its route, and the hosts of a route (RFC 5321 section 5.1). */
#ifndef GATEHOUSE_SCANNER_MTA_DESTINATION_H
#define GATEHOUSE_SCANNER_MTA_DESTINATION_H

#include "common/config_model.h"
#include "scanner/mta/queue.h"
#include "scanner/mta/resolver.h"
#include "scanner/mta/tlsa.h"

#define DESTINATION_RELAYS 16
#define DESTINATION_HOSTS 32 /* addresses that are kept of one destination */
#define DESTINATION_NAMES 16 /* host names whose addresses are looked up */
#define DESTINATION_REPLY_SIZE 512
#define DESTINATION_ROUTE_LIMIT 300 /* bytes of a recipient's own route */

struct destination_route {
    enum config_route_kind kind;
    bool by_administrator;    /* a fault of it never bounces mail */
    char domain[DOMAIN_SIZE]; /* MX: whose */
    uint16_t port;            /* MX */
    size_t relay_count;
    struct config_relay relays[DESTINATION_RELAYS];
    bool share, relays_have_mx;   /* as in struct config_route */
    enum config_delivery_tls tls; /* never INHERIT */
    bool unpoliced; /* neither DANE nor MTA-STS counts (RFC 8460 section 3: reports about them) */
    const char *user, *password; /* of AUTH, borrowed from the configuration; NULL: none */
};

/* The route of a recipient, with the TLS that it needs: its own one where an administrator set it,
 * else that of its domain, else the default. Its own is "HOST", "HOST:PORT" or "[ADDRESS]:PORT" for
 * a relay, and "mx:DOMAIN" or "mx:DOMAIN:PORT" for the hosts of DOMAIN's MX records; "mx" alone
 * means the recipient's domain. Returns NULL, or the reply with which the recipient fails. */
const char *destination_find_route(const struct scanner_config *config,
                                   const struct queue_recipient *recipient,
                                   struct destination_route *route);

/* Whether who is reached at the address is on this host, whatever listens where: the loopback and
 * the unspecified addresses. Strangers name hosts by MX records and address literals, and must not
 * reach what trusts this host; an administrator's relay may be there. The environment variable
 * GATEHOUSE_MX_AT_LOOPBACK says that none is (for tests). */
bool destination_is_this_host(const struct ip_address *address);

/* Whether `text` is a route of its own that a recipient may be given: NULL, or what is wrong. */
const char *destination_check_route(const char *text);

/* One text for each route; equal routes have the same. The caller frees it. Not for logs: the
 * password is part of it. */
char *destination_key(const struct destination_route *route);
/* The domain or the first relay, for logs. Returns text. */
const char *destination_label(const struct destination_route *route, char text[DOMAIN_SIZE + 8]);

struct destination_host {
    char name[DOMAIN_SIZE]; /* the address as text where there is no name */
    struct ip_address address;
    uint16_t port;
    unsigned relay;      /* index of the route's relay that it stands for */
    unsigned preference; /* lower is tried first */
    unsigned group;      /* hosts of one name have the same; below DESTINATION_NAMES */
    int64_t avoid_until; /* monotonic milliseconds; it failed a moment ago */
    int64_t clear_until; /* its TLS handshake failed a moment ago */
};

enum destination_dane {
    DESTINATION_DANE_NONE,   /* the name has no TLSA records that can be trusted */
    DESTINATION_DANE_FOUND,  /* it has */
    DESTINATION_DANE_FAILED, /* that is not known: nothing may be sent to it (RFC 7672 section 2.1)
                              */
};

struct destination_hosts {
    int64_t expires; /* monotonic milliseconds */
    bool share, ipv4_first;
    int code; /* 0: there are hosts; else that of the reply that says why there are none */
    char reply[DESTINATION_REPLY_SIZE];
    size_t count;
    struct destination_host hosts[DESTINATION_HOSTS];
    enum destination_dane dane[DESTINATION_NAMES]; /* by group */
    struct tlsa_set *tlsa[DESTINATION_NAMES];      /* where found */
};

/* NULL is allowed. */
void destination_hosts_free(struct destination_hosts *hosts);

/* `hosts` is handed over. */
typedef void (*destination_callback)(void *argument, struct destination_hosts *hosts);

/* Looks the hosts of a route up. `config` names this host, which is never a destination of MX
 * records. The callback may come before the function returns. */
void destination_find_hosts(struct resolver *resolver, const struct scanner_config *config,
                            const struct destination_route *route, destination_callback callback,
                            void *argument);

/* The order in which a new connection tries the hosts: by relay (or these shuffled, where they
 * share the load), by preference, shuffled among equals, the preferred family of one name first;
 * those that failed a moment ago last. */
void destination_order(const struct destination_hosts *hosts, int64_t now,
                       uint8_t order[DESTINATION_HOSTS]);

extern const char destination_no_mx[];      /* no host of the MX records is reachable */
extern const char destination_no_servers[]; /* no relay is, or none answers in time */

#endif
