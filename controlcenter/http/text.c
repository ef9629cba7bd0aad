#include "controlcenter/http/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The length of the UTF-8 sequence that starts here, or 0 where it is malformed. */
static size_t utf8_sequence(const unsigned char *at, size_t left, uint32_t *code)
{
    size_t length;
    uint32_t least;
    if (at[0] < 0x80) {
        *code = at[0];
        return 1;
    } else if (at[0] >= 0xc2 && at[0] < 0xe0) {
        length = 2;
        least = 0x80;
        *code = at[0] & 0x1f;
    } else if (at[0] >= 0xe0 && at[0] < 0xf0) {
        length = 3;
        least = 0x800;
        *code = at[0] & 0x0f;
    } else if (at[0] >= 0xf0 && at[0] < 0xf5) {
        length = 4;
        least = 0x10000;
        *code = at[0] & 0x07;
    } else {
        return 0;
    }
    if (length > left)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (at[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code < least || *code > 0x10ffff || surrogate ? 0 : length;
}

static bool is_control(uint32_t code, enum text_lines lines)
{
    if (lines == TEXT_LINES && (code == '\t' || code == '\n' || code == '\r'))
        return false;
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

bool text_is_clean(const char *text, size_t length, enum text_lines lines)
{
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *end = at + length;
    while (at < end) {
        uint32_t code;
        size_t step = utf8_sequence(at, (size_t)(end - at), &code);
        if (step == 0 || is_control(code, lines))
            return false;
        at += step;
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
static size_t normalise_lines(char *text, size_t length)
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
        end = (ptrdiff_t)normalise_lines(to, (size_t)end);
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
