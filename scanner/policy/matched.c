/* Which attachments a filter found: unlike the finds, which are for people, all of them. */
#include "scanner/policy/run.h"

struct matching {
    const struct policy_message *message;
    bool *matched; /* by node */
    size_t last;   /* the node that the text before stood in */
};

/* Texts come in the order of the nodes, whose paths they borrow. */
static bool mark(void *context, const struct text *text, size_t start, size_t end, int64_t weight)
{
    struct matching *matching = context;
    size_t count = matching->message->node_count;
    (void)start, (void)end, (void)weight;
    for (size_t i = 0; text->part && i < count; i++) {
        size_t node = (matching->last + i) % count;
        if (matching->message->nodes[node].path != text->part)
            continue;
        matching->last = node;
        matching->matched[node] = true;
        return true;
    }
    return true;
}

/* What fits, or where the condition asks that not each one does, what does not. */
static void match_attachments(struct run *run, const struct program_condition *condition,
                              struct matching *matching)
{
    const struct policy_condition *source = condition->source;
    if (source->negated && !source->every)
        return;
    for (size_t i = 0; i < run->attachment_count; i++) {
        const struct attachment *attachment = &run->attachments[i];
        if (source->every && !(attachment->node->flags & POLICY_NODE_ATTACHMENT))
            continue;
        if (run_attachment_fits(run, condition, attachment) != source->negated)
            matching->matched[attachment->node - matching->message->nodes] = true;
    }
}

/* False where a limit was reached. */
static bool match_condition(struct run *run, size_t filter, size_t number,
                            struct matching *matching)
{
    const struct program_condition *condition = &run->program->filters[filter].conditions[number];
    const unsigned of_attachments = TEXT_ATTACHMENT | TEXT_ATTACHMENT_TAGS | TEXT_NAME;
    bool is_list = condition->source->field == POLICY_ATTACHMENT;
    bool has_places = (condition->kinds & of_attachments) && !condition->source->negated;
    enum answer answer =
        is_list || has_places ? run_condition(run, filter, number, 0) : ANSWER_NOT_MET;
    if (answer != ANSWER_MET)
        return answer != ANSWER_LIMIT;
    if (!is_list)
        return run_occurrences(run, condition, 0, mark, matching);
    match_attachments(run, condition, matching);
    return true;
}

bool policy_matched_nodes(const struct policy_program *program,
                          const struct policy_message *message, size_t filter, int64_t stop_us,
                          bool *matched)
{
    struct run run = {.program = program, .message = message, .stop_us = stop_us};
    struct matching matching = {.message = message, .matched = matched};
    const struct policy_filter *source = program->filters[filter].source;
    bool whole = run_start(&run);
    for (size_t i = 0; whole && i < source->condition_count; i++)
        whole = match_condition(&run, filter, i, &matching);
    run_end(&run);
    return whole;
}
