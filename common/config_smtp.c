#include "common/config_private.h"

#include <stdlib.h>
#include <string.h>

#define MOST_LISTENERS 64
#define MOST_NETWORKS 1000
#define MOST_RETRIES 100
#define MOST_DNS_SERVERS 8
#define WEEK_SECONDS 604800
#define MONTH_SECONDS 2592000
#define LEAST_MESSAGE_BYTES 1024
#define MOST_MESSAGE_BYTES (1 << 30)
#define DEFAULT_MESSAGE_BYTES 52428800

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define SERVER_NUMBER(name, least, most, fallback)                                                 \
    {                                                                                              \
#name, least, most, fallback, offsetof(struct config_smtp_server, name)                    \
    }
#define DELIVERY_NUMBER(name, least, most, fallback)                                               \
    {                                                                                              \
#name, least, most, fallback, offsetof(struct config_delivery, name)                       \
    }

/* --- listeners --- */

static bool read_listener(const json_t *value, const struct json_place *place, bool has_certificate,
                          struct config_listener *listener, struct error *error)
{
    static const char *const known[] = {"address", "port", "implicit_tls", NULL};
    const char *address;
    int64_t port;
    if (!json_get_text(value, place, "address", IP_TEXT_SIZE, &address, error))
        return false;
    if (!ip_parse(address, &listener->address))
        return json_place_error(place, "address", error, "must be an IP address");
    if (!json_get_integer(value, place, "port", 1, 65535, &port, error) ||
        !json_get_bool_or(value, place, "implicit_tls", false, &listener->implicit_tls, error))
        return false;
    if (listener->implicit_tls && !has_certificate)
        return json_place_error(place, "implicit_tls", error, "needs the certificate in smtp.tls");
    listener->port = (uint16_t)port;
    return config_check_members(value, place, known, error);
}

static bool same_listener(const struct config_listener *a, const struct config_listener *b)
{
    return a->port == b->port && memcmp(&a->address, &b->address, sizeof(a->address)) == 0;
}

static bool is_among(const struct config_listener *listener, const struct config_listener *others,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (same_listener(listener, &others[i]))
            return true;
    return false;
}

static bool read_listeners(const json_t *object, const struct json_place *place,
                           bool has_certificate, const struct config_smtp_server *other,
                           struct config_smtp_server *server, struct error *error)
{
    struct json_place list = {.parent = place, .name = "listeners"};
    const json_t *array;
    if (!json_get_array(object, place, "listeners", true, MOST_LISTENERS, &array, error))
        return false;
    size_t count = json_array_size(array);
    server->listeners = config_allocate(count, sizeof(*server->listeners), error);
    if (!server->listeners)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        struct config_listener *listener = &server->listeners[i];
        if (!read_listener(json_array_get(array, i), &element, has_certificate, listener, error))
            return false;
        if (is_among(listener, server->listeners, i) ||
            is_among(listener, other->listeners, other->listener_count))
            return json_place_error(&element, NULL, error,
                                    "the same address and port are used twice");
        server->listener_count++;
    }
    return true;
}

/* --- networks and addresses --- */

static bool is_repeated(const struct ip_network *networks, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (memcmp(&networks[i], &networks[index], sizeof(networks[i])) == 0)
            return true;
    return false;
}

static bool read_networks(const json_t *object, const struct json_place *place,
                          struct config_smtp_server *server, struct error *error)
{
    struct json_place list = {.parent = place, .name = "allowed_networks"};
    const json_t *array;
    if (!json_get_array(object, place, "allowed_networks", false, MOST_NETWORKS, &array, error))
        return false;
    size_t count = json_array_size(array);
    server->allowed_networks = config_allocate(count, sizeof(*server->allowed_networks), error);
    if (!server->allowed_networks)
        return false;
    for (size_t i = 0; i < count; i++, server->allowed_network_count++) {
        struct json_place element = {.parent = &list, .index = i};
        const char *text = json_string_value(json_array_get(array, i));
        if (!text || !ip_network_parse(text, &server->allowed_networks[i]))
            return json_place_error(&element, NULL, error,
                                    "must be a network such as 192.0.2.0/24, no host bits set");
        if (is_repeated(server->allowed_networks, i))
            return json_place_error(&element, NULL, error, "the same network stands here twice");
    }
    return true;
}

static bool read_dns_servers(const json_t *object, const struct json_place *place,
                             struct config_delivery *delivery, struct error *error)
{
    struct json_place list = {.parent = place, .name = "dns_servers"};
    const json_t *array = NULL;
    if (object &&
        !json_get_array(object, place, "dns_servers", false, MOST_DNS_SERVERS, &array, error))
        return false;
    size_t count = json_array_size(array);
    delivery->dns_servers = config_allocate(count, sizeof(*delivery->dns_servers), error);
    if (!delivery->dns_servers)
        return false;
    for (size_t i = 0; i < count; i++, delivery->dns_server_count++) {
        struct json_place element = {.parent = &list, .index = i};
        const char *text = json_string_value(json_array_get(array, i));
        if (!text || !ip_parse(text, &delivery->dns_servers[i]))
            return json_place_error(&element, NULL, error, "must be an IP address");
        for (size_t j = 0; j < i; j++)
            if (memcmp(&delivery->dns_servers[i], &delivery->dns_servers[j],
                       sizeof(struct ip_address)) == 0)
                return json_place_error(&element, NULL, error, "the same server stands here twice");
    }
    return true;
}

/* --- servers --- */

static bool read_server(const json_t *smtp, const struct json_place *smtp_place, const char *name,
                        bool has_certificate, const struct config_smtp_server *other,
                        struct config_smtp_server *server, struct error *error)
{
    static const char *const known[] = {"listeners",
                                        "max_message_bytes",
                                        "max_recipients",
                                        "max_sessions",
                                        "max_sessions_per_ip",
                                        "max_errors",
                                        "idle_seconds",
                                        "allowed_networks",
                                        "tls",
                                        NULL};
    static const struct config_number numbers[] = {
        SERVER_NUMBER(max_recipients, 1, 100000, 1000),
        SERVER_NUMBER(max_sessions, 1, 100000, 1000),
        SERVER_NUMBER(max_sessions_per_ip, 1, 100000, 50),
        SERVER_NUMBER(max_errors, 1, 1000, 20),
        SERVER_NUMBER(idle_seconds, 1, 86400, 300),
    };
    struct json_place place = {.parent = smtp_place, .name = name};
    const json_t *object;
    return json_get_object(smtp, smtp_place, name, true, &object, error) &&
           config_check_members(object, &place, known, error) &&
           read_listeners(object, &place, has_certificate, other, server, error) &&
           config_read_tls_mode(object, &place, has_certificate, &server->tls, error) &&
           json_get_integer_or(object, &place, "max_message_bytes", LEAST_MESSAGE_BYTES,
                               MOST_MESSAGE_BYTES, DEFAULT_MESSAGE_BYTES,
                               &server->max_message_bytes, error) &&
           config_read_numbers(object, &place, numbers, COUNT_OF(numbers), server, error) &&
           read_networks(object, &place, server, error);
}

/* --- delivery --- */

static bool default_retries(struct config_delivery *delivery, struct error *error)
{
    static const int seconds[] = {300, 900, 1800, 3600};
    delivery->retry_seconds = config_allocate(COUNT_OF(seconds), sizeof(int), error);
    if (!delivery->retry_seconds)
        return false;
    memcpy(delivery->retry_seconds, seconds, sizeof(seconds));
    delivery->retry_count = COUNT_OF(seconds);
    return true;
}

static bool read_retries(const json_t *object, const struct json_place *place,
                         struct config_delivery *delivery, struct error *error)
{
    struct json_place list = {.parent = place, .name = "retry_seconds"};
    const json_t *array = NULL;
    if (object &&
        !json_get_array(object, place, "retry_seconds", false, MOST_RETRIES, &array, error))
        return false;
    if (!array)
        return default_retries(delivery, error);
    size_t count = json_array_size(array);
    if (count == 0)
        return json_place_error(&list, NULL, error, "must have at least one element");
    delivery->retry_seconds = config_allocate(count, sizeof(int), error);
    if (!delivery->retry_seconds)
        return false;
    for (size_t i = 0; i < count; i++, delivery->retry_count++) {
        struct json_place element = {.parent = &list, .index = i};
        const json_t *value = json_array_get(array, i);
        json_int_t seconds = json_integer_value(value);
        if (!json_is_integer(value) || seconds < 1 || seconds > WEEK_SECONDS)
            return json_place_error(&element, NULL, error, "must be a whole number from 1 to %d",
                                    WEEK_SECONDS);
        delivery->retry_seconds[i] = (int)seconds;
    }
    return true;
}

static bool read_delivery(const json_t *smtp, const struct json_place *smtp_place,
                          struct config_delivery *delivery, struct error *error)
{
    static const char *const known[] = {
        "retry_seconds",   "lifetime_seconds",        "delay_warning_seconds",
        "connect_seconds", "reply_seconds",           "max_connections",
        "dns_servers",     "messages_per_connection", NULL};
    static const struct config_number numbers[] = {
        DELIVERY_NUMBER(lifetime_seconds, 1, MONTH_SECONDS, 432000),
        DELIVERY_NUMBER(delay_warning_seconds, 0, MONTH_SECONDS, 14400),
        DELIVERY_NUMBER(connect_seconds, 1, 600, 30),
        DELIVERY_NUMBER(reply_seconds, 1, 3600, 300),
        DELIVERY_NUMBER(max_connections, 1, 1000, 20),
        DELIVERY_NUMBER(messages_per_connection, 1, 100000, 100),
    };
    struct json_place place = {.parent = smtp_place, .name = "delivery"};
    const json_t *object;
    return json_get_object(smtp, smtp_place, "delivery", false, &object, error) &&
           (!object || config_check_members(object, &place, known, error)) &&
           read_retries(object, &place, delivery, error) &&
           config_read_numbers(object, &place, numbers, COUNT_OF(numbers), delivery, error) &&
           read_dns_servers(object, &place, delivery, error);
}

bool config_read_smtp(const json_t *document, struct scanner_config *config, struct error *error)
{
    static const char *const known[] = {"inbound",           "outbound", "tls",
                                        "scan_wait_seconds", "delivery", NULL};
    static const struct config_number numbers[] = {
        {"scan_wait_seconds", 1, 600, 30, offsetof(struct scanner_config, scan_wait_seconds)},
    };
    struct json_place place = {.name = "smtp"};
    const json_t *smtp;
    return json_get_object(document, NULL, "smtp", true, &smtp, error) &&
           config_check_members(smtp, &place, known, error) &&
           config_read_tls(smtp, &place, config, error) &&
           read_server(smtp, &place, "inbound", config->tls_key, &config->outbound,
                       &config->inbound, error) &&
           read_server(smtp, &place, "outbound", config->tls_key, &config->inbound,
                       &config->outbound, error) &&
           config_read_numbers(smtp, &place, numbers, COUNT_OF(numbers), config, error) &&
           read_delivery(smtp, &place, &config->delivery, error);
}
