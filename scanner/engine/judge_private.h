/* What the files of a judgement share:
 *   judge.c         who is left out, evaluation, outcomes
 *   judge_base.c    the messages that may be written anew: the one that came, and the clean one
 *   judge_edits.c   from actions to edits of a message
 *   judge_strip.c   which attachments are removed
 *   judge_bodies.c  messages written anew, each once
 *   judge_answer.c  the answer's JSON */
#ifndef GATEHOUSE_SCANNER_ENGINE_JUDGE_PRIVATE_H
#define GATEHOUSE_SCANNER_ENGINE_JUDGE_PRIVATE_H

#include "scanner/engine/judge.h"
#include "scanner/engine/rewrite.h"
#include "scanner/engine/view.h"

#include <glib.h>

/* A message and its nodes as the filters name them. */
struct judge_base {
    const struct message *message;
    const struct tree *tree;
    struct view view;            /* of the clean message only nodes */
    struct message *own_message; /* of the clean one */
    struct tree *own_tree;
    void *map;
    size_t length;
};

/* Parses the clean message; `limits` are those of the message that came. */
bool judge_base_open(int fd, const struct tree_limits *limits, struct judge_base *base,
                     struct error *error);
void judge_base_close(struct judge_base *base);

/* What one outcome changes. */
struct judge_edits {
    GArray *edits;    /* struct rewrite_edit: what needs a new body */
    GPtrArray *owned; /* of what they point to, all that is not the set's */
    char *header;     /* fields that only go before the message; "" for none */
};

/* Who strips needs beside the message that is written anew: what the filters found in the one that
 * came. */
struct judge_findings {
    const struct policy_program *program;
    const struct policy_set *set;
    const struct policy_message *message;
    int64_t stop_us;
};

/* False with *error where a field cannot be written or it is not known what is to be removed. Free
 * with judge_edits_free in any case. */
bool judge_edits_collect(const struct judge_findings *findings,
                         const struct policy_outcome *outcome, const struct judge_base *base,
                         struct judge_edits *edits, struct error *error);
void judge_edits_free(struct judge_edits *edits);

/* *reasons: for each node of the base's tree why the action of that filter removes it, or NULL;
 * NULL where nothing is removed. What is new goes to `owned`. */
bool judge_strip(const struct judge_findings *findings, const struct policy_fired *fired,
                 const struct judge_base *base, GPtrArray *owned, const char ***reasons,
                 struct error *error);

struct judge_bodies {
    GHashTable *known; /* what a body was written from: its number + 1 */
    struct judgement *judgement;
};

/* The number of the body with these edits, which is written where no outcome before had the same.
 * False with *error where it cannot be written or there are too many. */
bool judge_body(struct judge_bodies *bodies, const struct judge_base *base,
                const struct judge_edits *edits, size_t *number, struct error *error);

/* One outcome for those of its recipients of which `clean` is true (of `wants_clean`, by recipient)
 * or not; NULL `wants_clean`: all. New reference; NULL where that is nobody. "body" and "header"
 * are not in it yet. */
json_t *judge_answer_outcome(const struct policy_set *set, const struct policy_outcome *outcome,
                             const bool *wants_clean, bool clean);
json_t *judge_answer_finds(const struct policy_set *set, const struct policy_result *result);
json_t *judge_answer_trace(const struct policy_set *set, const struct policy_result *result);

#endif
