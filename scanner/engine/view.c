#include "scanner/engine/view_private.h"

#include "scanner/engine/encoded_words.h"
#include "scanner/engine/header_text.h"
#include "scanner/engine/language.h"

#include <string.h>

/* --- header fields --- */

static const char *line_end(const char *at, const char *end)
{
    const char *feed = memchr(at, '\n', (size_t)(end - at));
    return feed ? feed + 1 : end;
}

static const char *field_end(const char *field, const char *end)
{
    const char *at = line_end(field, end);
    while (at < end && (*at == ' ' || *at == '\t'))
        at = line_end(at, end);
    return at;
}

static char *decode_value(const char *value, size_t length)
{
    g_autofree char *unfolded = header_text_unfold(value, length, NULL);
    char *text = encoded_words_decode(unfolded, NULL);
    header_text_clean(text, VIEW_HEADER_CHARACTERS);
    return text;
}

/* Adds the field that stands from `field` to `end`; a line without a name is none. */
static void add_field(struct view *view, GArray *headers, const char *field, const char *end)
{
    const char *colon = memchr(field, ':', (size_t)(end - field));
    size_t length = colon ? (size_t)(colon - field) : 0;
    while (length > 0 && (field[length - 1] == ' ' || field[length - 1] == '\t'))
        length--; /* obsolete syntax, RFC 5322 section 4.5 */
    if (length == 0 || memchr(field, '\n', length) || memchr(field, '\0', length))
        return;
    char *name = g_utf8_make_valid(field, (gssize)length);
    char *value = decode_value(colon + 1, (size_t)(end - colon - 1));
    g_ptr_array_add(view->texts, name);
    g_ptr_array_add(view->texts, value);
    struct policy_header header = {name, value};
    g_array_append_val(headers, header);
}

static void add_headers(const struct message *message, struct view *view)
{
    const struct message_part *root = &message->parts[0];
    GArray *headers = g_array_new(FALSE, FALSE, sizeof(struct policy_header));
    size_t length = root->body - root->begin;
    const char *at = message->data + root->begin;
    const char *end = at + (length < MESSAGE_HEADER_LIMIT ? length : MESSAGE_HEADER_LIMIT);
    while (at < end) {
        const char *next = field_end(at, end);
        add_field(view, headers, at, next);
        at = next;
    }
    view->message.header_count = headers->len;
    view->headers = (struct policy_header *)(void *)g_array_free(headers, FALSE);
    view->message.headers = view->headers;
}

/* --- all --- */

void view_build(const struct view_order *order, struct view *view)
{
    const struct envelope *envelope = order->envelope;
    view_build_nodes(order->tree, view);
    view->message.direction = envelope->direction;
    view->message.sender = envelope->sender;
    view->message.recipients = envelope->recipients;
    view->message.recipient_count = envelope->recipient_count;
    view->message.size = order->size;
    view->message.verdicts = order->verdicts;
    add_headers(order->tree->message, view);
    view_add_texts(order, view);
}

void view_free(struct view *view)
{
    if (view->texts)
        g_ptr_array_free(view->texts, TRUE);
    g_free(view->headers);
    g_free(view->nodes);
    g_free(view->indices);
    g_free(view->problem);
    *view = (struct view){0};
}
