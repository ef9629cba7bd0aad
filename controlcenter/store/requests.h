/* Requests to processes of scanners on their way through the database: put there by any Control
 * Center, fetched by the scanner that they are for from any other, and answered the same way.
 *
 * Rows live for seconds and are removed when they expire. Who waits is woken within milliseconds by
 * LISTEN/NOTIFY (store_bell). Conventions as in store.h. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_REQUESTS_H
#define GATEHOUSE_CONTROLCENTER_STORE_REQUESTS_H

#include "controlcenter/store/store.h"

#define STORE_REQUESTS_MOST 64           /* unanswered ones of one scanner */
#define STORE_REQUEST_LIMIT (16u << 20)  /* bytes of a request's JSON text: custom signatures */
#define STORE_REPLY_LIMIT (4u << 20)     /* bytes of a reply's JSON text */
#define STORE_REQUEST_TARGET_SIZE 33     /* of a target's name with its NUL */

struct store_request {
    char id[37];
    char target[STORE_REQUEST_TARGET_SIZE];
    json_t *request;
};

/* Puts a request there for `lifetime_ms`; `id` (a UUID) is the caller's. ERROR_NOT_FOUND: there is
 * no such scanner. ERROR_LIMIT: too many of it are unanswered. */
bool store_request_add(struct store *store, const char *id, const char *scanner_id,
                       const char *target, const json_t *request, int64_t lifetime_ms,
                       struct error *error);
/* The reply, which the caller owns; NULL without an error (code ERROR_NONE) where there is none
 * yet. */
json_t *store_request_reply(struct store *store, const char *id, struct error *error);
/* Removes it. *taken tells whether its scanner had fetched it. */
bool store_request_remove(struct store *store, const char *id, bool *taken, struct error *error);

/* Fetches the scanner's oldest requests, at most `most`, each once. */
bool store_request_take(struct store *store, const char *scanner_id, size_t most,
                        struct store_request **requests, size_t *count, struct error *error);
void store_request_list_free(struct store_request *requests, size_t count);
/* Answers a request that this scanner has fetched; any other is passed over. ERROR_LIMIT: the reply
 * is too large. */
bool store_request_answer(struct store *store, const char *scanner_id, const char *id,
                          const json_t *reply, struct error *error);

/* Rings when a request comes for the scanner of that id, or the reply to the request of that id.
 * Open it before looking whether there is one, so that none is missed. */
struct store_bell;
/* NULL only when memory ran out. */
struct store_bell *store_bell_open(struct store *store, const char *id);
void store_bell_close(struct store_bell *bell);
/* Waits until it has rung since the last wait, or `wait_ms` passed; returns whether it has. It may
 * ring for nothing, and does so when the connection to the database comes back. */
bool store_bell_wait(struct store_bell *bell, int wait_ms);

#endif
