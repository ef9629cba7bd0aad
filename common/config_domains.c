#include "common/config_private.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define MOST_DOMAINS 100000
#define MOST_RELAYS 16
#define SMTP_PORT 25
#define PASSWORD_SIZE 256

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

static bool read_password(const json_t *value, const struct json_place *place,
                          struct config_route *route, struct error *error)
{
    if (!config_read_text(value, place, "user", ADDRESS_SIZE, &route->user, error) ||
        !config_read_text(value, place, "password", PASSWORD_SIZE, &route->password, error))
        return false;
    if (!route->user != !route->password || (route->user && !*route->user))
        return json_place_error(place, "user", error, "user and password belong together");
    return true;
}

static bool read_relay_route(const json_t *value, const struct json_place *place,
                             struct config_route *route, struct error *error)
{
    static const char *const known[] = {"kind", "relays",   "balance", "mx",
                                        "user", "password", "tls",     NULL};
    static const char *const balances[] = {"failover", "share", NULL};
    int balance;
    route->kind = CONFIG_ROUTE_RELAY;
    if (!config_check_members(value, place, known, error) ||
        !read_relays(value, place, route, error) ||
        !config_read_choice(value, place, "balance", balances, &balance, error) ||
        !json_get_bool_or(value, place, "mx", false, &route->mx, error) ||
        !config_read_delivery_tls(value, place, "tls", CONFIG_DELIVERY_TLS_INHERIT, &route->tls,
                                  error) ||
        !read_password(value, place, route, error))
        return false;
    route->share = balance == 1;
    return !route->user || route->tls != CONFIG_DELIVERY_TLS_OFF ||
           json_place_error(place, "tls", error, "must not be off where there is a password");
}

bool config_read_route(const json_t *value, const struct json_place *place,
                       struct config_route *route, struct error *error)
{
    static const char *const known_mx[] = {"kind", NULL};
    const char *kind;
    if (!json_get_text(value, place, "kind", 32, &kind, error))
        return false;
    if (strcmp(kind, "mx") == 0) {
        route->kind = CONFIG_ROUTE_MX;
        return config_check_members(value, place, known_mx, error);
    }
    if (strcmp(kind, "relay") != 0)
        return json_place_error(place, "kind", error, "must be mx or relay");
    return read_relay_route(value, place, route, error);
}

void config_free_route(struct config_route *route)
{
    free(route->relays);
    free(route->user);
    if (route->password)
        explicit_bzero(route->password, strlen(route->password));
    free(route->password);
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

static bool read_alias_of(const json_t *value, const struct json_place *place,
                          struct config_domain *domain, struct error *error)
{
    char normal[DOMAIN_SIZE];
    const char *text;
    if (!json_object_get(value, "alias_of"))
        return true;
    if (!json_get_text(value, place, "alias_of", DOMAIN_SIZE, &text, error))
        return false;
    const char *reason = domain_normalise(text, true, normal);
    if (reason)
        return json_place_error(place, "alias_of", error, "must be a domain: %s", reason);
    domain->alias_of = strdup(normal);
    return domain->alias_of || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

static bool read_domain(const json_t *value, const struct json_place *place,
                        struct config_domain *domain, struct error *error)
{
    static const char *const known[] = {"name", "route", "alias_of", "recipients", NULL};
    static const char *const recipients[] = {"any", "reject", "drop", NULL};
    struct json_place route = {.parent = place, .name = "route"};
    const json_t *route_value;
    int choice;
    if (!read_name(value, place, domain->name, error) ||
        !json_get_object(value, place, "route", true, &route_value, error) ||
        !config_read_route(route_value, &route, &domain->route, error) ||
        !read_alias_of(value, place, domain, error) ||
        !config_read_choice(value, place, "recipients", recipients, &choice, error))
        return false;
    domain->recipients = (enum config_recipients)choice;
    return config_check_members(value, place, known, error);
}

/* Keys keep the place in the document, so that errors can name it after the sort. */
static bool sort_domains(struct scanner_config *config, struct config_key *keys,
                         struct error *error)
{
    struct json_place list = {.name = "domains"};
    size_t count = config->domain_count;
    for (size_t i = 0; i < count; i++)
        keys[i] = (struct config_key){config->domains[i].name, i};
    return config_sort_keys(keys, count, &list, "name", error) &&
           config_sort_elements(config->domains, count, sizeof(*config->domains), keys, error);
}

/* After the sort: the key's text has moved, its index has not. */
static bool check_aliases(const struct scanner_config *config, const struct config_key *keys,
                          struct error *error)
{
    struct json_place list = {.name = "domains"};
    for (size_t i = 0; i < config->domain_count; i++) {
        struct json_place element = {.parent = &list, .index = keys[i].index};
        const char *target = config->domains[i].alias_of;
        if (target && strcmp(target, config->domains[i].name) == 0)
            return json_place_error(&element, "alias_of", error, "is the domain itself");
        if (target && !config_find_domain(config, target))
            return json_place_error(&element, "alias_of", error, "%s is not a local domain",
                                    target);
    }
    return true;
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
    cleanup_free struct config_key *keys = config_allocate(count, sizeof(*keys), error);
    return keys && sort_domains(config, keys, error) && check_aliases(config, keys, error);
}
