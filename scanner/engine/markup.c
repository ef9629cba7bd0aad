#include "scanner/engine/markup.h"

#include <glib.h>
#include <libxml/HTMLparser.h>
#include <string.h>

#define REFERENCE_LIMIT 32 /* bytes between '&' and ';' */

/* Elements of HTML whose content is text up to their own end tag. */
static const char *const raw_elements[] = {"script",   "style", "xmp",      "iframe",   "noembed",
                                           "noframes", "title", "textarea", "plaintext"};

void markup_open(struct markup *markup, const char *source, size_t length, bool html)
{
    *markup = (struct markup){.at = source, .end = source + length, .html = html};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static size_t left(const struct markup *markup)
{
    return (size_t)(markup->end - markup->at);
}

static const char *find(const struct markup *markup, const char *from, const char *what)
{
    return from < markup->end ? memmem(from, (size_t)(markup->end - from), what, strlen(what))
                              : NULL;
}

static enum markup_kind give_text(struct markup *markup, const char *end, bool literal)
{
    markup->text = markup->at;
    markup->length = (size_t)(end - markup->at);
    markup->literal = literal;
    markup->at = end;
    return MARKUP_TEXT;
}

/* --- names and attributes --- */

static bool ends_name(char c, bool html)
{
    return is_blank(c) || c == '/' || c == '>' || (!html && c == '=');
}

static void copy_name(char name[MARKUP_NAME_SIZE], const char *from, size_t length, bool html)
{
    const char *colon = html ? NULL : memrchr(from, ':', length);
    if (colon) {
        length -= (size_t)(colon + 1 - from);
        from = colon + 1;
    }
    if (length >= MARKUP_NAME_SIZE)
        length = MARKUP_NAME_SIZE - 1;
    for (size_t i = 0; i < length; i++)
        name[i] = html ? g_ascii_tolower(from[i]) : from[i];
    name[length] = '\0';
}

static const char *skip_value(const char *at, const char *end, const char **value, size_t *length)
{
    char quote = at < end && (*at == '"' || *at == '\'') ? *at : '\0';
    const char *stop;
    if (quote) {
        at++;
        stop = memchr(at, quote, (size_t)(end - at));
        stop = stop ? stop : end;
    } else {
        for (stop = at; stop < end && !is_blank(*stop) && *stop != '>'; stop++)
            ;
    }
    *value = at;
    *length = (size_t)(stop - at);
    return quote && stop < end ? stop + 1 : stop;
}

/* One attribute at `at`, which is neither blank, '/' nor '>'. */
static const char *read_attribute(const char *at, const char *end, bool html,
                                  struct markup_attribute *attribute)
{
    const char *begin = at++; /* a '=' may begin a name */
    while (at < end && !is_blank(*at) && *at != '/' && *at != '>' && *at != '=')
        at++;
    copy_name(attribute->name, begin, (size_t)(at - begin), html);
    attribute->value = "";
    attribute->length = 0;
    const char *after = at;
    while (after < end && is_blank(*after))
        after++;
    if (after == end || *after != '=')
        return at;
    for (after++; after < end && is_blank(*after); after++)
        ;
    return skip_value(after, end, &attribute->value, &attribute->length);
}

bool markup_next_attribute(const struct markup *markup, size_t *at,
                           struct markup_attribute *attribute)
{
    const char *end = markup->attributes + markup->attributes_length;
    const char *from = markup->attributes + *at;
    while (from < end && (is_blank(*from) || *from == '/'))
        from++;
    if (from == end)
        return false;
    *at = (size_t)(read_attribute(from, end, markup->html, attribute) - markup->attributes);
    return true;
}

/* --- tags --- */

/* The '>' that ends the tag whose name ends at `at`, or the end of all. */
static const char *tag_end(const struct markup *markup, const char *at)
{
    struct markup_attribute ignored;
    while (at < markup->end && *at != '>')
        at = is_blank(*at) || *at == '/' ? at + 1
                                         : read_attribute(at, markup->end, markup->html, &ignored);
    return at;
}

static void begin_raw(struct markup *markup)
{
    for (size_t i = 0; markup->html && i < G_N_ELEMENTS(raw_elements); i++)
        if (strcmp(markup->name, raw_elements[i]) == 0)
            memcpy(markup->raw, markup->name, sizeof(markup->raw));
}

static enum markup_kind read_tag(struct markup *markup, bool closing)
{
    const char *name = markup->at + (closing ? 2 : 1), *at = name;
    while (at < markup->end && !ends_name(*at, markup->html))
        at++;
    copy_name(markup->name, name, (size_t)(at - name), markup->html);
    const char *end = tag_end(markup, at);
    markup->attributes = at;
    markup->attributes_length = (size_t)(end - at);
    markup->empty = end > at && end[-1] == '/';
    markup->at = end < markup->end ? end + 1 : end;
    if (closing)
        return MARKUP_CLOSE;
    begin_raw(markup);
    return MARKUP_OPEN;
}

/* Behind a comment: it may also end at once or by "--!>". */
static const char *comment_end(const struct markup *markup)
{
    const char *from = markup->at + 4;
    if (from < markup->end && *from == '>')
        return from + 1;
    if (markup->end - from >= 2 && memcmp(from, "->", 2) == 0)
        return from + 2;
    for (; (from = find(markup, from, "--")); from++) {
        if (markup->end - from >= 3 && from[2] == '>')
            return from + 3;
        if (markup->end - from >= 4 && from[2] == '!' && from[3] == '>')
            return from + 4;
    }
    return markup->end;
}

static const char *declaration_end(const struct markup *markup)
{
    if (left(markup) >= 4 && memcmp(markup->at, "<!--", 4) == 0)
        return comment_end(markup);
    const char *end = memchr(markup->at, '>', left(markup));
    return end ? end + 1 : markup->end;
}

static bool begins_cdata(const struct markup *markup)
{
    return !markup->html && left(markup) >= 9 && memcmp(markup->at, "<![CDATA[", 9) == 0;
}

static enum markup_kind read_cdata(struct markup *markup)
{
    markup->at += 9;
    const char *end = find(markup, markup->at, "]]>");
    give_text(markup, end ? end : markup->end, true);
    if (end)
        markup->at += 3;
    return MARKUP_TEXT;
}

/* --- text --- */

static bool begins_name(char c, bool html)
{
    return g_ascii_isalpha(c) || (!html && (c == '_' || (c & 0x80)));
}

static bool begins_markup(const struct markup *markup, const char *at)
{
    size_t length = (size_t)(markup->end - at);
    if (length < 2)
        return false;
    if (at[1] == '/')
        return length > 2;
    return at[1] == '!' || at[1] == '?' || begins_name(at[1], markup->html);
}

static const char *text_end(const struct markup *markup)
{
    const char *at = markup->at;
    while ((at = memchr(at, '<', (size_t)(markup->end - at))) && !begins_markup(markup, at))
        at++;
    return at ? at : markup->end;
}

/* The content of a script and the like: up to its own end tag, or to the end of all. */
static enum markup_kind read_raw(struct markup *markup)
{
    size_t length = strlen(markup->raw);
    bool references = strcmp(markup->raw, "title") == 0 || strcmp(markup->raw, "textarea") == 0;
    const char *at = markup->at;
    for (; (at = find(markup, at, "</")); at++)
        if ((size_t)(markup->end - at) > length + 2 &&
            g_ascii_strncasecmp(at + 2, markup->raw, length) == 0 &&
            ends_name(at[length + 2], true))
            break;
    markup->raw[0] = '\0';
    return give_text(markup, at ? at : markup->end, !references);
}

enum markup_kind markup_next(struct markup *markup)
{
    while (markup->at < markup->end) {
        if (*markup->raw)
            return read_raw(markup);
        if (*markup->at != '<' || !begins_markup(markup, markup->at))
            return give_text(markup, text_end(markup), false);
        if (begins_cdata(markup))
            return read_cdata(markup);
        bool closing = markup->at[1] == '/';
        if (begins_name(markup->at[closing ? 2 : 1], markup->html))
            return read_tag(markup, closing);
        markup->at = declaration_end(markup);
    }
    return MARKUP_END;
}

/* --- character references --- */

static gunichar number_value(const char *name)
{
    bool hexadecimal = name[1] == 'x' || name[1] == 'X';
    guint64 value = g_ascii_strtoull(name + (hexadecimal ? 2 : 1), NULL, hexadecimal ? 16 : 10);
    if (value == 0 || value > 0x10ffff || !g_unichar_validate((gunichar)value))
        return 0xfffd;
    return (gunichar)value;
}

/* 0 where the name means nothing. */
static gunichar reference_value(const char *name, bool html)
{
    static const struct {
        const char *name;
        gunichar value;
    } xml[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    if (name[0] == '#')
        return g_ascii_isxdigit(name[1]) || name[1] == 'x' || name[1] == 'X' ? number_value(name)
                                                                             : 0;
    for (size_t i = 0; i < G_N_ELEMENTS(xml); i++)
        if (strcmp(name, xml[i].name) == 0)
            return xml[i].value;
    const htmlEntityDesc *entity = html ? htmlEntityLookup(BAD_CAST name) : NULL;
    return entity ? entity->value : 0;
}

/* The reference at `at`, which is '&'; returns its length with the ';', which HTML may lack. */
static size_t read_reference(const char *at, size_t length, bool html, gunichar *value)
{
    char name[REFERENCE_LIMIT + 1];
    size_t count = 0;
    *value = 0;
    while (count < REFERENCE_LIMIT && count + 1 < length &&
           (g_ascii_isalnum(at[count + 1]) || (count == 0 && at[1] == '#'))) {
        name[count] = at[count + 1];
        count++;
    }
    name[count] = '\0';
    bool ended = count + 1 < length && at[count + 1] == ';';
    if (count > 0 && (ended || (html && name[0] == '#')))
        *value = reference_value(name, html);
    return count + 1 + ended;
}

void markup_decode(const char *text, size_t length, bool html, struct buffer *out)
{
    const char *end = text + length;
    while (text < end) {
        const char *at = memchr(text, '&', (size_t)(end - text));
        buffer_add(out, text, (size_t)((at ? at : end) - text));
        if (!at)
            return;
        gunichar value;
        size_t used = read_reference(at, (size_t)(end - at), html, &value);
        char utf8[6];
        if (value != 0)
            buffer_add(out, utf8, (size_t)g_unichar_to_utf8(value, utf8));
        else
            buffer_add(out, at, used);
        text = at + used;
    }
}
