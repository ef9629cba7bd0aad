#include "scanner/policy/widen.h"

#include "common/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH_MOST = 30,
    REPEAT_MOST = 32, /* a longer run is as good as one without an end */
    SIZE_MOST = 4000, /* of characters, repeats written out */
};

#define NOT_ASCII "\\x{80}-\\x{10ffff}"
#define ANYTHING "\\x{0}-\\x{10ffff}"

struct group {
    size_t length; /* of the written text where it began */
    size_t size;
    bool look_around;
};

struct widening {
    const char *at;
    bool caseless;
    const struct folding *folding;
    struct buffer *wide;
    struct group groups[DEPTH_MOST + 1];
    size_t depth;
    size_t atom; /* size of what a quantifier would repeat; 0: nothing is there */
};

bool expression_begins_caseless(const char **expression)
{
    bool caseless = strncmp(*expression, "(?i)", 4) == 0;
    if (caseless)
        *expression += 4;
    return caseless;
}

static bool write_text(struct widening *w, const char *text, size_t size)
{
    w->atom = size;
    w->groups[w->depth].size += size;
    return w->groups[w->depth].size <= SIZE_MOST && buffer_add_text(w->wide, text);
}

static uint32_t fold(const struct widening *w, uint32_t character)
{
    return w->caseless ? folding_fold(w->folding, character) : character;
}

static bool write_character(struct widening *w, uint32_t character)
{
    char text[16];
    snprintf(text, sizeof text, "\\x{%x}", (unsigned)fold(w, character));
    return write_text(w, text, 1);
}

/* The character at w->at, which is passed. */
static uint32_t take_character(struct widening *w)
{
    size_t bytes;
    uint32_t character = utf8_decode(w->at, strnlen(w->at, 4), &bytes);
    w->at += bytes;
    return character;
}

/* Hexadecimal digits behind "\x", with or without braces. */
static bool take_hexadecimal(struct widening *w, uint32_t *character)
{
    char *end;
    char digits[3] = "";
    bool braces = *w->at == '{';
    const char *from = braces ? w->at + 1 : digits;
    if (!braces) {
        size_t count = strspn(w->at, "0123456789abcdefABCDEF");
        memcpy(digits, w->at, count > 2 ? 2 : count);
    }
    if (!*from || !strchr("0123456789abcdefABCDEF", *from))
        return false;
    unsigned long value = strtoul(from, &end, 16);
    if (value > 0x10ffff || (braces && *end != '}'))
        return false;
    *character = (uint32_t)value;
    w->at = braces ? end + 1 : w->at + (end - digits);
    return true;
}

/* An escape that stands for one character, behind the backslash. */
static bool take_escaped_character(struct widening *w, uint32_t *character)
{
    static const char letters[] = "aefnrt", values[] = "\a\033\f\n\r\t";
    char c = *w->at;
    const char *letter = c ? strchr(letters, c) : NULL;
    if (c == 'x') {
        w->at++;
        return take_hexadecimal(w, character);
    }
    if (letter) {
        w->at++;
        *character = (unsigned char)values[letter - letters];
        return true;
    }
    bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!c || alphanumeric)
        return false;
    *character = take_character(w);
    return true;
}

/* Passes "L", "{Lu}" or "{^Lu}" behind "\p". */
static bool pass_property(struct widening *w)
{
    if (*w->at != '{')
        return *w->at && *w->at++;
    const char *end = strchr(w->at, '}');
    if (!end)
        return false;
    w->at = end + 1;
    return true;
}

struct sort {
    char letter;
    const char *ascii; /* of ASCII, as in a class */
};

static const struct sort sorts[] = {
    {'d', "0-9"},           {'w', "a-zA-Z0-9_"},    {'s', "\\x{9}-\\x{d}\\x{20}"},
    {'h', "\\x{9}\\x{20}"}, {'v', "\\x{a}-\\x{d}"},
};

static const struct sort *find_sort(char letter)
{
    for (size_t i = 0; i < sizeof sorts / sizeof sorts[0]; i++)
        if (sorts[i].letter == letter)
            return &sorts[i];
    return NULL;
}

static bool escape(struct widening *w)
{
    char c = *w->at;
    uint32_t character;
    if (c && strchr("bBAzZGK", c)) { /* no width */
        w->at++;
        return write_text(w, "(?:)", 1);
    }
    if (c && find_sort(c)) {
        char class[80];
        snprintf(class, sizeof class, "[%s" NOT_ASCII "]", find_sort(c)->ascii);
        w->at++;
        return write_text(w, class, 1);
    }
    if (c && find_sort((char)(c | 0x20)) && c != find_sort((char)(c | 0x20))->letter) {
        char class[80];
        snprintf(class, sizeof class, "[^%s]", find_sort((char)(c | 0x20))->ascii);
        w->at++;
        return write_text(w, class, 1);
    }
    if (c == 'p' || c == 'P') {
        w->at++;
        return pass_property(w) && write_text(w, "[" ANYTHING "]", 1);
    }
    if (c == 'X' || c == 'R') {
        w->at++;
        return write_text(w, "(?:[" ANYTHING "]+)", 2);
    }
    return take_escaped_character(w, &character) && write_character(w, character);
}

struct class
{
    struct buffer items;
    bool negated;
};

static void add_range(struct class *class, uint32_t first, uint32_t last)
{
    buffer_add_format(&class->items, "\\x{%x}-\\x{%x}", (unsigned)first, (unsigned)last);
}

/* What stands for all of these characters in the text. A negated class leaves out what is hard. */
static void class_range(struct widening *w, struct class *class, uint32_t first, uint32_t last)
{
    if (first == last && (!class->negated || first < 0x80)) {
        add_range(class, fold(w, first), fold(w, first));
        return;
    }
    if (first < 0x80)
        add_range(class, first, last < 0x80 ? last : 0x7f);
    uint32_t upper_first = first > 'A' ? first : 'A', upper_last = last < 'Z' ? last : 'Z';
    if (w->caseless && upper_first <= upper_last)
        add_range(class, upper_first | 0x20, upper_last | 0x20);
    if (last >= 0x80 && !class->negated)
        buffer_add_text(&class->items, w->caseless ? NOT_ASCII "a-z" : NOT_ASCII);
}

static bool class_sort(struct widening *w, struct class *class)
{
    char c = *w->at;
    const struct sort *sort = find_sort(c);
    if (sort) {
        w->at++;
        buffer_add_text(&class->items, sort->ascii);
        if (!class->negated)
            buffer_add_text(&class->items, NOT_ASCII);
        return true;
    }
    if (!c || !strchr("pPDWSHV", c))
        return false;
    w->at++;
    if (!class->negated)
        buffer_add_text(&class->items, ANYTHING);
    return (c != 'p' && c != 'P') || pass_property(w);
}

/* "[:alpha:]" and the like. */
static bool class_posix(struct widening *w, struct class *class)
{
    if (w->at[0] != '[' || w->at[1] != ':')
        return false;
    const char *end = w->at + 2 + strspn(w->at + 2, "^abcdefghijklmnopqrstuvwxyz");
    if (end[0] != ':' || end[1] != ']')
        return false;
    if (!class->negated)
        buffer_add_text(&class->items, ANYTHING);
    w->at = end + 2;
    return true;
}

static bool class_character(struct widening *w, uint32_t *character)
{
    if (*w->at != '\\') {
        if (!*w->at || (w->at[0] == '[' && strchr(":.=", w->at[1])))
            return false;
        *character = take_character(w);
        return true;
    }
    w->at++;
    if (*w->at == 'b') {
        w->at++;
        *character = '\b';
        return true;
    }
    return take_escaped_character(w, character);
}

static bool class_item(struct widening *w, struct class *class)
{
    if (class_posix(w, class))
        return true;
    if (w->at[0] == '\\') {
        w->at++;
        if (class_sort(w, class)) /* "\d-x" says different things in different versions */
            return w->at[0] != '-' || w->at[1] == ']';
        w->at--;
    }
    uint32_t first, last;
    if (!class_character(w, &first))
        return false;
    last = first;
    if (w->at[0] == '-' && w->at[1] != ']') {
        w->at++;
        if (!class_character(w, &last) || last < first)
            return false;
    }
    class_range(w, class, first, last);
    return true;
}

static bool write_class(struct widening *w)
{
    struct class class = {BUFFER_INIT, false};
    class.items.limit = 65536;
    if (*w->at == '^') {
        class.negated = true;
        w->at++;
    }
    bool good = true, first = true;
    while (good && (first || *w->at != ']')) {
        good = class_item(w, &class);
        first = false;
    }
    good = good && *w->at == ']' && !class.items.failed;
    if (good) {
        w->at++;
        if (class.items.length == 0)
            good = write_text(w, "[" ANYTHING "]", 1);
        else
            good = buffer_add_text(w->wide, class.negated ? "[^" : "[") &&
                   buffer_add_text(w->wide, buffer_text(&class.items)) && write_text(w, "]", 1);
    }
    buffer_free(&class.items);
    return good;
}

/* Passes what stands behind "(", up to where the group's own text begins. */
static bool pass_group_kind(struct widening *w, bool *look_around)
{
    static const char *const arounds[] = {"?=", "?!", "?<=", "?<!"};
    static const char *const plain[] = {"?:", "?|", "?>"};
    for (size_t i = 0; i < sizeof arounds / sizeof arounds[0]; i++)
        if (strncmp(w->at, arounds[i], strlen(arounds[i])) == 0) {
            w->at += strlen(arounds[i]);
            *look_around = true;
            return true;
        }
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (strncmp(w->at, plain[i], 2) == 0) {
            w->at += 2;
            return true;
        }
    if (strncmp(w->at, "?<", 2) == 0 || strncmp(w->at, "?P<", 3) == 0) {
        const char *end = strchr(w->at, '>');
        w->at = end ? end + 1 : w->at;
        return end != NULL;
    }
    return *w->at != '?' && *w->at != '*';
}

static bool open_group(struct widening *w)
{
    bool look_around = false;
    if (w->depth == DEPTH_MOST || !pass_group_kind(w, &look_around))
        return false;
    w->groups[++w->depth] = (struct group){w->wide->length, 0, look_around};
    w->atom = 0;
    return buffer_add_text(w->wide, "(?:");
}

static bool close_group(struct widening *w)
{
    if (w->depth == 0)
        return false;
    const struct group *group = &w->groups[w->depth--];
    if (group->look_around) {
        w->wide->length = group->length;
        return write_text(w, "(?:)", 1);
    }
    return write_text(w, ")", group->size > 0 ? group->size : 1);
}

/* Whether w->at is "{N}", "{N,}" or "{N,M}". */
static bool is_count(const char *text)
{
    const char *at = text + 1;
    size_t digits = strspn(at, "0123456789");
    if (*text != '{' || digits == 0 || digits > 5)
        return false;
    at += digits;
    if (*at == ',') {
        digits = strspn(++at, "0123456789");
        at += digits;
    }
    return *at == '}' && digits <= 5;
}

static bool count(struct widening *w, char text[32], unsigned long *repeats)
{
    char *end;
    unsigned long least = strtoul(w->at + 1, &end, 10), most = least;
    bool open = false;
    if (*end == ',' && end[1] == '}')
        open = true;
    else if (*end == ',')
        most = strtoul(end + 1, NULL, 10);
    w->at = strchr(w->at, '}') + 1;
    open |= most > REPEAT_MOST;
    if (least > REPEAT_MOST)
        least = REPEAT_MOST;
    *repeats = open ? least + 1 : most;
    if (open)
        snprintf(text, 32, "{%lu,}", least);
    else
        snprintf(text, 32, "{%lu,%lu}", least, most);
    return true;
}

static bool quantifier(struct widening *w)
{
    char text[32] = {*w->at, '\0'};
    unsigned long repeats = 1;
    size_t atom = w->atom;
    if (atom == 0)
        return false;
    if (*w->at == '{')
        count(w, text, &repeats);
    else
        w->at++;
    if (*w->at == '?' || *w->at == '+') /* lazy or possessive: the same texts, or fewer */
        w->at++;
    if (!write_text(w, text, repeats > 1 ? atom * (repeats - 1) : 0))
        return false;
    w->atom = 0; /* "a**" is an error */
    return true;
}

static bool widen_next(struct widening *w)
{
    char c = *w->at;
    if (c == '*' || c == '+' || c == '?' || is_count(w->at))
        return quantifier(w);
    if (c == '(' && strncmp(w->at, "(?#", 3) == 0)
        return false;
    if (c != '\\' && c != '[' && c != '(' && c != ')' && c != '|' && c != '.' && c != '^' &&
        c != '$')
        return write_character(w, take_character(w));
    w->at++;
    switch (c) {
    case '\\':
        return escape(w);
    case '[':
        return write_class(w);
    case '(':
        return open_group(w);
    case ')':
        return close_group(w);
    case '|':
        w->atom = 0;
        return buffer_add_text(w->wide, "|");
    case '.':
        return write_text(w, "[^\\n]", 1);
    default: /* ^ and $: dropped, which is wider */
        return write_text(w, "(?:)", 1);
    }
}

bool expression_widen(const char *expression, bool caseless, const struct folding *folding,
                      struct buffer *wide)
{
    struct widening w = {.at = expression, .caseless = caseless, .folding = folding, .wide = wide};
    buffer_clear(wide);
    if (!utf8_valid(expression, strlen(expression)))
        return false;
    while (*w.at)
        if (!widen_next(&w))
            return false;
    return w.depth == 0 && !wide->failed && wide->length > 0;
}
