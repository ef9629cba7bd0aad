#include "scanner/engine/header_text.h"

#include "scanner/engine/charset.h"
#include "scanner/engine/encoded_words.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

static bool is_space(gunichar c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0x2028 || c == 0x2029;
}

static bool turns_direction(gunichar c)
{
    return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

bool header_text_turns(const char *text)
{
    for (; *text; text = g_utf8_next_char(text))
        if (turns_direction(g_utf8_get_char(text)))
            return true;
    return false;
}

/* Characters that show nothing but change how what is around them shows. */
static bool is_invisible(gunichar c)
{
    return g_unichar_iscntrl(c) || turns_direction(c) || c == 0x200e || c == 0x200f ||
           c == 0xfeff || (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef);
}

void header_text_clean(char *text, size_t most)
{
    const char *from = text;
    char *to = text;
    size_t count = 0;
    bool space = false;
    while (*from && count < most) {
        gunichar c = g_utf8_get_char(from);
        from = g_utf8_next_char(from);
        if (is_space(c)) {
            space = count > 0;
        } else if (!is_invisible(c)) {
            if (space && ++count < most)
                *to++ = ' ';
            space = false;
            if (count < most)
                to += g_unichar_to_utf8(c, to);
            count++;
        }
    }
    *to = '\0';
}

char *header_text_unfold(const char *value, size_t length, const char *charset)
{
    g_autoptr(GString) line = g_string_sized_new(MIN(length, HEADER_FIELD_LIMIT));
    for (size_t i = 0; i < length && i < HEADER_FIELD_LIMIT; i++)
        if (value[i] != '\r' && value[i] != '\n')
            g_string_append_c(line, value[i] ? value[i] : ' ');
    return charset_to_utf8(line->str, line->len, charset);
}

char *header_text_parameters(const char *value, size_t length, const char *charset)
{
    g_autofree char *unfolded = header_text_unfold(value, length, charset);
    return encoded_words_decode(unfolded, "\"\\");
}

char *header_text_decode(const char *value, size_t length, const char *charset)
{
    g_autofree char *unfolded = header_text_unfold(value, length, charset);
    char *text = encoded_words_decode(unfolded, NULL);
    header_text_clean(text, HEADER_TEXT_CHARACTERS);
    return text;
}
