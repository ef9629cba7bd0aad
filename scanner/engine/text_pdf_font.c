/* Which characters the bytes of a PDF string mean: by ToUnicode, by the name of a CMap, or by an
 * encoding of one byte with its differences. */
#include "scanner/engine/text_pdf.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define CODE_LIMIT 70000 /* entries of one ToUnicode map */
#define UTF8_SIZE 32     /* of what one code means */

struct pdf_font {
    unsigned width;            /* bytes of a code: 1 or 2 */
    const char *charset;       /* of a font whose CMap is a charset's; else NULL */
    GHashTable *map;           /* code to UTF-8, or NULL */
    gunichar differences[256]; /* 0: as in the base encoding */
    const char *base;          /* charset of a simple font */
};

/* --- names of characters --- */

static const struct {
    const char *name;
    gunichar value;
} glyphs[] = {
    {"space", ' '},
    {"exclam", '!'},
    {"quotedbl", '"'},
    {"numbersign", '#'},
    {"dollar", '$'},
    {"percent", '%'},
    {"ampersand", '&'},
    {"quotesingle", '\''},
    {"parenleft", '('},
    {"parenright", ')'},
    {"asterisk", '*'},
    {"plus", '+'},
    {"comma", ','},
    {"hyphen", '-'},
    {"minus", '-'},
    {"period", '.'},
    {"slash", '/'},
    {"zero", '0'},
    {"one", '1'},
    {"two", '2'},
    {"three", '3'},
    {"four", '4'},
    {"five", '5'},
    {"six", '6'},
    {"seven", '7'},
    {"eight", '8'},
    {"nine", '9'},
    {"colon", ':'},
    {"semicolon", ';'},
    {"less", '<'},
    {"equal", '='},
    {"greater", '>'},
    {"question", '?'},
    {"at", '@'},
    {"bracketleft", '['},
    {"backslash", '\\'},
    {"bracketright", ']'},
    {"underscore", '_'},
    {"grave", '`'},
    {"braceleft", '{'},
    {"bar", '|'},
    {"braceright", '}'},
    {"asciitilde", '~'},
    {"quoteleft", 0x2018},
    {"quoteright", 0x2019},
    {"quotedblleft", 0x201c},
    {"quotedblright", 0x201d},
    {"endash", 0x2013},
    {"emdash", 0x2014},
    {"bullet", 0x2022},
    {"ellipsis", 0x2026},
    {"Euro", 0x20ac},
    {"sterling", 0xa3},
    {"yen", 0xa5},
    {"copyright", 0xa9},
    {"germandbls", 0xdf},
    {"ae", 0xe6},
    {"AE", 0xc6},
    {"oe", 0x153},
    {"OE", 0x152},
    {"oslash", 0xf8},
    {"Oslash", 0xd8},
    {"dotlessi", 0x131},
    {"fi", 0xfb01},
    {"fl", 0xfb02},
    {"ff", 0xfb00},
    {"ffi", 0xfb03},
    {"ffl", 0xfb04},
    {"lslash", 0x142},
    {"Lslash", 0x141},
    {"thorn", 0xfe},
};

static const struct {
    const char *name;
    gunichar mark;
} accents[] = {
    {"acute", 0x301},     {"grave", 0x300},  {"dieresis", 0x308}, {"circumflex", 0x302},
    {"tilde", 0x303},     {"ring", 0x30a},   {"cedilla", 0x327},  {"caron", 0x30c},
    {"breve", 0x306},     {"ogonek", 0x328}, {"macron", 0x304},   {"hungarumlaut", 0x30b},
    {"dotaccent", 0x307},
};

/* 0 where the name is not known. */
static gunichar glyph_value(const char *name)
{
    gunichar value;
    if (g_ascii_isalpha(name[0]) && name[1] == '\0')
        return (gunichar)name[0];
    for (size_t i = 0; i < G_N_ELEMENTS(glyphs); i++)
        if (strcmp(name, glyphs[i].name) == 0)
            return glyphs[i].value;
    for (size_t i = 0; g_ascii_isalpha(name[0]) && i < G_N_ELEMENTS(accents); i++)
        if (strcmp(name + 1, accents[i].name) == 0 &&
            g_unichar_compose((gunichar)name[0], accents[i].mark, &value))
            return value;
    const char *number = g_str_has_prefix(name, "uni") ? name + 3
                         : name[0] == 'u'              ? name + 1
                                                       : NULL;
    value = number && g_ascii_isxdigit(*number) ? (gunichar)strtoul(number, NULL, 16) : 0;
    return value <= 0x10ffff && g_unichar_validate(value) ? value : 0;
}

static void read_differences(struct pdf_font *font, struct pdf_span array)
{
    struct pdf_span token;
    char name[MAX(UTF8_SIZE, 64)];
    long code = 0;
    if (*array.at != '[')
        return;
    array.at++;
    while (pdf_next(&array, &token)) {
        if (g_ascii_isdigit(*token.at)) {
            code = pdf_integer(token);
            continue;
        }
        size_t length = (size_t)(token.end - token.at) - 1;
        if (*token.at != '/' || length >= sizeof(name))
            continue;
        memcpy(name, token.at + 1, length);
        name[length] = '\0';
        if (code >= 0 && code < 256)
            font->differences[code] = glyph_value(name);
        code++;
    }
}

/* --- ToUnicode --- */

static guint code_of(const char *bytes, size_t length)
{
    guint code = 0;
    for (size_t i = 0; i < length && i < 4; i++)
        code = code << 8 | (unsigned char)bytes[i];
    return code;
}

/* The code of a token "<0041>"; false where it is none. */
static bool read_code(struct pdf_span token, guint *code, size_t *width)
{
    if (*token.at != '<' || token.end - token.at < 3)
        return false;
    g_autofree char *bytes = pdf_string(token, width);
    *code = code_of(bytes, *width);
    return *width > 0;
}

/* Notes what `code` means: the token's UTF-16, its last unit raised by `offset`. */
static void note_meaning(struct pdf_font *font, guint code, struct pdf_span token, guint offset)
{
    size_t length;
    if (g_hash_table_size(font->map) >= CODE_LIMIT || *token.at != '<')
        return;
    g_autofree char *bytes = pdf_string(token, &length);
    if (length >= 2 && length <= UTF8_SIZE / 2) {
        guint last = code_of(bytes + length - 2, 2) + offset;
        bytes[length - 2] = (char)(last >> 8);
        bytes[length - 1] = (char)last;
    } else if (length == 1) {
        bytes[0] = (char)((guint)bytes[0] + offset);
    }
    char *utf8 = length == 1 ? g_convert(bytes, 1, "UTF-8", "ISO-8859-1", NULL, NULL, NULL)
                             : g_convert(bytes, (gssize)MIN(length, UTF8_SIZE / 2), "UTF-8",
                                         "UTF-16BE", NULL, NULL, NULL);
    if (utf8 && g_utf8_validate(utf8, -1, NULL))
        g_hash_table_replace(font->map, GUINT_TO_POINTER(code), utf8);
    else
        g_free(utf8);
}

static void read_range(struct pdf_font *font, struct pdf_span *span)
{
    struct pdf_span low_token, high_token, target;
    guint low, high;
    size_t width;
    while (pdf_next(span, &low_token) && read_code(low_token, &low, &width) &&
           pdf_next(span, &high_token) && read_code(high_token, &high, &width) &&
           pdf_next(span, &target)) {
        bool list = *target.at == '[';
        struct pdf_span each = {target.at + 1, target.end}, token = target;
        for (guint code = low; code <= high && code - low < 65536; code++) {
            if (list && !pdf_next(&each, &token))
                break;
            if (g_hash_table_size(font->map) >= CODE_LIMIT)
                return;
            note_meaning(font, code, token, list ? 0 : code - low);
        }
    }
}

static void read_characters(struct pdf_font *font, struct pdf_span *span)
{
    struct pdf_span code_token, target;
    guint code;
    size_t width;
    while (pdf_next(span, &code_token) && read_code(code_token, &code, &width) &&
           pdf_next(span, &target))
        note_meaning(font, code, target, 0);
}

static void read_code_space(struct pdf_font *font, struct pdf_span *span)
{
    struct pdf_span token;
    guint code;
    size_t width;
    if (pdf_next(span, &token) && read_code(token, &code, &width))
        font->width = width == 1 ? 1 : 2;
}

static void read_map(struct pdf *pdf, struct pdf_font *font, const struct pdf_object *object)
{
    char *data;
    size_t length;
    struct pdf_span token;
    if (!object || !pdf_unpack(pdf, object, &data, &length))
        return;
    struct pdf_span span = {data, data + length};
    font->map = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    while (pdf_next(&span, &token) && text_goes_on(pdf->text)) {
        if (pdf_is(token, "begincodespacerange"))
            read_code_space(font, &span);
        else if (pdf_is(token, "beginbfchar"))
            read_characters(font, &span);
        else if (pdf_is(token, "beginbfrange"))
            read_range(font, &span);
    }
    g_free(data);
}

/* --- fonts --- */

/* The charset of a predefined CMap (ISO 32000-1, 9.7.5.2), or NULL. */
static const char *cmap_charset(struct pdf_span name)
{
    static const struct {
        const char *part, *charset;
    } maps[] = {{"UTF16", "UTF-16BE"}, {"UCS2", "UTF-16BE"}, {"UTF8", "UTF-8"},
                {"UTF32", "UTF-32BE"}, {"RKSJ", "CP932"},    {"B5", "BIG5-HKSCS"},
                {"GB", "GB18030"},     {"KSC", "UHC"},       {"CNS", "EUC-TW"},
                {"EUC", "EUC-JP-MS"}};
    size_t length = (size_t)(name.end - name.at);
    for (size_t i = 0; i < G_N_ELEMENTS(maps); i++)
        if (memmem(name.at, length, maps[i].part, strlen(maps[i].part)))
            return maps[i].charset;
    return NULL;
}

static void read_encoding(struct pdf *pdf, struct pdf_font *font, struct pdf_span encoding,
                          bool composite)
{
    struct pdf_span value;
    if (*encoding.at == '/') {
        if (composite)
            font->charset = cmap_charset(encoding);
        else if (pdf_is(encoding, "/MacRomanEncoding"))
            font->base = "macintosh";
        return;
    }
    if (pdf_get(pdf, encoding, "/BaseEncoding", &value) && pdf_is(value, "/MacRomanEncoding"))
        font->base = "macintosh";
    if (pdf_get(pdf, encoding, "/Differences", &value))
        read_differences(font, value);
}

struct pdf_font *pdf_font_new(struct pdf *pdf, struct pdf_span dictionary)
{
    struct pdf_font *font = g_new0(struct pdf_font, 1);
    struct pdf_span value;
    bool composite = pdf_get(pdf, dictionary, "/Subtype", &value) && pdf_is(value, "/Type0");
    font->width = composite ? 2 : 1;
    font->base = "windows-1252";
    if (pdf_get(pdf, dictionary, "/Encoding", &value))
        read_encoding(pdf, font, value, composite);
    read_map(pdf, font, pdf_get_object(pdf, dictionary, "/ToUnicode"));
    if (!composite)
        font->width = 1;
    else if (!font->map && !font->charset)
        font->width = 0;
    return font;
}

void pdf_font_free(struct pdf_font *font)
{
    if (font && font->map)
        g_hash_table_unref(font->map);
    g_free(font);
}

static void add_converted(const char *bytes, size_t length, const char *charset, struct buffer *out)
{
    g_autofree char *utf8 = text_decode(bytes, length, charset);
    buffer_add_text(out, utf8);
}

/* One byte of a simple font. */
static void add_simple(const struct pdf_font *font, const char *byte, struct buffer *out)
{
    gunichar value = font->differences[(unsigned char)*byte];
    char utf8[6];
    if (value != 0)
        buffer_add(out, utf8, (size_t)g_unichar_to_utf8(value, utf8));
    else if ((unsigned char)*byte >= 0x80)
        add_converted(byte, 1, font->base, out);
    else if (*byte != '\0')
        buffer_add(out, byte, 1);
}

void pdf_font_add(const struct pdf_font *font, const char *bytes, size_t length, struct buffer *out)
{
    if (!font || (font->charset && !font->map)) {
        add_converted(bytes, length, font ? font->charset : "windows-1252", out);
        return;
    }
    for (size_t i = 0; font->width > 0 && i + font->width <= length; i += font->width) {
        const char *meaning =
            font->map
                ? g_hash_table_lookup(font->map, GUINT_TO_POINTER(code_of(bytes + i, font->width)))
                : NULL;
        if (meaning)
            buffer_add_text(out, meaning);
        else if (font->width == 1)
            add_simple(font, bytes + i, out);
    }
}
