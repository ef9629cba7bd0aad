/* Enrolment: makes this host a scanner of a Control Center, by a token. */
#ifndef GATEHOUSE_SCANNER_AGENT_ENROLMENT_H
#define GATEHOUSE_SCANNER_AGENT_ENROLMENT_H

#include "common/error.h"
#include "scanner/agent/node.h"

#include <stdbool.h>
#include <sys/types.h>

struct enrolment_options {
    const char *state; /* an existing folder with agent/ and config/ in it */
    const char *url;
    const char *token; /* gh1.FINGERPRINT.SECRET */
    bool force;        /* replace an enrolment that is there */
    uid_t owner;       /* who the agent's files shall belong to; (uid_t)-1: who calls */
    gid_t group;
};

/* Makes a key, has the Control Center sign it, and writes agent/, config/configuration.pub and,
 * last, node.json. The token is sent only to a server whose chain ends in the CA that the token
 * names. Everything is checked and written beside its place before anything is replaced: after
 * false the state directory is as it was. Fills *node.
 *
 * ERROR_EXISTS: already enrolled, and not `force`. ERROR_INVALID: URL or token malformed.
 * ERROR_DENIED: wrong Control Center, or the token is unknown, used or expired.
 * ERROR_UNAVAILABLE: not reachable. */
bool enrolment_run(const struct enrolment_options *options, struct node *node, struct error *error);

#endif
