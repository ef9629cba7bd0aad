/* Lines of policy cases cut into words. */
#include "policy_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *add_repeated(const char *at, GString *out)
{
    const char *end = strchr(at, '}');
    const char *star = end ? memrchr(at, '*', (size_t)(end - at)) : NULL;
    if (!star)
        fail_msg("\\{TEXT*COUNT} is wrong in: %s", at);
    for (long count = strtol(star + 1, NULL, 10); count > 0; count--)
        g_string_append_len(out, at, star - at);
    return end + 1;
}

/* `at` is behind the backslash; returns what follows the escape. */
static const char *add_escape(const char *at, GString *out)
{
    static const char names[] = "nrt\"\\", values[] = "\n\r\t\"\\";
    const char *known = *at ? strchr(names, *at) : NULL;
    if (known) {
        g_string_append_c(out, values[known - names]);
        return at + 1;
    }
    if (*at == '{')
        return add_repeated(at + 1, out);
    if (*at != 'x' || !g_ascii_isxdigit(at[1]) || !g_ascii_isxdigit(at[2]))
        fail_msg("there is no escape \\%s", at);
    g_string_append_c(out, (char)(g_ascii_xdigit_value(at[1]) * 16 + g_ascii_xdigit_value(at[2])));
    return at + 3;
}

GString *case_unescape(const char *text, const char *end)
{
    GString *out = g_string_new(NULL);
    while (end ? text < end : *text) {
        if (*text == '\\')
            text = add_escape(text + 1, out);
        else
            g_string_append_c(out, *text++);
    }
    return out;
}

static const char *end_of_quote(const char *at)
{
    while (*at && *at != '"')
        at += *at == '\\' && at[1] ? 2 : 1;
    if (!*at)
        fail_msg("a quotation mark is not closed");
    return at;
}

void case_words_read(const char *line, struct case_words *words)
{
    GArray *items = g_array_new(FALSE, FALSE, sizeof(struct case_word));
    for (const char *at = line + strspn(line, " \t"); *at; at += strspn(at, " \t")) {
        struct case_word word = {.quoted = *at == '"'};
        const char *end = word.quoted ? end_of_quote(at + 1) : at + strcspn(at, " \t");
        word.text = word.quoted ? g_string_free(case_unescape(at + 1, end), FALSE)
                                : g_strndup(at, (gsize)(end - at));
        g_array_append_val(items, word);
        at = word.quoted ? end + 1 : end;
    }
    words->count = items->len;
    words->items = (struct case_word *)(void *)g_array_free(items, FALSE);
}

void case_words_free(struct case_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        g_free(words->items[i].text);
    g_free(words->items);
}

const char *case_word(const struct case_words *words, size_t index)
{
    return index < words->count ? words->items[index].text : "";
}

bool case_word_is(const struct case_words *words, size_t index, const char *text)
{
    return index < words->count && !words->items[index].quoted &&
           strcmp(words->items[index].text, text) == 0;
}
