/* Expressions as Vectorscan takes them: each one made wider, never narrower. */
#ifndef GATEHOUSE_SCANNER_POLICY_WIDEN_H
#define GATEHOUSE_SCANNER_POLICY_WIDEN_H

#include "common/buffer.h"
#include "scanner/policy/folding.h"

#include <stdbool.h>

/* Writes an expression that matches wherever the PCRE2 expression (UTF-8, Unicode properties,
 * multi-line) does, and perhaps elsewhere: Vectorscan knows an older Unicode, no look-around and no
 * Unicode word boundaries. With `caseless` what is written is for folded text. false where that
 * cannot be done: the expression must then be tried on every text. */
bool expression_widen(const char *expression, bool caseless, const struct folding *folding,
                      struct buffer *wide);

/* Skips "(?i)" at the beginning, and says whether it was there. */
bool expression_begins_caseless(const char **expression);

#endif
