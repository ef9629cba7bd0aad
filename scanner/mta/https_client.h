/* HTTPS requests on the event loop (libcurl): policies of MTA-STS, and TLS reports. The server's
 * certificate is always checked, redirects are not followed, names are looked up by the mta's own
 * resolver, and time and size are bounded.
 *
 * For tests the environment variable GATEHOUSE_HTTPS_PORT names a port that every request goes to
 * whatever its URL says, and GATEHOUSE_HTTPS_CA a PEM file of the authorities that count in place
 * of the system's. */
#ifndef GATEHOUSE_SCANNER_MTA_HTTPS_CLIENT_H
#define GATEHOUSE_SCANNER_MTA_HTTPS_CLIENT_H

#include "common/buffer.h"
#include "common/error.h"
#include "scanner/mta/resolver.h"

#include <event2/event.h>

struct https_client;

struct https_request {
    const char *url;          /* https://; copied */
    const char *content_type; /* of `body`: a POST; NULL: a GET; copied */
    const void *body;         /* copied */
    size_t body_length;
    size_t answer_limit; /* bytes; a longer answer fails */
    int seconds;         /* for all of it */
};

struct https_answer {
    long status; /* of HTTP; 0: there is no answer, or not a whole one */
    bool certificate_failed;
    const char *problem;      /* where status is 0, one sentence */
    const char *content_type; /* or NULL */
    const char *body;
    size_t length;
};

/* The answer is borrowed for the call. */
typedef void (*https_callback)(void *argument, const struct https_answer *answer);

/* NULL with *error. The resolver must outlive the client. */
struct https_client *https_client_new(struct event_base *base, struct resolver *resolver,
                                      struct error *error);
/* Who waits gets status 0, and must not ask again. */
void https_client_close(struct https_client *client);
/* After that, once the resolver is gone. NULL is allowed for both. */
void https_client_free(struct https_client *client);
/* The callback may come before the function returns (a URL that is none). */
void https_client_send(struct https_client *client, const struct https_request *request,
                       https_callback callback, void *argument);

#endif
