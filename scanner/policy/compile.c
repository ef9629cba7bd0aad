#include "common/buffer.h"
#include "common/config_model.h"
#include "scanner/policy/groups.h"
#include "scanner/policy/program.h"
#include "scanner/policy/waking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned program_kinds(const struct policy_condition *condition)
{
    switch (condition->field) {
    case POLICY_SUBJECT:
        return TEXT_SUBJECT;
    case POLICY_BODY:
        return condition->tags ? TEXT_BODY_TAGS : TEXT_BODY;
    case POLICY_ATTACHMENT_TEXT:
        return TEXT_ATTACHMENT;
    case POLICY_ANY_TEXT:
        return condition->tags ? TEXT_SUBJECT | TEXT_BODY_TAGS | TEXT_ATTACHMENT_TAGS
                               : TEXT_SUBJECT | TEXT_BODY | TEXT_ATTACHMENT;
    case POLICY_HEADER:
        return TEXT_HEADER;
    case POLICY_SENDER:
        return TEXT_SENDER;
    case POLICY_RECIPIENT:
        return TEXT_RECIPIENT;
    case POLICY_FROM:
        return TEXT_FROM;
    case POLICY_TO:
        return TEXT_TO;
    case POLICY_ATTACHMENT_NAME:
        return TEXT_NAME;
    default:
        return 0;
    }
}

/* While it is compiled. */
struct compiling {
    struct policy_program *program;
    struct error *error;
    struct intern dictionary_ids, list_ids; /* numbers as in the program */
    struct intern questions;
};

static bool no_memory(struct compiling *c)
{
    return error_set(c->error, ERROR_INTERNAL, NULL, "no memory for the filters");
}

static uint32_t add_key(struct compiling *c, char sort, const char *text)
{
    struct policy_program *program = c->program;
    struct folded_text folded;
    char *name = NULL;
    uint32_t key = INTERN_NONE;
    if (!folded_text_make(&folded, program->folding, text, strlen(text)))
        return INTERN_NONE;
    name = malloc(folded.length + 1);
    if (name) {
        name[0] = sort;
        memcpy(name + 1, folded.data, folded.length);
        key = intern_add(&program->keys, name, folded.length + 1);
    }
    free(name);
    folded_text_free(&folded);
    return key;
}

static char key_sort(const struct policy_condition *condition)
{
    bool group = condition->operation == POLICY_IN_GROUP;
    switch (condition->field) {
    case POLICY_SENDER:
        return group ? KEY_SENDER_GROUP : KEY_SENDER;
    case POLICY_RECIPIENT:
        return group ? KEY_RECIPIENT_GROUP : KEY_RECIPIENT;
    case POLICY_FROM:
        return KEY_FROM;
    case POLICY_TO:
        return KEY_TO;
    default:
        return KEY_EXTENSION;
    }
}

static int compare_values(const void *left, const void *right)
{
    const struct condition_value *a = left, *b = right;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return a->value < b->value ? -1 : a->value > b->value;
}

static bool add_value(struct compiling *c, struct program_condition *condition, size_t value)
{
    const struct policy_condition *source = condition->source;
    const char *text = source->values.items[value];
    uint32_t id;
    switch (source->operation) {
    case POLICY_MATCHES:
        id = patterns_add_expression(c->program->patterns, text, source->match_case, c->error);
        if (id == PATTERN_NONE)
            return false;
        break;
    case POLICY_ADDRESS:
    case POLICY_IN_GROUP:
    case POLICY_EXTENSION:
        id = add_key(c, key_sort(source), text);
        break;
    default:
        if (!*text) {
            condition->empty_value = source->operation == POLICY_EQUALS;
            return true;
        }
        id = patterns_add_literal(c->program->patterns, text);
    }
    if (id == INTERN_NONE)
        return no_memory(c);
    condition->values[condition->value_count++] = (struct condition_value){id, (uint32_t)value};
    return true;
}

static bool add_values(struct compiling *c, struct program_condition *condition)
{
    size_t count = condition->source->values.count;
    condition->values = calloc(count + 1, sizeof *condition->values);
    if (!condition->values)
        return no_memory(c);
    for (size_t i = 0; i < count; i++)
        if (!add_value(c, condition, i))
            return false;
    qsort(condition->values, condition->value_count, sizeof *condition->values, compare_values);
    return true;
}

static bool unknown(struct compiling *c, const char *sort, const char *id)
{
    return error_set(c->error, ERROR_INVALID, NULL, "there is no %s \"%s\"", sort, id ? id : "");
}

static bool add_pattern(struct compiling *c, struct program_condition *condition)
{
    const char *id = condition->source->id;
    const struct policy_pattern *pattern = id ? policy_find_pattern(c->program->set, id) : NULL;
    if (!pattern)
        return unknown(c, "pattern", id);
    condition->values = calloc(1, sizeof *condition->values);
    if (!condition->values)
        return no_memory(c);
    condition->check = pattern->check;
    condition->values[0].id = patterns_add_expression(c->program->patterns, pattern->expression,
                                                      condition->source->match_case, c->error);
    condition->value_count = 1;
    return condition->values[0].id != PATTERN_NONE;
}

static bool add_dictionary(struct compiling *c, struct program_condition *condition)
{
    struct policy_program *program = c->program;
    const char *id = condition->source->id;
    condition->dictionary = id ? intern_find(&c->dictionary_ids, id, strlen(id)) : INTERN_NONE;
    if (condition->dictionary != INTERN_NONE)
        return true;
    const struct policy_dictionary *dictionary =
        id ? policy_find_dictionary(program->set, id) : NULL;
    if (!dictionary)
        return unknown(c, "dictionary", id);
    const struct policy_dictionary **dictionaries =
        realloc(program->dictionaries, (program->dictionary_count + 1) * sizeof *dictionaries);
    if (!dictionaries)
        return no_memory(c);
    program->dictionaries = dictionaries;
    condition->dictionary = intern_add(&c->dictionary_ids, id, strlen(id));
    if (condition->dictionary == INTERN_NONE)
        return no_memory(c);
    dictionaries[program->dictionary_count++] = dictionary;
    return true;
}

static bool add_list(struct compiling *c, struct program_condition *condition)
{
    struct policy_program *program = c->program;
    const char *id = condition->source->id;
    condition->list = id ? intern_find(&c->list_ids, id, strlen(id)) : INTERN_NONE;
    if (condition->list != INTERN_NONE)
        return true;
    const struct policy_list *list = id ? policy_find_list(program->set, id) : NULL;
    if (!list)
        return unknown(c, "attachment list", id);
    struct attachment_list **lists =
        realloc(program->lists, (program->list_count + 1) * sizeof *lists);
    if (!lists)
        return no_memory(c);
    program->lists = lists;
    lists[program->list_count] = attachment_list_new(list, program->folding);
    if (!lists[program->list_count])
        return no_memory(c);
    program->list_count++;
    condition->list = intern_add(&c->list_ids, id, strlen(id));
    return condition->list != INTERN_NONE || no_memory(c);
}

static void read_codes(struct program_condition *condition)
{
    const struct policy_texts *values = &condition->source->values;
    for (size_t i = 0; i < values->count; i++) {
        enum config_verdict verdict;
        if (condition->source->field == POLICY_DIRECTION) {
            condition->directions[POLICY_INBOUND] |= strcmp(values->items[i], "inbound") == 0;
            condition->directions[POLICY_OUTBOUND] |= strcmp(values->items[i], "outbound") == 0;
        } else if (strcmp(values->items[i], "clean") == 0) {
            condition->verdicts |= 1u << 31;
        } else if (config_verdict_parse(values->items[i], &verdict)) {
            condition->verdicts |= 1u << verdict;
        }
    }
}

/* What the operation needs beside the field. */
static bool compile_operation(struct compiling *c, struct program_condition *condition)
{
    switch (condition->source->operation) {
    case POLICY_HAS_PATTERN:
        return add_pattern(c, condition);
    case POLICY_IN_DICTIONARY:
        return add_dictionary(c, condition);
    case POLICY_IN_LIST:
        return add_list(c, condition);
    case POLICY_TYPE:
    case POLICY_MEDIA_TYPE:
        return globs_make(&condition->globs, &condition->source->values, c->program->folding) ||
               no_memory(c);
    case POLICY_EXISTS:
    case POLICY_ENCRYPTED:
    case POLICY_ABOVE:
    case POLICY_BELOW:
        return true;
    case POLICY_IS:
        read_codes(condition);
        return true;
    default:
        return add_values(c, condition);
    }
}

static void note_needs(struct policy_program *program, const struct program_condition *condition)
{
    struct policy_needs *needs = &program->needs;
    needs->visible_text |= condition->kinds & TEXT_BODY;
    needs->text_with_tags |= condition->kinds & (TEXT_BODY_TAGS | TEXT_ATTACHMENT_TAGS);
    needs->attachment_text |= condition->kinds & (TEXT_ATTACHMENT | TEXT_ATTACHMENT_TAGS);
    needs->attachments |= condition->kinds & TEXT_NAME;
    switch (condition->source->field) {
    case POLICY_LANGUAGE:
        needs->language = true;
        break;
    case POLICY_ATTACHMENT:
    case POLICY_ATTACHMENT_SIZE:
    case POLICY_ATTACHMENT_COUNT:
        needs->attachments = true;
        break;
    default:
        break;
    }
}

static void note_kinds(struct policy_program *program, const struct program_condition *condition)
{
    program->all_kinds |= condition->kinds;
    switch (condition->source->operation) {
    case POLICY_MATCHES:
    case POLICY_HAS_PATTERN:
        program->expression_kinds |= condition->kinds;
        break;
    case POLICY_IN_DICTIONARY:
        program->word_kinds |= condition->kinds;
        break;
    case POLICY_ADDRESS:
        program->address_kinds |= condition->kinds;
        break;
    case POLICY_IN_GROUP:
        program->group_kinds |= condition->kinds;
        break;
    case POLICY_EXTENSION:
        program->has_extensions = true;
        break;
    case POLICY_EXISTS:
        break;
    default:
        program->literal_kinds |= condition->kinds;
    }
}

/* Filters often ask the same, such as whether the sender is one of one's own; once is enough. */
static bool number_question(struct compiling *c, struct program_condition *condition)
{
    const struct policy_condition *source = condition->source;
    struct buffer text = BUFFER_INIT;
    buffer_add_format(&text, "%d %d %d %d %d %lld ", source->field, source->operation,
                      source->match_case, source->tags, source->every, (long long)source->number);
    /* Each text with the NUL behind it, so that none can pass for two. */
    buffer_add_text(&text, source->header ? source->header : "");
    buffer_add(&text, "", 1);
    buffer_add_text(&text, source->id ? source->id : "");
    buffer_add(&text, "", 1);
    for (size_t i = 0; i < source->values.count; i++)
        buffer_add(&text, source->values.items[i], strlen(source->values.items[i]) + 1);
    condition->question =
        text.failed ? INTERN_NONE : intern_add(&c->questions, text.data, text.length);
    buffer_free(&text);
    return condition->question != INTERN_NONE || no_memory(c);
}

static bool compile_condition(struct compiling *c, struct program_condition *condition,
                              const struct policy_condition *source)
{
    bool number = source->operation == POLICY_ABOVE || source->operation == POLICY_BELOW;
    condition->source = source;
    condition->kinds = program_kinds(source);
    condition->for_recipient = source->field == POLICY_RECIPIENT;
    condition->least = source->number < 1 && !number ? 1 : source->number;
    condition->dictionary = condition->list = condition->header = INTERN_NONE;
    if (source->field == POLICY_HEADER) {
        condition->header = add_key(c, KEY_HEADER, source->header ? source->header : "");
        if (condition->header == INTERN_NONE)
            return no_memory(c);
    }
    note_needs(c->program, condition);
    note_kinds(c->program, condition);
    return number_question(c, condition) && compile_operation(c, condition);
}

static int compare_sizes(const void *left, const void *right)
{
    size_t a = *(const size_t *)left, b = *(const size_t *)right;
    return a < b ? -1 : a > b;
}

static bool compile_groups(struct compiling *c, struct program_filter *filter)
{
    const struct policy_texts *ids = &filter->source->groups;
    const struct policy_set *set = c->program->set;
    filter->has_groups = ids->count > 0;
    filter->groups = calloc(ids->count + 1, sizeof *filter->groups);
    if (!filter->groups)
        return no_memory(c);
    for (size_t i = 0; i < ids->count; i++) {
        size_t group = 0;
        while (group < set->group_count && strcmp(set->groups[group].id, ids->items[i]) != 0)
            group++;
        if (group < set->group_count)
            filter->groups[filter->group_count++] = group;
        else if (strcmp(ids->items[i], "default") == 0)
            filter->groups[filter->group_count++] = POLICY_DEFAULT_GROUP;
        else
            return unknown(c, "group", ids->items[i]);
    }
    qsort(filter->groups, filter->group_count, sizeof *filter->groups, compare_sizes);
    return true;
}

/* One that is not enabled has no conditions here. */
static bool compile_filter(struct compiling *c, struct program_filter *filter,
                           const struct policy_filter *source, size_t *next)
{
    filter->source = source;
    filter->conditions = c->program->conditions + *next;
    *next += source->condition_count;
    if (!source->enabled)
        return true;
    for (size_t i = 0; i < source->condition_count; i++) {
        struct program_condition *condition = &filter->conditions[i];
        if (!compile_condition(c, condition, &source->conditions[i])) {
            if (c->error && !c->error->where[0])
                snprintf(c->error->where, sizeof c->error->where,
                         "policies.filters[%zu].conditions[%zu]",
                         (size_t)(source - c->program->set->filters), i);
            return false;
        }
        filter->for_recipient |= condition->for_recipient;
    }
    return compile_groups(c, filter);
}

static bool compile_filters(struct compiling *c)
{
    struct policy_program *program = c->program;
    const struct policy_set *set = program->set;
    size_t next = 0;
    for (size_t i = 0; i < set->filter_count; i++)
        program->condition_count += set->filters[i].condition_count;
    program->filter_count = set->filter_count;
    program->filters = calloc(set->filter_count + 1, sizeof *program->filters);
    program->conditions = calloc(program->condition_count + 1, sizeof *program->conditions);
    if (!program->filters || !program->conditions)
        return no_memory(c);
    for (size_t i = 0; i < set->filter_count; i++)
        if (!compile_filter(c, &program->filters[i], &set->filters[i], &next))
            return false;
    return true;
}

static void mark_hidden(struct policy_program *program)
{
    for (size_t i = 0; i < program->condition_count; i++) {
        struct program_condition *condition = &program->conditions[i];
        if (!condition->source || (condition->source->operation != POLICY_MATCHES &&
                                   condition->source->operation != POLICY_HAS_PATTERN))
            continue;
        for (size_t v = 0; v < condition->value_count; v++)
            condition->hidden |= patterns_is_hidden(program->patterns, condition->values[v].id);
    }
}

struct policy_program *policy_compile(const struct policy_set *set, struct error *error)
{
    struct policy_program *program = calloc(1, sizeof *program);
    struct compiling c = {.program = program, .error = error};
    if (!program) {
        no_memory(&c);
        return NULL;
    }
    if (error)
        *error = (struct error){0};
    program->set = set;
    program->folding = folding_new();
    program->patterns = program->folding ? patterns_new(program->folding) : NULL;
    bool good = program->patterns ? compile_filters(&c) : no_memory(&c);
    good = good && patterns_compile(program->patterns, error);
    if (good) {
        mark_hidden(program);
        program->words =
            words_new(program->dictionaries, program->dictionary_count, program->folding);
        good = (program->words && waking_make(program)) || no_memory(&c);
    }
    intern_free(&c.dictionary_ids);
    intern_free(&c.list_ids);
    program->question_count = c.questions.count;
    intern_free(&c.questions);
    if (!good) {
        policy_program_free(program);
        return NULL;
    }
    return program;
}

void policy_program_free(struct policy_program *program)
{
    if (!program)
        return;
    for (size_t i = 0; program->conditions && i < program->condition_count; i++) {
        free(program->conditions[i].values);
        globs_free(&program->conditions[i].globs);
    }
    for (size_t i = 0; program->filters && i < program->filter_count; i++)
        free(program->filters[i].groups);
    for (size_t i = 0; i < program->list_count; i++)
        attachment_list_free(program->lists[i]);
    waking_free(program);
    words_free(program->words);
    patterns_free(program->patterns);
    folding_free(program->folding);
    intern_free(&program->keys);
    free(program->lists);
    free(program->dictionaries);
    free(program->conditions);
    free(program->filters);
    free(program);
}

struct policy_needs policy_needs(const struct policy_program *program)
{
    return program->needs;
}
