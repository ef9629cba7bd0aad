/* From a recipient to its route. */
#include "scanner/mta/destination.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SMTP_PORT 25

static const char bad_address[] =
    "553 5.1.3 [internal] the recipient's address has no usable domain";
static const char own_address[] =
    "554 5.4.6 [internal] the recipient's address names this host itself";
static const char bad_route[] = "451 4.3.5 [internal] the administrator's route is malformed";

static void set_mx(struct destination_route *route, const char *domain)
{
    route->kind = CONFIG_ROUTE_MX;
    route->port = SMTP_PORT;
    snprintf(route->domain, sizeof(route->domain), "%s", domain);
}

static void set_relay(struct destination_route *route, const char *host, uint16_t port)
{
    route->kind = CONFIG_ROUTE_RELAY;
    route->relay_count = 1;
    route->relays[0].port = port;
    snprintf(route->relays[0].host, sizeof(route->relays[0].host), "%s", host);
}

static void set_configured(struct destination_route *route, const struct config_route *from,
                           const char *domain)
{
    if (from->kind == CONFIG_ROUTE_MX) {
        set_mx(route, domain);
        return;
    }
    route->kind = CONFIG_ROUTE_RELAY;
    route->relay_count =
        from->relay_count < DESTINATION_RELAYS ? from->relay_count : DESTINATION_RELAYS;
    memcpy(route->relays, from->relays, route->relay_count * sizeof(route->relays[0]));
    route->share = from->share;
    route->relays_have_mx = from->mx;
    route->user = from->user;
    route->password = from->password;
}

bool destination_is_this_host(const struct ip_address *address)
{
    static const uint8_t none[15];
    if (getenv("GATEHOUSE_MX_AT_LOOPBACK"))
        return false;
    if (ip_is_v4(address))
        return address->bytes[12] == 127 || address->bytes[12] == 0;
    return memcmp(address->bytes, none, sizeof(none)) == 0 && address->bytes[15] <= 1;
}

/* "[192.0.2.1]" and "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3) as the address's text. */
static bool read_literal(const char *domain, char text[IP_TEXT_SIZE], struct ip_address *address)
{
    static const char tag[] = "IPv6:";
    size_t length = strlen(domain);
    if (length < 3 || domain[0] != '[' || domain[length - 1] != ']')
        return false;
    domain++;
    length -= 2;
    if (length >= sizeof(tag) && strncasecmp(domain, tag, sizeof(tag) - 1) == 0) {
        domain += sizeof(tag) - 1;
        length -= sizeof(tag) - 1;
    }
    if (length >= IP_TEXT_SIZE)
        return false;
    memcpy(text, domain, length);
    text[length] = '\0';
    return ip_parse(text, address);
}

/* --- an administrator's route --- */

static bool read_port(const char *text, uint16_t *port)
{
    char *end;
    if (*text == '\0') {
        *port = SMTP_PORT;
        return true;
    }
    if (*text != ':' || text[1] < '0' || text[1] > '9')
        return false;
    unsigned long number = strtoul(text + 1, &end, 10);
    *port = (uint16_t)number;
    return *end == '\0' && number >= 1 && number <= 65535;
}

/* Takes "HOST", "HOST:PORT", "[ADDRESS]" or "[ADDRESS]:PORT" apart. */
static bool read_host(const char *text, char host[DOMAIN_SIZE], uint16_t *port)
{
    bool bracketed = text[0] == '[';
    const char *start = text + bracketed;
    const char *end = bracketed ? strchr(text, ']') : strchrnul(text, ':');
    if (!end || end == start || end - start >= DOMAIN_SIZE)
        return false;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    return read_port(end + bracketed, port);
}

static const char *set_own(struct destination_route *route, const char *text, const char *domain)
{
    struct ip_address address;
    char host[DOMAIN_SIZE], name[DOMAIN_SIZE];
    uint16_t port = SMTP_PORT;
    bool is_mx = strncasecmp(text, "mx:", 3) == 0;
    route->by_administrator = true;
    if (strcasecmp(text, "mx") == 0) {
        set_mx(route, domain);
        return NULL;
    }
    bool is_address = ip_parse(text, &address);
    if (is_address)
        snprintf(host, sizeof(host), "%s", text);
    else if (!read_host(is_mx ? text + 3 : text, host, &port))
        return bad_route;
    if (!is_mx && (is_address || ip_parse(host, &address))) {
        set_relay(route, host, port);
        return NULL;
    }
    if (domain_normalise(host, true, name) != NULL)
        return bad_route;
    if (is_mx) {
        set_mx(route, name);
        route->port = port;
    } else {
        set_relay(route, name, port);
    }
    return NULL;
}

static void set_empty(struct destination_route *route)
{
    memset(route, 0, offsetof(struct destination_route, relays));
    route->share = route->relays_have_mx = route->unpoliced = false;
    route->user = route->password = NULL;
}

const char *destination_find_route(const struct scanner_config *config,
                                   const struct queue_recipient *recipient,
                                   struct destination_route *route)
{
    const char *text = address_domain(recipient->address);
    char domain[DOMAIN_SIZE], literal[IP_TEXT_SIZE];
    struct ip_address address;
    bool is_literal = read_literal(text, literal, &address);
    bool is_name = !is_literal && domain_normalise(text, true, domain) == NULL;
    set_empty(route);
    route->tls = is_name ? config_find_tls(config, domain) : config->delivery.tls;
    bool own_is_mx = recipient->route && strcasecmp(recipient->route, "mx") == 0;
    if (recipient->route && (is_name || !own_is_mx))
        return set_own(route, recipient->route, domain);
    if (is_literal) {
        set_relay(route, literal, SMTP_PORT);
        return destination_is_this_host(&address) ? own_address : NULL;
    }
    if (!is_name)
        return bad_address;
    const struct config_domain *local = config_find_domain(config, domain);
    const struct config_route *from = local ? &local->route : &config->default_route;
    set_configured(route, from, domain);
    if (from->tls != CONFIG_DELIVERY_TLS_INHERIT)
        route->tls = from->tls;
    return NULL;
}

const char *destination_check_route(const char *text)
{
    struct destination_route route = {0};
    if (strlen(text) > DESTINATION_ROUTE_LIMIT)
        return "the route is too long";
    return set_own(&route, text, "example.invalid") == NULL
               ? NULL
               : "must be HOST, HOST:PORT, [ADDRESS]:PORT, mx or mx:DOMAIN";
}

char *destination_key(const struct destination_route *route)
{
    struct buffer key = BUFFER_INIT;
    buffer_add_format(&key, "%s%s%s%s %s ", route->by_administrator ? "own " : "",
                      route->share ? "share " : "", route->relays_have_mx ? "domains " : "",
                      config_delivery_tls_name(route->tls), route->unpoliced ? "unpoliced" : "");
    if (route->user)
        buffer_add_format(&key, "%zu:%s%zu:%s ", strlen(route->user), route->user,
                          strlen(route->password ? route->password : ""),
                          route->password ? route->password : "");
    if (route->kind == CONFIG_ROUTE_MX)
        buffer_add_format(&key, "mx %s %u", route->domain, (unsigned)route->port);
    for (size_t i = 0; i < route->relay_count; i++)
        buffer_add_format(&key, "%s%s %u", i > 0 ? "," : "relay ", route->relays[i].host,
                          (unsigned)route->relays[i].port);
    return buffer_take(&key);
}

const char *destination_label(const struct destination_route *route, char text[DOMAIN_SIZE + 8])
{
    if (route->kind == CONFIG_ROUTE_MX)
        snprintf(text, DOMAIN_SIZE + 8, "%s", route->domain);
    else
        snprintf(text, DOMAIN_SIZE + 8, "%s:%u", route->relays[0].host,
                 (unsigned)route->relays[0].port);
    return text;
}
