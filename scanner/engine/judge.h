/* What the content filters say of a scanned message, and the messages that they write anew. */
#ifndef GATEHOUSE_SCANNER_ENGINE_JUDGE_H
#define GATEHOUSE_SCANNER_ENGINE_JUDGE_H

#include "common/error.h"
#include "scanner/engine/envelope.h"
#include "scanner/engine/filters.h"
#include "scanner/engine/tree.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JUDGE_BODIES 14 /* new bodies of one message, the most that one packet can carry */

struct judge_order {
    const struct filters *filters;
    const struct tree *tree;
    const json_t *result; /* the scan's, as the mta gets it: it decides who is left out */
    int cleaned;          /* descriptor of the clean message; -1 */
    uint64_t size;        /* bytes of the message */
    int64_t age_ms;
    int64_t stop_us; /* CLOCK_MONOTONIC, microseconds: conditions are looked at until then */
    bool with_trace; /* for a dry run */
};

struct judgement {
    json_t *answer; /* "outcomes", "finds", "problem" (docs/architecture.md) */
    json_t *trace;  /* of a dry run; NULL */
    int bodies[JUDGE_BODIES];
    size_t body_count;
};

/* Recipients for whom the malware policy deletes, rejects or keeps the message, or wants no content
 * filter, are left out (`excluded` is set in the envelope). False with *error where the filters
 * cannot be evaluated or a body cannot be written; nothing is to be freed then. */
bool judge_message(const struct judge_order *order, struct envelope *envelope,
                   struct judgement *judgement, struct error *error);
/* Closes the bodies. */
void judgement_free(struct judgement *judgement);

/* A file with the answer, without a name in TMPDIR; -1 with *error. */
int judgement_write(const struct judgement *judgement, struct error *error);

#endif
