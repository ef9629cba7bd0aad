/* Addresses in plain text, as mailers make links of them. */
#include "scanner/engine/text_private.h"

#include <glib.h>
#include <string.h>

static const char *const beginnings[] = {"http://", "https://", "ftp://", "www."};

static size_t beginning_at(const char *at, size_t length)
{
    for (size_t i = 0; i < G_N_ELEMENTS(beginnings); i++) {
        size_t own = strlen(beginnings[i]);
        if (length > own && g_ascii_strncasecmp(at, beginnings[i], own) == 0)
            return own;
    }
    return 0;
}

/* Text of another script may follow an address without a space, but also stand in a host's name. */
static bool ends_url(unsigned char c, bool in_host)
{
    return c <= ' ' || c == 0x7f || strchr("<>\"{}|\\^`", c) || (c >= 0x80 && !in_host);
}

static long count(const char *text, size_t length, char c)
{
    long found = 0;
    for (size_t i = 0; i < length; i++)
        found += text[i] == c;
    return found;
}

/* A bracket that closes one before the address. */
static bool ends_bracket(const char *at, size_t length)
{
    char closing = at[length - 1];
    return (closing == ')' && count(at, length, ')') > count(at, length, '(')) ||
           (closing == ']' && count(at, length, ']') > count(at, length, '['));
}

static size_t url_length(const char *at, size_t length, size_t begin)
{
    size_t end = begin;
    bool in_host = true;
    while (end < length && end < TEXT_URL_LENGTH && !ends_url((unsigned char)at[end], in_host)) {
        if (at[end] == '/' || at[end] == '?')
            in_host = false;
        end++;
    }
    while (end > begin && (strchr(".,;:!?'*_", at[end - 1]) || ends_bracket(at, end)))
        end--;
    return end > begin ? end : 0;
}

void text_find_urls(struct text *text, const char *utf8, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!strchr("hHfFwW", utf8[i]) || (i > 0 && g_ascii_isalnum(utf8[i - 1])))
            continue;
        size_t begin = beginning_at(utf8 + i, length - i);
        size_t found = begin ? url_length(utf8 + i, length - i, begin) : 0;
        if (found == 0)
            continue;
        if (text->url_count >= text->limits.urls) {
            text->cut = true;
            return;
        }
        text_add_url(text, utf8 + i, found);
        i += found - 1;
    }
}
