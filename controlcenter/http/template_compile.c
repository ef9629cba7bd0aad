#include "controlcenter/http/template_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct open_section {
    size_t node;
    struct html_state html;
};

struct compiler {
    struct template *template;
    const char *file;
    const char *begin;
    const char *end;
    const char *at;
    unsigned line;
    struct html_state html;
    struct open_section open[TEMPLATE_DEPTH_LIMIT];
    size_t open_count;
    struct error *error;
};

/* One tag between "{{" and "}}". */
struct tag {
    char sigil; /* '#', '^', '/', '>', '!', '{' or 0 */
    struct template_span name;
    const char *begin; /* of the braces */
    const char *after;
};

static bool fail(struct compiler *compiler, const char *reason)
{
    char where[sizeof compiler->error->where];
    snprintf(where, sizeof where, "%s:%u", compiler->file, compiler->line);
    return error_set(compiler->error, ERROR_INVALID, where, "%s", reason);
}

static struct template_node *add_node(struct compiler *compiler, enum template_node_kind kind)
{
    struct template *template = compiler->template;
    if ((template->node_count & (template->node_count - 1)) == 0) {
        size_t capacity = template->node_count ? template->node_count * 2 : 1;
        struct template_node *nodes = realloc(template->nodes, capacity * sizeof *nodes);
        if (!nodes) {
            error_set(compiler->error, ERROR_INTERNAL, compiler->file, "memory ran out");
            return NULL;
        }
        template->nodes = nodes;
    }
    struct template_node *node = &template->nodes[template->node_count++];
    *node = (struct template_node){.kind = kind, .line = compiler->line};
    return node;
}

static bool add_literal(struct compiler *compiler, const char *from, const char *to)
{
    if (from == to)
        return true;
    struct template_node *node = add_node(compiler, TEMPLATE_LITERAL);
    if (!node)
        return false;
    node->parts[0] = (struct template_span){from, (size_t)(to - from)};
    node->part_count = 1;
    if (compiler->template->is_html)
        html_feed(&compiler->html, from, (size_t)(to - from));
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct template_span trim(const char *from, const char *to)
{
    while (from < to && (is_blank(*from) || *from == '\n'))
        from++;
    while (to > from && (is_blank(to[-1]) || to[-1] == '\n'))
        to--;
    return (struct template_span){from, (size_t)(to - from)};
}

/* Reads the tag whose braces open at `begin`. */
static bool read_tag(struct compiler *compiler, const char *begin, struct tag *tag)
{
    const char *from = begin + 2;
    *tag = (struct tag){.begin = begin};
    if (from < compiler->end && strchr("#^/>!{", *from) && *from != '\0')
        tag->sigil = *from++;
    const char *closing = tag->sigil == '{' ? "}}}" : "}}";
    const char *to = memmem(from, (size_t)(compiler->end - from), closing, strlen(closing));
    if (!to)
        return fail(compiler, "a tag without its closing braces");
    tag->name = trim(from, to);
    tag->after = to + strlen(closing);
    return true;
}

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* Splits a dotted name into the parts of the node; {{.}} has none. */
static bool split_name(struct compiler *compiler, struct template_span name,
                       struct template_node *node)
{
    if (name.length == 1 && name.text[0] == '.')
        return true;
    if (name.length == 0 || name.length >= TEMPLATE_NAME_LIMIT)
        return fail(compiler, "a tag without a name, or with one that is too long");
    const char *at = name.text, *end = name.text + name.length;
    for (;;) {
        const char *from = at;
        while (at < end && is_name_character(*at))
            at++;
        if (at == from || (at < end && *at != '.'))
            return fail(compiler, "a name has letters, digits, '_', '-' and single dots");
        if (node->part_count == TEMPLATE_PART_LIMIT)
            return fail(compiler, "a name with too many parts");
        node->parts[node->part_count++] = (struct template_span){from, (size_t)(at - from)};
        if (at == end)
            return true;
        at++;
    }
}

static bool compile_value(struct compiler *compiler, const struct tag *tag)
{
    bool raw = tag->sigil == '{';
    if (compiler->template->is_html) {
        const char *reason = html_refuses_value(&compiler->html);
        if (!reason && raw && compiler->html.context != HTML_TEXT)
            reason = "a fragment of HTML inside a tag";
        if (reason)
            return fail(compiler, reason);
    }
    struct template_node *node = add_node(compiler, raw ? TEMPLATE_RAW : TEMPLATE_ESCAPED);
    return node && split_name(compiler, tag->name, node);
}

static bool compile_section(struct compiler *compiler, const struct tag *tag)
{
    if (compiler->open_count == TEMPLATE_DEPTH_LIMIT)
        return fail(compiler, "sections are nested too deeply");
    struct template_node *node =
        add_node(compiler, tag->sigil == '#' ? TEMPLATE_SECTION : TEMPLATE_INVERTED);
    if (!node || !split_name(compiler, tag->name, node))
        return false;
    compiler->open[compiler->open_count++] =
        (struct open_section){compiler->template->node_count - 1, compiler->html};
    return true;
}

static bool same_name(const struct template_node *a, const struct template_node *b)
{
    bool same = a->part_count == b->part_count;
    for (size_t i = 0; same && i < a->part_count; i++)
        same = a->parts[i].length == b->parts[i].length &&
               memcmp(a->parts[i].text, b->parts[i].text, a->parts[i].length) == 0;
    return same;
}

static bool compile_end(struct compiler *compiler, const struct tag *tag)
{
    struct template_node closing = {0};
    if (!split_name(compiler, tag->name, &closing))
        return false;
    if (compiler->open_count == 0)
        return fail(compiler, "the end of a section that is not open");
    struct open_section *open = &compiler->open[--compiler->open_count];
    struct template_node *node = &compiler->template->nodes[open->node];
    if (!same_name(node, &closing)) {
        char reason[64];
        snprintf(reason, sizeof reason, "the section opened on line %u ends by another name",
                 node->line);
        return fail(compiler, reason);
    }
    if (compiler->template->is_html && !html_join(&compiler->html, &open->html))
        return fail(compiler, "a section that opens or closes an HTML tag or quote halfway");
    node->end = compiler->template->node_count;
    return true;
}

static bool compile_partial(struct compiler *compiler, const struct tag *tag)
{
    if (compiler->template->is_html && compiler->html.context != HTML_TEXT)
        return fail(compiler, "a partial inside an HTML tag");
    if (tag->name.length == 0 || tag->name.length >= TEMPLATE_NAME_LIMIT)
        return fail(compiler, "a partial without a name, or with one that is too long");
    struct template_node *node = add_node(compiler, TEMPLATE_PARTIAL);
    if (!node)
        return false;
    node->parts[0] = tag->name;
    node->part_count = 1;
    return true;
}

static bool compile_tag(struct compiler *compiler, const struct tag *tag)
{
    switch (tag->sigil) {
    case '#':
    case '^':
        return compile_section(compiler, tag);
    case '/':
        return compile_end(compiler, tag);
    case '>':
        return compile_partial(compiler, tag);
    case '!':
        return true;
    default:
        return compile_value(compiler, tag);
    }
}

/* Whether the tag has its line to itself; then *line_begin and *line_end bound that line. */
static bool is_standalone(const struct compiler *compiler, const struct tag *tag,
                          const char **line_begin, const char **line_end)
{
    if (tag->sigil == 0 || tag->sigil == '{')
        return false;
    const char *from = tag->begin, *to = tag->after;
    while (from > compiler->begin && is_blank(from[-1]))
        from--;
    while (to < compiler->end && is_blank(*to))
        to++;
    if ((from > compiler->begin && from[-1] != '\n') || (to < compiler->end && *to != '\n'))
        return false;
    *line_begin = from;
    *line_end = to < compiler->end ? to + 1 : to;
    return true;
}

static void count_lines(struct compiler *compiler, const char *from, const char *to)
{
    for (; from < to; from++)
        compiler->line += *from == '\n';
}

/* Compiles the text up to the next tag, and the tag. */
static bool compile_step(struct compiler *compiler)
{
    const char *from = compiler->at;
    const char *braces = memmem(from, (size_t)(compiler->end - from), "{{", 2);
    if (!braces) {
        compiler->at = compiler->end;
        return add_literal(compiler, from, compiler->end);
    }
    count_lines(compiler, from, braces);
    struct tag tag;
    if (!read_tag(compiler, braces, &tag))
        return false;
    const char *literal_end = braces, *next = tag.after;
    is_standalone(compiler, &tag, &literal_end, &next);
    if (!add_literal(compiler, from, literal_end) || !compile_tag(compiler, &tag))
        return false;
    count_lines(compiler, braces, next);
    compiler->at = next;
    return true;
}

bool template_compile(struct template *template, size_t length, const char *file,
                      struct error *error)
{
    struct error unused;
    struct compiler compiler = {
        .template = template,
        .file = file,
        .begin = template->source,
        .at = template->source,
        .end = template->source + length,
        .line = 1,
        .error = error ? error : &unused,
    };
    while (compiler.at < compiler.end)
        if (!compile_step(&compiler))
            return false;
    if (compiler.open_count > 0) {
        compiler.line = template->nodes[compiler.open[compiler.open_count - 1].node].line;
        return fail(&compiler, "a section without its end");
    }
    if (template->is_html && compiler.html.context != HTML_TEXT)
        return fail(&compiler, "the template ends inside an HTML tag, comment or script");
    return true;
}
