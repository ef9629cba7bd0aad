/* HTML templates: the Mustache subset {{name}} (HTML-escaped), {{{name}}} (as is; only for fragments
 * that a template made), {{#name}}..{{/name}}, {{^name}}..{{/name}}, {{>partial}}, {{!comment}},
 * dotted names and {{.}}; standalone tags take their line with them. */
#ifndef GATEHOUSE_CONTROLCENTER_HTTP_TEMPLATE_H
#define GATEHOUSE_CONTROLCENTER_HTTP_TEMPLATE_H

#include "common/buffer.h"
#include "common/error.h"

#include <jansson.h>

struct template_set;

/* Loads and compiles every NAME.html below `folder` (names with '/' for subfolders) and every
 * NAME.txt (as "NAME.txt", where {{name}} is not escaped). A syntax error names file and line. */
struct template_set *template_set_load(const char *folder, struct error *error);
void template_set_free(struct template_set *set);
/* Renders `name` over `data` into `out`. Thread-safe. Depth of sections and partials is limited to
 * 32. Missing names render as nothing. false: no such template, or the buffer's limit. */
bool template_render(const struct template_set *set, const char *name, const json_t *data,
                     struct buffer *out, struct error *error);

#endif
