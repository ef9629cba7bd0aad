/* HTML templates: the Mustache subset {{name}} (HTML-escaped), {{{name}}} (as is; only for
 * fragments that a template made), {{#name}}..{{/name}}, {{^name}}..{{/name}}, {{>partial}},
 * {{!comment}}, dotted names and {{.}}; standalone tags take their line with them.
 *
 * Values: text as it is, numbers and booleans as JSON writes them, null as nothing, an object or
 * array as nothing. A section is left out (and {{^name}} shown) for null, false, 0, "" and []; it
 * is rendered once for each element of an array, and once otherwise. Inside, the element or value
 * is {{.}} and an object's members are names of their own, before those outside.
 *
 * In .html a variable may stand in text and in quoted attribute values only: where escaping could
 * not protect (in <script>, <style>, comments, unquoted values, between attributes) it is a syntax
 * error. Sections may stand anywhere, such as {{#on}}checked{{/on}}. */
#ifndef GATEHOUSE_CONTROLCENTER_HTTP_TEMPLATE_H
#define GATEHOUSE_CONTROLCENTER_HTTP_TEMPLATE_H

#include "common/buffer.h"
#include "common/error.h"

#include <jansson.h>

struct template_set;

/* Loads and compiles every NAME.html below `folder` (names with '/' for subfolders) and every
 * NAME.txt (as "NAME.txt", where {{name}} is not escaped). A syntax error or
 * a partial that is not there is ERROR_INVALID with file and line. Limits: 1 MiB a file, 2,000
 * files, folders 8 deep. */
struct template_set *template_set_load(const char *folder, struct error *error);
void template_set_free(struct template_set *set);
/* Renders `name` over `data` into `out`. Thread-safe. Depth of sections and partials is limited to
 * 32. Missing names render as nothing. false: no such template, too deep, or the buffer's limit. */
bool template_render(const struct template_set *set, const char *name, const json_t *data,
                     struct buffer *out, struct error *error);

#endif
