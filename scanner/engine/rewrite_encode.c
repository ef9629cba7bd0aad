/* Transfer encodings (RFC 2045 section 6) of what is written anew. */
#include "scanner/engine/clean_private.h"
#include "scanner/engine/rewrite_private.h"

#include <string.h>

#define QUOTED_LINE 76
/* Where more than one byte of so many is not ASCII, base64 is shorter. */
#define MOSTLY_ASCII 6

GMimeContentEncoding rewrite_choose_encoding(const char *data, size_t length)
{
    size_t line = 0, longest = 0, other = 0;
    for (size_t i = 0; i < length; i++) {
        line = data[i] == '\n' ? 0 : line + 1;
        longest = line > longest ? line : longest;
        other += data[i] == '\0' || (data[i] & 0x80);
    }
    if (other == 0 && longest <= REWRITE_LONG_LINE)
        return GMIME_CONTENT_ENCODING_7BIT;
    return other > length / MOSTLY_ASCII ? GMIME_CONTENT_ENCODING_BASE64
                                         : GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE;
}

const char *rewrite_encoding_name(GMimeContentEncoding encoding)
{
    switch (encoding) {
    case GMIME_CONTENT_ENCODING_BASE64:
        return "base64";
    case GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE:
        return "quoted-printable";
    default:
        return "7bit";
    }
}

static bool at_line_break(const char *data, size_t length, size_t i)
{
    return i + 1 < length && data[i] == '\r' && data[i + 1] == '\n';
}

/* Line breaks stay line breaks; what else is not plain is written by its number, white space at the
 * end of a line too. */
static void add_quoted(const char *data, size_t length, struct buffer *out)
{
    size_t column = 0;
    for (size_t i = 0; i < length; i++) {
        if (at_line_break(data, length, i)) {
            buffer_add_text(out, "\r\n");
            column = 0;
            i++;
            continue;
        }
        unsigned char c = (unsigned char)data[i];
        bool last = i + 1 == length || at_line_break(data, length, i + 1);
        bool plain = (c > ' ' && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !last);
        size_t size = plain ? 1 : 3;
        if (column + size > (last ? QUOTED_LINE : QUOTED_LINE - 1)) {
            buffer_add_text(out, "=\r\n");
            column = 0;
        }
        column += size;
        if (plain)
            buffer_add(out, &data[i], 1);
        else
            buffer_add_format(out, "=%02X", c);
    }
}

void rewrite_encode(const char *data, size_t length, GMimeContentEncoding encoding,
                    struct buffer *out)
{
    if (encoding == GMIME_CONTENT_ENCODING_BASE64)
        clean_add_base64(out, data, length);
    else if (encoding == GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE)
        add_quoted(data, length, out);
    else
        buffer_add(out, data, length);
}
