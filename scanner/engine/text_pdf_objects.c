/* Tokens and objects of PDF files, and the bytes of their streams. */
#include "scanner/engine/text_pdf.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define BLOCK (64u << 10)
#define FILTER_LIMIT 8
#define TRAILER_LIMIT 500
#define TRAILER_LOOK (64 << 10) /* bytes of one */

/* --- tokens --- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == '\0';
}

static bool is_delimiter(char c)
{
    return c != '\0' && strchr("()<>[]{}/%", c) != NULL;
}

static const char *skip_blank(const char *at, const char *end)
{
    while (at < end && (is_blank(*at) || *at == '%')) {
        if (*at == '%')
            while (at < end && *at != '\n' && *at != '\r')
                at++;
        else
            at++;
    }
    return at;
}

/* Behind the string that begins at `at`, which is '('. */
static const char *skip_string(const char *at, const char *end)
{
    for (int depth = 0; at < end; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
        else if (*at == '(')
            depth++;
        else if (*at == ')' && --depth == 0)
            return at + 1;
    }
    return end;
}

static const char *skip_word(const char *at, const char *end)
{
    while (at < end && !is_blank(*at) && !is_delimiter(*at))
        at++;
    return at;
}

static bool is_double(const char *at, const char *end, char c)
{
    return end - at >= 2 && at[0] == c && at[1] == c;
}

/* Behind what is neither an array nor a dictionary. */
static const char *skip_simple(const char *at, const char *end)
{
    const char *stop;
    switch (*at) {
    case '(':
        return skip_string(at, end);
    case '<':
        stop = memchr(at, '>', (size_t)(end - at));
        return stop ? stop + 1 : end;
    case '/':
        return skip_word(at + 1, end);
    default:
        return is_delimiter(*at) ? at + 1 : skip_word(at, end);
    }
}

/* Behind an array or dictionary and everything in it; the end where it is not closed. */
static const char *skip_compound(const char *at, const char *end)
{
    long depth = 0;
    while ((at = skip_blank(at, end)) < end) {
        if (*at == '[' || is_double(at, end, '<')) {
            depth++;
            at += *at == '[' ? 1 : 2;
        } else if (*at == ']' || is_double(at, end, '>')) {
            depth--;
            at += *at == ']' ? 1 : 2;
            if (depth == 0)
                return at;
        } else {
            at = skip_simple(at, end);
        }
    }
    return end;
}

bool pdf_next(struct pdf_span *span, struct pdf_span *token)
{
    const char *at = skip_blank(span->at, span->end);
    token->at = at;
    if (at >= span->end) {
        span->at = token->end = span->end;
        return false;
    }
    if (*at == '[' || is_double(at, span->end, '<'))
        span->at = skip_compound(at, span->end);
    else
        span->at = skip_simple(at, span->end);
    token->end = span->at;
    return true;
}

bool pdf_is(struct pdf_span token, const char *word)
{
    size_t length = strlen(word);
    return (size_t)(token.end - token.at) == length && memcmp(token.at, word, length) == 0;
}

long pdf_integer(struct pdf_span token)
{
    long value = 0;
    const char *at = token.at;
    bool negative = at < token.end && *at == '-';
    for (at += negative; at < token.end && g_ascii_isdigit(*at) && value < 100000000; at++)
        value = value * 10 + (*at - '0');
    return negative ? -value : value;
}

/* --- values --- */

const struct pdf_object *pdf_object(const struct pdf *pdf, long number)
{
    size_t low = 0, high = pdf->sorted;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pdf->objects[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < pdf->sorted && pdf->objects[low].number == number ? &pdf->objects[low] : NULL;
}

static bool is_number(struct pdf_span token)
{
    return token.at < token.end && g_ascii_isdigit(*token.at);
}

const struct pdf_object *pdf_reference(const struct pdf *pdf, struct pdf_span span)
{
    struct pdf_span number, generation, letter;
    if (!pdf_next(&span, &number) || !is_number(number) || !pdf_next(&span, &generation) ||
        !is_number(generation) || !pdf_next(&span, &letter) || !pdf_is(letter, "R"))
        return NULL;
    return pdf_object(pdf, pdf_integer(number));
}

/* The raw value of a key: a reference is three tokens. */
static bool raw_value(struct pdf_span dictionary, const char *key, struct pdf_span *value)
{
    struct pdf_span token;
    if (!is_double(dictionary.at, dictionary.end, '<'))
        return false;
    dictionary.at += 2;
    while (pdf_next(&dictionary, &token)) {
        bool wanted = *token.at == '/' && pdf_is(token, key);
        if (*token.at != '/')
            continue;
        struct pdf_span rest = dictionary;
        if (!pdf_next(&dictionary, value))
            return false;
        if (!wanted)
            continue;
        value->end = rest.end; /* of a reference more than one token */
        return true;
    }
    return false;
}

const struct pdf_object *pdf_get_object(const struct pdf *pdf, struct pdf_span dictionary,
                                        const char *key)
{
    struct pdf_span value;
    return raw_value(dictionary, key, &value) ? pdf_reference(pdf, value) : NULL;
}

bool pdf_get(const struct pdf *pdf, struct pdf_span dictionary, const char *key,
             struct pdf_span *value)
{
    struct pdf_span raw;
    if (!raw_value(dictionary, key, &raw))
        return false;
    const struct pdf_object *object = pdf_reference(pdf, raw);
    if (object)
        raw = object->value;
    return pdf_next(&raw, value);
}

char *pdf_string(struct pdf_span token, size_t *length)
{
    GString *out = g_string_new(NULL);
    const char *at = token.at + 1, *end = token.end;
    if (*token.at == '<') {
        int high = -1;
        for (; at < end; at++) {
            int digit = g_ascii_xdigit_value(*at);
            if (digit < 0)
                continue;
            if (high >= 0)
                g_string_append_c(out, (char)(high << 4 | digit));
            high = high >= 0 ? -1 : digit;
        }
        if (high >= 0)
            g_string_append_c(out, (char)(high << 4));
        *length = out->len;
        return g_string_free(out, FALSE);
    }
    if (end > at && end[-1] == ')')
        end--;
    while (at < end) {
        static const char letters[] = "nrtbf", meant[] = "\n\r\t\b\f";
        char c = *at++;
        if (c != '\\' || at == end) {
            g_string_append_c(out, c);
            continue;
        }
        c = *at++;
        const char *letter = c ? strchr(letters, c) : NULL;
        if (letter) {
            g_string_append_c(out, meant[letter - letters]);
        } else if (c >= '0' && c <= '7') {
            int value = c - '0';
            for (int i = 0; i < 2 && at < end && *at >= '0' && *at <= '7'; i++)
                value = value * 8 + (*at++ - '0');
            g_string_append_c(out, (char)value);
        } else if (c == '\r' && at < end && *at == '\n') {
            at++;
        } else if (c != '\n' && c != '\r') {
            g_string_append_c(out, c);
        }
    }
    *length = out->len;
    return g_string_free(out, FALSE);
}

/* --- streams --- */

static GByteArray *inflate_bytes(struct pdf *pdf, const guchar *data, size_t length)
{
    z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)length};
    GByteArray *out = g_byte_array_new();
    g_autofree guchar *block = g_malloc(BLOCK);
    int code = inflateInit(&stream);
    while (code == Z_OK && out->len < PDF_STREAM_LIMIT && pdf->bytes < PDF_UNPACKED_LIMIT &&
           text_goes_on(pdf->text)) {
        stream.next_out = block;
        stream.avail_out = BLOCK;
        code = inflate(&stream, Z_NO_FLUSH);
        g_byte_array_append(out, block, BLOCK - stream.avail_out);
        pdf->bytes += BLOCK - stream.avail_out;
    }
    if (code == Z_OK)
        pdf->text->cut = true;
    inflateEnd(&stream);
    return out;
}

static GByteArray *decode_hexadecimal(const guchar *data, size_t length)
{
    GByteArray *out = g_byte_array_new();
    int high = -1;
    for (size_t i = 0; i < length && data[i] != '>'; i++) {
        int digit = g_ascii_xdigit_value((char)data[i]);
        if (digit < 0)
            continue;
        if (high >= 0) {
            guchar byte = (guchar)(high << 4 | digit);
            g_byte_array_append(out, &byte, 1);
        }
        high = high >= 0 ? -1 : digit;
    }
    return out;
}

static void append_85(GByteArray *out, const guint32 *digits, unsigned count)
{
    guint32 value = 0;
    for (unsigned i = 0; i < 5; i++)
        value = value * 85 + (i < count ? digits[i] : 84);
    const guchar bytes[] = {(guchar)(value >> 24), (guchar)(value >> 16), (guchar)(value >> 8),
                            (guchar)value};
    g_byte_array_append(out, bytes, count - 1);
}

static GByteArray *decode_85(const guchar *data, size_t length)
{
    GByteArray *out = g_byte_array_new();
    guint32 digits[5];
    unsigned count = 0;
    for (size_t i = 0; i < length && data[i] != '~'; i++) {
        if (data[i] == 'z' && count == 0)
            g_byte_array_append(out, (const guchar *)"\0\0\0\0", 4);
        if (data[i] < '!' || data[i] > 'u')
            continue;
        digits[count++] = data[i] - '!';
        if (count < 5)
            continue;
        append_85(out, digits, 5);
        count = 0;
    }
    if (count > 1)
        append_85(out, digits, count);
    return out;
}

static GByteArray *run_filter(struct pdf *pdf, struct pdf_span name, const guchar *data,
                              size_t length)
{
    if (pdf_is(name, "/FlateDecode") || pdf_is(name, "/Fl"))
        return inflate_bytes(pdf, data, length);
    if (pdf_is(name, "/ASCIIHexDecode") || pdf_is(name, "/AHx"))
        return decode_hexadecimal(data, length);
    if (pdf_is(name, "/ASCII85Decode") || pdf_is(name, "/A85"))
        return decode_85(data, length);
    return NULL;
}

bool pdf_unpack(struct pdf *pdf, const struct pdf_object *object, char **out, size_t *length)
{
    struct pdf_span filters = {"", ""}, name;
    const guchar *data = (const guchar *)object->stream.at;
    GByteArray *bytes = NULL;
    if (!data)
        return false;
    *length = (size_t)(object->stream.end - object->stream.at);
    pdf_get(pdf, object->value, "/Filter", &filters);
    if (filters.at < filters.end && *filters.at == '[') {
        filters.at++;
        filters.end--;
    }
    for (int i = 0; i < FILTER_LIMIT && pdf_next(&filters, &name); i++) {
        GByteArray *next = run_filter(pdf, name, data, *length);
        if (bytes)
            g_byte_array_unref(bytes);
        if (!next)
            return false;
        bytes = next;
        data = bytes->data;
        *length = bytes->len;
    }
    if (!bytes) {
        *length = MIN(*length, PDF_STREAM_LIMIT);
        bytes = g_byte_array_new();
        g_byte_array_append(bytes, data, (guint)*length);
        pdf->bytes += *length;
    }
    g_byte_array_append(bytes, (const guchar *)"", 1); /* so that there is something to point to */
    *out = (char *)g_byte_array_free(bytes, FALSE);
    return true;
}

/* --- finding the objects --- */

struct finder {
    struct pdf *pdf;
    const char *at, *begin, *end;
    const char *next_end; /* what object_end found last */
    size_t capacity;
};

static struct pdf_object *add_object(struct pdf *pdf, size_t *capacity)
{
    if (pdf->count >= PDF_OBJECT_LIMIT) {
        pdf->text->cut = true;
        return NULL;
    }
    if (pdf->count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 64;
        pdf->objects = g_renew(struct pdf_object, pdf->objects, *capacity);
    }
    pdf->objects[pdf->count] = (struct pdf_object){.order = pdf->count};
    return &pdf->objects[pdf->count++];
}

/* The number before "G obj", read backwards from "obj"; -1 where it is none. */
static long number_before(const char *begin, const char *at)
{
    const char *digits[2];
    for (int i = 0; i < 2; i++) {
        while (at > begin && is_blank(at[-1]))
            at--;
        digits[i] = at;
        while (at > begin && g_ascii_isdigit(at[-1]) && digits[i] - at < 10)
            at--;
        if (at == digits[i])
            return -1;
        digits[i] = at;
    }
    return pdf_integer((struct pdf_span){digits[1], digits[1] + 10});
}

/* Where the object whose value begins at `from` ends at the latest: at "endobj" or the next
 * object's beginning, so that no dictionary without an end swallows what follows it. */
static const char *object_end(struct finder *finder, const char *from)
{
    const char *at = from;
    if (finder->next_end && finder->next_end >= from)
        return finder->next_end;
    while ((at = memmem(at, (size_t)(finder->end - at), "obj", 3))) {
        bool ends = at - from >= 3 && memcmp(at - 3, "end", 3) == 0;
        if (ends || number_before(from, at) >= 0)
            break;
        at += 3;
    }
    finder->next_end = at ? at : finder->end;
    return finder->next_end;
}

/* The stream behind the dictionary: as long as it says, where its end stands there. */
static struct pdf_span read_stream(const struct finder *finder, struct pdf_span dictionary,
                                   const char *at)
{
    struct pdf_span value, stream = {NULL, NULL};
    if (at < finder->end && *at == '\r')
        at++;
    if (at < finder->end && *at == '\n')
        at++;
    stream.at = at;
    long length = raw_value(dictionary, "/Length", &value) ? pdf_integer(value) : -1;
    if (length >= 0 && length <= finder->end - at) {
        const char *end = skip_blank(at + length, finder->end);
        if (finder->end - end >= 9 && memcmp(end, "endstream", 9) == 0) {
            stream.end = at + length;
            return stream;
        }
    }
    const char *end = memmem(at, (size_t)(finder->end - at), "endstream", 9);
    stream.end = end ? end : finder->end;
    return stream;
}

/* Reads the object behind "obj" at finder->at. */
static void read_object(struct finder *finder, long number)
{
    struct pdf_span rest = {finder->at, object_end(finder, finder->at)}, value, word;
    if (!pdf_next(&rest, &value))
        return;
    struct pdf_object *object = add_object(finder->pdf, &finder->capacity);
    if (!object)
        return;
    object->number = number;
    object->value = value;
    finder->at = rest.at;
    if (is_double(value.at, value.end, '<') && pdf_next(&rest, &word) && pdf_is(word, "stream")) {
        object->stream = read_stream(finder, value, word.end);
        finder->at = object->stream.end;
    }
}

static void find_objects(struct pdf *pdf, const char *data, size_t length)
{
    struct finder finder = {.pdf = pdf, .at = data, .begin = data, .end = data + length};
    const char *found;
    while (text_goes_on(pdf->text) && pdf->count < PDF_OBJECT_LIMIT &&
           (found = memmem(finder.at, (size_t)(finder.end - finder.at), "obj", 3))) {
        long number = number_before(finder.at, found);
        finder.at = found + 3;
        if (number >= 0)
            read_object(&finder, number);
    }
}

/* --- object streams --- */

static void add_members(struct pdf *pdf, const struct pdf_object *stream, const char *data,
                        size_t length, size_t *capacity)
{
    struct pdf_span value, header = {data, data + length}, number, offset;
    size_t order = stream->order;
    long first = pdf_get(pdf, stream->value, "/First", &value) ? pdf_integer(value) : 0;
    long count = pdf_get(pdf, stream->value, "/N", &value) ? pdf_integer(value) : 0;
    if (first <= 0 || (size_t)first > length)
        return;
    header.end = data + first;
    for (; count > 0 && pdf_next(&header, &number) && pdf_next(&header, &offset); count--) {
        long at = pdf_integer(offset);
        if (at < 0 || (size_t)at >= length - (size_t)first || !text_goes_on(pdf->text))
            continue;
        struct pdf_span rest = {data + first + at, data + length}, member;
        struct pdf_object *object = pdf_next(&rest, &member) ? add_object(pdf, capacity) : NULL;
        if (!object)
            return;
        object->number = pdf_integer(number);
        object->value = member;
        object->order = order;
    }
}

static int compare_objects(const void *first, const void *second)
{
    const struct pdf_object *a = first, *b = second;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Of one number only the last. */
static void sort_objects(struct pdf *pdf)
{
    size_t kept = 0;
    if (pdf->count == 0)
        return;
    qsort(pdf->objects, pdf->count, sizeof(*pdf->objects), compare_objects);
    for (size_t i = 0; i < pdf->count; i++) {
        if (i + 1 < pdf->count && pdf->objects[i].number == pdf->objects[i + 1].number)
            continue;
        pdf->objects[kept++] = pdf->objects[i];
    }
    pdf->count = pdf->sorted = kept;
}

static bool is_object_stream(const struct pdf *pdf, const struct pdf_object *object)
{
    struct pdf_span type;
    return object->stream.at && pdf_get(pdf, object->value, "/Type", &type) &&
           pdf_is(type, "/ObjStm");
}

static void open_object_streams(struct pdf *pdf)
{
    size_t direct = pdf->count, capacity = pdf->count;
    for (size_t i = 0; i < direct && text_goes_on(pdf->text); i++) {
        struct pdf_object stream = pdf->objects[i];
        char *data;
        size_t length;
        if (!is_object_stream(pdf, &stream) || !pdf_unpack(pdf, &stream, &data, &length))
            continue;
        pdf->unpacked = g_renew(char *, pdf->unpacked, pdf->unpacked_count + 1);
        pdf->unpacked[pdf->unpacked_count++] = data;
        add_members(pdf, &stream, data, length, &capacity);
    }
    sort_objects(pdf);
}

/* --- the file --- */

static bool is_encrypted(const struct pdf *pdf, const char *data, size_t length)
{
    struct pdf_span value;
    const char *at = data, *end = data + length;
    for (size_t i = 0; i < pdf->count; i++)
        if (pdf->objects[i].stream.at && raw_value(pdf->objects[i].value, "/Encrypt", &value))
            return true;
    for (int i = 0; i < TRAILER_LIMIT && (at = memmem(at, (size_t)(end - at), "trailer", 7)); i++) {
        at += 7;
        struct pdf_span rest = {at, end - at > TRAILER_LOOK ? at + TRAILER_LOOK : end}, dictionary;
        if (pdf_next(&rest, &dictionary) && raw_value(dictionary, "/Encrypt", &value))
            return true;
    }
    return false;
}

bool pdf_open(struct pdf *pdf, const char *data, size_t length, struct text *text)
{
    *pdf = (struct pdf){.text = text};
    find_objects(pdf, data, length);
    sort_objects(pdf);
    if (is_encrypted(pdf, data, length))
        return false;
    open_object_streams(pdf);
    return true;
}

void pdf_close(struct pdf *pdf)
{
    for (size_t i = 0; i < pdf->unpacked_count; i++)
        g_free(pdf->unpacked[i]);
    g_free(pdf->unpacked);
    g_free(pdf->objects);
}
