/* The compiled form of templates, shared by their compiler, loader and renderer. */
#ifndef GATEHOUSE_CONTROLCENTER_HTTP_TEMPLATE_PRIVATE_H
#define GATEHOUSE_CONTROLCENTER_HTTP_TEMPLATE_PRIVATE_H

#include "controlcenter/http/template.h"

#include <stdbool.h>
#include <stddef.h>

#define TEMPLATE_DEPTH_LIMIT 32
#define TEMPLATE_PART_LIMIT 6   /* parts of a dotted name */
#define TEMPLATE_NAME_LIMIT 128 /* bytes of a name in a tag, and of a template's own name */

/* Bytes of a template's source; not NUL-terminated. */
struct template_span {
    const char *text;
    size_t length;
};

enum template_node_kind {
    TEMPLATE_LITERAL,
    TEMPLATE_ESCAPED,
    TEMPLATE_RAW,
    TEMPLATE_SECTION,
    TEMPLATE_INVERTED,
    TEMPLATE_PARTIAL,
};

struct template_node {
    enum template_node_kind kind;
    unsigned line;
    size_t part_count;                               /* 0: {{.}} */
    struct template_span parts[TEMPLATE_PART_LIMIT]; /* a name; a partial's or literal is part 0 */
    size_t end;                                      /* a section's first node after its content */
    const struct template *partial;                  /* set once every template is loaded */
};

struct template
{
    char name[TEMPLATE_NAME_LIMIT]; /* "audit/list" or "mail/welcome.txt" */
    char *source;
    bool is_html;
    struct template_node *nodes;
    size_t node_count;
};

/* Compiles template->source (`length` bytes) into nodes. `file` names it in errors. */
bool template_compile(struct template *template, size_t length, const char *file,
                      struct error *error);

const struct template *template_find(const struct template_set *set, const char *name,
                                     size_t length);

/* Where in HTML the bytes read so far lead to. */
enum html_context {
    HTML_TEXT,
    HTML_OPEN,        /* just after '<' or in an element's name */
    HTML_TAG,         /* in a tag, outside attribute values */
    HTML_VALUE_START, /* just after '=' */
    HTML_UNQUOTED,
    HTML_DOUBLE_QUOTED,
    HTML_SINGLE_QUOTED,
    HTML_COMMENT,
    HTML_CODE, /* the content of script and style */
};

struct html_state {
    enum html_context context;
    char element[12];   /* lower case, cut; a leading '/' for end tags */
    char attribute[12]; /* lower case, cut */
    char recent[12];    /* the last bytes in comments and code, to find their end */
};

/* Reads more literal HTML. */
void html_feed(struct html_state *state, const char *text, size_t length);
/* NULL where an escaped value is harmless here, the reason otherwise. */
const char *html_refuses_value(const struct html_state *state);
/* After a section that may also be left out: joins what it led to with what was there before it.
 * False where no single context holds for both. */
bool html_join(struct html_state *state, const struct html_state *before);

#endif
