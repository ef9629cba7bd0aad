/* JSON requests to the Control Center's fleet port (libcurl, TLS 1.2 or later).
 *
 * A client belongs to one thread at a time and keeps its connection between requests. */
#ifndef GATEHOUSE_SCANNER_AGENT_HTTPS_CLIENT_H
#define GATEHOUSE_SCANNER_AGENT_HTTPS_CLIENT_H

#include "common/error.h"
#include "common/stop.h"

#include <jansson.h>

struct https_client;

/* A client that shows the scanner's certificate and trusts only the CA of its enrolment, both from
 * the files below `state` (node.h). A request ends early when `stop` (borrowed) is requested. */
struct https_client *https_client_new(const char *url, const char *state, const struct stop *stop,
                                      struct error *error);

/* A client without a certificate that trusts only a server whose chain ends in the CA certificate
 * with that SHA-256 fingerprint; the server must send it. For enrolment. */
struct https_client *https_client_new_pinned(const char *url, const unsigned char fingerprint[32],
                                             struct error *error);
void https_client_free(struct https_client *client);

/* POSTs `body` to `path` and returns the answer's JSON object, which the caller owns. NULL:
 * ERROR_UNAVAILABLE (not reachable, or an answer of 5xx), ERROR_DENIED (403, or the server's
 * certificate is not trusted), ERROR_INVALID (400), ERROR_PROTOCOL (409 or a malformed answer),
 * ERROR_NOT_FOUND (404), ERROR_LIMIT (413). The message is the server's where it sent one. */
json_t *https_client_post(struct https_client *client, const char *path, const json_t *body,
                          int timeout_seconds, struct error *error);

#endif
