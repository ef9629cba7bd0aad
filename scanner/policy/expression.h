/* Expressions as PCRE2 has them: what a match is, where it is, and what it is worth. */
#ifndef GATEHOUSE_SCANNER_POLICY_EXPRESSION_H
#define GATEHOUSE_SCANNER_POLICY_EXPRESSION_H

#include "common/error.h"
#include "common/policy_model.h"

#include <stdbool.h>
#include <stddef.h>

/* UTF-8, Unicode properties, "^" and "$" at every line. Not compiled to machine code: the workers
 * may not have memory that can be run. */
struct expression;
/* NULL with *error (ERROR_INVALID). */
struct expression *expression_new(const char *text, bool match_case, struct error *error);
void expression_free(struct expression *expression);

enum expression_answer {
    EXPRESSION_NONE,
    EXPRESSION_FOUND,
    EXPRESSION_LIMIT, /* too many steps, too deep, or no memory */
};

/* The first match at or behind `from` that stands `check`. A match that does not is passed over,
 * and the search goes on one character behind its beginning. */
enum expression_answer expression_find(const struct expression *expression, enum policy_check check,
                                       const char *text, size_t length, size_t from, size_t *start,
                                       size_t *end);

#endif
