#include "controlcenter/http/text.h"

#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

/* C0, DEL and, in UTF-8, C1 (U+0080 to U+009F). */
static bool is_control(const char *at, size_t length, enum text_lines lines)
{
    unsigned char first = (unsigned char)at[0];
    if (length == 2)
        return first == 0xc2 && (unsigned char)at[1] < 0xa0;
    if (lines == TEXT_LINES && (first == '\t' || first == '\n' || first == '\r'))
        return false;
    return first < 0x20 || first == 0x7f;
}

bool text_is_clean(const char *text, size_t length, enum text_lines lines)
{
    while (length > 0) {
        size_t step = utf8_sequence(text, length);
        if (step == 0 || is_control(text, step, lines))
            return false;
        text += step;
        length -= step;
    }
    return true;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* Decodes into `to` (as long as `text` at least); returns the length, or -1. */
static ptrdiff_t decode(const char *text, size_t length, bool form, char *to)
{
    char *at = to;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '+' && form) {
            *at++ = ' ';
        } else if (text[i] == '%') {
            if (length - i < 3)
                return -1;
            int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
            if (high < 0 || low < 0)
                return -1;
            *at++ = (char)(high << 4 | low);
            i += 2;
        } else {
            *at++ = text[i];
        }
    }
    return at - to;
}

/* Browsers send the lines of a text area with CRLF. */
size_t text_normalise_lines(char *text, size_t length)
{
    char *to = text;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\t')
            *to++ = ' ';
        else if (text[i] != '\r')
            *to++ = text[i];
        else if (i + 1 == length || text[i + 1] != '\n')
            *to++ = '\n';
    }
    return (size_t)(to - text);
}

int text_percent_decode(const char *text, size_t length, bool form, enum text_lines lines,
                        char **decoded)
{
    *decoded = NULL;
    char *to = malloc(length + 1);
    if (!to)
        return 500;
    ptrdiff_t end = decode(text, length, form, to);
    if (end < 0 || !text_is_clean(to, (size_t)end, lines)) {
        free(to);
        return 400;
    }
    if (lines == TEXT_LINES)
        end = (ptrdiff_t)text_normalise_lines(to, (size_t)end);
    to[end] = '\0';
    *decoded = to;
    return 0;
}

bool text_is_token(const char *text, size_t length)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || !strchr(marks, c)))
            return false;
    }
    return length > 0;
}
