/* The text of a node of the tree, as people read it, for rules on content and spam. Made for
 * hostile input: nothing fails, limits only make the text shorter, and that is told. */
#ifndef GATEHOUSE_SCANNER_ENGINE_TEXT_H
#define GATEHOUSE_SCANNER_ENGINE_TEXT_H

#include "common/buffer.h"
#include "scanner/engine/tree.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_URL_LENGTH 2048 /* bytes; a longer one is cut */

enum text_view {
    TEXT_VISIBLE,   /* what a reader sees */
    TEXT_WITH_TAGS, /* HTML with its tags, comments and scripts; everything else as TEXT_VISIBLE */
};

struct text_limits {
    size_t bytes;    /* of text */
    size_t urls;     /* that are kept */
    int64_t stop_us; /* CLOCK_MONOTONIC, microseconds */
};

/* Filled by text_of_node, of one node or of several after each other. */
struct text {
    struct text_limits limits;
    struct buffer content; /* valid UTF-8, lines end in LF */
    char **urls;           /* where links and pictures lead, each once, valid UTF-8 */
    size_t url_count;
    bool cut;        /* a limit was reached: there is more */
    bool unreadable; /* there is text that cannot be read: an encrypted PDF */
};

/* 4 MiB, 1000 addresses; `stop_us` is that much ahead. */
struct text_limits text_default_limits(int64_t microseconds);

void text_init(struct text *text, const struct text_limits *limits);
void text_free(struct text *text);

/* Adds the text of the node: plain text, HTML, RTF, PDF, or an Office document (OOXML,
 * OpenDocument) with what its members hold, which themselves have none. False where it is of none
 * of these. */
bool text_of_node(const struct tree *tree, size_t index, enum text_view view, struct text *text);

#endif
