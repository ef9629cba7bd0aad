#include "scanner/policy/run.h"

#include <stdlib.h>
#include <string.h>

static bool is_disposition(enum policy_action_kind kind)
{
    return kind <= POLICY_ACTION_DELIVER;
}

/* Whether the message is held there; else the folder keeps a copy. */
static bool holds(const struct policy_set *set, const struct policy_action *action)
{
    for (size_t i = 0; i < set->folder_count; i++)
        if (action->id && strcmp(set->folders[i].id, action->id) == 0)
            return set->folders[i].quarantine;
    return false;
}

static enum policy_disposition disposition_of(enum policy_action_kind kind)
{
    switch (kind) {
    case POLICY_ACTION_DELETE:
        return POLICY_DISPOSE_DELETE;
    case POLICY_ACTION_REJECT:
        return POLICY_DISPOSE_REJECT;
    case POLICY_ACTION_BOUNCE:
        return POLICY_DISPOSE_BOUNCE;
    case POLICY_ACTION_DEFER:
        return POLICY_DISPOSE_DEFER;
    case POLICY_ACTION_INCIDENT:
        return POLICY_DISPOSE_HOLD;
    default:
        return POLICY_DISPOSE_DELIVER;
    }
}

static bool keeps_copy(const struct policy_set *set, const struct policy_action *action)
{
    return action->kind == POLICY_ACTION_INCIDENT && !holds(set, action);
}

/* The first of the strictest dispositions. */
static void decide(const struct policy_set *set, struct policy_outcome *outcome,
                   struct policy_fired *decisive)
{
    enum policy_action_kind strictest = POLICY_ACTIONS;
    outcome->decided_by = SIZE_MAX;
    for (size_t i = 0; i < outcome->filter_count; i++) {
        const struct policy_filter *filter = &set->filters[outcome->filters[i]];
        for (size_t a = 0; a < filter->action_count; a++) {
            const struct policy_action *action = &filter->actions[a];
            if (!is_disposition(action->kind) || keeps_copy(set, action) ||
                action->kind >= strictest)
                continue;
            strictest = action->kind;
            outcome->decided_by = outcome->filters[i];
            *decisive = (struct policy_fired){outcome->filters[i], a};
        }
    }
    outcome->disposition = disposition_of(strictest);
}

static bool fire(const struct policy_set *set, struct policy_outcome *outcome,
                 const struct policy_fired *decisive)
{
    size_t most = 0;
    for (size_t i = 0; i < outcome->filter_count; i++)
        most += set->filters[outcome->filters[i]].action_count;
    outcome->fired = calloc(most + 1, sizeof *outcome->fired);
    if (!outcome->fired)
        return false;
    for (size_t i = 0; i < outcome->filter_count; i++) {
        size_t number = outcome->filters[i];
        const struct policy_filter *filter = &set->filters[number];
        for (size_t a = 0; a < filter->action_count; a++) {
            const struct policy_action *action = &filter->actions[a];
            bool decides = outcome->decided_by != SIZE_MAX && decisive->filter == number &&
                           decisive->action == a;
            if (!is_disposition(action->kind) || keeps_copy(set, action) || decides)
                outcome->fired[outcome->fired_count++] = (struct policy_fired){number, a};
        }
    }
    return true;
}

static bool take_path(struct policy_outcome *outcome, const struct path *paths, size_t path)
{
    size_t count = 0;
    for (size_t at = path; paths[at].before != SIZE_MAX; at = paths[at].before)
        count++;
    outcome->filters = calloc(count + 1, sizeof *outcome->filters);
    if (!outcome->filters)
        return false;
    outcome->filter_count = count;
    for (size_t at = path; paths[at].before != SIZE_MAX; at = paths[at].before)
        outcome->filters[--count] = paths[at].filter;
    return true;
}

static bool make_outcome(const struct policy_set *set, struct policy_outcome *outcome,
                         const struct path *paths, size_t path)
{
    struct policy_fired decisive = {0};
    if (!take_path(outcome, paths, path))
        return false;
    decide(set, outcome, &decisive);
    return fire(set, outcome, &decisive);
}

static bool add_recipient(struct policy_outcome *outcome, size_t recipient)
{
    size_t count = outcome->recipient_count;
    if ((count & (count - 1)) == 0) { /* there is room for the next power of two */
        size_t room = count ? count * 2 : 1;
        uint32_t *recipients = realloc(outcome->recipients, room * sizeof *recipients);
        if (!recipients)
            return false;
        outcome->recipients = recipients;
    }
    outcome->recipients[outcome->recipient_count++] = (uint32_t)recipient;
    return true;
}

bool outcomes_make(const struct policy_program *program, const struct path *paths,
                   size_t path_count, const size_t *recipient_paths, size_t recipient_count,
                   struct policy_result *result)
{
    size_t *outcome_of = calloc(path_count, sizeof *outcome_of); /* number + 1 */
    result->outcomes = calloc(recipient_count < path_count ? recipient_count + 1 : path_count,
                              sizeof *result->outcomes);
    bool good = outcome_of && result->outcomes;
    for (size_t i = 0; i < recipient_count && good; i++) {
        size_t path = recipient_paths[i];
        if (outcome_of[path] == 0) {
            struct policy_outcome *outcome = &result->outcomes[result->outcome_count++];
            outcome_of[path] = result->outcome_count;
            good = make_outcome(program->set, outcome, paths, path);
        }
        good = good && add_recipient(&result->outcomes[outcome_of[path] - 1], i);
    }
    free(outcome_of);
    return good;
}
