#include "common/config_private.h"

#include <stdlib.h>
#include <string.h>

#define MOST_DOMAINS 100000
#define MOST_RELAYS 16
#define SMTP_PORT 25

/* --- routes --- */

static bool read_relay_host(const json_t *value, const struct json_place *place,
                            struct config_relay *relay, struct error *error)
{
    struct ip_address address;
    const char *host;
    if (!json_get_text(value, place, "host", DOMAIN_SIZE, &host, error))
        return false;
    if (ip_parse(host, &address)) {
        ip_text(&address, relay->host);
        return true;
    }
    const char *reason = domain_normalise(host, true, relay->host);
    return !reason || json_place_error(place, "host", error,
                                       "must be a host name or an IP address: %s", reason);
}

static bool read_relay(const json_t *value, const struct json_place *place,
                       struct config_relay *relay, struct error *error)
{
    static const char *const known[] = {"host", "port", NULL};
    int64_t port;
    if (!read_relay_host(value, place, relay, error) ||
        !json_get_integer_or(value, place, "port", 1, 65535, SMTP_PORT, &port, error))
        return false;
    relay->port = (uint16_t)port;
    return config_check_members(value, place, known, error);
}

static bool is_repeated(const struct config_relay *relays, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (relays[i].port == relays[index].port && strcmp(relays[i].host, relays[index].host) == 0)
            return true;
    return false;
}

static bool read_relays(const json_t *value, const struct json_place *place,
                        struct config_route *route, struct error *error)
{
    struct json_place list = {.parent = place, .name = "relays"};
    const json_t *array;
    if (!json_get_array(value, place, "relays", true, MOST_RELAYS, &array, error))
        return false;
    size_t count = json_array_size(array);
    if (count == 0)
        return json_place_error(&list, NULL, error, "must have at least one element");
    route->relays = config_allocate(count, sizeof(*route->relays), error);
    if (!route->relays)
        return false;
    for (size_t i = 0; i < count; i++, route->relay_count++) {
        struct json_place element = {.parent = &list, .index = i};
        if (!read_relay(json_array_get(array, i), &element, &route->relays[i], error))
            return false;
        if (is_repeated(route->relays, i))
            return json_place_error(&element, NULL, error, "the same relay stands here twice");
    }
    return true;
}

bool config_read_route(const json_t *value, const struct json_place *place,
                       struct config_route *route, struct error *error)
{
    static const char *const known_mx[] = {"kind", NULL};
    static const char *const known_relay[] = {"kind", "relays", NULL};
    const char *kind;
    if (!json_get_text(value, place, "kind", 32, &kind, error))
        return false;
    if (strcmp(kind, "mx") == 0) {
        route->kind = CONFIG_ROUTE_MX;
        return config_check_members(value, place, known_mx, error);
    }
    if (strcmp(kind, "relay") != 0)
        return json_place_error(place, "kind", error, "must be mx or relay");
    route->kind = CONFIG_ROUTE_RELAY;
    return config_check_members(value, place, known_relay, error) &&
           read_relays(value, place, route, error);
}

/* --- domains --- */

static bool read_name(const json_t *value, const struct json_place *place, char *name,
                      struct error *error)
{
    const char *text;
    struct ip_address address;
    if (!json_get_text(value, place, "name", DOMAIN_SIZE, &text, error))
        return false;
    const char *reason =
        ip_parse(text, &address) ? "is an IP address" : domain_normalise(text, true, name);
    return !reason || json_place_error(place, "name", error, "must be a domain: %s", reason);
}

static bool read_domain(const json_t *value, const struct json_place *place,
                        struct config_domain *domain, struct error *error)
{
    static const char *const known[] = {"name", "route", NULL};
    struct json_place route = {.parent = place, .name = "route"};
    const json_t *route_value;
    return read_name(value, place, domain->name, error) &&
           json_get_object(value, place, "route", true, &route_value, error) &&
           config_read_route(route_value, &route, &domain->route, error) &&
           config_check_members(value, place, known, error);
}

/* Orders by name, and by the place in the document among the same names. */
static int compare_domains(const void *a, const void *b)
{
    const struct config_domain *first = *(const struct config_domain *const *)a;
    const struct config_domain *second = *(const struct config_domain *const *)b;
    int order = strcmp(first->name, second->name);
    return order ? order : (first > second) - (first < second);
}

static bool check_unique(const struct config_domain *const *order, size_t count,
                         const struct config_domain *domains, struct error *error)
{
    for (size_t i = 1; i < count; i++) {
        if (strcmp(order[i - 1]->name, order[i]->name) != 0)
            continue;
        struct json_place list = {.name = "domains"};
        struct json_place element = {.parent = &list, .index = (size_t)(order[i] - domains)};
        return json_place_error(&element, "name", error, "%s is also domains[%zu]", order[i]->name,
                                (size_t)(order[i - 1] - domains));
    }
    return true;
}

/* Sorts pointers, which are cheap to move and still tell the place in the document. */
static bool sort_domains(struct scanner_config *config, struct error *error)
{
    size_t count = config->domain_count;
    const struct config_domain **order = config_allocate(count, sizeof(*order), error);
    struct config_domain *sorted = config_allocate(count, sizeof(*sorted), error);
    bool ok = order && sorted;
    for (size_t i = 0; ok && i < count; i++)
        order[i] = &config->domains[i];
    if (ok) {
        qsort(order, count, sizeof(*order), compare_domains);
        ok = check_unique(order, count, config->domains, error);
    }
    for (size_t i = 0; ok && i < count; i++)
        sorted[i] = *order[i];
    if (ok) {
        free(config->domains);
        config->domains = sorted;
        sorted = NULL;
    }
    free(sorted);
    free(order);
    return ok;
}

bool config_read_domains(const json_t *document, struct scanner_config *config, struct error *error)
{
    struct json_place list = {.name = "domains"};
    const json_t *array;
    if (!json_get_array(document, NULL, "domains", true, MOST_DOMAINS, &array, error))
        return false;
    size_t count = json_array_size(array);
    config->domains = config_allocate(count, sizeof(*config->domains), error);
    if (!config->domains)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        config->domain_count = i + 1; /* also a route that fails halfway is freed */
        if (!read_domain(json_array_get(array, i), &element, &config->domains[i], error))
            return false;
    }
    return sort_domains(config, error);
}
