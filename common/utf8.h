/* UTF-8 (RFC 3629) in text from outside. */
#ifndef GATEHOUSE_COMMON_UTF8_H
#define GATEHOUSE_COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes (1 to 4) of the well-formed sequence at `text`, of which `length` bytes are there; 0 where
 * it is none: stray, overlong, cut short, a surrogate, or above U+10FFFF. */
size_t utf8_sequence(const char *text, size_t length);

/* Whether no byte is over 0x7f. */
bool utf8_is_ascii(const char *text, size_t length);

bool utf8_valid(const char *text, size_t length);

/* Makes text fit for a log line or JSON, in place: every control character (C0, DEL, C1) and every
 * byte that is not UTF-8 becomes '?'. Returns the new length, never more than `length`; a NUL is
 * not added. */
size_t utf8_scrub(char *text, size_t length);

#endif
