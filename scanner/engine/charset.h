/* Text of undeclared or wrongly declared charset to UTF-8. */
#ifndef GATEHOUSE_SCANNER_ENGINE_CHARSET_H
#define GATEHOUSE_SCANNER_ENGINE_CHARSET_H

#include <stdbool.h>
#include <stddef.h>

struct charset_converters;

/* Opens the converters that mail needs, so that a sandboxed child, which can open no file, finds
 * them loaded. They stay loaded until the result is released. Call before forking workers. */
struct charset_converters *charset_preload(void);
void charset_release(struct charset_converters *converters);

/* The text as valid UTF-8, NUL-terminated, never NULL; free with g_free. In this order: ISO-2022-JP
 * by its escapes, UTF-8 where it is valid, `declared` (NULL: none) where the text fits it, the best
 * guess among the charsets that mailers send undeclared. Bytes that fit nothing become U+FFFD. */
char *charset_to_utf8(const char *text, size_t length, const char *declared);

/* The same for text whose charset was declared for it, as in an encoded word: `declared` goes
 * before everything else. */
char *charset_decode(const char *text, size_t length, const char *declared);

/* The same for running text, where a few broken bytes must not make a guess of the whole: where the
 * declared charset (or ISO-2022-JP by its escapes) fits all but some, those become U+FFFD. */
char *charset_to_text(const char *text, size_t length, const char *declared);

/* The same where each byte fits `declared` (ISO-2022-JP also by its escapes), so that nothing of
 * the text is lost; NULL where that is not so, or there is a NUL in it. */
char *charset_decode_exactly(const char *text, size_t length, const char *declared);

/* UTF-8 text in the charset, such that it can stand beside other text in it: ASCII is one byte a
 * character, and a charset with escapes ends in ASCII. NULL where it does not fit, or the charset
 * is not known and the text is not ASCII. Free with g_free. */
char *charset_encode(const char *text, const char *charset, size_t *length);

/* Whether text that follows these bytes of ISO-2022-JP would be taken for Japanese. */
bool charset_ends_shifted(const char *text, size_t length);

#endif
