#include "scanner/policy/folding.h"

#include "scanner/policy/unicode_tables.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 256, LAST_CHARACTER = 0x10ffff };

struct folding {
    int32_t *pages[LAST_CHARACTER / PAGE + 1]; /* deltas; NULL: nothing folds there */
    unsigned char words[LAST_CHARACTER / 8 + 1];
    unsigned char ascii[128];
};

static bool add_fold(struct folding *folding, uint32_t character, int32_t delta)
{
    int32_t **page = &folding->pages[character / PAGE];
    if (!*page)
        *page = calloc(PAGE, sizeof **page);
    if (!*page)
        return false;
    (*page)[character % PAGE] = delta;
    return true;
}

struct folding *folding_new(void)
{
    struct folding *folding = calloc(1, sizeof *folding);
    if (!folding)
        return NULL;
    for (size_t i = 0; i < unicode_fold_count; i++) {
        const struct unicode_fold *range = &unicode_folds[i];
        for (uint32_t c = range->first; c <= range->last; c += range->step)
            if (!add_fold(folding, c, range->delta)) {
                folding_free(folding);
                return NULL;
            }
    }
    for (size_t i = 0; i < unicode_spaced_word_count; i++)
        for (uint32_t c = unicode_spaced_words[i].first; c <= unicode_spaced_words[i].last; c++)
            folding->words[c / 8] |= (unsigned char)(1u << c % 8);
    for (uint32_t c = 0; c < 128; c++)
        folding->ascii[c] = (unsigned char)folding_fold(folding, c);
    return folding;
}

void folding_free(struct folding *folding)
{
    if (!folding)
        return;
    for (size_t i = 0; i < sizeof folding->pages / sizeof folding->pages[0]; i++)
        free(folding->pages[i]);
    free(folding);
}

uint32_t folding_fold(const struct folding *folding, uint32_t character)
{
    if (character > LAST_CHARACTER)
        return character;
    const int32_t *page = folding->pages[character / PAGE];
    return page ? (uint32_t)((int32_t)character + page[character % PAGE]) : character;
}

bool folding_in_word(const struct folding *folding, uint32_t character)
{
    return character <= LAST_CHARACTER && folding->words[character / 8] >> character % 8 & 1;
}

uint32_t utf8_decode(const char *text, size_t length, size_t *bytes)
{
    const unsigned char *t = (const unsigned char *)text;
    *bytes = 1;
    if (t[0] < 0xc0)
        return t[0];
    size_t count = t[0] >= 0xf0 ? 4 : t[0] >= 0xe0 ? 3 : 2;
    if (count > length)
        return t[0];
    uint32_t character = t[0] & (0xffu >> (count + 1));
    for (size_t i = 1; i < count; i++)
        character = character << 6 | (t[i] & 0x3f);
    *bytes = count;
    return character;
}

size_t utf8_encode(uint32_t character, char text[4])
{
    if (character < 0x80) {
        text[0] = (char)character;
        return 1;
    }
    size_t count = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = count - 1; i > 0; i--, character >>= 6)
        text[i] = (char)(0x80 | (character & 0x3f));
    text[0] = (char)((0xf00u >> count & 0xf0) | character);
    return count;
}

uint32_t utf8_before(const char *text, size_t place)
{
    size_t start = place - 1, bytes;
    while (start > 0 && place - start < 4 && ((unsigned char)text[start] & 0xc0) == 0x80)
        start--;
    return utf8_decode(text + start, place - start, &bytes);
}

static bool add_shift(struct folded_text *folded, size_t place, size_t text)
{
    if (folded->shift_count == folded->shift_room) {
        size_t room = folded->shift_room ? folded->shift_room * 2 : 16;
        struct folded_shift *more = realloc(folded->shifts, room * sizeof *more);
        if (!more)
            return false;
        folded->shifts = more;
        folded->shift_room = room;
    }
    folded->shifts[folded->shift_count++] = (struct folded_shift){place, text};
    return true;
}

bool folded_text_make(struct folded_text *folded, const struct folding *folding, const char *text,
                      size_t length)
{
    *folded = (struct folded_text){0};
    /* Simple folding makes two bytes three at most (U+023A and U+023E). */
    folded->data = length < SIZE_MAX / 2 - 8 ? malloc(length + length / 2 + 8) : NULL;
    if (!folded->data)
        return false;
    char *out = folded->data;
    for (size_t i = 0; i < length;) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < 0x80) {
            *out++ = (char)folding->ascii[byte];
            i++;
            continue;
        }
        size_t bytes;
        uint32_t character = utf8_decode(text + i, length - i, &bytes);
        uint32_t to = folding_fold(folding, character);
        size_t written = bytes;
        if (to == character)
            memcpy(out, text + i, bytes);
        else
            written = utf8_encode(to, out);
        out += written;
        i += bytes;
        if (written != bytes && !add_shift(folded, (size_t)(out - folded->data), i)) {
            folded_text_free(folded);
            return false;
        }
    }
    *out = '\0';
    folded->length = (size_t)(out - folded->data);
    return true;
}

/* White space, and what looks like it. */
static bool is_white(uint32_t c)
{
    return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x2800 || c == 0x3000;
}

/* Control characters, and those that Unicode says are shown as nothing. */
static bool is_unseen(uint32_t c)
{
    static const uint32_t ranges[][2] = {
        {0x00, 0x08},       {0x0e, 0x1f},     {0x7f, 0x84},       {0x86, 0x9f},
        {0xad, 0xad},       {0x34f, 0x34f},   {0x61c, 0x61c},     {0x115f, 0x1160},
        {0x17b4, 0x17b5},   {0x180b, 0x180f}, {0x200b, 0x200f},   {0x202a, 0x202e},
        {0x2060, 0x206f},   {0x3164, 0x3164}, {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},
        {0xffa0, 0xffa0},   {0xfff0, 0xfff8}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
        {0xe0000, 0xe0fff},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && c >= ranges[i][0]; i++)
        if (c <= ranges[i][1])
            return true;
    return false;
}

/* Characters of scripts that break lines anywhere: Chinese and Japanese, their marks among them. */
static bool breaks_anywhere(uint32_t c)
{
    return (c >= 0x2e80 && c <= 0x9fff && c != 0x3000 && c != 0x3164) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0xff61 && c <= 0xff9f) ||
           (c >= 0x20000 && c <= 0x3ffff);
}

static uint32_t narrow(uint32_t c)
{
    return c >= 0xff01 && c <= 0xff5e ? c - 0xfee0 : c;
}

/* What one step of loosening reads and writes. */
struct loosening {
    const char *text, *begin;
    size_t length, at;
    char *out;
};

/* Passes over white space and what is unseen; says the character behind, 0 at the end, and whether
 * there was white space. */
static uint32_t pass_over(struct loosening *l, bool *white)
{
    *white = false;
    while (l->at < l->length) {
        size_t bytes;
        uint32_t character = utf8_decode(l->text + l->at, l->length - l->at, &bytes);
        bool space = is_white(character);
        if (!space && !is_unseen(character))
            return character;
        *white |= space;
        l->at += bytes;
    }
    return 0;
}

/* One character, or a stretch of white space and what is unseen. */
static void loosen_step(struct loosening *l, const struct folding *folding, bool match_case)
{
    bool white;
    size_t bytes, before = l->at;
    uint32_t character = pass_over(l, &white);
    if (l->at > before) {
        bool joined = l->out > l->begin && breaks_anywhere(character) &&
                      breaks_anywhere(utf8_before(l->begin, (size_t)(l->out - l->begin)));
        if (white && !joined)
            *l->out++ = ' ';
        return;
    }
    utf8_decode(l->text + l->at, l->length - l->at, &bytes);
    character = narrow(character);
    l->out += utf8_encode(match_case ? character : folding_fold(folding, character), l->out);
    l->at += bytes;
}

/* Bytes that are as they are, or folded, whatever stands beside them. */
static bool is_plain(const char *text, size_t at, size_t length)
{
    unsigned char byte = (unsigned char)text[at];
    if (byte == ' ')
        return at + 1 < length && text[at + 1] > ' ' && text[at + 1] < 0x7f;
    return byte > ' ' && byte < 0x7f;
}

bool folded_text_loosen(struct folded_text *folded, const struct folding *folding, bool match_case,
                        const char *text, size_t length)
{
    *folded = (struct folded_text){0};
    folded->data = length < SIZE_MAX / 2 - 8 ? malloc(length + length / 2 + 8) : NULL;
    if (!folded->data)
        return false;
    struct loosening l = {text, folded->data, length, 0, folded->data};
    while (l.at < length) {
        if (is_plain(text, l.at, length)) {
            unsigned char byte = (unsigned char)text[l.at++];
            *l.out++ = (char)(match_case ? byte : folding->ascii[byte]);
            continue;
        }
        size_t read = l.at;
        const char *written = l.out;
        loosen_step(&l, folding, match_case);
        if (l.at - read != (size_t)(l.out - written) &&
            !add_shift(folded, (size_t)(l.out - folded->data), l.at)) {
            folded_text_free(folded);
            return false;
        }
    }
    *l.out = '\0';
    folded->length = (size_t)(l.out - folded->data);
    return true;
}

void folded_text_free(struct folded_text *folded)
{
    free(folded->data);
    free(folded->shifts);
    *folded = (struct folded_text){0};
}

size_t folded_text_place(const struct folded_text *folded, size_t place)
{
    size_t low = 0, high = folded->shift_count; /* the last shift at or before the place */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (folded->shifts[middle].folded <= place)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return place;
    const struct folded_shift *shift = &folded->shifts[low - 1];
    return shift->text + (place - shift->folded);
}
