/* Sender and recipients of a message, as the mta knows them: what content filters ask beside the
 * message itself. docs/architecture.md has the JSON. */
#ifndef GATEHOUSE_SCANNER_ENGINE_ENVELOPE_H
#define GATEHOUSE_SCANNER_ENGINE_ENVELOPE_H

#include "common/error.h"
#include "scanner/policy/evaluate.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define ENVELOPE_BYTES (64u << 20)
#define ENVELOPE_RECIPIENTS 100000
#define ENVELOPE_GROUPS 1000000 /* directory groups of all persons together */

struct envelope {
    json_t *document; /* the texts are its */
    enum policy_direction direction;
    struct policy_person sender;
    struct policy_person *recipients; /* `excluded` is what the envelope's "bypass" says */
    size_t recipient_count;
};

/* Reads the object (a reference is taken). Groups are looked for in `set`; one that is not there is
 * the default group, for mta and engine change their configuration one after the other. False with
 * *error and nothing to free; `where` names the member. */
bool envelope_parse(json_t *document, const struct policy_set *set, struct envelope *envelope,
                    struct error *error);

/* The same from a sealed or read-only file. */
bool envelope_read(int fd, const struct policy_set *set, struct envelope *envelope,
                   struct error *error);

void envelope_free(struct envelope *envelope);

#endif
