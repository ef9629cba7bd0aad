/* What of the Unicode Character Database (version 15.0) the filters need, as ranges in order. */
#ifndef GATEHOUSE_SCANNER_POLICY_UNICODE_TABLES_H
#define GATEHOUSE_SCANNER_POLICY_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

/* Simple case folding (CaseFolding.txt, status C and S): every `step`-th character from `first` to
 * `last` becomes the one `delta` further. */
struct unicode_fold {
    uint32_t first, last;
    uint32_t step;
    int32_t delta;
};
extern const struct unicode_fold unicode_folds[];
extern const size_t unicode_fold_count;

struct unicode_range {
    uint32_t first, last;
};
/* Letters, marks, numbers and the low line, without those of scripts that put no space between
 * words (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar). */
extern const struct unicode_range unicode_spaced_words[];
extern const size_t unicode_spaced_word_count;

#endif
