/* Expressions that administrators write: are they well formed, and do they explode? */
#include "common/policy_private.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#define TRIAL_LENGTH 60
/* Backtracks from one place of a text. Of TRIAL_LENGTH characters three nested loops take about
 * 40,000; what grows exponentially, or with the fourth power, takes more than this. */
#define TRIAL_STEPS 200000
#define TRIAL_HEAP 20000 /* KiB */
#define MOST_TRIALS 48

/* Compiled, with what a trial needs. */
struct trial {
    pcre2_code *code;
    pcre2_match_context *context;
    pcre2_match_data *data;
};

static size_t characters_before(const char *text, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes && text[i]; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* Without the look for characters that must come later: a hostile text has them. */
static pcre2_code *compile(const char *expression, struct error *error)
{
    int number;
    size_t offset;
    PCRE2_UCHAR message[200];
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE |
                                         PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_START_OPTIMIZE,
                                     &number, &offset, NULL);
    if (code)
        return code;
    pcre2_get_error_message(number, message, sizeof(message));
    error_set(error, ERROR_INVALID, "expression", "character %zu: %s",
              characters_before(expression, offset) + 1, (const char *)message);
    return NULL;
}

/* --- what can explode at all --- */

/* Expressions are many and trials are slow: only those are tried in which a repeat stands within a
 * repeat, or which have many of them in a row. */
#define FEW_REPEATS 3
#define FEW_OPTIONS 9
#define MOST_DEPTH 250 /* of groups, as PCRE2 limits it */

struct shape {
    const char *at;
    size_t repeats, options;
    size_t depth;
    bool varies[MOST_DEPTH + 1]; /* the group has repeats, options or alternatives */
    bool is_strange;             /* something that is not looked through here */
};

/* At "[": to the "]" of the class. */
static void skip_class(struct shape *shape)
{
    const char *at = shape->at + 1;
    at += *at == '^';
    at += *at == ']';
    while (*at && *at != ']') {
        if (*at == '\\' && at[1])
            at++;
        else if (*at == '[' && at[1] == ':' && strstr(at + 2, ":]"))
            at = strstr(at + 2, ":]") + 1;
        at++;
    }
    shape->at = *at ? at + 1 : at;
}

/* At "(": flags that change how the rest is read, recursion, conditions and verbs are strange. */
static void open_group(struct shape *shape)
{
    const char *at = shape->at + 1;
    if (*at == '*' || shape->depth == MOST_DEPTH) {
        shape->is_strange = true;
        return;
    }
    if (*at == '?') {
        at += 1 + strspn(at + 1, "ims");
        if (!strchr(":=!<>|)", *at) || !*at)
            shape->is_strange = true;
        if (*at == ')') { /* (?i) is no group */
            shape->at = at + 1;
            return;
        }
    }
    shape->depth++;
    shape->varies[shape->depth] = false;
    shape->at = at + (*at && *at != ')' && at > shape->at + 1);
}

/* The bytes of a quantifier with its mode; *is_exact: "{3}". */
static size_t quantifier_length(const char *at, bool *is_exact)
{
    size_t length = 1;
    *is_exact = false;
    if (*at == '{') {
        length += strspn(at + 1, "0123456789");
        *is_exact = length > 1 && at[length] == '}';
        length += strspn(at + length, ",0123456789");
        if (length == 1 || at[length] != '}')
            return 0;
        length++;
    } else if (!*at || !strchr("*+?", *at)) {
        return 0;
    }
    return length + (at[length] == '?' || at[length] == '+');
}

/* Behind an atom; `varies` where that is a group which does. */
static bool read_quantifier(struct shape *shape, bool varies)
{
    bool is_exact;
    size_t length = quantifier_length(shape->at, &is_exact);
    bool is_option = *shape->at == '?';
    if (length > 0 && varies && !is_option)
        return true;
    if (length > 0 && !is_exact) {
        shape->repeats += !is_option;
        shape->options += is_option;
        varies = true;
    }
    shape->varies[shape->depth] |= varies;
    shape->at += length;
    return false;
}

/* True where a repeat stands around what varies by itself. */
static bool close_group(struct shape *shape)
{
    bool varies = shape->varies[shape->depth];
    if (shape->depth > 0)
        shape->depth--;
    shape->at++;
    return read_quantifier(shape, varies);
}

/* With the braces of what has them, such as "\x{3042}" and "\p{Han}": they are no quantifier. */
static void skip_escape(struct shape *shape)
{
    const char *at = shape->at + 1;
    shape->is_strange |= *at == 'Q' || *at == 'g';
    bool has_braces = *at && strchr("xopPNk", *at) && at[1] == '{' && strchr(at, '}');
    shape->at = has_braces ? strchr(at, '}') + 1 : at + (*at != '\0');
}

static bool read_atom(struct shape *shape)
{
    if (*shape->at == '\\') {
        skip_escape(shape);
    } else if (*shape->at == '[') {
        skip_class(shape);
    } else {
        shape->at++;
    }
    return read_quantifier(shape, false);
}

static bool may_explode(const char *expression)
{
    struct shape shape = {.at = expression};
    while (*shape.at && !shape.is_strange) {
        bool nested = false;
        if (*shape.at == '(') {
            open_group(&shape);
        } else if (*shape.at == ')') {
            nested = close_group(&shape);
        } else if (*shape.at == '|') {
            shape.varies[shape.depth] = true;
            shape.at++;
        } else {
            nested = read_atom(&shape);
        }
        if (nested)
            return true;
    }
    return shape.is_strange || shape.repeats > FEW_REPEATS || shape.options > FEW_OPTIONS;
}

/* --- trials --- */

static bool takes_too_long(const struct trial *trial, const char *text, size_t length)
{
    int result =
        pcre2_match(trial->code, (PCRE2_SPTR)text, length, 0, 0, trial->data, trial->context);
    return result == PCRE2_ERROR_MATCHLIMIT || result == PCRE2_ERROR_DEPTHLIMIT ||
           result == PCRE2_ERROR_HEAPLIMIT || result == PCRE2_ERROR_RECURSELOOP;
}

/* The piece again and again, and what fits to nothing at the end. */
static bool explodes_over(const struct trial *trial, const char *piece, size_t length)
{
    static const char *const ends[] = {"\001", "!\n"};
    char text[TRIAL_LENGTH + 8];
    size_t filled = 0;
    while (filled + length <= TRIAL_LENGTH) {
        memcpy(text + filled, piece, length);
        filled += length;
    }
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t end = strlen(ends[i]);
        memcpy(text + filled, ends[i], end);
        if (takes_too_long(trial, text, filled + end))
            return true;
    }
    return false;
}

/* Trials over words of the expression itself: loops run over what it names. */
static bool explodes_over_own_words(const struct trial *trial, const char *expression)
{
    size_t trials = 0;
    bool tried[256] = {false};
    for (const char *at = expression; *at && trials < MOST_TRIALS;) {
        size_t run = 0;
        while (at[run] && run < TRIAL_LENGTH && !strchr("\\^$.|?*+()[]{}", at[run]))
            run++;
        if (run > 1) {
            trials++;
            if (explodes_over(trial, at, run))
                return true;
        }
        for (size_t i = 0; i < run && trials < MOST_TRIALS; i++) {
            unsigned char c = (unsigned char)at[i];
            if (c >= 0x80 || tried[c])
                continue;
            tried[c] = true;
            trials++;
            if (explodes_over(trial, &at[i], 1))
                return true;
        }
        at += run ? run : 1;
    }
    return false;
}

static bool explodes(const struct trial *trial, const char *expression)
{
    static const char *const pieces[] = {
        "a", "A", "0", " ", "-", ".", "a1", "a ", "a.", "a@", "\xe3\x81\x82", "ab0 "};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        if (explodes_over(trial, pieces[i], strlen(pieces[i])))
            return true;
    return explodes_over_own_words(trial, expression);
}

bool policy_expression_check(const char *expression, struct error *error)
{
    bool good = false;
    if (*expression == '\0')
        return error_set(error, ERROR_INVALID, "expression", "must not be empty");
    struct trial trial = {.code = compile(expression, error)};
    if (!trial.code)
        return false;
    trial.context = pcre2_match_context_create(NULL);
    trial.data = pcre2_match_data_create_from_pattern(trial.code, NULL);
    if (!trial.context || !trial.data) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    } else {
        pcre2_set_match_limit(trial.context, TRIAL_STEPS);
        pcre2_set_heap_limit(trial.context, TRIAL_HEAP);
        good = !may_explode(expression) || !explodes(&trial, expression) ||
               error_set(error, ERROR_LIMIT, "expression",
                         "takes too many steps on some texts: its repeats can match the same "
                         "characters in too many ways");
    }
    pcre2_match_data_free(trial.data);
    pcre2_match_context_free(trial.context);
    pcre2_code_free(trial.code);
    return good;
}
