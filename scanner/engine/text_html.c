/* HTML as a mailer shows it: no scripts, nothing that its style hides. */
#include "scanner/engine/markup.h"
#include "scanner/engine/text_private.h"

#include <glib.h>
#include <string.h>

#define META_LOOK 4096  /* bytes in which a document must name its charset */
#define STYLE_LOOK 4096 /* bytes of a style that are looked at */
#define HIDDEN_NESTING (1 << 20)

struct html {
    struct text *text;
    struct markup markup;
    struct buffer decoded;
    char hidden[MARKUP_NAME_SIZE]; /* the element that hides what is in it; "" */
    int hidden_count;              /* open elements of that name within it, itself included */
};

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool breaks_line(const char *name)
{
    static const char *const names[] = {
        "p",   "div",     "br",     "tr",      "li",     "ul",         "ol",   "table",
        "h1",  "h2",      "h3",     "h4",      "h5",     "h6",         "hr",   "blockquote",
        "pre", "section", "header", "article", "footer", "address",    "form", "dl",
        "dt",  "dd",      "center", "body",    "option", "figcaption", "nav",  "aside"};
    return is_one_of(name, names, G_N_ELEMENTS(names));
}

static bool is_never_shown(const char *name)
{
    static const char *const names[] = {"script",  "style",    "title",    "iframe",
                                        "noembed", "noframes", "template", "object"};
    return is_one_of(name, names, G_N_ELEMENTS(names));
}

/* Elements that hold nothing: they cannot hide what follows. */
static bool is_void(const char *name)
{
    static const char *const names[] = {"br",   "hr",  "img",   "input", "meta",   "link",  "area",
                                        "base", "col", "embed", "param", "source", "track", "wbr"};
    return is_one_of(name, names, G_N_ELEMENTS(names));
}

/* --- style --- */

/* Lower case, without blanks and comments. */
static void normalise_style(const char *style, size_t length, GString *out)
{
    for (size_t i = 0; i < length && i < STYLE_LOOK; i++) {
        if (i + 1 < length && style[i] == '/' && style[i + 1] == '*') {
            const char *end = memmem(style + i + 2, length - i - 2, "*/", 2);
            if (!end)
                return;
            i = (size_t)(end - style) + 1;
        } else if (!g_ascii_isspace(style[i])) {
            g_string_append_c(out, g_ascii_tolower(style[i]));
        }
    }
}

/* Whether a property stands there with the number 0, whatever its unit. */
static bool is_zero(const char *style, const char *property)
{
    size_t length = strlen(property);
    for (const char *at = style; (at = strstr(at, property)); at += length) {
        char *end;
        if (at > style && at[-1] != ';')
            continue;
        double value = g_ascii_strtod(at + length, &end);
        if (end > at + length && value <= 0)
            return true;
    }
    return false;
}

static bool hides(const char *style, size_t length)
{
    GString *text = g_string_new(NULL);
    normalise_style(style, length, text);
    bool hidden = strstr(text->str, "display:none") || strstr(text->str, "visibility:hidden") ||
                  is_zero(text->str, "font-size:") || is_zero(text->str, "opacity:");
    g_string_free(text, TRUE);
    return hidden;
}

/* --- tags --- */

static void decode(struct html *html, const char *raw, size_t length)
{
    buffer_clear(&html->decoded);
    markup_decode(raw, length, true, &html->decoded);
}

static bool leads_somewhere(const char *name)
{
    static const char *const names[] = {"href",       "src",    "action",  "formaction",
                                        "background", "poster", "longdesc"};
    return is_one_of(name, names, G_N_ELEMENTS(names));
}

/* Notes what the attributes of the open tag say; returns whether they hide the element. */
static bool read_attributes(struct html *html)
{
    struct markup_attribute attribute;
    bool hidden = false;
    for (size_t at = 0; markup_next_attribute(&html->markup, &at, &attribute);) {
        if (leads_somewhere(attribute.name)) {
            decode(html, attribute.value, attribute.length);
            text_add_url(html->text, buffer_text(&html->decoded), html->decoded.length);
        } else if (strcmp(attribute.name, "style") == 0) {
            decode(html, attribute.value, attribute.length);
            hidden |= hides(buffer_text(&html->decoded), html->decoded.length);
        } else if (strcmp(attribute.name, "hidden") == 0) {
            hidden = true;
        } else if (strcmp(attribute.name, "alt") == 0 && !*html->hidden) {
            decode(html, attribute.value, attribute.length);
            text_space(html->text);
            text_add_words(html->text, buffer_text(&html->decoded), html->decoded.length);
            text_space(html->text);
        }
    }
    return hidden;
}

static void open_tag(struct html *html)
{
    const char *name = html->markup.name;
    bool hidden = read_attributes(html);
    if (*html->hidden) {
        if (strcmp(name, html->hidden) == 0 && html->hidden_count < HIDDEN_NESTING)
            html->hidden_count++;
        return;
    }
    if (breaks_line(name))
        text_break(html->text);
    else if (strcmp(name, "td") == 0 || strcmp(name, "th") == 0)
        text_space(html->text);
    if (is_void(name) || (!hidden && !is_never_shown(name)))
        return;
    memcpy(html->hidden, name, sizeof(html->hidden));
    html->hidden_count = 1;
}

static void close_tag(struct html *html)
{
    const char *name = html->markup.name;
    if (*html->hidden) {
        if (strcmp(name, html->hidden) == 0 && --html->hidden_count == 0)
            html->hidden[0] = '\0';
        return;
    }
    if (breaks_line(name))
        text_break(html->text);
}

static void add_text(struct html *html)
{
    if (*html->hidden)
        return;
    decode(html, html->markup.text, html->markup.length);
    text_add_words(html->text, buffer_text(&html->decoded), html->decoded.length);
}

static void read_document(struct text *text, const char *source)
{
    struct html html = {.text = text, .decoded = BUFFER_INIT};
    markup_open(&html.markup, source, strlen(source), true);
    for (;;) {
        switch (text_goes_on(text) ? markup_next(&html.markup) : MARKUP_END) {
        case MARKUP_TEXT:
            add_text(&html);
            break;
        case MARKUP_OPEN:
            open_tag(&html);
            break;
        case MARKUP_CLOSE:
            close_tag(&html);
            break;
        case MARKUP_END:
            buffer_free(&html.decoded);
            return;
        }
    }
}

/* --- charset --- */

/* The charset that the document itself names, or NULL; free with g_free. */
static char *own_charset(const char *data, size_t length)
{
    static const char blanks[] = " \t\r\n\"'=";
    g_autofree char *head = g_ascii_strdown(data, (gssize)MIN(length, META_LOOK));
    for (char *meta = head; (meta = strstr(meta, "<meta")); meta++) {
        const char *end = strchr(meta, '>');
        const char *at = strstr(meta, "charset");
        if (!end || !at || at > end)
            continue;
        at += strlen("charset");
        at += strspn(at, blanks);
        size_t name = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789-_.:");
        return name > 0 ? g_strndup(at, name) : NULL;
    }
    return NULL;
}

void text_of_html(const struct tree_node *node, enum text_view view, struct text *text)
{
    const char *charset = node->kind == TREE_PART && node->message
                              ? node->message->parts[node->message_part].charset
                              : NULL;
    size_t length = MIN(node->length, TEXT_INPUT_LIMIT);
    g_autofree char *own = charset ? NULL : own_charset(node->data, length);
    g_autofree char *source = text_decode(node->data, length, charset ? charset : own);
    if (view == TEXT_WITH_TAGS) {
        struct text links;
        text_add(text, source, strlen(source));
        text_init(&links, &text->limits);
        read_document(&links, source);
        for (size_t i = 0; i < links.url_count; i++)
            text_add_url(text, links.urls[i], strlen(links.urls[i]));
        text_free(&links);
    } else {
        read_document(text, source);
    }
    text->cut |= length < node->length;
    text_break(text);
}
