/* What the files of this folder share; nobody else includes it. */
#ifndef GATEHOUSE_CONTROLCENTER_FLEET_FLEET_PRIVATE_H
#define GATEHOUSE_CONTROLCENTER_FLEET_FLEET_PRIVATE_H

#include "common/signing.h"
#include "controlcenter/fleet/fleet.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct fleet_key_pair { /* PEM */
    char *certificate;  /* its chain may follow */
    char *key;
};

struct fleet {
    struct store *store;
    char *url;
    atomic_bool stopping;

    pthread_mutex_t lock; /* guards the making of the keys; they do not change once `ready` */
    atomic_bool ready;
    char *ca_key;
    char *ca_certificate;
    unsigned char ca_fingerprint[32];
    char configuration_key[SIGNING_KEY_TEXT_SIZE];
    char configuration_secret[SIGNING_SECRET_TEXT_SIZE];

    pthread_mutex_t shared_lock; /* guards the four below */
    int64_t shared_version;
    json_t *shared; /* what every document of that version has in common; see configuration.c */
    int64_t policies_version;
    json_t *policies; /* text of the members in force; see policies.c */

    pthread_mutex_t candidate_lock; /* guards the making of the one below */
    struct fleet_key_pair candidate;
};

/* Builds, validates and signs the document of one scanner from the newest settings. *version is the
 * version it was given. NULL with ERROR_INVALID where the settings do not make a valid document;
 * the caller owns the envelope {"document","signature"}. */
json_t *fleet_envelope(struct fleet *fleet, const struct store_scanner *scanner, int64_t *version,
                       struct error *error);

/* The certificate of the scanner's SMTP servers: the one chosen for it, or a self-signed one of its
 * host name, which is made where it is missing. Clear the pair with fleet_clear_key_pair. */
bool fleet_scanner_certificate(struct fleet *fleet, const char *scanner_id, const char *host_name,
                               struct fleet_key_pair *pair, struct error *error);
/* A pair for documents that are only looked at; borrowed. NULL with *error. */
const struct fleet_key_pair *fleet_candidate_pair(struct fleet *fleet, struct error *error);
/* Wipes and frees both texts. */
void fleet_clear_key_pair(struct fleet_key_pair *pair);

/* The members "domains":[...],"aliases":[...],"masquerades":[...] of every document, as text
 * without braces. NULL with *error; the caller frees it. */
char *fleet_lists_text(struct fleet *fleet, struct error *error);
/* Whether a scanner would take a document with such members. */
bool fleet_check_lists(const char *lists, struct error *error);

/* Sets the member "directory" of what documents have in common, where there is anything in it. */
bool fleet_read_directory(struct fleet *fleet, json_t *shared, struct error *error);

/* Sets the member "signatures" of what documents have in common. */
bool fleet_read_signatures(struct fleet *fleet, json_t *shared, struct error *error);
/* Sets the member "policies" of what documents have in common: the members of `policies` in force
 * beside "malware", as text without braces ("" for none), checked. ERROR_INVALID with the place
 * where a scanner would not take them. The shared lock must be held. */
bool fleet_read_policies(struct fleet *fleet, json_t *shared, struct error *error);
/* Whether a new scanner would take a document with those members in common. */
bool fleet_check_shared(struct fleet *fleet, const json_t *shared, struct error *error);

/* Finds the scanner of the request's client certificate. False after it has answered: 403 without a
 * certificate or for a scanner that was removed, 503 while the database is away. Clear the scanner
 * with store_scanner_clear. */
bool fleet_identify(struct http_request *request, struct http_response *response,
                    struct store_scanner *scanner);
/* The request's JSON body, or NULL after answering 400. The caller owns it. */
json_t *fleet_request_body(struct http_request *request, struct http_response *response);
/* Answers {"error":TEXT} with the status that belongs to the error. */
void fleet_answer_error(struct http_response *response, const struct error *error);
/* The same, where ERROR_NOT_FOUND means that the scanner was removed: 403. */
void fleet_answer_scanner_error(struct http_response *response, const struct error *error);
/* Answers with `value`, which it takes over; NULL is answered as a lack of memory. */
void fleet_answer(struct http_response *response, json_t *value);

/* The handlers of the route table. */
void fleet_enroll(struct http_request *request, struct http_response *response);
void fleet_poll(struct http_request *request, struct http_response *response);
void fleet_position(struct http_request *request, struct http_response *response);
void fleet_events(struct http_request *request, struct http_response *response);
void fleet_requests(struct http_request *request, struct http_response *response);
void fleet_messages(struct http_request *request, struct http_response *response);

#define FLEET_TOKEN_SECRET_BYTES 32
/* Takes a token apart; false where it has not the form of one. */
bool fleet_token_parse(const char *token, unsigned char fingerprint[32],
                       unsigned char secret[FLEET_TOKEN_SECRET_BYTES]);
/* SHA-256 of the secret in hex, as the store keeps it. */
void fleet_token_hash(const unsigned char secret[FLEET_TOKEN_SECRET_BYTES], char hash[65]);
/* The first settings that were kept for a token, or the default ones. The caller owns the value. */
json_t *fleet_token_settings(struct fleet *fleet, const char *hash, struct error *error);

#endif
