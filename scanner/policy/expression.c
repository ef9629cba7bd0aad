#include "scanner/policy/expression.h"

#include "scanner/policy/checks.h"
#include "scanner/policy/folding.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEPS_MOST = 500000, /* of one search */
    DEPTH_MOST = 10000,
    HEAP_MOST = 20000,     /* KiB */
    FAILED_CHECKS = 10000, /* of one search */
};

struct expression {
    pcre2_code *code;
    pcre2_match_context *limits;
};

struct expression *expression_new(const char *text, bool match_case, struct error *error)
{
    struct expression *expression = calloc(1, sizeof *expression);
    int number = 0;
    PCRE2_SIZE place = 0;
    if (!expression) {
        error_set(error, ERROR_INTERNAL, NULL, "no memory for an expression");
        return NULL;
    }
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C |
                       (match_case ? 0 : PCRE2_CASELESS);
    expression->code =
        pcre2_compile((PCRE2_SPTR)text, strlen(text), options, &number, &place, NULL);
    expression->limits = pcre2_match_context_create(NULL);
    if (!expression->code || !expression->limits) {
        PCRE2_UCHAR message[120] = "";
        pcre2_get_error_message(number, message, sizeof message);
        error_set(error, ERROR_INVALID, NULL, "the expression is wrong at character %zu: %s",
                  (size_t)place + 1, (const char *)message);
        expression_free(expression);
        return NULL;
    }
    pcre2_set_match_limit(expression->limits, STEPS_MOST);
    pcre2_set_depth_limit(expression->limits, DEPTH_MOST);
    pcre2_set_heap_limit(expression->limits, HEAP_MOST);
    return expression;
}

void expression_free(struct expression *expression)
{
    if (!expression)
        return;
    pcre2_code_free(expression->code);
    pcre2_match_context_free(expression->limits);
    free(expression);
}

static enum expression_answer find_once(const struct expression *expression,
                                        pcre2_match_data *match, const char *text, size_t length,
                                        size_t from, size_t *start, size_t *end)
{
    int result = pcre2_match(expression->code, (PCRE2_SPTR)text, length, from, PCRE2_NO_UTF_CHECK,
                             match, expression->limits);
    if (result == PCRE2_ERROR_NOMATCH)
        return EXPRESSION_NONE;
    if (result < 0)
        return EXPRESSION_LIMIT;
    const PCRE2_SIZE *places = pcre2_get_ovector_pointer(match);
    /* \K can put the beginning behind the end. */
    *end = places[1] > from ? places[1] : from;
    *start = places[0] < from ? from : places[0] < *end ? places[0] : *end;
    return EXPRESSION_FOUND;
}

enum expression_answer expression_find(const struct expression *expression, enum policy_check check,
                                       const char *text, size_t length, size_t from, size_t *start,
                                       size_t *end)
{
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    enum expression_answer answer = match ? EXPRESSION_FOUND : EXPRESSION_LIMIT;
    int failed = 0;
    while (answer == EXPRESSION_FOUND) {
        answer = find_once(expression, match, text, length, from, start, end);
        if (answer != EXPRESSION_FOUND || check_passes(check, text + *start, *end - *start))
            break;
        if (*start >= length) {
            answer = EXPRESSION_NONE;
        } else if (++failed == FAILED_CHECKS) {
            answer = EXPRESSION_LIMIT;
        } else {
            size_t bytes;
            utf8_decode(text + *start, length - *start, &bytes);
            from = *start + bytes;
        }
    }
    pcre2_match_data_free(match);
    return answer;
}
