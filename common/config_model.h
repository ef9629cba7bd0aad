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
 *    "inbound":{
 *       "listeners":[{"address":IP,"port":N,"implicit_tls":B [false],"proxy_protocol":B [false]}],
 *       "tls":T ["optional" where smtp.tls is there, else "off"],"max_message_bytes":N [52428800],
 *       "max_recipients":N [1000],"max_sessions":N [1000],"max_sessions_per_ip":N [50],
 *       "max_errors":N [20],"idle_seconds":N [300],"allowed_networks":[CIDR] [],
 *       "proxy_networks":[CIDR] [],"xclient_networks":[CIDR] [],
 *       "accept":B [true],"deliver":B [true],
 *       "rates":{"connections_per_minute":N [0],"messages_per_minute":N [0],
 *          "recipients_per_minute":N [0],"sender_messages_per_hour":N [0],
 *          "sender_recipients_per_hour":N [0],"recipient_messages_per_hour":N [0]},
 *       "harvest":{"unknown_recipients":N [20],"window_seconds":N [600],"block_seconds":N [3600]}},
 *    "outbound":{the same without harvest, and "auth":A2 ["off"]},
 *    "tls":{"certificate":PEM (the chain may follow),"key":PEM} [no TLS],
 *    "scan_wait_seconds":N [30],
 *    "delivery":{"retry_seconds":[N,...] [300,900,1800,3600],"lifetime_seconds":N [432000],
 *       "delay_warning_seconds":N [14400, 0 none],"connect_seconds":N [30],"reply_seconds":N [300],
 *       "max_connections":N [20],"messages_per_connection":N [100],"messages_per_minute":N [0],
 *       "dns_servers":[IP] [],"dns_validates":B [false],"ip_preference":P ["ipv6"],
 *       "tls":D ["opportunistic"],"tls_policies":[{"domain":S,"tls":D}] [],"dane":B [true],
 *       "mta_sts":B [true],"trusted_certificates":PEM [those of the system alone],
 *       "tls_reports":{"from":ADDRESS,"organization":S,"contact":S} [none are sent]}},
 *  "domains":[{"name":S,"route":ROUTE,"alias_of":S [none],"recipients":R ["any"]}],
 *  "default_route":ROUTE [{"kind":"mx"}],
 *  "aliases":[{"address":LEFT,"to":[ADDRESS]}] [],
 *  "masquerades":[{"from":LEFT,"to":LEFT}] [],
 *  "bounce_protection":{"mode":"off","tag"or"enforce" ["off"],"days":N [7],
 *     "keys":[{"number":N,"secret":BASE64}] []},
 *  "directory":{"users":[{"name":S,"password_hash":S}] [],
 *     "sources":[{"name":S,"servers":[URI],"start_tls":B [false],"ca":PEM [the system's],
 *        "bind_dn":S [""],"bind_password":S [""],"base_dn":S [""],"domains":[S] [],
 *        "timeout_seconds":N [10],"cache_seconds":N [600],"negative_cache_seconds":N [60],
 *        "authentication":{"filter":F},"recipients":{"filter":F},
 *        "routing":{"filter":F,"host_attribute":S [""],"address_attribute":S [""]},
 *        "groups":{"filter":F,"name_attribute":S ["cn"]}}] []},
 *  "policies":{"malware":{V:{"action":A,"hours":N [6],"then":A3 ["delete"],
 *     "bypass_content":B [false]}},
 *     and groups, lists, dictionaries, patterns, annotations, folders, templates and filters as
 *     policy_model.h says},
 *  "engine":{"workers":N [2],"scan_seconds":N [60],
 *     "limits":{"depth":N [20],"parts":N [10000],"unpacked_megabytes":N [256],"ratio":N [1000],
 *        "memory_megabytes":N [2048]}},
 *  "signatures":{"custom":[{"name":S,"text":S}] [what the scanner has stays],
 *     "update":{"hours":N [4, 0 never],"official":B [true],"mirror":URL [ClamAV's own],
 *        "proxy":{"host":S,"port":N [3128],"user":S [""],"password":S [""]} [none],
 *        "urls":[URL] []}}}
 *
 * ROUTE: {"kind":"mx"} or {"kind":"relay","relays":[{"host":S,"port":N [25]}],"balance":"failover"
 * (tried in order) or "share" (in a random order) ["failover"],"mx":B [false] (each host is a
 * domain whose MX records count),"user":S,"password":S [no AUTH],"tls":D [that of the recipient's
 * domain]}. T: "off", "optional" (STARTTLS is offered) or "required" (no mail without it); the last
 * two, and implicit_tls (TLS from the first byte on, whatever T is), need smtp.tls. A2: "off",
 * "optional" (who signs in may relay, and so may allowed_networks) or "required" (nobody sends
 * without it); the last two need smtp.tls. D: "off", "opportunistic" (DANE and MTA-STS raise it
 * where a domain has them), "required" (TLS with any certificate) or "verified" (with one that a
 * trusted authority gave to the next hop's name). P: "ipv6", "ipv4" (tried first), "ipv6_only" or
 * "ipv4_only". R: "any", "reject" (those that no directory source knows get 550 5.1.1) or "drop"
 * (those are taken and deleted). LEFT: "user@example.com", "@example.com" (all of a domain) or, in
 * masquerades' "from",
 * "@.example.com" (all of every subdomain). Where "to" of a masquerade begins with @ the local part
 * stays.
 * Names of custom signatures are as those of libclamav's database files: letters, digits, ".", "_"
 * and "-", not "." first, ending in .hdb, .hsb, .ndb, .ldb, .fp, .yar or .yara. URL: "http://" or
 * "https://" (one of "urls" names a database file); "official" is whether freshclam fetches
 * ClamAV's databases too, or only "urls".
 * F: an LDAP filter (RFC 4515) in which %s stands for the whole address (or user name), %u for the
 * part before @, %d for the part behind it, %D for the DN of the entry (groups), and %% for %.
 * V, and its usual action: "virus" (delete), "worm" (delete), "spyware" (delete),
 * "suspicious_attachment", "encrypted_attachment" and "unscannable" (deliver).
 * A: "delete", "reject", "deliver" with the verdict named in a header field, "clean" (what carries
 * the verdict is removed from the message; where that cannot be done it is deleted) or "quarantine"
 * (the message waits on the scanner and is scanned again with new signatures, until `hours` have
 * passed; what is still not clean then gets A3: "delete" or "deliver"). "bypass_content": no content
 * filter is asked about a message with the verdict that is delivered. */

enum config_route_kind { CONFIG_ROUTE_MX, CONFIG_ROUTE_RELAY };

struct config_relay {
    char host[DOMAIN_SIZE]; /* a name or an IP address without brackets */
    uint16_t port;
};

enum config_delivery_tls {
    CONFIG_DELIVERY_TLS_INHERIT, /* of a route alone: what the recipient's domain says */
    CONFIG_DELIVERY_TLS_OFF,
    CONFIG_DELIVERY_TLS_OPPORTUNISTIC,
    CONFIG_DELIVERY_TLS_REQUIRED,
    CONFIG_DELIVERY_TLS_VERIFIED,
};

struct config_route {
    enum config_route_kind kind;
    struct config_relay *relays;
    size_t relay_count;
    bool share; /* the relays are tried in a random order */
    bool mx;    /* each relay's host is a domain whose MX records count */
    enum config_delivery_tls tls;
    char *user, *password; /* of SMTP AUTH; NULL: none */
};

enum config_recipients { CONFIG_RECIPIENTS_ANY, CONFIG_RECIPIENTS_REJECT, CONFIG_RECIPIENTS_DROP };

struct config_domain {
    char name[DOMAIN_SIZE]; /* lower case, A-labels */
    struct config_route route;
    char *alias_of; /* a local domain that recipients are moved to; NULL: none */
    enum config_recipients recipients;
};

struct config_listener {
    struct ip_address address;
    uint16_t port;
    bool implicit_tls;
    bool proxy_protocol; /* every connection begins with a PROXY protocol v2 header */
};

enum config_tls_mode { CONFIG_TLS_OFF, CONFIG_TLS_OPTIONAL, CONFIG_TLS_REQUIRED };
enum config_auth { CONFIG_AUTH_OFF, CONFIG_AUTH_OPTIONAL, CONFIG_AUTH_REQUIRED };

struct config_networks {
    struct ip_network *networks;
    size_t count;
};

/* 0: no limit. Limits by client address, by sender (signed in: by user), by recipient. */
struct config_rates {
    int connections_per_minute;
    int messages_per_minute;
    int recipients_per_minute;
    int sender_messages_per_hour;
    int sender_recipients_per_hour;
    int recipient_messages_per_hour;
};

/* Directory harvest: a client address that names so many unknown recipients within the window is
 * refused for a while. */
struct config_harvest {
    int unknown_recipients; /* 0: not looked for */
    int window_seconds;
    int block_seconds;
};

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
    struct config_networks proxies; /* who may send a PROXY header */
    struct config_networks xclient; /* who may say XCLIENT */
    bool accept;                    /* false: every connection gets 421 */
    bool deliver;                   /* false: mail of this direction waits in the queue */
    enum config_auth auth;          /* outbound */
    struct config_rates rates;
    struct config_harvest harvest; /* inbound */
};

struct config_tls_policy {
    char domain[DOMAIN_SIZE]; /* "example.com", or ".example.com" for every subdomain */
    enum config_delivery_tls tls;
};

enum config_ip_preference {
    CONFIG_IPV6_FIRST,
    CONFIG_IPV4_FIRST,
    CONFIG_IPV6_ONLY,
    CONFIG_IPV4_ONLY,
};

struct config_tls_reports { /* RFC 8460; all three or none */
    char *from, *organization, *contact;
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
    int messages_per_minute;        /* to each destination; 0: no limit */
    struct ip_address *dns_servers; /* none: the system's */
    size_t dns_server_count;
    bool dns_validates; /* their answers are validated (DNSSEC) and come a trusted way */
    enum config_ip_preference ip_preference;
    enum config_delivery_tls tls;
    struct config_tls_policy *tls_policies; /* sorted by domain, no domain twice */
    size_t tls_policy_count;
    bool dane, mta_sts;
    char *trusted_certificates; /* PEM, beside those of the system; NULL: none */
    struct config_tls_reports tls_reports;
};

struct config_alias {
    char *address; /* "user@example.com" in lower case, or "@example.com" */
    char **to;
    size_t to_count;
};

struct config_masquerade {
    char *from; /* "user@example.com" in lower case, "@example.com" or "@.example.com" */
    char *to;   /* "user@example.com" or "@example.com" */
};

/* Tags in the senders of outbound mail by which bounces of it are known (BATV, "prvs"). */
enum config_bounce_mode { CONFIG_BOUNCE_OFF, CONFIG_BOUNCE_TAG, CONFIG_BOUNCE_ENFORCE };

#define CONFIG_BOUNCE_KEYS 10
#define CONFIG_BOUNCE_SECRET_MOST 64

struct config_bounce_key {
    int number; /* 0 to 9 */
    size_t length;
    unsigned char secret[CONFIG_BOUNCE_SECRET_MOST];
};

struct config_bounce_protection {
    enum config_bounce_mode mode;
    int days;                                          /* that a tag is valid */
    struct config_bounce_key keys[CONFIG_BOUNCE_KEYS]; /* the first one signs */
    size_t key_count;
};

struct config_user {
    char *name;          /* as typed by who signs in, in lower case */
    char *password_hash; /* Argon2id string of libsodium */
};

struct config_directory_source {
    char *name;
    char **servers; /* "ldap://HOST:PORT" or "ldaps://...": the primary, then the alternates; the
                       same one may stand there twice */
    size_t server_count;
    bool start_tls;
    char *ca; /* PEM; NULL: the system's */
    char *bind_dn, *bind_password, *base_dn;
    char **domains; /* whose recipients it knows; none: those of all local domains */
    size_t domain_count;
    int timeout_seconds, cache_seconds, negative_cache_seconds;
    /* Filters; NULL: the source does not serve that purpose. */
    char *authentication_filter;
    char *recipients_filter;
    char *routing_filter, *routing_host_attribute, *routing_address_attribute;
    char *groups_filter, *groups_name_attribute;
};

struct config_directory {
    struct config_user *users; /* sorted by name */
    size_t user_count;
    struct config_directory_source *sources; /* asked in this order */
    size_t source_count;
};

enum config_action {
    CONFIG_ACTION_DELIVER,
    CONFIG_ACTION_DELETE,
    CONFIG_ACTION_REJECT,
    CONFIG_ACTION_CLEAN,
    CONFIG_ACTION_QUARANTINE,
};

/* What a scan says of a message, the worst first; a clean one has none of them. */
enum config_verdict {
    CONFIG_VERDICT_VIRUS,
    CONFIG_VERDICT_WORM,    /* mass mailing */
    CONFIG_VERDICT_SPYWARE, /* and adware */
    CONFIG_VERDICT_SUSPICIOUS_ATTACHMENT,
    CONFIG_VERDICT_ENCRYPTED_ATTACHMENT,
    CONFIG_VERDICT_UNSCANNABLE,
    CONFIG_VERDICT_COUNT,
};

struct config_malware_policy {
    enum config_action action;
    int hours; /* in quarantine */
    enum config_action then;
    bool bypass_content; /* no content filter is asked about a message that is delivered with it */
};

/* Of one message. What is beyond a limit is unscannable. */
struct config_engine_limits {
    int depth; /* containers in containers */
    int parts;
    int unpacked_megabytes; /* that come out of all containers */
    int ratio;              /* of what comes out of a container to what goes in */
    int memory_megabytes;   /* of a worker, beside the signatures */
};

struct config_engine {
    int workers;
    int scan_seconds;
    struct config_engine_limits limits;
};

struct config_signature_file {
    char *name, *text;
};

struct config_signature_update {
    int hours; /* between two runs of freshclam; 0: only when asked */
    bool official;
    char *mirror;     /* NULL: ClamAV's own */
    char *proxy_host; /* NULL: none */
    int proxy_port;
    char *proxy_user, *proxy_password; /* NULL: none */
    char **urls;
    size_t url_count;
};

struct config_signatures {
    bool has_custom; /* the document says which custom signatures there are, perhaps none */
    struct config_signature_file *custom; /* sorted by name */
    size_t custom_count;
    struct config_signature_update update;
};

#define CONFIG_SIGNATURE_FILES 100
#define CONFIG_SIGNATURE_BYTES (8u << 20) /* of all custom signatures together */
#define CONFIG_SIGNATURE_URLS 50

struct policy_set; /* policy_model.h */

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
    struct config_alias *aliases; /* sorted by address, none twice */
    size_t alias_count;
    struct config_masquerade *masquerades; /* sorted by `from`, none twice */
    size_t masquerade_count;
    struct config_bounce_protection bounce_protection;
    struct config_directory directory;
    struct config_malware_policy malware[CONFIG_VERDICT_COUNT];
    struct policy_set *policy;   /* policy_model.h; never NULL */
    uint64_t policy_fingerprint; /* another one where anything in `policies` differs */
    struct config_engine engine;
    struct config_signatures signatures;
};

/* Ranges: ports 1 to 65535; max_message_bytes 1 KiB to 1 GiB; max_recipients, max_sessions and
 * max_sessions_per_ip 1 to 100000; max_errors 1 to 1000; idle_seconds 1 to 86400;
 * scan_wait_seconds, connect_seconds and scan_seconds 1 to 600; reply_seconds 1 to 3600;
 * retry_seconds 1 to 604800 each; lifetime_seconds 1 and delay_warning_seconds 0 to 2592000;
 * max_connections 1 to 1000; messages_per_connection 1 to 100000; workers 1 to 64; rates, unknown
 * recipients and messages_per_minute 0 to 10000000; window_seconds and block_seconds 1 to 604800;
 * days 1 to 30; key numbers 0 to 9, secrets 16 to 64 bytes; timeout_seconds 1 to 60; cache_seconds
 * and negative_cache_seconds 0 to 86400; hours 1 to 720; depth 1 to 100, parts 1 to 1000000,
 * update.hours 0 to 720, unpacked_megabytes 1 to 16384, ratio 10 to 1000000, memory_megabytes 128
 * to 1048576. At most 64 listeners, 1000 networks, 100 custom signature files of 8 MiB together, 50
 * signature URLs, 100 retries, 8 DNS servers, 16 relays a route, 100000 each of domains, aliases,
 * masquerades, TLS policies and users, 100 addresses an alias, 16 sources, 4 servers a source.
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
/* The alias whose address is exactly that text, or NULL. Binary search, as the next ones. */
const struct config_alias *config_find_alias(const struct scanner_config *config,
                                             const char *address);
const struct config_masquerade *config_find_masquerade(const struct scanner_config *config,
                                                       const char *from);
/* What TLS mail to that (normalised) domain needs: its own policy, else that of the nearest parent
 * with a leading dot, else the general one. Never CONFIG_DELIVERY_TLS_INHERIT. */
enum config_delivery_tls config_find_tls(const struct scanner_config *config, const char *domain);

/* "virus", "suspicious_attachment" and so on. */
const char *config_verdict_name(enum config_verdict verdict);
bool config_verdict_parse(const char *name, enum config_verdict *verdict);
/* Where no policy says otherwise. */
enum config_action config_verdict_usual_action(enum config_verdict verdict);
const char *config_action_name(enum config_action action);
bool config_action_parse(const char *name, enum config_action *action);
/* Whether a file of custom signatures may have that name. */
bool config_signature_name_valid(const char *name);
const char *config_delivery_tls_name(enum config_delivery_tls tls);
bool config_delivery_tls_parse(const char *name, enum config_delivery_tls *tls);

#endif
