/* HTML and XML cut into tags and text, as browsers cut them (HTML Living Standard, 13.2.5): linear
 * in time, without recursion or memory of its own, for any bytes. Declarations are skipped, so that
 * no entity is ever declared or loaded. */
#ifndef GATEHOUSE_SCANNER_ENGINE_MARKUP_H
#define GATEHOUSE_SCANNER_ENGINE_MARKUP_H

#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>

#define MARKUP_NAME_SIZE 48 /* a longer name is cut */

enum markup_kind {
    MARKUP_END,
    MARKUP_TEXT,  /* text, length; character references are not yet resolved */
    MARKUP_OPEN,  /* name, attributes, empty */
    MARKUP_CLOSE, /* name */
};

struct markup {
    const char *at, *end;
    bool html;                   /* else XML */
    char name[MARKUP_NAME_SIZE]; /* of HTML in lower case; of XML without the prefix */
    const char *text;
    size_t length;
    bool literal; /* the text has no character references: a script, CDATA */
    const char *attributes;
    size_t attributes_length;
    bool empty;                 /* ended by "/>" */
    char raw[MARKUP_NAME_SIZE]; /* the element whose content is no markup; "" */
};

void markup_open(struct markup *markup, const char *source, size_t length, bool html);
enum markup_kind markup_next(struct markup *markup);

struct markup_attribute {
    char name[MARKUP_NAME_SIZE];
    const char *value; /* raw */
    size_t length;
};

/* Walks over the attributes of the tag; *at begins as 0. False after the last one. */
bool markup_next_attribute(const struct markup *markup, size_t *at,
                           struct markup_attribute *attribute);

/* Adds text with its character references resolved; of XML only the five that need no declaration
 * and numbers. */
void markup_decode(const char *text, size_t length, bool html, struct buffer *out);

#endif
