/* The compiled filters against the plain ones (policy_plain.h), over random policies and messages.
 * Runs for some seconds; with GATEHOUSE_LONG_TESTS, or a number as argument, over so many pairs.
 * A second argument is the seed. */
#include "scanner/policy/clock.h"
#include "tests/unit/policy_plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_PAIRS 100000
#define SHORT_SECONDS 12
#define MESSAGES_OF_POLICY 5

static unsigned long pairs_wanted; /* 0: as many as fit */
static uint64_t seed;
static char difference[512];

static bool differ(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool differ(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(difference, sizeof difference, format, arguments);
    va_end(arguments);
    return false;
}

static const struct policy_outcome *outcome_of(const struct policy_result *result, size_t recipient)
{
    const struct policy_outcome *found = NULL;
    for (size_t o = 0; o < result->outcome_count; o++)
        for (size_t i = 0; i < result->outcomes[o].recipient_count; i++)
            if (result->outcomes[o].recipients[i] == recipient) {
                if (found)
                    return NULL;
                found = &result->outcomes[o];
            }
    return found;
}

static bool keeps(const struct policy_set *set, const struct policy_action *action)
{
    return action->kind == POLICY_ACTION_INCIDENT &&
           !set->folders[strcmp(action->id, set->folders[0].id) == 0 ? 0 : 1].quarantine;
}

/* What the actions of the filters come to, said again in other words. */
static bool same_actions(const struct policy_set *set, const struct policy_outcome *outcome)
{
    static const enum policy_disposition dispositions[] = {
        POLICY_DISPOSE_DELETE, POLICY_DISPOSE_REJECT, POLICY_DISPOSE_BOUNCE,
        POLICY_DISPOSE_DEFER,  POLICY_DISPOSE_HOLD,   POLICY_DISPOSE_DELIVER};
    size_t decides = SIZE_MAX, decisive = 0, fired = 0;
    int best = POLICY_ACTION_DELIVER + 1;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < outcome->filter_count; i++) {
            const struct policy_filter *filter = &set->filters[outcome->filters[i]];
            for (size_t a = 0; a < filter->action_count; a++) {
                const struct policy_action *action = &filter->actions[a];
                bool disposes = action->kind <= POLICY_ACTION_DELIVER && !keeps(set, action);
                if (pass == 0 && disposes && (int)action->kind < best) {
                    best = (int)action->kind;
                    decides = outcome->filters[i];
                    decisive = a;
                }
                if (pass == 0 || (disposes && (decides != outcome->filters[i] || decisive != a)))
                    continue;
                if (fired >= outcome->fired_count ||
                    outcome->fired[fired].filter != outcome->filters[i] ||
                    outcome->fired[fired].action != a)
                    return differ("action %zu of filter %zu", a, outcome->filters[i]);
                fired++;
            }
        }
    enum policy_disposition disposition =
        best > POLICY_ACTION_DELIVER ? POLICY_DISPOSE_DELIVER : dispositions[best];
    if (fired != outcome->fired_count || decides != outcome->decided_by ||
        disposition != outcome->disposition)
        return differ("the disposition, or too many actions");
    return true;
}

static bool same_outcomes(const struct policy_set *set, const struct policy_message *message,
                          const struct plain_result *plain, const struct policy_result *result)
{
    const struct policy_outcome *seen[PLAIN_RECIPIENTS];
    for (size_t r = 0; r < message->recipient_count; r++) {
        const struct policy_outcome *outcome = seen[r] = outcome_of(result, r);
        size_t next = 0;
        if (!outcome)
            return differ("recipient %zu is not in one outcome", r);
        for (size_t f = 0; f < set->filter_count; f++) {
            bool met = next < outcome->filter_count && outcome->filters[next] == f;
            next += met;
            if (met != plain->met[f][r])
                return differ("filter %zu for recipient %zu: plainly %smet", f, r,
                              plain->met[f][r] ? "" : "not ");
        }
        for (size_t o = 0; o < r; o++)
            if (seen[o] != outcome && seen[o]->filter_count == outcome->filter_count &&
                memcmp(seen[o]->filters, outcome->filters,
                       outcome->filter_count * sizeof(size_t)) == 0)
                return differ("recipients %zu and %zu share no outcome", o, r);
        if (!same_actions(set, outcome))
            return false;
    }
    return true;
}

static bool same_finds(const struct plain_result *plain, const struct policy_result *result)
{
    for (size_t i = 0; i < plain->find_count && i < result->find_count; i++) {
        const struct plain_find *a = &plain->finds[i];
        const struct policy_find *b = &result->finds[i];
        if (a->filter != b->filter || a->condition != b->condition || a->offset != b->offset ||
            a->length != b->length || strcmp(a->part, b->part) != 0 ||
            strcmp(a->field, b->field) != 0 || strcmp(a->text, b->text) != 0)
            return differ("find %zu: plainly %zu.%zu \"%s\" in %s %s at %zu+%zu, else %zu.%zu "
                          "\"%s\" in %s %s at %zu+%zu",
                          i, a->filter, a->condition, a->text, a->part, a->field, a->offset,
                          a->length, b->filter, b->condition, b->text, b->part, b->field, b->offset,
                          b->length);
    }
    return plain->find_count == result->find_count ||
           differ("plainly %zu finds, else %zu", plain->find_count, result->find_count);
}

static bool same_trace(const struct policy_set *set, const struct policy_message *message,
                       const struct plain_result *plain, const struct policy_result *result)
{
    if (result->trace_count != set->filter_count * message->recipient_count)
        return differ("%zu rows of trace", result->trace_count);
    for (size_t i = 0; i < result->trace_count; i++) {
        const struct policy_trace *row = &result->trace[i];
        size_t f = row->filter, r = row->recipient;
        for (size_t c = 0; c < row->condition_count; c++)
            if (row->conditions[c] !=
                (plain->looked_at[f][r] ? plain->conditions[f][r][c] ? 1 : 0 : 2))
                return differ("condition %zu of filter %zu for recipient %zu is %d", c, f, r,
                              row->conditions[c]);
        if (row->met != plain->met[f][r])
            return differ("trace of filter %zu for recipient %zu", f, r);
    }
    return true;
}

static bool same(const struct policy_set *set, const struct policy_program *program,
                 const struct policy_message *message)
{
    static struct plain_result plain;
    plain_evaluate(set, message, &plain);
    bool good = true;
    for (int trace = 1; trace >= 0 && good; trace--) {
        struct policy_result *result = policy_evaluate(program, message, INT64_MAX, trace);
        good = result != NULL && (!trace || same_trace(set, message, &plain, result)) &&
               same_outcomes(set, message, &plain, result) && same_finds(&plain, result) &&
               (!result->problem || differ("%s", result->problem));
        policy_result_free(result);
    }
    return good;
}

static void show_texts(const char *title, const struct policy_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        print_error("%s%s\"%s\"", i ? ", " : title, i ? "" : " ", texts->items[i]);
}

/* What the two disagree over, for who looks into it. */
static void show(const struct policy_set *set, const struct policy_message *message)
{
    for (size_t f = 0; f < set->filter_count; f++) {
        const struct policy_filter *filter = &set->filters[f];
        print_error("filter %zu: %s, %s\n", f, filter->any ? "any" : "all",
                    filter->then == POLICY_STOP ? "stop" : "continue");
        for (size_t c = 0; c < filter->condition_count; c++) {
            const struct policy_condition *condition = &filter->conditions[c];
            print_error("  %s%s %s %s %s%s%s%s %lld", condition->negated ? "not " : "",
                        policy_field_name(condition->field),
                        condition->header ? condition->header : "",
                        policy_operation_name(condition->operation),
                        condition->match_case ? "match_case " : "", condition->tags ? "tags " : "",
                        condition->every ? "every " : "", condition->id ? condition->id : "",
                        (long long)condition->number);
            show_texts("", &condition->values);
            print_error("\n");
        }
    }
    for (size_t i = 0; i < set->dictionary_count; i++) {
        const struct policy_dictionary *dictionary = &set->dictionaries[i];
        print_error("dictionary %s%s%s:", dictionary->id, dictionary->whole_words ? " whole" : "",
                    dictionary->match_case ? " match_case" : "");
        for (size_t w = 0; w < dictionary->word_count; w++)
            print_error(" \"%s\" %d", dictionary->words[w].text, dictionary->words[w].weight);
        print_error("\npattern %s: %s\n", set->patterns[i].id, set->patterns[i].expression);
    }
    for (size_t i = 0; i < message->header_count; i++)
        print_error("%s: %s\n", message->headers[i].name, message->headers[i].value);
    print_error("sender <%s>\n", message->sender.address);
    for (size_t i = 0; i < message->recipient_count; i++)
        print_error("recipient <%s>\n", message->recipients[i].address);
    for (size_t i = 0; i < message->node_count; i++) {
        const struct policy_node *node = &message->nodes[i];
        print_error("%s name \"%s\" flags %u: \"%s\" with tags \"%s\"\n", node->path,
                    node->name ? node->name : "", node->flags, node->visible ? node->visible : "",
                    node->with_tags ? node->with_tags : "");
    }
}

static void both_evaluators_say_the_same(void **state)
{
    int64_t end = monotonic_us() + INT64_C(1000000) * SHORT_SECONDS;
    unsigned long pairs = 0;
    (void)state;
    for (uint64_t policy = 0; pairs_wanted ? pairs < pairs_wanted : monotonic_us() < end;
         policy++) {
        /* Each policy has a seed of its own, so that one can be looked at alone. */
        uint64_t policy_seed = (seed + policy) * UINT64_C(0x9e3779b97f4a7c15) | 1;
        struct random_source source = {.state = policy_seed};
        struct policy_set *set = random_set(&source);
        struct error error = {0};
        struct policy_program *program = policy_compile(set, &error);
        if (!program)
            fail_msg("seed %llu: %s: %s", (unsigned long long)(seed + policy), error.where,
                     error.message);
        for (int i = 0; i < MESSAGES_OF_POLICY; i++, pairs++) {
            struct policy_message *message = random_message(&source);
            if (same(set, program, message))
                continue;
            show(set, message);
            fail_msg("seed %llu, message %d: %s", (unsigned long long)(seed + policy), i,
                     difference);
        }
        policy_program_free(program);
        random_forget(&source);
    }
    plain_end();
    print_message("%lu pairs from seed %llu\n", pairs, (unsigned long long)seed);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_evaluators_say_the_same)};
    pairs_wanted = getenv("GATEHOUSE_LONG_TESTS") ? LONG_PAIRS : 0;
    if (count > 1)
        pairs_wanted = strtoul(arguments[1], NULL, 10);
    seed = count > 2 ? strtoull(arguments[2], NULL, 10) : (uint64_t)monotonic_us();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
