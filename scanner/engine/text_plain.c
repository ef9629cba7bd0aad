/* Plain text; lines that a mailer has broken to send them (RFC 3676) are joined again. */
#include "scanner/engine/header_text.h"
#include "scanner/engine/message_header.h"
#include "scanner/engine/text_private.h"

#include <glib.h>
#include <string.h>

struct flow {
    bool flowed, delete_space;
};

static struct flow read_flow(const struct tree_node *node)
{
    struct flow flow = {false, false};
    struct message_header header;
    if (node->kind != TREE_PART || !node->message)
        return flow;
    const struct message_part *part = &node->message->parts[node->message_part];
    message_header_read(node->message->data + part->begin, part->body - part->begin, &header);
    const struct header_field *field = &header.fields[HEADER_CONTENT_TYPE];
    if (!field->value)
        return flow;
    g_autofree char *value = header_text_unfold(field->value, field->length, NULL);
    GMimeContentType *type = g_mime_content_type_parse(NULL, value);
    const char *format = type ? g_mime_content_type_get_parameter(type, "format") : NULL;
    const char *space = type ? g_mime_content_type_get_parameter(type, "delsp") : NULL;
    flow.flowed = format && g_ascii_strcasecmp(format, "flowed") == 0;
    flow.delete_space = space && g_ascii_strcasecmp(space, "yes") == 0;
    if (type)
        g_object_unref(type);
    return flow;
}

static size_t quote_depth(const char *line, size_t length)
{
    size_t depth = 0;
    while (depth < length && line[depth] == '>')
        depth++;
    return depth;
}

/* Adds one line; `joined`: the line before flows into it. Returns whether it flows into the next.
 */
static bool add_line(struct text *text, const char *line, size_t length, struct flow flow,
                     bool *joined, size_t *depth)
{
    size_t quoted = flow.flowed ? quote_depth(line, length) : 0;
    size_t skip = *joined && quoted == *depth ? quoted : 0;
    if (*joined && quoted != *depth)
        text_add(text, "\n", 1);
    *depth = quoted;
    size_t stuffed = flow.flowed && quoted < length && line[quoted] == ' ' ? quoted + 1 : quoted;
    if (quoted > 0 && skip < quoted)
        text_add(text, line, stuffed);
    line += stuffed;
    length -= stuffed;
    bool signature = length == 3 && memcmp(line, "-- ", 3) == 0;
    bool flows = flow.flowed && !signature && length > 0 && line[length - 1] == ' ';
    text_add(text, line, flows && flow.delete_space ? length - 1 : length);
    return flows;
}

static void add_lines(struct text *text, const char *utf8, struct flow flow)
{
    bool joined = false;
    size_t depth = 0;
    while (*utf8 && text_goes_on(text)) {
        size_t length = strcspn(utf8, "\n");
        size_t without = length > 0 && utf8[length - 1] == '\r' ? length - 1 : length;
        joined = add_line(text, utf8, without, flow, &joined, &depth);
        utf8 += length;
        if (*utf8 == '\n') {
            utf8++;
            if (!joined)
                text_add(text, "\n", 1);
        }
    }
}

void text_of_plain(const struct tree_node *node, struct text *text)
{
    size_t length = node->length;
    const char *charset = node->kind == TREE_PART && node->message
                              ? node->message->parts[node->message_part].charset
                              : NULL;
    if (length > TEXT_INPUT_LIMIT) {
        length = TEXT_INPUT_LIMIT;
        text->cut = true;
    }
    g_autofree char *utf8 = text_decode(node->data, length, charset);
    size_t begin = text->content.length;
    add_lines(text, utf8, read_flow(node));
    if (text->content.length > begin)
        text_find_urls(text, text->content.data + begin, text->content.length - begin);
    text_break(text);
}
