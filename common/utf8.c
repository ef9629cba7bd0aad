#include "common/utf8.h"

static bool continues(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

static size_t sequence_of_three(const unsigned char *s)
{
    bool overlong = s[0] == 0xe0 && s[1] < 0xa0;
    bool surrogate = s[0] == 0xed && s[1] > 0x9f;
    return continues(s[1]) && continues(s[2]) && !overlong && !surrogate ? 3 : 0;
}

static size_t sequence_of_four(const unsigned char *s)
{
    bool overlong = s[0] == 0xf0 && s[1] < 0x90;
    bool above = s[0] == 0xf4 && s[1] > 0x8f;
    return continues(s[1]) && continues(s[2]) && continues(s[3]) && !overlong && !above ? 4 : 0;
}

size_t utf8_sequence(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    if (length == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return length >= 2 && continues(s[1]) ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef)
        return length >= 3 ? sequence_of_three(s) : 0;
    if (s[0] >= 0xf0 && s[0] <= 0xf4)
        return length >= 4 ? sequence_of_four(s) : 0;
    return 0;
}

bool utf8_valid(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t step = utf8_sequence(text + at, length - at);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

bool utf8_is_ascii(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] >= 0x80)
            return false;
    return true;
}

static bool is_control(const char *text, size_t step)
{
    unsigned char first = (unsigned char)text[0];
    if (step == 1)
        return first < 0x20 || first == 0x7f;
    return first == 0xc2 && (unsigned char)text[1] < 0xa0;
}

size_t utf8_scrub(char *text, size_t length)
{
    size_t kept = 0;
    for (size_t at = 0; at < length;) {
        size_t step = utf8_sequence(text + at, length - at);
        if (step == 0 || is_control(text + at, step)) {
            text[kept++] = '?';
            at += step ? step : 1;
            continue;
        }
        for (size_t i = 0; i < step; i++)
            text[kept++] = text[at++];
    }
    return kept;
}
