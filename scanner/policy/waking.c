#include "scanner/policy/waking.h"

#include <stdlib.h>
#include <string.h>

/* The three things that a filter can wait for. */
enum wait_sort { WAIT_PATTERN, WAIT_DICTIONARY, WAIT_KEY, WAITS };

struct wait {
    uint32_t id, filter;
};

struct waits {
    struct wait *items;
    size_t count, room;
};

static bool is_number(const struct program_condition *condition)
{
    const struct policy_condition *source = condition->source;
    return source->operation == POLICY_ABOVE || source->operation == POLICY_BELOW ||
           (source->field == POLICY_ATTACHMENT && !source->negated);
}

/* Whether the condition can only be met when one of its values, its dictionary or its header field
 * is found, or a number is as it must be. */
static bool wakes_filter(const struct program_condition *condition)
{
    const struct policy_condition *source = condition->source;
    if (is_number(condition))
        return true;
    if (source->negated)
        return false;
    switch (source->operation) {
    case POLICY_CONTAINS:
    case POLICY_EQUALS:
    case POLICY_BEGINS:
    case POLICY_ENDS:
        return !condition->empty_value;
    case POLICY_MATCHES:
    case POLICY_HAS_PATTERN:
        return !condition->hidden;
    case POLICY_IN_DICTIONARY:
    case POLICY_ADDRESS:
    case POLICY_IN_GROUP:
    case POLICY_EXTENSION:
    case POLICY_EXISTS:
        return true;
    default:
        return false;
    }
}

static bool add_wait(struct waits *waits, uint32_t id, uint32_t filter)
{
    if (waits->count == waits->room) {
        size_t room = waits->room * 2 + 64;
        struct wait *items = realloc(waits->items, room * sizeof *items);
        if (!items)
            return false;
        waits->items = items;
        waits->room = room;
    }
    waits->items[waits->count++] = (struct wait){id, filter};
    return true;
}

static bool wait_for_number(struct policy_program *program,
                            const struct program_condition *condition, uint32_t filter)
{
    size_t count = program->number_wait_count;
    if ((count & (count - 1)) == 0) { /* there is room for the next power of two */
        struct number_wait *more =
            realloc(program->number_waits, (count ? count * 2 : 1) * sizeof *more);
        if (!more)
            return false;
        program->number_waits = more;
    }
    bool attachment = condition->source->field == POLICY_ATTACHMENT;
    program->number_waits[program->number_wait_count++] =
        (struct number_wait){.limit = attachment ? 0 : condition->least,
                             .filter = filter,
                             .field = condition->source->field,
                             .above = attachment || condition->source->operation == POLICY_ABOVE,
                             .negated = condition->source->negated};
    return true;
}

static bool wait_for(struct policy_program *program, struct waits waits[WAITS],
                     const struct program_condition *condition, uint32_t filter)
{
    if (is_number(condition) && condition->source->operation != POLICY_EXTENSION)
        return wait_for_number(program, condition, filter);
    switch (condition->source->operation) {
    case POLICY_IN_DICTIONARY:
        return add_wait(&waits[WAIT_DICTIONARY], condition->dictionary, filter);
    case POLICY_EXISTS:
        return add_wait(&waits[WAIT_KEY], condition->header, filter);
    default:
        break;
    }
    enum policy_operation operation = condition->source->operation;
    bool key = operation == POLICY_ADDRESS || operation == POLICY_IN_GROUP ||
               operation == POLICY_EXTENSION;
    for (size_t i = 0; i < condition->value_count; i++)
        if (!add_wait(&waits[key ? WAIT_KEY : WAIT_PATTERN], condition->values[i].id, filter))
            return false;
    return true;
}

/* How seldom a condition is likely to be met; the seldomest one is waited for. */
static size_t seldomness(const struct policy_program *program,
                         const struct program_condition *condition)
{
    size_t shortest = 64;
    if (is_number(condition) && condition->source->operation != POLICY_EXTENSION)
        return 1;
    switch (condition->source->operation) {
    case POLICY_ADDRESS:
    case POLICY_IN_GROUP:
        return 100;
    case POLICY_MATCHES:
    case POLICY_HAS_PATTERN:
        return 4;
    case POLICY_EXTENSION:
        return 3;
    case POLICY_IN_DICTIONARY:
        return 2;
    case POLICY_EXISTS:
        return 2;
    default:
        break;
    }
    for (size_t i = 0; i < condition->value_count; i++) {
        size_t length;
        patterns_literal(program->patterns, condition->values[i].id, &length);
        shortest = length < shortest ? length : shortest;
    }
    return shortest;
}

/* false without memory; *waits_at_all where the filter need not be looked at otherwise. */
static bool add_filter(struct policy_program *program, uint32_t number, struct waits waits[WAITS],
                       bool *waits_at_all)
{
    const struct program_filter *filter = &program->filters[number];
    size_t count = filter->source->condition_count, best = 0, best_seldomness = 0;
    *waits_at_all = false;
    for (size_t i = 0; i < count; i++) {
        const struct program_condition *condition = &filter->conditions[i];
        bool wakes = wakes_filter(condition);
        if (filter->source->any && !wakes)
            return true;
        size_t seldom = wakes ? seldomness(program, condition) : 0;
        if (seldom > best_seldomness) {
            best = i;
            best_seldomness = seldom;
        }
    }
    if (best_seldomness == 0)
        return true;
    *waits_at_all = true;
    if (!filter->source->any)
        return wait_for(program, waits, &filter->conditions[best], number);
    for (size_t i = 0; i < count; i++)
        if (!wait_for(program, waits, &filter->conditions[i], number))
            return false;
    return true;
}

/* By id, in order of the filters, as they were added. */
static bool sort_waits(struct waking *waking, const struct waits *waits, size_t ids)
{
    waking->starts = calloc(ids + 2, sizeof *waking->starts);
    waking->filters = calloc(waits->count + 1, sizeof *waking->filters);
    if (!waking->starts || !waking->filters || waits->count >= UINT32_MAX)
        return false;
    for (size_t i = 0; i < waits->count; i++)
        waking->starts[waits->items[i].id + 2]++;
    for (size_t i = 2; i < ids + 2; i++)
        waking->starts[i] += waking->starts[i - 1];
    for (size_t i = 0; i < waits->count; i++)
        waking->filters[waking->starts[waits->items[i].id + 1]++] = waits->items[i].filter;
    return true;
}

bool waking_make(struct policy_program *program)
{
    struct waits waits[WAITS] = {0};
    program->always = calloc(program->filter_count / 64 + 1, sizeof *program->always);
    bool good = program->always != NULL;
    for (size_t i = 0; good && i < program->filter_count; i++) {
        bool waits_at_all = false;
        if (!program->filters[i].source->enabled)
            continue;
        good = add_filter(program, (uint32_t)i, waits, &waits_at_all);
        if (!waits_at_all)
            program->always[i / 64] |= UINT64_C(1) << i % 64;
    }
    good =
        good &&
        sort_waits(&program->by_pattern, &waits[WAIT_PATTERN], patterns_count(program->patterns)) &&
        sort_waits(&program->by_dictionary, &waits[WAIT_DICTIONARY], program->dictionary_count) &&
        sort_waits(&program->by_key, &waits[WAIT_KEY], program->keys.count);
    for (int i = 0; i < WAITS; i++)
        free(waits[i].items);
    return good;
}

void waking_free(struct policy_program *program)
{
    struct waking *wakings[] = {&program->by_pattern, &program->by_dictionary, &program->by_key};
    for (size_t i = 0; i < sizeof wakings / sizeof wakings[0]; i++) {
        free(wakings[i]->starts);
        free(wakings[i]->filters);
    }
    free(program->number_waits);
    free(program->always);
}
