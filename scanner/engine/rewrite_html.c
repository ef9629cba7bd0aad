/* An annotation inside of HTML: where its body begins or ends, and the proof that it is seen there
 * and not inside of a comment, a script or an attribute that was left open. */
#include "scanner/engine/markup.h"
#include "scanner/engine/rewrite_private.h"

#include <string.h>

/* Styles of the message shall not hide it. */
#define OPEN                                                                                       \
    "<div style=\"display:block !important;visibility:visible !important;opacity:1 !important\">"
#define CLOSE "</div>"

void rewrite_html_of_text(const char *text, struct buffer *out)
{
    for (; *text; text++) {
        if (*text == '&' || *text == '<' || *text == '>' || *text == '"')
            buffer_add_format(out, "&#%d;", *text);
        else if (*text == '\n')
            buffer_add_text(out, "<br>\r\n");
        else if (*text != '\r')
            buffer_add(out, text, 1);
    }
}

/* References instead of characters, so that it fits each charset. */
static void add_ascii(const char *html, struct buffer *out)
{
    g_autofree char *valid = g_utf8_make_valid(html, -1);
    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        if (*at & 0x80)
            buffer_add_format(out, "&#%u;", (unsigned)g_utf8_get_char(at));
        else
            buffer_add(out, at, 1);
    }
}

/* --- where --- */

/* Behind white space and declarations (<!DOCTYPE>, <?xml?>) at the beginning. */
static size_t behind_declarations(const char *content, size_t length)
{
    size_t at = length >= 3 && memcmp(content, "\xef\xbb\xbf", 3) == 0 ? 3 : 0, behind = at;
    for (;;) {
        while (at < length && g_ascii_isspace(content[at]))
            at++;
        if (length - at < 3 || content[at] != '<' ||
            (content[at + 1] != '!' && content[at + 1] != '?') || content[at + 2] == '-')
            return behind;
        const char *end = memchr(content + at, '>', length - at);
        if (!end)
            return behind;
        behind = at = (size_t)(end - content) + 1;
    }
}

struct places {
    size_t top, bottom;
};

static size_t tag_begin(const char *content, size_t end)
{
    const char *found = memrchr(content, '<', end);
    return found ? (size_t)(found - content) : end;
}

static struct places find_places(const char *content, size_t length)
{
    struct places places = {behind_declarations(content, length), length};
    bool in_body = false, body_ended = false;
    struct markup markup;
    enum markup_kind kind;
    markup_open(&markup, content, length, true);
    while ((kind = markup_next(&markup)) != MARKUP_END) {
        size_t at = (size_t)(markup.at - content);
        bool body = strcmp(markup.name, "body") == 0, html = strcmp(markup.name, "html") == 0;
        if (kind == MARKUP_OPEN && !in_body && (body || html))
            places.top = at;
        else if (kind == MARKUP_CLOSE && !in_body && strcmp(markup.name, "head") == 0)
            places.top = at;
        else if (kind == MARKUP_CLOSE && (body || (html && !body_ended)))
            places.bottom = tag_begin(content, at);
        in_body |= kind == MARKUP_OPEN && body;
        body_ended |= kind == MARKUP_CLOSE && body;
    }
    return places.bottom < places.top ? (struct places){places.top, length} : places;
}

/* --- the proof --- */

static bool is_seen(const struct buffer *html, size_t begin, size_t at)
{
    const char *name_end = html->data + at + strlen("<div");
    struct markup markup;
    enum markup_kind kind;
    markup_open(&markup, html->data + begin, html->length - begin, true);
    while ((kind = markup_next(&markup)) != MARKUP_END)
        if (kind == MARKUP_OPEN && markup.attributes == name_end)
            return true;
    return false;
}

static bool insert(const char *content, size_t length, const char *fragment, size_t at,
                   struct buffer *out)
{
    size_t begin = out->length;
    buffer_add(out, content, at);
    buffer_add_text(out, OPEN);
    add_ascii(fragment, out);
    buffer_add_text(out, CLOSE "\r\n");
    buffer_add(out, content + at, length - at);
    if (!out->failed && is_seen(out, begin, begin + at))
        return true;
    if (!out->failed)
        out->length = begin;
    return false;
}

bool rewrite_html(const char *content, size_t length, const char *fragment,
                  enum rewrite_place place, struct buffer *out)
{
    struct places places = find_places(content, length);
    if (place == REWRITE_END && insert(content, length, fragment, places.bottom, out))
        return true;
    return insert(content, length, fragment, places.top, out);
}
