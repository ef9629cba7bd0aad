#include "scanner/engine/charset.h"

#include <errno.h>
#include <glib.h>
#include <iconv.h>
#include <stdbool.h>
#include <string.h>

#define DECLARED_LIMIT 40
#define GUESS_LIMIT 4096 /* bytes that are enough to tell a charset */
#define TOLERATED 20     /* one byte of so many may be broken in a declared charset */

static const char *const preloaded[] = {
    "ISO-2022-JP",  "ISO-2022-JP-2", "ISO-2022-JP-3", "SHIFT_JIS",    "CP932",
    "EUC-JP",       "EUC-JP-MS",     "GB18030",       "GBK",          "GB2312",
    "BIG5",         "BIG5-HKSCS",    "CP950",         "EUC-KR",       "UHC",
    "ISO-2022-KR",  "ISO-2022-CN",   "EUC-TW",        "KOI8-R",       "KOI8-U",
    "windows-1250", "windows-1251",  "windows-1252",  "windows-1253", "windows-1254",
    "windows-1255", "windows-1256",  "windows-1257",  "windows-1258", "ISO-8859-1",
    "ISO-8859-2",   "ISO-8859-3",    "ISO-8859-4",    "ISO-8859-5",   "ISO-8859-6",
    "ISO-8859-7",   "ISO-8859-8",    "ISO-8859-9",    "ISO-8859-10",  "ISO-8859-11",
    "ISO-8859-13",  "ISO-8859-14",   "ISO-8859-15",   "ISO-8859-16",  "TIS-620",
    "windows-874",  "CP437",         "CP850",         "CP852",        "CP866",
    "macintosh",    "UTF-7",         "UTF-16",        "UTF-16LE",     "UTF-16BE",
    "UTF-32",       "UTF-32LE",      "UTF-32BE",      "UCS-2",        "UCS-4",
    "US-ASCII",
};

/* In the order of preference where two fit equally well. */
static const char *const candidates[] = {
    "CP932", "EUC-JP", "GB18030", "BIG5", "EUC-KR", "KOI8-R", "windows-1251", "windows-1252",
};

struct charset_converters {
    iconv_t pairs[G_N_ELEMENTS(preloaded)][2];
};

static void close_converter(iconv_t converter)
{
    if (converter != (iconv_t)-1)
        iconv_close(converter);
}

struct charset_converters *charset_preload(void)
{
    struct charset_converters *converters = g_new(struct charset_converters, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(preloaded); i++) {
        converters->pairs[i][0] = iconv_open("UTF-8", preloaded[i]);
        converters->pairs[i][1] = iconv_open(preloaded[i], "UTF-8");
    }
    return converters;
}

void charset_release(struct charset_converters *converters)
{
    for (size_t i = 0; i < G_N_ELEMENTS(preloaded); i++) {
        close_converter(converters->pairs[i][0]);
        close_converter(converters->pairs[i][1]);
    }
    g_free(converters);
}

static bool name_is_plain(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= DECLARED_LIMIT &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-") ==
               length;
}

/* What mailers mean by a name: the vendor's charset, which has all characters of the standard. */
static const struct {
    const char *declared, *meant;
} meanings[] = {
    {"shift_jis", "CP932"},
    {"shift-jis", "CP932"},
    {"x-sjis", "CP932"},
    {"windows-31j", "CP932"},
    {"euc-jp", "EUC-JP-MS"},
    {"gb2312", "GB18030"},
    {"gbk", "GB18030"},
    {"euc-kr", "UHC"},
    {"ks_c_5601-1987", "UHC"},
    {"iso-8859-1", "windows-1252"},
    {"us-ascii", "windows-1252"},
    {"ascii", "windows-1252"},
    {"iso-8859-9", "windows-1254"},
    {"tis-620", "windows-874"},
    {"big5", "BIG5-HKSCS"},
};

static const char *meant_charset(const char *declared)
{
    for (size_t i = 0; i < G_N_ELEMENTS(meanings); i++)
        if (g_ascii_strcasecmp(declared, meanings[i].declared) == 0)
            return meanings[i].meant;
    return declared;
}

static char *convert(const char *text, size_t length, const char *charset)
{
    g_autofree char *converted =
        g_convert(text, (gssize)length, "UTF-8", charset, NULL, NULL, NULL);
    return converted && g_utf8_validate(converted, -1, NULL) ? g_steal_pointer(&converted) : NULL;
}

static char *convert_declared(const char *text, size_t length, const char *declared)
{
    return declared && name_is_plain(declared) ? convert(text, length, meant_charset(declared))
                                               : NULL;
}

static bool has_japanese_escape(const char *text, size_t length)
{
    const char *end = text + length;
    for (const char *at = text; (at = memchr(at, 0x1b, (size_t)(end - at))) && end - at >= 3; at++)
        if ((at[1] == '$' && (at[2] == 'B' || at[2] == '@' || at[2] == '(')) ||
            (at[1] == '(' && (at[2] == 'J' || at[2] == 'I')))
            return true;
    return false;
}

enum japanese_set { SET_ASCII, SET_KANJI, SET_KANA };

/* Reads an escape sequence at text[i]; false where it is none that is known. */
static bool read_escape(const char *text, size_t length, size_t *i, enum japanese_set *set)
{
    if (text[*i] != 0x1b || length - *i < 3)
        return false;
    char kind = text[*i + 1], final = text[*i + 2];
    if (kind == '$' && (final == 'B' || final == '@'))
        *set = SET_KANJI;
    else if (kind == '(' && final == 'I')
        *set = SET_KANA;
    else if (kind == '(' && (final == 'B' || final == 'J'))
        *set = SET_ASCII;
    else
        return false;
    *i += 3;
    return true;
}

/* ISO-2022-JP as EUC, whose converter knows the characters that vendors added (numbers in circles,
 * company signs), which mail is full of and the converter of ISO-2022-JP refuses. */
static GString *japanese_as_euc(const char *text, size_t length)
{
    GString *euc = g_string_sized_new(length);
    enum japanese_set set = SET_ASCII;
    for (size_t i = 0; i < length;) {
        if (read_escape(text, length, &i, &set))
            continue;
        if (set == SET_KANA && text[i] > ' ')
            g_string_append_c(euc, (char)0x8e);
        g_string_append_c(euc,
                          set == SET_ASCII || text[i] <= ' ' ? text[i] : (char)(text[i] | 0x80));
        i++;
    }
    return euc;
}

static char *convert_japanese_vendor(const char *text, size_t length)
{
    g_autoptr(GString) euc = japanese_as_euc(text, length);
    return convert(euc->str, euc->len, "EUC-JP-MS");
}

static char *convert_japanese(const char *text, size_t length)
{
    if (!has_japanese_escape(text, length))
        return NULL;
    char *converted = convert_japanese_vendor(text, length);
    return converted ? converted : convert(text, length, "ISO-2022-JP-2");
}

static bool within(gunichar c, gunichar first, gunichar last)
{
    return c >= first && c <= last;
}

static bool is_ascii_letter(gunichar c)
{
    return c < 0x80 && g_ascii_isalpha((char)c);
}

/* How likely one character beyond ASCII is in real mail; `in_word`: it touches an ASCII letter. A
 * character that takes two bytes may score twice what one of a single byte may. */
static int likelihood(gunichar c, bool in_word)
{
    if (within(c, 0x3041, 0x30fe)) /* kana */
        return 6;
    if (within(c, 0x4e00, 0x9fff) || within(c, 0xac00, 0xd7a3)) /* ideographs, Hangul */
        return in_word ? 2 : 4;
    if (within(c, 0x3000, 0x303f) || within(c, 0xff01, 0xff5e)) /* CJK punctuation, full width */
        return 3;
    if (within(c, 0xff61, 0xff9f)) /* half-width kana: what other charsets look like in CP932 */
        return -1;
    if (within(c, 0x0430, 0x044f) || c == 0x0451)
        return in_word ? -2 : 3;
    if (within(c, 0x0410, 0x042f))
        return in_word ? -2 : 1;
    if (within(c, 0xc0, 0xff) && c != 0xd7 && c != 0xf7)
        return in_word ? 3 : 0;
    if (within(c, 0x2013, 0x2026) || c == 0x20ac) /* dashes, quotation marks, euro */
        return 1;
    if (c < 0xa0 || within(c, 0xe000, 0xf8ff) || c == 0xfffd || !g_unichar_isdefined(c))
        return -10;
    return -2;
}

static long score_text(const char *text)
{
    long score = 0;
    gunichar before = 0;
    for (const char *at = text; *at;) {
        gunichar c = g_utf8_get_char(at);
        at = g_utf8_next_char(at);
        if (c >= 0x80)
            score += likelihood(c, is_ascii_letter(before) || is_ascii_letter(g_utf8_get_char(at)));
        before = c;
    }
    return score;
}

/* Kanji beyond the first level of JIS X 0208 (lead bytes from 0xD0) are rare in Japanese, and
 * common where the text is Chinese. */
static long rare_kanji(const char *text, size_t length)
{
    long count = 0;
    for (size_t i = 0; i + 1 < length; i++) {
        unsigned char lead = (unsigned char)text[i];
        if (lead < 0x80)
            continue;
        count += lead >= 0xd0;
        i++;
    }
    return count;
}

static char *convert_guessed(const char *text, size_t length)
{
    long best_score = G_MINLONG;
    char *best = NULL;
    size_t sample = MIN(length, GUESS_LIMIT);
    for (size_t i = 0; i < G_N_ELEMENTS(candidates); i++) {
        char *converted = convert(text, length, candidates[i]);
        if (!converted)
            continue;
        long score = score_text(converted);
        if (strcmp(candidates[i], "EUC-JP") == 0)
            score -= 2 * rare_kanji(text, sample);
        if (score > best_score) {
            g_free(best);
            best = converted;
            best_score = score;
        } else {
            g_free(converted);
        }
    }
    return best;
}

static char *convert_undeclared(const char *text, size_t length)
{
    char *converted = convert_guessed(text, length);
    return converted ? converted : g_utf8_make_valid(text, (gssize)length);
}

char *charset_to_utf8(const char *text, size_t length, const char *declared)
{
    char *converted = convert_japanese(text, length);
    if (!converted && g_utf8_validate(text, (gssize)length, NULL))
        return g_strndup(text, length);
    if (!converted)
        converted = convert_declared(text, length, declared);
    return converted ? converted : convert_undeclared(text, length);
}

char *charset_decode(const char *text, size_t length, const char *declared)
{
    char *converted = convert_japanese(text, length);
    if (!converted)
        converted = convert_declared(text, length, declared);
    return converted ? converted : charset_to_utf8(text, length, NULL);
}

/* --- text with some broken bytes --- */

/* Bytes that do not fit become U+FFFD; NULL where they are more than one in TOLERATED. */
static char *convert_tolerantly(const char *text, size_t length, const char *charset)
{
    iconv_t converter = iconv_open("UTF-8", charset);
    if (converter == (iconv_t)-1)
        return NULL;
    GString *out = g_string_sized_new(length);
    char *from = (char *)text;
    size_t left = length, broken = 0;
    while (left > 0) {
        char block[4096], *to = block;
        size_t room = sizeof(block);
        size_t code = iconv(converter, &from, &left, &to, &room);
        g_string_append_len(out, block, to - block);
        if (code != (size_t)-1 || errno == E2BIG)
            continue;
        g_string_append(out, "\xef\xbf\xbd");
        broken++;
        from++;
        left--;
    }
    iconv_close(converter);
    bool good = broken <= length / TOLERATED + 1 && g_utf8_validate(out->str, -1, NULL);
    return g_string_free(out, !good);
}

static char *convert_broken(const char *text, size_t length, const char *declared)
{
    if (has_japanese_escape(text, length)) {
        g_autoptr(GString) euc = japanese_as_euc(text, length);
        return convert_tolerantly(euc->str, euc->len, "EUC-JP-MS");
    }
    return declared && name_is_plain(declared)
               ? convert_tolerantly(text, length, meant_charset(declared))
               : NULL;
}

char *charset_to_text(const char *text, size_t length, const char *declared)
{
    bool valid = g_utf8_validate(text, (gssize)length, NULL);
    bool japanese = has_japanese_escape(text, length);
    char *converted = japanese ? convert_japanese(text, length) : NULL;
    if (!converted && valid && !japanese)
        return g_strndup(text, length);
    if (!converted && !japanese)
        converted = convert_declared(text, length, declared);
    if (!converted)
        converted = convert_broken(text, length, declared);
    return converted ? converted : charset_to_utf8(text, length, declared);
}

/* --- text that is written again --- */

static bool is_ascii(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] & 0x80)
            return false;
    return true;
}

static bool is_named_ascii(const char *charset)
{
    return g_ascii_strcasecmp(charset, "us-ascii") == 0 ||
           g_ascii_strcasecmp(charset, "ascii") == 0;
}

char *charset_decode_exactly(const char *text, size_t length, const char *declared)
{
    if (memchr(text, '\0', length))
        return NULL;
    if (is_ascii(text, length) && has_japanese_escape(text, length))
        return convert_japanese(text, length);
    if (is_named_ascii(declared))
        return is_ascii(text, length) ? g_strndup(text, length) : NULL;
    return convert_declared(text, length, declared);
}

/* False where the charset writes ASCII in another way (UTF-16, UTF-7). */
static bool keeps_ascii(const char *charset)
{
    static const char sample[] = "\r\n<+A&>";
    gsize length;
    g_autofree char *same = g_convert(sample, -1, charset, "UTF-8", NULL, &length, NULL);
    return !same || (length == strlen(sample) && memcmp(same, sample, length) == 0);
}

static char *encode_exactly(const char *text, const char *charset, size_t *length)
{
    gsize written = 0;
    g_autofree char *encoded = g_convert(text, -1, charset, "UTF-8", NULL, &written, NULL);
    g_autofree char *back = encoded ? convert(encoded, written, charset) : NULL;
    if (!back || strcmp(back, text) != 0)
        return NULL;
    *length = written;
    return g_steal_pointer(&encoded);
}

char *charset_encode(const char *text, const char *charset, size_t *length)
{
    if (!name_is_plain(charset) || !keeps_ascii(charset))
        return NULL;
    *length = strlen(text);
    if (is_ascii(text, *length))
        return g_strdup(text);
    char *encoded = encode_exactly(text, charset, length);
    const char *meant = meant_charset(charset);
    return encoded || strcmp(meant, "CP932") != 0 ? encoded : encode_exactly(text, meant, length);
}

bool charset_ends_shifted(const char *text, size_t length)
{
    const char *end = text + length, *escape = memrchr(text, 0x1b, length);
    if (!escape || end - escape < 3 || !has_japanese_escape(text, length))
        return false;
    return !(escape[1] == '(' && (escape[2] == 'B' || escape[2] == 'J'));
}
