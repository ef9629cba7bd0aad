#include "scanner/policy/patterns.h"

#include "common/buffer.h"
#include "scanner/policy/intern.h"
#include "scanner/policy/widen.h"

#include <hs.h>
#include <stdlib.h>
#include <string.h>

enum {
    LITERALS_IN_ONE = 100000, /* of one database */
    EXPRESSIONS_IN_ONE = 2000,
    FINDS_OF_BYTE = 200, /* so many on the average are too many */
    FINDS_AT_LEAST = 10000000,
    REFUSALS_MOST =
        20, /* by hs_compile_multi, of one database; then all its expressions are hidden */
};

enum sort { LITERAL, CASELESS, SENSITIVE, SORTS };

struct pattern {
    enum sort sort;
    uint32_t literal; /* in `literals` */
    struct expression *expression;
    char *wide; /* while it is compiled; NULL: hidden */
    bool hidden;
};

struct database {
    hs_database_t *compiled;
    enum sort sort;
};

struct patterns {
    const struct folding *folding;
    struct intern names; /* "l" and the folded literal; "c" or "s" and the expression */
    struct pattern *items;
    uint32_t count, room;
    struct database *databases;
    size_t database_count, database_room;
    hs_scratch_t *scratch;
};

struct patterns *patterns_new(const struct folding *folding)
{
    struct patterns *patterns = calloc(1, sizeof *patterns);
    if (patterns)
        patterns->folding = folding;
    return patterns;
}

void patterns_free(struct patterns *patterns)
{
    if (!patterns)
        return;
    for (uint32_t i = 0; i < patterns->count; i++) {
        expression_free(patterns->items[i].expression);
        free(patterns->items[i].wide);
    }
    for (size_t i = 0; i < patterns->database_count; i++)
        hs_free_database(patterns->databases[i].compiled);
    if (patterns->scratch)
        hs_free_scratch(patterns->scratch);
    free(patterns->databases);
    free(patterns->items);
    intern_free(&patterns->names);
    free(patterns);
}

/* The pattern of that name; *fresh where it was not there. */
static struct pattern *add(struct patterns *patterns, char letter, const char *text, size_t length,
                           uint32_t *number, bool *fresh)
{
    struct buffer name = BUFFER_INIT;
    *number = PATTERN_NONE;
    uint32_t before = patterns->names.count;
    if (buffer_add(&name, &letter, 1) && buffer_add(&name, text, length))
        *number = intern_add(&patterns->names, name.data, name.length);
    buffer_free(&name);
    *fresh = patterns->names.count != before;
    if (*number == PATTERN_NONE)
        return NULL;
    if (*fresh && patterns->count == patterns->room) {
        uint32_t room = patterns->room ? patterns->room * 2 : 64;
        struct pattern *items = realloc(patterns->items, room * sizeof *items);
        if (!items) {
            *number = PATTERN_NONE;
            return NULL;
        }
        patterns->items = items;
        patterns->room = room;
    }
    if (*fresh)
        patterns->items[patterns->count++] = (struct pattern){0};
    return &patterns->items[*number];
}

uint32_t patterns_add_literal(struct patterns *patterns, const char *text)
{
    struct folded_text folded;
    uint32_t number;
    bool fresh;
    if (!folded_text_loosen(&folded, patterns->folding, false, text, strlen(text)))
        return PATTERN_NONE;
    if (folded.length == 0) { /* all of it is never seen: no loosened text has it either */
        folded_text_free(&folded);
        if (!folded_text_make(&folded, patterns->folding, text, strlen(text)))
            return PATTERN_NONE;
    }
    struct pattern *pattern = add(patterns, 'l', folded.data, folded.length, &number, &fresh);
    folded_text_free(&folded);
    if (pattern)
        pattern->sort = LITERAL;
    return number;
}

/* Whether an empty text has it, where there is nothing to be scanned. */
static bool matches_nothing(const struct expression *expression)
{
    size_t start, end;
    return expression_find(expression, POLICY_CHECK_NONE, "", 0, 0, &start, &end) !=
           EXPRESSION_NONE;
}

uint32_t patterns_add_expression(struct patterns *patterns, const char *text, bool match_case,
                                 struct error *error)
{
    uint32_t number;
    bool fresh;
    struct pattern *pattern =
        add(patterns, match_case ? 's' : 'c', text, strlen(text), &number, &fresh);
    if (!pattern) {
        error_set(error, ERROR_INTERNAL, NULL, "no memory for an expression");
        return PATTERN_NONE;
    }
    if (!fresh)
        return number;
    pattern->sort = match_case ? SENSITIVE : CASELESS;
    pattern->expression = expression_new(text, match_case, error);
    if (!pattern->expression)
        return PATTERN_NONE;
    struct buffer wide = BUFFER_INIT;
    wide.limit = 65536;
    if (expression_begins_caseless(&text))
        pattern->sort = CASELESS;
    if (expression_widen(text, pattern->sort == CASELESS, patterns->folding, &wide))
        pattern->wide = buffer_take(&wide);
    buffer_free(&wide);
    pattern->hidden = !pattern->wide || matches_nothing(pattern->expression);
    return number;
}

/* Not HS_FLAG_SINGLEMATCH: with it Vectorscan 5.4.9 misses a pattern of some sets where another one
 * was found before ("a{2,}", "." and "key" over some texts without "key"). */
static const unsigned expression_flags = HS_FLAG_UTF8 | HS_FLAG_ALLOWEMPTY;

/* The next patterns of a sort from *from on, at most `most`, that are not hidden. */
static size_t select_patterns(const struct patterns *patterns, enum sort sort, uint32_t *from,
                              size_t most, uint32_t *selected)
{
    size_t count = 0;
    for (; *from < patterns->count && count < most; (*from)++) {
        const struct pattern *pattern = &patterns->items[*from];
        if (pattern->sort == sort && !pattern->hidden)
            selected[count++] = *from;
    }
    return count;
}

static bool add_database(struct patterns *patterns, hs_database_t *compiled, enum sort sort)
{
    if (patterns->database_count == patterns->database_room) {
        size_t room = patterns->database_room * 2 + 4;
        struct database *databases = realloc(patterns->databases, room * sizeof *databases);
        if (!databases) {
            hs_free_database(compiled);
            return false;
        }
        patterns->databases = databases;
        patterns->database_room = room;
    }
    patterns->databases[patterns->database_count++] = (struct database){compiled, sort};
    return hs_alloc_scratch(compiled, &patterns->scratch) == HS_SUCCESS;
}

struct selection {
    uint32_t *ids;
    const char **texts;
    size_t *lengths;
    unsigned *flags;
    size_t count;
};

static bool selection_make(struct selection *selection, size_t most)
{
    selection->ids = calloc(most, sizeof *selection->ids);
    selection->texts = calloc(most, sizeof *selection->texts);
    selection->lengths = calloc(most, sizeof *selection->lengths);
    selection->flags = calloc(most, sizeof *selection->flags);
    return selection->ids && selection->texts && selection->lengths && selection->flags;
}

static void selection_free(struct selection *selection)
{
    free(selection->ids);
    free(selection->texts);
    free(selection->lengths);
    free(selection->flags);
}

static bool compile_literals(struct patterns *patterns, struct selection *selection,
                             struct error *error)
{
    hs_database_t *compiled = NULL;
    hs_compile_error_t *problem = NULL;
    for (size_t i = 0; i < selection->count; i++) {
        selection->texts[i] = patterns_literal(patterns, selection->ids[i], &selection->lengths[i]);
        selection->flags[i] = 0;
    }
    if (hs_compile_lit_multi(selection->texts, selection->flags, selection->ids, selection->lengths,
                             (unsigned)selection->count, HS_MODE_BLOCK, NULL, &compiled,
                             &problem) != HS_SUCCESS) {
        error_set(error, ERROR_INTERNAL, NULL, "the filters' texts could not be compiled: %s",
                  problem ? problem->message : "");
        hs_free_compile_error(problem);
        return false;
    }
    return add_database(patterns, compiled, LITERAL) ||
           error_set(error, ERROR_INTERNAL, NULL, "no memory for the filters' texts");
}

static void drop(struct selection *selection, struct patterns *patterns, size_t index)
{
    patterns->items[selection->ids[index]].hidden = true;
    memmove(selection->ids + index, selection->ids + index + 1,
            (selection->count - index - 1) * sizeof *selection->ids);
    selection->count--;
}

/* Expressions that Vectorscan refuses become hidden. */
static bool compile_expressions(struct patterns *patterns, enum sort sort,
                                struct selection *selection, struct error *error)
{
    for (int refusals = 0; selection->count > 0; refusals++) {
        hs_database_t *compiled = NULL;
        hs_compile_error_t *problem = NULL;
        for (size_t i = 0; i < selection->count; i++) {
            selection->texts[i] = patterns->items[selection->ids[i]].wide;
            selection->flags[i] = expression_flags;
        }
        if (hs_compile_multi(selection->texts, selection->flags, selection->ids,
                             (unsigned)selection->count, HS_MODE_BLOCK, NULL, &compiled,
                             &problem) == HS_SUCCESS)
            return add_database(patterns, compiled, sort) ||
                   error_set(error, ERROR_INTERNAL, NULL, "no memory for the filters' expressions");
        bool one = problem && problem->expression >= 0 &&
                   (size_t)problem->expression < selection->count && refusals < REFUSALS_MOST;
        size_t refused = one ? (size_t)problem->expression : 0;
        hs_free_compile_error(problem);
        if (one)
            drop(selection, patterns, refused);
        else
            while (selection->count > 0)
                drop(selection, patterns, selection->count - 1);
    }
    return true;
}

/* Hides what Vectorscan does not understand at all, so that it refuses nothing of what is left. */
static void hide_strange_ones(struct patterns *patterns)
{
    for (uint32_t i = 0; i < patterns->count; i++) {
        struct pattern *pattern = &patterns->items[i];
        hs_expr_info_t *info = NULL;
        hs_compile_error_t *problem = NULL;
        if (!pattern->wide)
            continue;
        if (hs_expression_info(pattern->wide, expression_flags, &info, &problem) != HS_SUCCESS)
            pattern->hidden = true;
        free(info);
        hs_free_compile_error(problem);
    }
}

bool patterns_compile(struct patterns *patterns, struct error *error)
{
    struct selection selection;
    bool good = selection_make(&selection, LITERALS_IN_ONE) ||
                error_set(error, ERROR_INTERNAL, NULL, "no memory for the filters");
    hide_strange_ones(patterns);
    for (enum sort sort = LITERAL; sort < SORTS && good; sort++)
        for (uint32_t from = 0; good;) {
            selection.count = select_patterns(
                patterns, sort, &from, sort == LITERAL ? LITERALS_IN_ONE : EXPRESSIONS_IN_ONE,
                selection.ids);
            if (selection.count == 0)
                break;
            good = sort == LITERAL ? compile_literals(patterns, &selection, error)
                                   : compile_expressions(patterns, sort, &selection, error);
        }
    selection_free(&selection);
    for (uint32_t i = 0; i < patterns->count; i++) {
        free(patterns->items[i].wide);
        patterns->items[i].wide = NULL;
    }
    return good;
}

uint32_t patterns_count(const struct patterns *patterns)
{
    return patterns->count;
}

const char *patterns_literal(const struct patterns *patterns, uint32_t pattern, size_t *length)
{
    const char *name = intern_text(&patterns->names, pattern, length);
    *length -= 1;
    return name + 1;
}

const struct expression *patterns_expression(const struct patterns *patterns, uint32_t pattern)
{
    return patterns->items[pattern].expression;
}

bool patterns_is_hidden(const struct patterns *patterns, uint32_t pattern)
{
    return patterns->items[pattern].hidden;
}

struct scan {
    patterns_touched *touched;
    void *context;
    size_t left; /* finds until the scan is given up */
};

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                    void *context)
{
    struct scan *scan = context;
    (void)from;
    (void)to;
    (void)flags;
    scan->touched(scan->context, id);
    return --scan->left == 0;
}

bool patterns_scan(const struct patterns *patterns, const char *text, size_t length,
                   const struct folded_text *loose, const struct folded_text *folded,
                   patterns_touched *touched, void *context)
{
    struct scan scan = {touched, context, length * FINDS_OF_BYTE + FINDS_AT_LEAST};
    if (length > UINT32_MAX / 2)
        return false;
    for (size_t i = 0; i < patterns->database_count; i++) {
        const struct database *database = &patterns->databases[i];
        const struct folded_text *form = database->sort == LITERAL ? loose : folded;
        bool raw = database->sort == SENSITIVE;
        if (!form)
            continue;
        if (hs_scan(database->compiled, raw ? text : form->data,
                    (unsigned)(raw ? length : form->length), 0, patterns->scratch, on_match,
                    &scan) != HS_SUCCESS)
            return false;
    }
    return true;
}
