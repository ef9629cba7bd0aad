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
