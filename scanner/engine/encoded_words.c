#include "scanner/engine/encoded_words.h"

#include "scanner/engine/charset.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define CHARSET_LIMIT 40

struct word {
    char charset[CHARSET_LIMIT + 1];
    char encoding;       /* 'B' or 'Q' */
    const char *content; /* borrowed */
    size_t length;
    const char *end; /* behind "?=" */
};

/* The words of one charset that follow one another. */
struct run {
    char charset[CHARSET_LIMIT + 1]; /* "": no run */
    GString *bytes;
};

/* --- one word --- */

static bool read_charset(const char **at, struct word *word)
{
    const char *end = strchr(*at, '?');
    size_t length = end ? (size_t)(end - *at) : 0;
    const char *language = memchr(*at, '*', length); /* RFC 2231 section 5 */
    if (language)
        length = (size_t)(language - *at);
    if (length == 0 || length > CHARSET_LIMIT || memchr(*at, ' ', length))
        return false;
    memcpy(word->charset, *at, length);
    word->charset[length] = '\0';
    *at = end + 1;
    return true;
}

static bool read_word(const char *at, struct word *word)
{
    if (at[0] != '=' || at[1] != '?')
        return false;
    at += 2;
    if (!read_charset(&at, word))
        return false;
    word->encoding = g_ascii_toupper(at[0]);
    if ((word->encoding != 'B' && word->encoding != 'Q') || at[1] != '?')
        return false;
    word->content = at + 2;
    const char *end = strstr(word->content, "?=");
    if (!end)
        return false;
    word->length = (size_t)(end - word->content);
    word->end = end + 2;
    return true;
}

static void add_base64(GString *out, const char *text, size_t length)
{
    size_t before = out->len;
    int state = 0;
    guint save = 0;
    g_string_set_size(out, before + length + 3);
    size_t count = g_base64_decode_step(text, length, (guchar *)out->str + before, &state, &save);
    g_string_truncate(out, before + count);
}

static void add_quoted(GString *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '=' && length - i > 2 && g_ascii_isxdigit(text[i + 1]) &&
            g_ascii_isxdigit(text[i + 2])) {
            g_string_append_c(out, (char)(g_ascii_xdigit_value(text[i + 1]) << 4 |
                                          g_ascii_xdigit_value(text[i + 2])));
            i += 2;
        } else {
            g_string_append_c(out, text[i] == '_' ? ' ' : text[i]);
        }
    }
}

/* --- runs of words --- */

static void end_run(struct run *run, const char *unsafe, GString *out)
{
    if (!*run->charset)
        return;
    g_autofree char *text = charset_decode(run->bytes->str, run->bytes->len, run->charset);
    if (unsafe)
        g_strdelimit(text, unsafe, '_');
    g_string_append(out, text);
    g_string_truncate(run->bytes, 0);
    run->charset[0] = '\0';
}

static void add_word(struct run *run, const struct word *word, const char *unsafe, GString *out)
{
    if (g_ascii_strcasecmp(run->charset, word->charset) != 0)
        end_run(run, unsafe, out);
    memcpy(run->charset, word->charset, sizeof(run->charset));
    if (word->encoding == 'B')
        add_base64(run->bytes, word->content, word->length);
    else
        add_quoted(run->bytes, word->content, word->length);
}

/* White space between two words does not count (RFC 2047 section 6.2). */
static const char *skip_gap(const char *at, struct word *next)
{
    const char *behind = at + strspn(at, " \t");
    return read_word(behind, next) ? behind : at;
}

char *encoded_words_decode(const char *text, const char *unsafe)
{
    GString *out = g_string_sized_new(strlen(text));
    struct run run = {.bytes = g_string_new(NULL)};
    struct word word;
    for (const char *at = text; *at;) {
        if (read_word(at, &word)) {
            add_word(&run, &word, unsafe, out);
            at = skip_gap(word.end, &word);
            continue;
        }
        end_run(&run, unsafe, out);
        const char *next = strstr(at + 1, "=?");
        size_t length = next ? (size_t)(next - at) : strlen(at);
        g_string_append_len(out, at, (gssize)length);
        at += length;
    }
    end_run(&run, unsafe, out);
    g_string_free(run.bytes, TRUE);
    return g_string_free(out, FALSE);
}
