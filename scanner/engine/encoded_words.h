/* Encoded words in header fields (RFC 2047). GMime 3.2 loses every word that follows a padded one
 * of the same charset, as Japanese mailers write them; hence our own. */
#ifndef GATEHOUSE_SCANNER_ENGINE_ENCODED_WORDS_H
#define GATEHOUSE_SCANNER_ENGINE_ENCODED_WORDS_H

/* Decodes the words in valid UTF-8 text; what only looks like a word stays as it is. The bytes of
 * neighbouring words of one charset are joined before they are converted, so that a character may
 * be cut between them. Each decoded character that stands in `unsafe` (NULL: none, ASCII) becomes
 * '_'. Never NULL, valid UTF-8; free with g_free. */
char *encoded_words_decode(const char *text, const char *unsafe);

#endif
