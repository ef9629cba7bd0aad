/* All literals and expressions of all filters, and which of them a text has, in one pass. */
#ifndef GATEHOUSE_SCANNER_POLICY_PATTERNS_H
#define GATEHOUSE_SCANNER_POLICY_PATTERNS_H

#include "common/error.h"
#include "scanner/policy/expression.h"
#include "scanner/policy/folding.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_NONE UINT32_MAX

/* Patterns are numbered from 0 on; equal ones are one pattern. Vectorscan says which ones a text
 * may have: literals regardless of case, expressions widened (widen.h). Counting and marking is
 * done for those alone, by others. */
struct patterns;

/* Borrows the folding. NULL without memory. */
struct patterns *patterns_new(const struct folding *folding);
void patterns_free(struct patterns *patterns);

/* PATTERN_NONE without memory. */
uint32_t patterns_add_literal(struct patterns *patterns, const char *text);
/* PATTERN_NONE with *error. */
uint32_t patterns_add_expression(struct patterns *patterns, const char *text, bool match_case,
                                 struct error *error);
/* Call once, when all are added. */
bool patterns_compile(struct patterns *patterns, struct error *error);

uint32_t patterns_count(const struct patterns *patterns);
/* The loosened text of a literal. */
const char *patterns_literal(const struct patterns *patterns, uint32_t pattern, size_t *length);
/* NULL of a literal. */
const struct expression *patterns_expression(const struct patterns *patterns, uint32_t pattern);
/* Whether nothing but trying tells if a text has it. */
bool patterns_is_hidden(const struct patterns *patterns, uint32_t pattern);

typedef void patterns_touched(void *context, uint32_t pattern);

/* Says each pattern that the text may have, at each find; of literals, has. Hidden ones are not
 * said. Literals are looked for in `loose`; without `folded` (NULL) they alone are. Uses scratch
 * memory of the process: one scan at a time; a process that was forked has its own. false where
 * Vectorscan fails, or finds far too much: then the text may have any. */
bool patterns_scan(const struct patterns *patterns, const char *text, size_t length,
                   const struct folded_text *loose, const struct folded_text *folded,
                   patterns_touched *touched, void *context);

#endif
