#include "controlcenter/http/template_private.h"

#include <stdio.h>
#include <string.h>

/* The values that names are looked up in, innermost first. */
struct frame {
    const json_t *value;
    const struct frame *parent;
};

struct renderer {
    struct buffer *out;
    struct error *error;
    unsigned depth;
};

static const json_t *member(const json_t *value, struct template_span name)
{
    return json_object_getn(value, name.text, name.length);
}

/* NULL where there is no such value. */
static const json_t *look_up(const struct template_node *node, const struct frame *frame)
{
    if (node->part_count == 0)
        return frame->value;
    const json_t *value = NULL;
    for (; frame && !value; frame = frame->parent)
        value = member(frame->value, node->parts[0]);
    for (size_t i = 1; i < node->part_count && value; i++)
        value = member(value, node->parts[i]);
    return value;
}

static bool is_false(const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_NULL:
    case JSON_FALSE:
        return true;
    case JSON_STRING:
        return json_string_length(value) == 0;
    case JSON_ARRAY:
        return json_array_size(value) == 0;
    case JSON_INTEGER:
        return json_integer_value(value) == 0;
    case JSON_REAL:
        return json_real_value(value) == 0;
    default:
        return false;
    }
}

static const char *escape_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void add_escaped(struct buffer *out, const char *text, size_t length)
{
    size_t from = 0;
    for (size_t i = 0; i < length; i++) {
        const char *escape = escape_of(text[i]);
        if (!escape)
            continue;
        buffer_add(out, text + from, i - from);
        buffer_add_text(out, escape);
        from = i + 1;
    }
    buffer_add(out, text + from, length - from);
}

static void render_value(struct renderer *renderer, const json_t *value, bool escape)
{
    char number[40];
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        if (escape)
            add_escaped(renderer->out, json_string_value(value), json_string_length(value));
        else
            buffer_add(renderer->out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        buffer_add_text(renderer->out, number);
        break;
    case JSON_REAL:
        /* Seventeen digits would show 0.1 as 0.10000000000000001. */
        snprintf(number, sizeof number, "%.15g", json_real_value(value));
        buffer_add_text(renderer->out, number);
        break;
    case JSON_TRUE:
        buffer_add_text(renderer->out, "true");
        break;
    case JSON_FALSE:
        buffer_add_text(renderer->out, "false");
        break;
    default:
        break;
    }
}

static bool render_nodes(struct renderer *renderer, const struct template *template, size_t from,
                         size_t to, const struct frame *frame);

static bool enter(struct renderer *renderer, const struct template *template, unsigned line)
{
    if (renderer->depth < TEMPLATE_DEPTH_LIMIT) {
        renderer->depth++;
        return true;
    }
    char where[sizeof renderer->error->where];
    snprintf(where, sizeof where, "%.100s:%u", template->name, line);
    return error_set(renderer->error, ERROR_LIMIT, where, "sections and partials deeper than %d",
                     TEMPLATE_DEPTH_LIMIT);
}

static bool render_inside(struct renderer *renderer, const struct template *template,
                          size_t section, const json_t *value, const struct frame *frame)
{
    struct frame inner = {value, frame};
    return render_nodes(renderer, template, section + 1, template->nodes[section].end, &inner);
}

static bool render_section(struct renderer *renderer, const struct template *template,
                           size_t section, const struct frame *frame)
{
    const struct template_node *node = &template->nodes[section];
    const json_t *value = look_up(node, frame);
    if (is_false(value) != (node->kind == TEMPLATE_INVERTED))
        return true;
    if (!enter(renderer, template, node->line))
        return false;
    bool ok = true;
    if (node->kind == TEMPLATE_INVERTED) {
        ok = render_nodes(renderer, template, section + 1, node->end, frame);
    } else if (json_is_array(value)) {
        for (size_t i = 0; ok && i < json_array_size(value); i++)
            ok = render_inside(renderer, template, section, json_array_get(value, i), frame);
    } else {
        ok = render_inside(renderer, template, section, value, frame);
    }
    renderer->depth--;
    return ok;
}

static bool render_partial(struct renderer *renderer, const struct template *template,
                           const struct template_node *node, const struct frame *frame)
{
    if (!enter(renderer, template, node->line))
        return false;
    bool ok = render_nodes(renderer, node->partial, 0, node->partial->node_count, frame);
    renderer->depth--;
    return ok;
}

static bool render_nodes(struct renderer *renderer, const struct template *template, size_t from,
                         size_t to, const struct frame *frame)
{
    for (size_t i = from; i < to; i++) {
        const struct template_node *node = &template->nodes[i];
        bool ok = true;
        switch (node->kind) {
        case TEMPLATE_LITERAL:
            buffer_add(renderer->out, node->parts[0].text, node->parts[0].length);
            break;
        case TEMPLATE_ESCAPED:
            render_value(renderer, look_up(node, frame), template->is_html);
            break;
        case TEMPLATE_RAW:
            render_value(renderer, look_up(node, frame), false);
            break;
        case TEMPLATE_SECTION:
        case TEMPLATE_INVERTED:
            ok = render_section(renderer, template, i, frame);
            i = node->end - 1;
            break;
        case TEMPLATE_PARTIAL:
            ok = render_partial(renderer, template, node, frame);
            break;
        }
        if (!ok)
            return false;
        if (renderer->out->failed)
            return error_set(renderer->error, ERROR_LIMIT, template->name,
                             "the rendered text is too large");
    }
    return true;
}

bool template_render(const struct template_set *set, const char *name, const json_t *data,
                     struct buffer *out, struct error *error)
{
    const struct template *template = template_find(set, name, strlen(name));
    if (!template)
        return error_set(error, ERROR_NOT_FOUND, name, "there is no such template");
    struct renderer renderer = {.out = out, .error = error};
    struct frame frame = {.value = data};
    return render_nodes(&renderer, template, 0, template->node_count, &frame);
}
