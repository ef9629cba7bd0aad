/* The Control Center's end of the fleet: the certificate authority, enrolment, the configuration of
 * every scanner, and what scanners send (docs/architecture.md, "Fleet protocol").
 *
 * All functions are thread-safe unless they say otherwise. */
#ifndef GATEHOUSE_CONTROLCENTER_FLEET_FLEET_H
#define GATEHOUSE_CONTROLCENTER_FLEET_FLEET_H

#include "common/config_model.h"
#include "common/error.h"
#include "controlcenter/http/http.h"
#include "controlcenter/store/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define FLEET_TOKEN_SIZE 96          /* bytes of an enrolment token with its NUL */
#define FLEET_TOKEN_SECONDS 86400    /* how long a token may be used */
#define FLEET_EVENT_BATCH_LIMIT 5000 /* most events of one request */
#define FLEET_WAIT_LIMIT_SECONDS 60  /* longest wait that a poll may ask for */
#define FLEET_SILENT_MS 90000        /* a scanner that has not polled for so long is away */

struct fleet;

/* Borrows `store`, which must outlive it. `url` is where scanners reach the fleet port
 * ("https://control.example.com:8444"); it is only shown. Does not touch the database. NULL only
 * when memory ran out. */
struct fleet *fleet_new(struct store *store, const char *url);
void fleet_free(struct fleet *fleet);
const char *fleet_url(const struct fleet *fleet);

/* Loads the key material of the fleet from the settings, and makes it where it is missing; several
 * Control Centers that start at once end up with the same. Does nothing once it has succeeded.
 * Called by whatever needs the keys, so that a database that was away at the start is no matter. */
bool fleet_prepare(struct fleet *fleet, struct error *error);

/* Ends the waits of all polls, at once and for good; for use before the server is stopped. */
void fleet_stop(struct fleet *fleet);

/* --- what the pages and the command line use --- */

/* Makes an enrolment token for a host and stores its hash. The token works once, for
 * FLEET_TOKEN_SECONDS. `smtp` are the first settings of the scanner (fleet_smtp_settings); NULL
 * takes the default ones. ERROR_INVALID: `host_name` (a domain name) or smtp is not valid. */
bool fleet_create_token(struct fleet *fleet, const char *host_name, const json_t *smtp,
                        const char *administrator, char token[FLEET_TOKEN_SIZE],
                        struct error *error);

/* The "smtp" settings of a new scanner. `inbound` and `outbound` are "IP:PORT" or "[IPv6]:PORT";
 * NULL takes 0.0.0.0:25 and 0.0.0.0:587. Only the host itself may relay through the outbound
 * listener until an administrator allows more. The caller owns the value. */
json_t *fleet_smtp_settings(const char *inbound, const char *outbound, struct error *error);

/* Each builds a candidate document with the proposed value and validates it as a scanner would.
 * ERROR_INVALID with the field's path in `where` otherwise ("smtp.inbound.listeners[0].port").
 * Nothing is stored.
 *
 * fleet_check_setting takes the keys that go into documents: "policy.malware", "default_route",
 * "engine", "bounce_protection", "directory.sources", and "smtp.common" (checked together with the
 * settings of every scanner). */
bool fleet_check_setting(struct fleet *fleet, const char *key, const json_t *value,
                         struct error *error);
bool fleet_check_domain(struct fleet *fleet, const char *name, const json_t *route,
                        struct error *error);
/* The policies (store/policies.h), for use before a draft is saved: what scanners are not sent is
 * left out, the rest is parsed as they do. Takes light drafts too, whose words it leaves aside.
 * `where` is such as "policies.filters[3].conditions[0].values[1]". */
bool fleet_check_policies(struct fleet *fleet, const json_t *document, struct error *error);
/* The policies as the documents of scanners would have them, with the malware policy that is set:
 * for a dry run. Not checked. NULL with *error; the caller owns it. */
json_t *fleet_scanner_policies(struct fleet *fleet, const json_t *document, struct error *error);
/* Entries of a list, as far as they can be told without the rest of it: the domain that another one
 * stands for is taken as there. `where` is such as "aliases[3].to[0]". */
bool fleet_check_entries(enum store_list list, const struct store_entry *entries, size_t count,
                         struct error *error);
/* A directory source as a form has it. */
struct fleet_directory_candidate {
    int64_t id; /* that it replaces; 0: a new one */
    const char *name;
    const json_t *settings;    /* as store_directory_source.settings */
    const char *bind_password; /* NULL: the stored one */
};
/* Among the sources that are stored; `where` is such as "directory.sources[2].servers[0]". */
bool fleet_check_directory(struct fleet *fleet, const struct fleet_directory_candidate *candidate,
                           struct error *error);
/* The same, and the typed form for whoever wants to try it: directory.sources[*index]. NULL with
 * *error; free with config_free. */
struct scanner_config *fleet_try_directory(struct fleet *fleet,
                                           const struct fleet_directory_candidate *candidate,
                                           size_t *index, struct error *error);
/* How freshclam is run (`signatures.update` of the document), but for the password of the proxy,
 * which is {"password":S} in a setting of its own. */
#define FLEET_SIGNATURE_UPDATE "signatures.update"
#define FLEET_SIGNATURE_PROXY_SECRET "secret.signatures_proxy"
bool fleet_check_signature_update(struct fleet *fleet, const json_t *update, struct error *error);

struct fleet_signature_trial {
    char host[256];     /* of the scanner that tried */
    int64_t signatures; /* in the file */
    bool refused;
    char file[128]; /* which is refused; "": all together */
    int line;       /* 0: unknown */
    char reason[512];
};
/* Has a scanner that is connected try the file beside the others that are enabled.
 * ERROR_UNAVAILABLE with the reason where none answers. */
bool fleet_try_signatures(struct fleet *fleet, const char *name, const char *text,
                          struct fleet_signature_trial *trial, struct error *error);

/* A scanner's own settings, merged over "smtp.common". */
bool fleet_check_smtp(struct fleet *fleet, const json_t *smtp, struct error *error);

/* Asks a process of a scanner and waits for its answer, up to `wait_ms`; any Control Center on the
 * database may be the one that the scanner is connected to. `target` is the process whose socket
 * gets `request` (docs/architecture.md): "mta", "engine-control", "supervisor", "directory" or
 * "agent".
 * Returns the reply (the caller owns it), or NULL: ERROR_NOT_FOUND where there is no such scanner,
 * ERROR_TIMEOUT where no answer came in time (it may still be carried out), ERROR_INVALID with the
 * reason where the process refused ({"ok":false}). */
json_t *fleet_ask(struct fleet *fleet, const char *scanner_id, const char *target,
                  const json_t *request, int wait_ms, struct error *error);

/* --- what main.c uses --- */

/* Routes of the fleet port; the router's context must be the struct fleet. */
extern const struct http_route fleet_routes[];

/* A fresh server key with a certificate of the fleet's CA for `names` (DNS names and IP addresses),
 * followed by the CA certificate so that an enrolling scanner can compare its fingerprint. The
 * caller frees both PEM texts. */
bool fleet_server_certificate(struct fleet *fleet, const char *const *names, size_t name_count,
                              char **key, char **certificate, struct error *error);
/* The CA certificate (PEM) that scanners' certificates are signed with. Borrowed; valid after
 * fleet_prepare. */
const char *fleet_ca_certificate(const struct fleet *fleet);

/* The console's own key and self-signed certificate, made once and kept in the settings. The caller
 * frees both PEM texts. */
bool fleet_console_certificate(struct store *store, const char *const *names, size_t name_count,
                               char **key, char **certificate, struct error *error);

#endif
