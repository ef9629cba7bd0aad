/* The configuration of one scanner: the typed form of the signed document, and its validation. */
#ifndef GATEHOUSE_COMMON_CONFIG_MODEL_H
#define GATEHOUSE_COMMON_CONFIG_MODEL_H

#include "common/address.h"
#include "common/error.h"
#include "common/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_FORMAT 1
#define CONFIG_DOCUMENT_LIMIT (64u << 20) /* bytes */

/* Document members in the order of the structs; every limit has the default in brackets.
 *
 * {"format":1,"version":N,"scanner_id":UUID,"issued_at":ISO,"host_name":S,
 *  "smtp":{
 *    "inbound":{"listeners":[{"address":IP,"port":N,"implicit_tls":B [false]}],
 *       "tls":T ["optional" where smtp.tls is there, else "off"],"max_message_bytes":N [52428800],
 *       "max_recipients":N [1000],"max_sessions":N [1000],"max_sessions_per_ip":N [50],
 *       "max_errors":N [20],"idle_seconds":N [300],"allowed_networks":[CIDR] []},
 *    "outbound":{same; allowed_networks are those that may relay},
 *    "tls":{"certificate":PEM (the chain may follow),"key":PEM} [no TLS],
 *    "scan_wait_seconds":N [30],
 *    "delivery":{"retry_seconds":[N,...] [300,900,1800,3600],"lifetime_seconds":N [432000],
 *       "delay_warning_seconds":N [14400, 0 none],"connect_seconds":N [30],"reply_seconds":N [300],
 *       "max_connections":N [20],"messages_per_connection":N [100],"dns_servers":[IP] []}},
 *  "domains":[{"name":S,"route":ROUTE}],
 *  "default_route":ROUTE [{"kind":"mx"}],
 *  "policies":{"malware":{"virus":{"action":A ["delete"]},"unscannable":{"action":A ["deliver"]}}},
 *  "engine":{"workers":N [2],"scan_seconds":N [60]}}
 *
 * ROUTE: {"kind":"mx"} or {"kind":"relay","relays":[{"host":S,"port":N [25]}]} (tried in order).
 * T: "off", "optional" (STARTTLS is offered) or "required" (no mail without it); the last two, and
 * implicit_tls (TLS from the first byte on, whatever T is), need smtp.tls.
 * A: "delete", "reject", or "deliver" with the verdict named in a header field. */

enum config_route_kind { CONFIG_ROUTE_MX, CONFIG_ROUTE_RELAY };

struct config_relay {
    char host[DOMAIN_SIZE]; /* a name or an IP address without brackets */
    uint16_t port;
};

struct config_route {
    enum config_route_kind kind;
    struct config_relay *relays;
    size_t relay_count;
};

struct config_domain {
    char name[DOMAIN_SIZE]; /* lower case, A-labels */
    struct config_route route;
};

struct config_listener {
    struct ip_address address;
    uint16_t port;
    bool implicit_tls;
};

enum config_tls_mode { CONFIG_TLS_OFF, CONFIG_TLS_OPTIONAL, CONFIG_TLS_REQUIRED };

struct config_smtp_server {
    enum config_tls_mode tls;
    struct config_listener *listeners;
    size_t listener_count;
    struct ip_network *allowed_networks;
    size_t allowed_network_count;
    int64_t max_message_bytes;
    int max_recipients;
    int max_sessions;
    int max_sessions_per_ip;
    int max_errors;
    int idle_seconds;
};

struct config_delivery {
    int *retry_seconds; /* the last one repeats */
    size_t retry_count;
    int lifetime_seconds;
    int delay_warning_seconds;
    int connect_seconds;
    int reply_seconds;
    int max_connections; /* for each destination */
    int messages_per_connection;
    struct ip_address *dns_servers; /* none: the system's */
    size_t dns_server_count;
};

enum config_action { CONFIG_ACTION_DELIVER, CONFIG_ACTION_DELETE, CONFIG_ACTION_REJECT };

struct config_engine {
    int workers;
    int scan_seconds;
};

struct scanner_config {
    int64_t version;
    char scanner_id[64];
    char host_name[DOMAIN_SIZE];
    struct config_smtp_server inbound;
    struct config_smtp_server outbound;
    char *tls_certificate, *tls_key; /* PEM; NULL: no TLS */
    int scan_wait_seconds;
    struct config_delivery delivery;
    struct config_domain *domains; /* sorted by name, no name twice */
    size_t domain_count;
    struct config_route default_route;
    enum config_action virus_action;
    enum config_action unscannable_action;
    struct config_engine engine;
};

/* Ranges: ports 1 to 65535; max_message_bytes 1 KiB to 1 GiB; max_recipients, max_sessions and
 * max_sessions_per_ip 1 to 100000; max_errors 1 to 1000; idle_seconds 1 to 86400;
 * scan_wait_seconds, connect_seconds and scan_seconds 1 to 600; reply_seconds 1 to 3600;
 * retry_seconds 1 to 604800 each; lifetime_seconds 1 and delay_warning_seconds 0 to 2592000;
 * max_connections 1 to 1000; messages_per_connection 1 to 100000; workers 1 to 64. At most 64
 * listeners, 1000 networks, 100 retries, 8 DNS servers, 16 relays a route and 100000 domains.
 * Missing objects take the defaults of their members; smtp, smtp.inbound, smtp.outbound, their
 * listeners (may be empty), domains (may be empty) and their routes must be there. Nothing may
 * stand twice: a member, a domain, an address and port (over both servers), a network, a relay of
 * one route, a DNS server.
 *
 * Parses and validates one document. NULL with *error (ERROR_INVALID, `where` is the field's path)
 * where anything is wrong; unknown members are refused too. Free with config_free. */
struct scanner_config *config_parse(const char *document, size_t length, struct error *error);
void config_free(struct scanner_config *config);

/* Reads the envelope file, checks its signature with the public key file, and parses. */
struct scanner_config *config_load(const char *envelope_path, const char *key_path,
                                   struct error *error);

/* The local domain of that (normalised) name, or NULL. Binary search. */
const struct config_domain *config_find_domain(const struct scanner_config *config,
                                               const char *name);

const char *config_action_name(enum config_action action);
bool config_action_parse(const char *name, enum config_action *action);

#endif
