#include "common/config_private.h"

#include <stdlib.h>
#include <string.h>

#define MOST_LISTENERS 64
#define MOST_NETWORKS 1000
#define MOST_RATE 10000000
#define WEEK_SECONDS 604800
#define LEAST_MESSAGE_BYTES 1024
#define MOST_MESSAGE_BYTES (1 << 30)
#define DEFAULT_MESSAGE_BYTES 52428800

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define SERVER_NUMBER(name, least, most, fallback)                                                 \
    {                                                                                              \
#name, least, most, fallback, offsetof(struct config_smtp_server, name)                    \
    }
#define RATE(name)                                                                                 \
    {                                                                                              \
#name, 0, MOST_RATE, 0, offsetof(struct config_rates, name)                                \
    }

/* --- listeners --- */

static bool read_listener(const json_t *value, const struct json_place *place, bool has_certificate,
                          struct config_listener *listener, struct error *error)
{
    static const char *const known[] = {"address", "port", "implicit_tls", "proxy_protocol", NULL};
    const char *address;
    int64_t port;
    if (!json_get_text(value, place, "address", IP_TEXT_SIZE, &address, error))
        return false;
    if (!ip_parse(address, &listener->address))
        return json_place_error(place, "address", error, "must be an IP address");
    if (!json_get_integer(value, place, "port", 1, 65535, &port, error) ||
        !json_get_bool_or(value, place, "implicit_tls", false, &listener->implicit_tls, error) ||
        !json_get_bool_or(value, place, "proxy_protocol", false, &listener->proxy_protocol, error))
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

/* --- networks --- */

static bool is_repeated(const struct ip_network *networks, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (memcmp(&networks[i], &networks[index], sizeof(networks[i])) == 0)
            return true;
    return false;
}

/* The list of networks `name`; missing is empty. */
static bool read_networks(const json_t *object, const struct json_place *place, const char *name,
                          struct config_networks *networks, struct error *error)
{
    struct json_place list = {.parent = place, .name = name};
    const json_t *array;
    if (!json_get_array(object, place, name, false, MOST_NETWORKS, &array, error))
        return false;
    size_t count = json_array_size(array);
    networks->networks = config_allocate(count, sizeof(*networks->networks), error);
    if (!networks->networks)
        return false;
    for (size_t i = 0; i < count; i++, networks->count++) {
        struct json_place element = {.parent = &list, .index = i};
        const char *text = json_string_value(json_array_get(array, i));
        if (!text || !ip_network_parse(text, &networks->networks[i]))
            return json_place_error(&element, NULL, error,
                                    "must be a network such as 192.0.2.0/24, no host bits set");
        if (is_repeated(networks->networks, i))
            return json_place_error(&element, NULL, error, "the same network stands here twice");
    }
    return true;
}

static bool read_all_networks(const json_t *object, const struct json_place *place,
                              struct config_smtp_server *server, struct error *error)
{
    struct config_networks allowed = {0};
    bool ok = read_networks(object, place, "allowed_networks", &allowed, error);
    server->allowed_networks = allowed.networks;
    server->allowed_network_count = allowed.count;
    return ok && read_networks(object, place, "proxy_networks", &server->proxies, error) &&
           read_networks(object, place, "xclient_networks", &server->xclient, error);
}

/* --- servers --- */

static bool read_rates(const json_t *server, const struct json_place *server_place,
                       struct config_rates *rates, struct error *error)
{
    static const char *const known[] = {"connections_per_minute",
                                        "messages_per_minute",
                                        "recipients_per_minute",
                                        "sender_messages_per_hour",
                                        "sender_recipients_per_hour",
                                        "recipient_messages_per_hour",
                                        NULL};
    static const struct config_number numbers[] = {
        RATE(connections_per_minute),     RATE(messages_per_minute),
        RATE(recipients_per_minute),      RATE(sender_messages_per_hour),
        RATE(sender_recipients_per_hour), RATE(recipient_messages_per_hour),
    };
    struct json_place place = {.parent = server_place, .name = "rates"};
    const json_t *object;
    return json_get_object(server, server_place, "rates", false, &object, error) &&
           (!object || config_check_members(object, &place, known, error)) &&
           config_read_numbers(object, &place, numbers, COUNT_OF(numbers), rates, error);
}

static bool read_harvest(const json_t *server, const struct json_place *server_place,
                         struct config_harvest *harvest, struct error *error)
{
    static const char *const known[] = {"unknown_recipients", "window_seconds", "block_seconds",
                                        NULL};
    static const struct config_number numbers[] = {
        {"unknown_recipients", 0, MOST_RATE, 20,
         offsetof(struct config_harvest, unknown_recipients)},
        {"window_seconds", 1, WEEK_SECONDS, 600, offsetof(struct config_harvest, window_seconds)},
        {"block_seconds", 1, WEEK_SECONDS, 3600, offsetof(struct config_harvest, block_seconds)},
    };
    struct json_place place = {.parent = server_place, .name = "harvest"};
    const json_t *object;
    return json_get_object(server, server_place, "harvest", false, &object, error) &&
           (!object || config_check_members(object, &place, known, error)) &&
           config_read_numbers(object, &place, numbers, COUNT_OF(numbers), harvest, error);
}

static bool read_auth(const json_t *server, const struct json_place *place, bool has_certificate,
                      enum config_auth *auth, struct error *error)
{
    static const char *const names[] = {"off", "optional", "required", NULL};
    int choice;
    if (!config_read_choice(server, place, "auth", names, &choice, error))
        return false;
    *auth = (enum config_auth)choice;
    return choice == CONFIG_AUTH_OFF || has_certificate ||
           json_place_error(place, "auth", error,
                            "needs the certificate in smtp.tls: passwords travel in TLS alone");
}

static bool read_server(const json_t *smtp, const struct json_place *smtp_place, const char *name,
                        const char *own_member, bool has_certificate,
                        const struct config_smtp_server *other, struct config_smtp_server *server,
                        struct error *error)
{
    const char *const known[] = {"listeners",
                                 "max_message_bytes",
                                 "max_recipients",
                                 "max_sessions",
                                 "max_errors",
                                 "idle_seconds",
                                 "allowed_networks",
                                 "max_sessions_per_ip",
                                 "tls",
                                 "proxy_networks",
                                 "xclient_networks",
                                 "accept",
                                 "deliver",
                                 "rates",
                                 own_member,
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
           json_get_bool_or(object, &place, "accept", true, &server->accept, error) &&
           json_get_bool_or(object, &place, "deliver", true, &server->deliver, error) &&
           read_rates(object, &place, &server->rates, error) &&
           read_all_networks(object, &place, server, error);
}

static bool read_inbound(const json_t *smtp, const struct json_place *place,
                         struct scanner_config *config, struct error *error)
{
    struct json_place server = {.parent = place, .name = "inbound"};
    return read_server(smtp, place, "inbound", "harvest", config->tls_key, &config->outbound,
                       &config->inbound, error) &&
           read_harvest(json_object_get(smtp, "inbound"), &server, &config->inbound.harvest, error);
}

static bool read_outbound(const json_t *smtp, const struct json_place *place,
                          struct scanner_config *config, struct error *error)
{
    struct json_place server = {.parent = place, .name = "outbound"};
    return read_server(smtp, place, "outbound", "auth", config->tls_key, &config->inbound,
                       &config->outbound, error) &&
           read_auth(json_object_get(smtp, "outbound"), &server, config->tls_key,
                     &config->outbound.auth, error);
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
           read_inbound(smtp, &place, config, error) &&
           read_outbound(smtp, &place, config, error) &&
           config_read_numbers(smtp, &place, numbers, COUNT_OF(numbers), config, error) &&
           config_read_delivery(smtp, &place, &config->delivery, error);
}
