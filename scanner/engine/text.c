#include "scanner/engine/text.h"

#include "scanner/engine/charset.h"
#include "scanner/engine/text_private.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_BYTES (4u << 20)
#define DEFAULT_URLS 1000
#define WIDE_LINE 200 /* bytes of a line of two bytes a character */

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct text_limits text_default_limits(int64_t microseconds)
{
    return (struct text_limits){
        .bytes = DEFAULT_BYTES, .urls = DEFAULT_URLS, .stop_us = now_us() + microseconds};
}

void text_init(struct text *text, const struct text_limits *limits)
{
    *text = (struct text){.limits = *limits};
    buffer_init(&text->content, limits->bytes + 1);
}

void text_free(struct text *text)
{
    for (size_t i = 0; i < text->url_count; i++)
        g_free(text->urls[i]);
    free(text->urls);
    buffer_free(&text->content);
}

/* --- adding --- */

bool text_goes_on(struct text *text)
{
    bool going = text->content.length < text->limits.bytes && now_us() < text->limits.stop_us;
    text->cut |= !going;
    return going;
}

void text_add(struct text *text, const char *utf8, size_t length)
{
    size_t room = text->limits.bytes - text->content.length;
    if (length > room) {
        for (length = room; length > 0 && (utf8[length] & 0xc0) == 0x80; length--)
            ;
        text->cut = true;
    }
    if (!buffer_add(&text->content, utf8, length))
        text->cut = true;
}

static char last_character(const struct text *text)
{
    return text->content.length > 0 ? text->content.data[text->content.length - 1] : '\n';
}

void text_break(struct text *text)
{
    if (last_character(text) == ' ')
        text->content.data[--text->content.length] = '\0';
    if (last_character(text) != '\n')
        text_add(text, "\n", 1);
}

void text_space(struct text *text)
{
    if (!strchr(" \n\t", last_character(text)))
        text_add(text, " ", 1);
}

/* The length of white space at `at`: NUL and the blank that breaks no line are some too. */
static size_t blank_length(const char *at, const char *end)
{
    if (g_ascii_isspace(*at) || *at == '\0')
        return 1;
    return end - at >= 2 && memcmp(at, "\xc2\xa0", 2) == 0 ? 2 : 0;
}

/* The length of a character at `at` that shows nothing, put between letters to hide a word: soft
 * hyphen, blank without width, joiner of words. */
static size_t unseen_length(const char *at, const char *end)
{
    static const char *const unseen[] = {"\xc2\xad", "\xe2\x80\x8b", "\xe2\x81\xa0",
                                         "\xef\xbb\xbf"};
    for (size_t i = 0; (*at & 0x80) && i < G_N_ELEMENTS(unseen); i++) {
        size_t length = strlen(unseen[i]);
        if ((size_t)(end - at) >= length && memcmp(at, unseen[i], length) == 0)
            return length;
    }
    return 0;
}

void text_add_words(struct text *text, const char *utf8, size_t length)
{
    const char *end = utf8 + length;
    while (utf8 < end) {
        size_t word = 0, skipped;
        while (utf8 + word < end && blank_length(utf8 + word, end) == 0 &&
               unseen_length(utf8 + word, end) == 0)
            word++;
        text_add(text, utf8, word);
        utf8 += word;
        while (utf8 < end && (skipped = unseen_length(utf8, end)) > 0)
            utf8 += skipped;
        if (utf8 < end && blank_length(utf8, end) > 0)
            text_space(text);
        while (utf8 < end && (skipped = blank_length(utf8, end)) > 0)
            utf8 += skipped;
    }
}

/* --- addresses --- */

static bool has_url(const struct text *text, const char *url)
{
    for (size_t i = 0; i < text->url_count; i++)
        if (strcmp(text->urls[i], url) == 0)
            return true;
    return false;
}

/* What browsers leave out of an address. */
static char *clean_url(const char *url, size_t length)
{
    GString *clean = g_string_new(NULL);
    for (size_t i = 0; i < length && clean->len < TEXT_URL_LENGTH; i++)
        if ((unsigned char)url[i] > ' ' && url[i] != 0x7f)
            g_string_append_c(clean, url[i]);
    char *valid = g_utf8_make_valid(clean->str, -1);
    g_string_free(clean, TRUE);
    return valid;
}

void text_add_url(struct text *text, const char *url, size_t length)
{
    g_autofree char *raw =
        g_strndup(url, length > TEXT_URL_LENGTH * 2 ? TEXT_URL_LENGTH * 2 : length);
    g_autofree char *clean = clean_url(raw, strlen(raw));
    if (!*clean || *clean == '#' || has_url(text, clean))
        return;
    char **urls = text->url_count < text->limits.urls
                      ? reallocarray(text->urls, text->url_count + 1, sizeof(*urls))
                      : NULL;
    if (!urls) {
        text->cut = true;
        return;
    }
    text->urls = urls;
    text->urls[text->url_count++] = g_steal_pointer(&clean);
}

/* --- charset --- */

/* Text of two bytes a character has a NUL in each line break at least. */
static bool has_many_nuls(const char *data, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += data[i] == '\0';
    return count > length / WIDE_LINE;
}

/* A file of two or four bytes a character, in which NUL is no end. Two bytes at the beginning of
 * text that is declared otherwise must not hide it. */
static const char *wide_charset(const char *data, size_t length, const char *declared)
{
    bool marked =
        length >= 2 && (memcmp(data, "\xff\xfe", 2) == 0 || memcmp(data, "\xfe\xff", 2) == 0);
    if (declared && (g_ascii_strncasecmp(declared, "utf-16", 6) == 0 ||
                     g_ascii_strncasecmp(declared, "utf-32", 6) == 0 ||
                     g_ascii_strncasecmp(declared, "ucs-", 4) == 0))
        return marked ? "UTF-16" : declared;
    return marked && (!declared || has_many_nuls(data, length)) ? "UTF-16" : NULL;
}

char *text_decode(const char *data, size_t length, const char *declared)
{
    const char *wide = wide_charset(data, length, declared);
    if (length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
        length -= 3;
    }
    if (wide || !memchr(data, '\0', length))
        return charset_to_text(data, length, wide ? wide : declared);
    /* One NUL must not hide what follows it. */
    g_autofree char *copy = g_memdup2(data, length);
    for (size_t i = 0; i < length; i++)
        if (copy[i] == '\0')
            copy[i] = ' ';
    return charset_to_text(copy, length, declared);
}

/* --- which reader --- */

static bool is_declared(const struct tree_node *node, const char *type)
{
    return node->declared_type && strcmp(node->declared_type, type) == 0;
}

static bool is_html(const struct tree_node *node)
{
    return is_declared(node, "text/html") || is_declared(node, "application/xhtml+xml") ||
           ((!node->declared_type || !g_str_has_prefix(node->declared_type, "text/")) &&
            strcmp(node->type, "text/html") == 0);
}

static bool is_plain(const struct tree_node *node)
{
    static const char *const types[] = {"application/json", "application/javascript",
                                        "application/xml", "application/x-ndjson"};
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
        if (strcmp(node->type, types[i]) == 0)
            return true;
    return g_str_has_prefix(node->type, "text/") ||
           (node->declared_type && g_str_has_prefix(node->declared_type, "text/"));
}

/* Outlook and others send RTF and PDF with any type; what opens them looks at the content. */
bool text_of_node(const struct tree *tree, size_t index, enum text_view view, struct text *text)
{
    const struct tree_node *node = &tree->nodes[index];
    if (text_is_office(tree, index)) {
        text_of_office(tree, index, text);
        return true;
    }
    if (!node->data || (node->kind == TREE_MEMBER && text_is_office(tree, node->parent)))
        return false;
    if (strcmp(node->type, "application/pdf") == 0)
        text_of_pdf(node, text);
    else if (strcmp(node->type, "text/rtf") == 0)
        text_of_rtf(node, text);
    else if (is_html(node))
        text_of_html(node, view, text);
    else if (is_plain(node) && !node->container)
        text_of_plain(node, text);
    else
        return false;
    return true;
}
