/* Text from the network: UTF-8 checks and percent-decoding. */
#ifndef GATEHOUSE_CONTROLCENTER_HTTP_TEXT_H
#define GATEHOUSE_CONTROLCENTER_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Which control characters a text may hold; the others (C0, DEL, C1) are refused everywhere. */
enum text_lines {
    TEXT_ONE_LINE, /* none */
    TEXT_LINES,    /* tab, LF, CR */
};

/* Whether the bytes are UTF-8 (RFC 3629: shortest form, no surrogates) with no control characters
 * but those of `lines`. */
bool text_is_clean(const char *text, size_t length, enum text_lines lines);

/* Decodes %XX once, and '+' as a space where `form` (application/x-www-form-urlencoded), into
 * *decoded, which the caller frees. With TEXT_LINES every CRLF and lone CR becomes LF, and every
 * tab a space. Returns 0, 400 where a percent sign is not followed by two hexadecimal digits or the
 * result is not clean by text_is_clean, or 500 where memory ran out (*decoded is then NULL). */
int text_percent_decode(const char *text, size_t length, bool form, enum text_lines lines,
                        char **decoded);

/* Turns every CRLF and lone CR into LF and every tab into a space, in place; returns the length. */
size_t text_normalise_lines(char *text, size_t length);

/* Whether the bytes are a token of RFC 9110 section 5.6.2 (at least one). */
bool text_is_token(const char *text, size_t length);

#endif
