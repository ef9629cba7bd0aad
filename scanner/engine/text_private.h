/* What the files of text share:
 *   text.c          which reader a node needs, limits, addresses
 *   text_plain.c    plain text: charset, flowed lines
 *   text_html.c     HTML
 *   text_office.c   the XML members of Office documents
 *   text_rtf.c      RTF
 *   text_pdf*.c     PDF
 *   text_url.c      addresses in plain text
 *   markup.c        tags of HTML and XML */
#ifndef GATEHOUSE_SCANNER_ENGINE_TEXT_PRIVATE_H
#define GATEHOUSE_SCANNER_ENGINE_TEXT_PRIVATE_H

#include "scanner/engine/text.h"

#define TEXT_INPUT_LIMIT (16u << 20) /* bytes of one node that are read */

/* False, and noted, once the time is over or the text is full. */
bool text_goes_on(struct text *text);
/* Adds UTF-8 text up to the limit, cut between characters. */
void text_add(struct text *text, const char *utf8, size_t length);
/* Ends the line unless nothing or a line's end stands there. */
void text_break(struct text *text);
/* A space unless a blank, or nothing, stands there. */
void text_space(struct text *text);
/* Adds words with each run of blanks as one space, as HTML does. */
void text_add_words(struct text *text, const char *utf8, size_t length);

/* Adds an address: without blanks and control characters, once, where there is room. */
void text_add_url(struct text *text, const char *url, size_t length);
/* Adds the addresses that stand in UTF-8 text. */
void text_find_urls(struct text *text, const char *utf8, size_t length);

/* Bytes as UTF-8 without NUL; free with g_free. `declared` may be NULL. */
char *text_decode(const char *data, size_t length, const char *declared);

void text_of_plain(const struct tree_node *node, struct text *text);
void text_of_html(const struct tree_node *node, enum text_view view, struct text *text);
void text_of_rtf(const struct tree_node *node, struct text *text);
void text_of_pdf(const struct tree_node *node, struct text *text);

/* Whether the node is a document whose members hold its text. */
bool text_is_office(const struct tree *tree, size_t index);
void text_of_office(const struct tree *tree, size_t index, struct text *text);

#endif
