/* Header fields as text for people: RFC 2047 decoded, always valid UTF-8, fit for JSON and a log.
 */
#ifndef GATEHOUSE_SCANNER_ENGINE_HEADER_TEXT_H
#define GATEHOUSE_SCANNER_ENGINE_HEADER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define HEADER_TEXT_CHARACTERS 998
#define HEADER_FIELD_LIMIT (64u << 10) /* bytes of one field that are looked at */

/* The value of a field (what follows the colon, still folded), decoded, without control characters,
 * at most HEADER_TEXT_CHARACTERS characters. `charset` is what undeclared 8-bit text probably is
 * (NULL: guess). Never NULL; free with g_free. */
char *header_text_decode(const char *value, size_t length, const char *charset);

/* The value unfolded and as UTF-8, its encoded words left alone: for structured fields. */
char *header_text_unfold(const char *value, size_t length, const char *charset);

/* The same for fields with parameters: encoded words, which must not stand in them but do, are
 * decoded; a quotation mark or backslash in them becomes '_', so that it cannot end the parameter.
 */
char *header_text_parameters(const char *value, size_t length, const char *charset);

/* Whether UTF-8 text has characters that turn the direction of what follows. */
bool header_text_turns(const char *text);

/* Removes control characters, line separators and bidirectional overrides from UTF-8 text in place,
 * makes each run of white space one space, trims both ends and cuts at `most` characters. */
void header_text_clean(char *text, size_t most);

#endif
