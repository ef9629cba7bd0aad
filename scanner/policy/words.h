/* Finds the words of all dictionaries in a text in one pass, however many words there are. */
#ifndef GATEHOUSE_SCANNER_POLICY_WORDS_H
#define GATEHOUSE_SCANNER_POLICY_WORDS_H

#include "common/policy_model.h"
#include "scanner/policy/folding.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All words, folded and sorted; each one knows the longest other word that it begins with. The
 * words that begin at a place of the text are then the one that sorts last before the text from
 * there on, and those that it begins with. */
struct words;

/* Borrows the dictionaries and the folding. NULL without memory. */
struct words *words_new(const struct policy_dictionary *const *dictionaries, size_t count,
                        const struct folding *folding);
void words_free(struct words *words);

/* Called for each word found; `start` and `end` are places in the folded text. */
typedef bool words_found(void *context, size_t dictionary, size_t word, size_t start, size_t end);

/* Goes through the text from left to right. Within a dictionary finds do not overlap, and of words
 * that begin at the same place the longest counts. Ends early where `found` says false. false
 * without memory, or where `stop_us` (CLOCK_MONOTONIC) has passed. */
bool words_find(const struct words *words, const char *text, const struct folded_text *folded,
                int64_t stop_us, words_found *found, void *context);

#endif
