/* From a route to its hosts. */
#include "scanner/mta/destination.h"

#include "common/timestamp.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MX_NAMES 64        /* of a domain that are read */
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
    unsigned relay, preference;
    uint16_t port;
    bool secure; /* it came out of an answer that was validated, or out of the configuration */
    char canonical[DOMAIN_SIZE];
};

struct lookup_relay {
    struct lookup *lookup;
    unsigned index;
};

struct lookup {
    struct resolver *resolver;
    destination_callback callback;
    void *argument;
    struct destination_route route;
    char own_name[DOMAIN_SIZE];
    size_t own_listener_count;
    struct config_listener own_listeners[OWN_LISTENERS];
    bool implicit_mx, dane;
    bool other_family; /* addresses were left out because of their family */
    enum config_ip_preference ip_preference;
    unsigned pending;
    enum resolver_status worst;
    struct destination_hosts *hosts;
    size_t name_count;
    struct lookup_name names[MX_NAMES];
    struct lookup_relay relays[DESTINATION_RELAYS];
};

void destination_hosts_free(struct destination_hosts *hosts)
{
    for (size_t i = 0; hosts && i < DESTINATION_NAMES; i++)
        free(hosts->tlsa[i]);
    free(hosts);
}

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
    else if (!lookup->implicit_mx || lookup->other_family)
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
    bool v4 = ip_is_v4(address);
    if ((lookup->ip_preference == CONFIG_IPV4_ONLY && !v4) ||
        (lookup->ip_preference == CONFIG_IPV6_ONLY && v4)) {
        lookup->other_family = true;
        return;
    }
    if (hosts->count == DESTINATION_HOSTS)
        return;
    struct destination_host *host = &hosts->hosts[hosts->count++];
    memset(host, 0, sizeof(*host));
    snprintf(host->name, sizeof(host->name), "%s", name->name);
    host->address = *address;
    host->port = name->port;
    host->relay = name->relay;
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
    if (destination_is_this_host(&host->address))
        return true;
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

/* --- TLSA records --- */

static void find_tlsa(struct lookup_name *name, const char *base, resolver_callback callback)
{
    char owner[DOMAIN_SIZE + 16];
    snprintf(owner, sizeof(owner), "_%u._tcp.%s", (unsigned)name->port, base);
    name->lookup->pending++;
    resolver_find_tlsa(name->lookup->resolver, owner, callback, name);
}

/* True where it is known now whether the name has records. */
static bool take_tlsa(struct lookup_name *name, const struct resolver_answer *answer,
                      const char *base)
{
    struct tlsa_record records[TLSA_RECORDS];
    struct destination_hosts *hosts = name->lookup->hosts;
    size_t group = (size_t)(name - name->lookup->names), count = 0;
    expire_at(name->lookup, answer->expires);
    if (answer->status == RESOLVER_NO_ANSWER)
        hosts->dane[group] = DESTINATION_DANE_FAILED;
    if (answer->status != RESOLVER_FOUND || !answer->secure)
        return answer->status == RESOLVER_NO_ANSWER;
    for (size_t i = 0; i < answer->count && count < TLSA_RECORDS; i++)
        count +=
            tlsa_read(answer->records[i].data, answer->records[i].data_length, &records[count]);
    hosts->dane[group] = DESTINATION_DANE_FOUND;
    hosts->tlsa[group] = tlsa_set_new(base, records, count);
    return true;
}

static void on_tlsa(void *argument, const struct resolver_answer *answer)
{
    struct lookup_name *name = argument;
    struct lookup *lookup = name->lookup;
    take_tlsa(name, answer, name->name);
    done_one(lookup);
}

/* A host that is an alias may have its records at either name (RFC 7672 section 2.2.2). */
static void on_canonical_tlsa(void *argument, const struct resolver_answer *answer)
{
    struct lookup_name *name = argument;
    struct lookup *lookup = name->lookup;
    if (!take_tlsa(name, answer, name->canonical) && strcmp(name->canonical, name->name) != 0)
        find_tlsa(name, name->name, on_tlsa);
    done_one(lookup);
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
    if (lookup->dane && name->secure && answer->status == RESOLVER_FOUND && answer->secure) {
        snprintf(name->canonical, sizeof(name->canonical), "%s", answer->canonical);
        find_tlsa(name, name->canonical, on_canonical_tlsa);
    }
    done_one(lookup);
}

static void add_name(struct lookup *lookup, const struct lookup_name *name)
{
    if (lookup->name_count == MX_NAMES)
        return;
    struct lookup_name *to = &lookup->names[lookup->name_count++];
    *to = *name;
    to->lookup = lookup;
}

static struct lookup_name name_of(const char *text, unsigned relay, unsigned preference,
                                  uint16_t port, bool secure)
{
    struct lookup_name name = {
        .relay = relay, .preference = preference, .port = port, .secure = secure};
    snprintf(name.name, sizeof(name.name), "%s", text);
    return name;
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
    if (one->relay != other->relay)
        return one->relay < other->relay ? -1 : 1;
    return (one->preference > other->preference) - (one->preference < other->preference);
}

static void keep_best_names(struct lookup *lookup)
{
    qsort(lookup->names, lookup->name_count, sizeof(lookup->names[0]), by_preference);
    if (lookup->name_count > DESTINATION_NAMES)
        lookup->name_count = DESTINATION_NAMES;
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
    lookup->name_count = kept;
    return kept > 0;
}

static void start_mx_hosts(struct lookup *lookup)
{
    if (!drop_own(lookup)) {
        fail_as_loop(lookup);
        finish(lookup);
        return;
    }
    keep_best_names(lookup);
    find_addresses(lookup);
}

static bool is_null_mx(const struct resolver_answer *answer)
{
    return answer->count == 1 && answer->records[0].name[0] == '\0';
}

static void add_mx_names(struct lookup *lookup, const struct resolver_answer *answer,
                         unsigned relay, uint16_t port)
{
    for (size_t i = 0; i < answer->count; i++) {
        const struct resolver_record *record = &answer->records[i];
        struct lookup_name name =
            name_of(record->name, relay, record->preference, port, answer->secure);
        if (record->name[0] != '\0')
            add_name(lookup, &name);
    }
}

static void add_implicit_mx(struct lookup *lookup, const char *domain, unsigned relay,
                            uint16_t port)
{
    struct lookup_name name = name_of(domain, relay, 0, port, true);
    add_name(lookup, &name);
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
            add_mx_names(lookup, answer, 0, lookup->route.port);
        break;
    case RESOLVER_NO_DATA:
        lookup->implicit_mx = true;
        add_implicit_mx(lookup, lookup->route.domain, 0, lookup->route.port);
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

/* --- relays --- */

static void done_relay(struct lookup *lookup)
{
    if (--lookup->pending > 0)
        return;
    keep_best_names(lookup);
    find_addresses(lookup);
}

/* A relay that is a domain: what is wrong with its MX records concerns us, and bounces no mail. */
static void on_relay_mx(void *argument, const struct resolver_answer *answer)
{
    const struct lookup_relay *at = argument;
    struct lookup *lookup = at->lookup;
    const struct config_relay *relay = &lookup->route.relays[at->index];
    expire_at(lookup, answer->expires);
    if (answer->status == RESOLVER_FOUND)
        add_mx_names(lookup, answer, at->index, relay->port);
    else if (answer->status == RESOLVER_NO_DATA)
        add_implicit_mx(lookup, relay->host, at->index, relay->port);
    done_relay(lookup);
}

static void find_relays(struct lookup *lookup)
{
    struct ip_address address;
    lookup->pending++;
    for (size_t i = 0; i < lookup->route.relay_count; i++) {
        const struct config_relay *relay = &lookup->route.relays[i];
        lookup->relays[i] = (struct lookup_relay){lookup, (unsigned)i};
        if (lookup->route.relays_have_mx && !ip_parse(relay->host, &address)) {
            lookup->pending++;
            resolver_find_mx(lookup->resolver, relay->host, on_relay_mx, &lookup->relays[i]);
        } else {
            add_implicit_mx(lookup, relay->host, (unsigned)i, relay->port);
        }
    }
    done_relay(lookup);
}

/* --- start --- */

static bool wants_dane(const struct config_delivery *delivery,
                       const struct destination_route *route)
{
    return delivery->dane && delivery->dns_validates && !route->unpoliced &&
           (route->tls == CONFIG_DELIVERY_TLS_OPPORTUNISTIC ||
            route->tls == CONFIG_DELIVERY_TLS_REQUIRED);
}

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
    lookup->dane = wants_dane(&config->delivery, route);
    lookup->ip_preference = config->delivery.ip_preference;
    hosts->share = route->share;
    hosts->ipv4_first = config->delivery.ip_preference == CONFIG_IPV4_FIRST;
    hosts->expires = timestamp_monotonic_ms() + RELAY_LITERAL_MS;
    snprintf(lookup->own_name, sizeof(lookup->own_name), "%s", config->host_name);
    for (size_t i = 0; i < config->inbound.listener_count && i < OWN_LISTENERS; i++)
        lookup->own_listeners[lookup->own_listener_count++] = config->inbound.listeners[i];
    if (route->kind == CONFIG_ROUTE_MX)
        resolver_find_mx(resolver, route->domain, on_mx, lookup);
    else
        find_relays(lookup);
}

/* --- order --- */

struct rank {
    bool avoided;
    uint32_t relay;
    unsigned preference;
    uint32_t group_draw;
    bool other_family;
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
        order = compare(one->relay, other->relay);
    if (order == 0)
        order = compare(one->preference, other->preference);
    if (order == 0)
        order = compare(one->group_draw, other->group_draw);
    if (order == 0)
        order = compare(one->other_family, other->other_family);
    return order != 0 ? order : compare(one->draw, other->draw);
}

void destination_order(const struct destination_hosts *hosts, int64_t now,
                       uint8_t order[DESTINATION_HOSTS])
{
    struct rank ranks[DESTINATION_HOSTS];
    uint32_t group_draws[DESTINATION_NAMES], relay_draws[DESTINATION_RELAYS];
    for (size_t i = 0; i < DESTINATION_NAMES; i++)
        group_draws[i] = arc4random();
    for (size_t i = 0; i < DESTINATION_RELAYS; i++)
        relay_draws[i] = arc4random();
    for (size_t i = 0; i < hosts->count; i++) {
        const struct destination_host *host = &hosts->hosts[i];
        ranks[i] = (struct rank){.avoided = host->avoid_until > now,
                                 .relay = hosts->share ? relay_draws[host->relay] : host->relay,
                                 .preference = host->preference,
                                 .group_draw = group_draws[host->group],
                                 .other_family = ip_is_v4(&host->address) != hosts->ipv4_first,
                                 .draw = arc4random(),
                                 .index = (uint8_t)i};
    }
    qsort(ranks, hosts->count, sizeof(ranks[0]), by_rank);
    for (size_t i = 0; i < hosts->count; i++)
        order[i] = ranks[i].index;
}
