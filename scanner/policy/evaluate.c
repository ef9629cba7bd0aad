#include "scanner/policy/evaluate.h"

#include "scanner/policy/run.h"

#include <stdlib.h>
#include <string.h>

#define TRACE_MOST 1000000 /* rows */

/* The walk through the filters. */
struct walk {
    struct run run;
    struct policy_result *result;
    size_t *recipient_paths;
    bool *done;  /* by recipient: excluded, or a filter that it met said stop */
    bool *met;   /* by recipient: the filter at hand */
    size_t left; /* recipients that are not done */
    struct path *paths;
    size_t path_count, path_room;
    size_t *followers; /* by path: the path with the filter at hand, + 1 */
    bool trace;
};

static bool in_groups(const struct walk *walk, const struct program_filter *filter,
                      size_t recipient)
{
    const struct policy_message *message = walk->run.message;
    if (!filter->has_groups)
        return true;
    size_t group = message->direction == POLICY_OUTBOUND ? message->sender.group
                                                         : message->recipients[recipient].group;
    size_t low = 0, high = filter->group_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (filter->groups[middle] < group)
            low = middle + 1;
        else
            high = middle;
    }
    return low < filter->group_count && filter->groups[low] == group;
}

/* Whether the conditions of one sort (of the message, or of the recipient) leave it open that the
 * filter is met; *decided where the answer stands. */
static bool conditions_met(struct run *run, size_t number, size_t recipient, bool for_recipient,
                           bool *decided)
{
    const struct program_filter *filter = &run->program->filters[number];
    bool any = filter->source->any;
    for (size_t i = 0; i < filter->source->condition_count; i++) {
        if (filter->conditions[i].for_recipient != for_recipient)
            continue;
        bool met = run_condition(run, number, i, recipient) == ANSWER_MET;
        if (met == any) {
            *decided = true;
            return any;
        }
    }
    return !any;
}

static bool filter_met(struct run *run, size_t number, size_t recipient)
{
    bool decided = run->program->filters[number].source->condition_count == 0;
    if (decided)
        return true;
    bool met = conditions_met(run, number, recipient, false, &decided);
    if (!decided && run->program->filters[number].for_recipient)
        met = conditions_met(run, number, recipient, true, &decided);
    return met;
}

/* The path with one more filter. */
static bool follow(struct walk *walk, size_t recipient, size_t number)
{
    size_t path = walk->recipient_paths[recipient];
    if (walk->followers[path] == 0) {
        if (walk->path_count == walk->path_room) {
            size_t room = walk->path_room * 2;
            struct path *paths = realloc(walk->paths, room * sizeof *paths);
            if (!paths)
                return false;
            walk->paths = paths;
            size_t *followers = realloc(walk->followers, room * sizeof *followers);
            if (!followers)
                return false;
            memset(followers + walk->path_room, 0, walk->path_room * sizeof *followers);
            walk->followers = followers;
            walk->path_room = room;
        }
        walk->paths[walk->path_count] = (struct path){path, number};
        walk->followers[path] = ++walk->path_count;
    }
    walk->recipient_paths[recipient] = walk->followers[path] - 1;
    return true;
}

static bool take_filter(struct walk *walk, size_t number)
{
    bool good = true;
    for (size_t i = 0; i < walk->run.message->recipient_count; i++)
        if (walk->met[i])
            walk->followers[walk->recipient_paths[i]] = 0;
    for (size_t i = 0; i < walk->run.message->recipient_count && good; i++) {
        if (!walk->met[i])
            continue;
        good = follow(walk, i, number);
        if (walk->run.program->filters[number].source->then == POLICY_STOP) {
            walk->done[i] = true;
            walk->left--;
        }
    }
    return good && run_finds(&walk->run, number, walk->met, walk->result);
}

static bool looks_at(const struct walk *walk, size_t number)
{
    const struct policy_filter *source = walk->run.program->filters[number].source;
    return source->enabled && source->directions[walk->run.message->direction];
}

static bool walk_filter(struct walk *walk, size_t number)
{
    const struct program_filter *filter = &walk->run.program->filters[number];
    bool one_for_all = !filter->for_recipient, asked = false, answer = false, met_by_one = false;
    memset(walk->met, 0, walk->run.message->recipient_count * sizeof *walk->met);
    for (size_t i = 0; i < walk->run.message->recipient_count; i++) {
        if (walk->done[i] || !in_groups(walk, filter, i))
            continue;
        if (!one_for_all || !asked)
            answer = filter_met(&walk->run, number, i);
        asked = true;
        walk->met[i] = answer;
        met_by_one |= answer;
        if (one_for_all && !answer)
            break;
    }
    return !met_by_one || take_filter(walk, number);
}

static bool trace_row(struct walk *walk, size_t number, size_t recipient)
{
    struct policy_result *result = walk->result;
    const struct program_filter *filter = &walk->run.program->filters[number];
    size_t conditions = filter->source->condition_count;
    if (result->trace_count == TRACE_MOST)
        return true;
    if ((result->trace_count & (result->trace_count - 1)) == 0) {
        size_t room = result->trace_count ? result->trace_count * 2 : 1;
        struct policy_trace *trace = realloc(result->trace, room * sizeof *trace);
        if (!trace)
            return false;
        result->trace = trace;
    }
    struct policy_trace *row = &result->trace[result->trace_count];
    *row = (struct policy_trace){.filter = number,
                                 .recipient = (uint32_t)recipient,
                                 .conditions = malloc(conditions + 1),
                                 .condition_count = conditions};
    if (!row->conditions)
        return false;
    result->trace_count++;
    memset(row->conditions, ANSWER_SKIPPED, conditions);
    row->applies = looks_at(walk, number) && in_groups(walk, filter, recipient);
    if (!row->applies || walk->done[recipient])
        return true;
    for (size_t i = 0; i < conditions; i++)
        row->conditions[i] = (unsigned char)run_condition(&walk->run, number, i, recipient);
    row->met = filter_met(&walk->run, number, recipient);
    return true;
}

static bool walk_filters(struct walk *walk)
{
    const struct policy_program *program = walk->run.program;
    size_t recipients = walk->run.message->recipient_count;
    for (size_t i = 0; i < program->filter_count; i++) {
        if (walk->trace)
            for (size_t r = 0; r < recipients; r++)
                if (!trace_row(walk, i, r))
                    return false;
        if (walk->run.candidates[i / 64] == 0 && !walk->trace) {
            i |= 63;
            continue;
        }
        if (walk->left == 0 && !walk->trace)
            break;
        if (run_bit(walk->run.candidates, i) && looks_at(walk, i) && !walk_filter(walk, i))
            return false;
    }
    return true;
}

static bool walk_start(struct walk *walk)
{
    const struct policy_message *message = walk->run.message;
    size_t recipients = message->recipient_count;
    walk->path_room = 16;
    walk->path_count = 1;
    walk->recipient_paths = calloc(recipients + 1, sizeof *walk->recipient_paths);
    walk->done = calloc(recipients + 1, sizeof *walk->done);
    walk->met = calloc(recipients + 1, sizeof *walk->met);
    walk->paths = calloc(walk->path_room, sizeof *walk->paths);
    walk->followers = calloc(walk->path_room, sizeof *walk->followers);
    if (!walk->recipient_paths || !walk->done || !walk->met || !walk->paths || !walk->followers)
        return false;
    walk->paths[0] = (struct path){SIZE_MAX, 0};
    for (size_t i = 0; i < recipients; i++) {
        walk->done[i] = message->recipients[i].excluded;
        walk->left += !walk->done[i];
    }
    return walk->left == 0 ? !walk->trace || run_start(&walk->run) : run_start(&walk->run);
}

struct policy_result *policy_evaluate(const struct policy_program *program,
                                      const struct policy_message *message, int64_t stop_us,
                                      bool with_trace)
{
    struct walk walk = {.run = {.program = program, .message = message, .stop_us = stop_us},
                        .result = calloc(1, sizeof(struct policy_result)),
                        .trace = with_trace};
    bool good = walk.result && walk_start(&walk);
    if (good && (walk.left > 0 || with_trace))
        good = walk_filters(&walk);
    good = good && outcomes_make(program, walk.paths, walk.path_count, walk.recipient_paths,
                                 message->recipient_count, walk.result);
    if (good) {
        walk.result->problem = walk.run.problem;
        walk.run.problem = NULL;
    } else {
        policy_result_free(walk.result);
        walk.result = NULL;
    }
    run_end(&walk.run);
    free(walk.recipient_paths);
    free(walk.done);
    free(walk.met);
    free(walk.paths);
    free(walk.followers);
    return walk.result;
}

static void outcome_free(struct policy_outcome *outcome)
{
    free(outcome->recipients);
    free(outcome->fired);
    free(outcome->filters);
}

void policy_result_free(struct policy_result *result)
{
    if (!result)
        return;
    for (size_t i = 0; i < result->outcome_count; i++)
        outcome_free(&result->outcomes[i]);
    for (size_t i = 0; i < result->find_count; i++) {
        free(result->finds[i].part);
        free(result->finds[i].field);
        free(result->finds[i].text);
    }
    for (size_t i = 0; i < result->trace_count; i++)
        free(result->trace[i].conditions);
    free(result->outcomes);
    free(result->finds);
    free(result->trace);
    free(result->problem);
    free(result);
}
