/* Text regardless of case: Unicode simple case folding, character by character, with the way back
 * from a place in the folded text to the place in the text. And text regardless of how it is set:
 * lines, blanks and what nobody sees (evaluate.h). */
#ifndef GATEHOUSE_SCANNER_POLICY_FOLDING_H
#define GATEHOUSE_SCANNER_POLICY_FOLDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Built from the Unicode tables once, read-only afterwards. */
struct folding;
/* NULL without memory. */
struct folding *folding_new(void);
void folding_free(struct folding *folding);

uint32_t folding_fold(const struct folding *folding, uint32_t character);
/* Whether a word may not end or begin between this character and another such one. Characters of
 * scripts without spaces between words are none: there a word ends and begins anywhere. */
bool folding_in_word(const struct folding *folding, uint32_t character);

/* From `folded` on, a place in the folded text is `text` - `folded` bytes further in the text. */
struct folded_shift {
    size_t folded, text;
};

struct folded_text {
    char *data; /* followed by a NUL; NULL: none */
    size_t length;
    struct folded_shift *shifts;
    size_t shift_count, shift_room;
};

/* Folds text of valid UTF-8. false without memory; *folded is empty then. */
bool folded_text_make(struct folded_text *folded, const struct folding *folding, const char *text,
                      size_t length);
/* As folded_text_make, with white space as one blank, or none between characters of Chinese and
 * Japanese, forms of full width as those of ASCII, and without characters that are not seen. The
 * case stays where it is to `match_case`. */
bool folded_text_loosen(struct folded_text *folded, const struct folding *folding, bool match_case,
                        const char *text, size_t length);
void folded_text_free(struct folded_text *folded);
/* The place in the text of a place between characters of the folded text. */
size_t folded_text_place(const struct folded_text *folded, size_t place);

/* Decodes the character at `text` (valid UTF-8, `length` > 0) and says how many bytes it has. */
uint32_t utf8_decode(const char *text, size_t length, size_t *bytes);
/* Writes the character; returns its bytes, 1 to 4. */
size_t utf8_encode(uint32_t character, char text[4]);
/* The character that ends before `place` (> 0). */
uint32_t utf8_before(const char *text, size_t place);

#endif
