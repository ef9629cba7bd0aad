/* A scanned message as content filters look at it. */
#ifndef GATEHOUSE_SCANNER_ENGINE_VIEW_H
#define GATEHOUSE_SCANNER_ENGINE_VIEW_H

#include "scanner/engine/envelope.h"
#include "scanner/engine/tree.h"
#include "scanner/policy/evaluate.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIEW_TEXT_BYTES (32u << 20) /* of all texts of a message together; 4 MiB of one node */
#define VIEW_HEADER_CHARACTERS (64u << 10) /* of one field's value */

struct view_order {
    const struct tree *tree;
    const struct envelope *envelope;
    struct policy_needs needs;
    uint64_t size;     /* bytes of the message */
    unsigned verdicts; /* bits 1 << enum config_verdict */
    int64_t stop_us;   /* CLOCK_MONOTONIC, microseconds: texts end there */
};

struct view {
    struct policy_message message; /* its persons are the envelope's */
    size_t *indices;               /* the tree's node of each of message.nodes */
    char *problem;                 /* which text is not whole, and why; NULL */
    struct policy_header *headers;
    struct policy_node *nodes;
    GPtrArray *texts; /* what headers and nodes point to, and is their own */
};

/* Makes what `order->needs` says, and always the decoded header fields and the list of nodes.
 *
 * Nodes: every part with content but the multiparts, messages in the message, and members of
 * containers; of Office documents only members that are files of their own (embedded documents and
 * programs), not what the document is written in. A text part is the body unless it is declared an
 * attachment; one with a file name is both. Everything else is an attachment, also where the
 * message shows it in its text, as pictures. What stands in a message that was attached, or came
 * as a file, is a member. */
void view_build(const struct view_order *order, struct view *view);
void view_free(struct view *view);

/* The nodes alone, without texts, as view_build makes them; for a message that was parsed anew. */
void view_build_nodes(const struct tree *tree, struct view *view);

#endif
