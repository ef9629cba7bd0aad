/* From a route to its hosts. */
#include "scanner/mta/destination.h"

#include "common/timestamp.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MX_NAMES 64        /* of a domain that are read */
#define MX_NAMES_USED 16   /* the best of them, whose addresses are looked up */
#define ADDRESSES_A_NAME 8 /* of a name that are kept */
#define OWN_LISTENERS 64
#define RELAY_LITERAL_MS (3600 * 1000)

const char destination_no_mx[] =
    "421 4.4.0 [internal] no MXs for this domain could be reached at this time";
const char destination_no_servers[] = "421 4.4.0 [internal] failed to connect: no mail servers for "
                                      "this domain could be reached at this time";

struct lookup;

struct lookup_name {
    struct lookup *lookup;
    char name[DOMAIN_SIZE];
    unsigned preference;
    uint16_t port;
};

struct lookup {
    struct resolver *resolver;
    destination_callback callback;
    void *argument;
    struct destination_route route;
    char own_name[DOMAIN_SIZE];
    size_t own_listener_count;
    struct config_listener own_listeners[OWN_LISTENERS];
    bool implicit_mx;
    unsigned pending;
    enum resolver_status worst;
    struct destination_hosts *hosts;
    size_t name_count;
    struct lookup_name names[MX_NAMES];
};

/* --- ends --- */

static void finish(struct lookup *lookup)
{
    struct destination_hosts *hosts = lookup->hosts;
    destination_callback callback = lookup->callback;
    void *argument = lookup->argument;
    free(lookup);
    callback(argument, hosts);
}

static void fail(struct lookup *lookup, int code, const char *status, const char *before,
                 const char *after)
{
    struct destination_hosts *hosts = lookup->hosts;
    bool permanent = code >= 500 && !lookup->route.by_administrator;
    hosts->code = permanent || code < 500 ? code : 451;
    snprintf(hosts->reply, sizeof(hosts->reply), "%d %c%s [internal] %s%s%s", hosts->code,
             hosts->code >= 500 ? '5' : '4', status, before, lookup->route.domain, after);
}

static void fail_text(struct lookup *lookup, const char *reply)
{
    lookup->hosts->code = atoi(reply);
    snprintf(lookup->hosts->reply, sizeof(lookup->hosts->reply), "%s", reply);
}

static void fail_without_addresses(struct lookup *lookup)
{
    if (lookup->route.kind == CONFIG_ROUTE_RELAY)
        fail_text(lookup, destination_no_servers);
    else if (!lookup->implicit_mx)
        fail_text(lookup, destination_no_mx);
    else if (lookup->worst == RESOLVER_NO_ANSWER)
        fail(lookup, 451, ".4.3", "the name servers give no answer for the domain ",
             " at this time");
    else
        fail(lookup, 550, ".1.2", "the domain ", " has no mail server");
}

static void fail_as_loop(struct lookup *lookup)
{
    fail(lookup, 554, ".4.6", "mail for the domain ", " loops back to this host");
}

/* --- addresses --- */

static void expire_at(struct lookup *lookup, int64_t expires)
{
    if (expires < lookup->hosts->expires)
        lookup->hosts->expires = expires;
}

static void add_host(struct lookup *lookup, const struct lookup_name *name,
                     const struct ip_address *address)
{
    struct destination_hosts *hosts = lookup->hosts;
    if (hosts->count == DESTINATION_HOSTS)
        return;
    struct destination_host *host = &hosts->hosts[hosts->count++];
    memset(host, 0, sizeof(*host));
    snprintf(host->name, sizeof(host->name), "%s", name->name);
    host->address = *address;
    host->port = name->port;
    host->preference = name->preference;
    host->group = (unsigned)(name - lookup->names);
}

/* --- this host itself --- */

static bool is_any_address(const struct ip_address *address)
{
    static const uint8_t any[16], any_v4[16] = {[10] = 0xff, [11] = 0xff};
    return memcmp(address->bytes, any, 16) == 0 || memcmp(address->bytes, any_v4, 16) == 0;
}

static bool is_address_of_interface(const struct ip_address *address)
{
    struct ifaddrs *list = NULL;
    struct ip_address own;
    bool found = false;
    if (getifaddrs(&list) != 0)
        return false;
    for (struct ifaddrs *at = list; at && !found; at = at->ifa_next)
        found = at->ifa_addr && ip_from_sockaddr(at->ifa_addr, &own, NULL) &&
                memcmp(&own, address, sizeof(own)) == 0;
    freeifaddrs(list);
    return found;
}

static bool is_own(const struct lookup *lookup, const struct destination_host *host)
{
    for (size_t i = 0; i < lookup->own_listener_count; i++) {
        const struct config_listener *own = &lookup->own_listeners[i];
        if (own->port == host->port &&
            (memcmp(&own->address, &host->address, sizeof(own->address)) == 0 ||
             (is_any_address(&own->address) && is_address_of_interface(&host->address))))
            return true;
    }
    return false;
}

/* As drop_own, by address: the name in the MX record may be another one of this host. */
static void drop_own_addresses(struct lookup *lookup)
{
    struct destination_hosts *hosts = lookup->hosts;
    unsigned own = UINT32_MAX;
    size_t kept = 0;
    for (size_t i = 0; i < hosts->count; i++)
        if (hosts->hosts[i].preference < own && is_own(lookup, &hosts->hosts[i]))
            own = hosts->hosts[i].preference;
    for (size_t i = 0; i < hosts->count; i++)
        if (hosts->hosts[i].preference < own)
            hosts->hosts[kept++] = hosts->hosts[i];
    if (kept == 0 && hosts->count > 0)
        fail_as_loop(lookup);
    hosts->count = kept;
}

static void done_one(struct lookup *lookup)
{
    if (--lookup->pending > 0)
        return;
    if (lookup->route.kind == CONFIG_ROUTE_MX)
        drop_own_addresses(lookup);
    if (lookup->hosts->count == 0 && lookup->hosts->code == 0)
        fail_without_addresses(lookup);
    finish(lookup);
}

static void on_addresses(void *argument, const struct resolver_answer *answer)
{
    struct lookup_name *name = argument;
    struct lookup *lookup = name->lookup;
    if (answer->status > lookup->worst)
        lookup->worst = answer->status;
    for (size_t i = 0; i < answer->count && i < ADDRESSES_A_NAME; i++)
        add_host(lookup, name, &answer->records[i].address);
    expire_at(lookup, answer->expires);
    done_one(lookup);
}

static void add_name(struct lookup *lookup, const char *name, unsigned preference, uint16_t port)
{
    if (lookup->name_count == MX_NAMES)
        return;
    struct lookup_name *to = &lookup->names[lookup->name_count++];
    to->lookup = lookup;
    snprintf(to->name, sizeof(to->name), "%s", name);
    to->preference = preference;
    to->port = port;
}

/* Ends the lookup where nothing has to be asked. */
static void find_addresses(struct lookup *lookup)
{
    struct ip_address address;
    lookup->pending++;
    for (size_t i = 0; i < lookup->name_count; i++) {
        struct lookup_name *name = &lookup->names[i];
        if (ip_parse(name->name, &address)) {
            add_host(lookup, name, &address);
            continue;
        }
        lookup->pending++;
        resolver_find_addresses(lookup->resolver, name->name, on_addresses, name);
    }
    done_one(lookup);
}

/* --- MX --- */

static int by_preference(const void *a, const void *b)
{
    const struct lookup_name *one = a, *other = b;
    return (one->preference > other->preference) - (one->preference < other->preference);
}

/* A host that finds itself in the list must leave out its own preference and all above it, else two
 * hosts would pass mail to and fro (RFC 5321 section 5.1). False where nothing remains. */
static bool drop_own(struct lookup *lookup)
{
    size_t kept = 0;
    unsigned own = UINT32_MAX;
    for (size_t i = 0; i < lookup->name_count; i++)
        if (strcasecmp(lookup->names[i].name, lookup->own_name) == 0 &&
            lookup->names[i].preference < own)
            own = lookup->names[i].preference;
    for (size_t i = 0; i < lookup->name_count; i++)
        if (lookup->names[i].preference < own)
            lookup->names[kept++] = lookup->names[i];
    lookup->name_count = kept < MX_NAMES_USED ? kept : MX_NAMES_USED;
    return kept > 0;
}

static void start_mx_hosts(struct lookup *lookup)
{
    qsort(lookup->names, lookup->name_count, sizeof(lookup->names[0]), by_preference);
    if (!drop_own(lookup)) {
        fail_as_loop(lookup);
        finish(lookup);
        return;
    }
    find_addresses(lookup);
}

static bool is_null_mx(const struct resolver_answer *answer)
{
    return answer->count == 1 && answer->records[0].name[0] == '\0';
}

static void add_mx_names(struct lookup *lookup, const struct resolver_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        if (answer->records[i].name[0] != '\0')
            add_name(lookup, answer->records[i].name, answer->records[i].preference,
                     lookup->route.port);
}

static void on_mx(void *argument, const struct resolver_answer *answer)
{
    struct lookup *lookup = argument;
    expire_at(lookup, answer->expires);
    switch (answer->status) {
    case RESOLVER_FOUND:
        if (is_null_mx(answer))
            fail(lookup, 556, ".1.10", "the domain ", " takes no mail (null MX)");
        else
            add_mx_names(lookup, answer);
        break;
    case RESOLVER_NO_DATA:
        lookup->implicit_mx = true;
        add_name(lookup, lookup->route.domain, 0, lookup->route.port);
        break;
    case RESOLVER_NO_NAME:
        fail(lookup, 550, ".1.2", "the domain ", " does not exist");
        break;
    default:
        fail(lookup, 451, ".4.3", "the name servers give no answer for the domain ",
             " at this time");
    }
    if (lookup->hosts->code != 0)
        finish(lookup);
    else
        start_mx_hosts(lookup);
}

/* --- start --- */

void destination_find_hosts(struct resolver *resolver, const struct scanner_config *config,
                            const struct destination_route *route, destination_callback callback,
                            void *argument)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    struct destination_hosts *hosts = calloc(1, sizeof(*hosts));
    if (!lookup || !hosts)
        abort();
    lookup->resolver = resolver;
    lookup->callback = callback;
    lookup->argument = argument;
    lookup->route = *route;
    lookup->hosts = hosts;
    hosts->expires = timestamp_monotonic_ms() + RELAY_LITERAL_MS;
    snprintf(lookup->own_name, sizeof(lookup->own_name), "%s", config->host_name);
    for (size_t i = 0; i < config->inbound.listener_count && i < OWN_LISTENERS; i++)
        lookup->own_listeners[lookup->own_listener_count++] = config->inbound.listeners[i];
    if (route->kind == CONFIG_ROUTE_MX) {
        resolver_find_mx(resolver, route->domain, on_mx, lookup);
        return;
    }
    for (size_t i = 0; i < route->relay_count; i++)
        add_name(lookup, route->relays[i].host, (unsigned)i, route->relays[i].port);
    find_addresses(lookup);
}

/* --- order --- */

struct rank {
    bool avoided;
    unsigned preference;
    uint32_t group_draw;
    bool is_v4;
    uint32_t draw;
    uint8_t index;
};

static int compare(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int by_rank(const void *a, const void *b)
{
    const struct rank *one = a, *other = b;
    int order = compare(one->avoided, other->avoided);
    if (order == 0)
        order = compare(one->preference, other->preference);
    if (order == 0)
        order = compare(one->group_draw, other->group_draw);
    if (order == 0)
        order = compare(one->is_v4, other->is_v4);
    return order != 0 ? order : compare(one->draw, other->draw);
}

void destination_order(const struct destination_hosts *hosts, int64_t now,
                       uint8_t order[DESTINATION_HOSTS])
{
    struct rank ranks[DESTINATION_HOSTS];
    uint32_t group_draws[MX_NAMES_USED];
    for (size_t i = 0; i < MX_NAMES_USED; i++)
        group_draws[i] = arc4random();
    for (size_t i = 0; i < hosts->count; i++) {
        const struct destination_host *host = &hosts->hosts[i];
        ranks[i] = (struct rank){.avoided = host->avoid_until > now,
                                 .preference = host->preference,
                                 .group_draw = group_draws[host->group],
                                 .is_v4 = ip_is_v4(&host->address),
                                 .draw = arc4random(),
                                 .index = (uint8_t)i};
    }
    qsort(ranks, hosts->count, sizeof(ranks[0]), by_rank);
    for (size_t i = 0; i < hosts->count; i++)
        order[i] = ranks[i].index;
}
