#include "scanner/policy/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* INT64_MAX where it is more. */
static int64_t clip(uint64_t number)
{
    return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

int64_t run_number(const struct run *run, enum policy_field field)
{
    uint64_t largest = 0, count = 0;
    if (field == POLICY_MESSAGE_SIZE)
        return clip(run->message->size);
    if (field == POLICY_RECIPIENT_COUNT)
        return clip(run->message->recipient_count);
    if (field == POLICY_ATTACHMENT)
        return clip(run->attachment_count);
    for (size_t i = 0; i < run->attachment_count; i++) {
        const struct policy_node *node = run->attachments[i].node;
        if (!(node->flags & POLICY_NODE_ATTACHMENT))
            continue;
        count++;
        largest = node->size > largest ? node->size : largest;
    }
    return clip(field == POLICY_ATTACHMENT_SIZE ? largest : count);
}

static bool number_fits(const struct run *run, const struct program_condition *condition)
{
    int64_t number = run_number(run, condition->source->field);
    return condition->source->operation == POLICY_ABOVE ? number > condition->least
                                                        : number < condition->least;
}

struct extension_check {
    const struct run *run;
    const struct program_condition *condition;
};

static bool is_wanted(void *context, const char *extension, size_t length)
{
    const struct extension_check *check = context;
    const struct intern *keys = &check->run->program->keys;
    for (size_t i = 0; i < check->condition->value_count; i++) {
        size_t key_length;
        const char *key = intern_text(keys, check->condition->values[i].id, &key_length);
        if (key_length == length + 1 && memcmp(key + 1, extension, length) == 0)
            return true;
    }
    return false;
}

bool run_attachment_fits(const struct run *run, const struct program_condition *condition,
                         const struct attachment *attachment)
{
    struct extension_check check = {run, condition};
    switch (condition->source->operation) {
    case POLICY_IN_LIST:
        return attachment_list_has(run->program->lists[condition->list], attachment);
    case POLICY_TYPE:
        return globs_fit_type(&condition->globs, attachment);
    case POLICY_MEDIA_TYPE:
        return attachment->media_type.length > 0 &&
               globs_fit(&condition->globs, attachment->media_type.data,
                         attachment->media_type.length);
    case POLICY_EXTENSION:
        return attachment_extensions(attachment, is_wanted, &check);
    case POLICY_ENCRYPTED:
        return attachment->node->flags & POLICY_NODE_ENCRYPTED;
    default:
        return false;
    }
}

static struct list_answer ask_attachments(const struct run *run,
                                          const struct program_condition *condition)
{
    struct list_answer answer = {.told = true};
    size_t attachments = 0, fitting = 0;
    for (size_t i = 0; i < run->attachment_count; i++) {
        const struct attachment *attachment = &run->attachments[i];
        bool fits = run_attachment_fits(run, condition, attachment);
        answer.one |= fits;
        if (attachment->node->flags & POLICY_NODE_ATTACHMENT) {
            attachments++;
            fitting += fits;
        }
    }
    answer.every = attachments > 0 && fitting == attachments;
    return answer;
}

static bool any_key_seen(const struct run *run, const struct program_condition *condition)
{
    for (size_t i = 0; i < condition->value_count; i++)
        if (run_bit(run->seen_keys, condition->values[i].id))
            return true;
    return false;
}

static bool attachments_fit(struct run *run, const struct program_condition *condition)
{
    struct list_answer answer;
    if (run->attachment_count == 0)
        return false;
    if (condition->source->operation == POLICY_EXTENSION && !any_key_seen(run, condition))
        return false;
    if (condition->source->operation == POLICY_IN_LIST) {
        struct list_answer *kept = &run->lists[condition->list];
        if (!kept->told)
            *kept = ask_attachments(run, condition);
        answer = *kept;
    } else {
        answer = ask_attachments(run, condition);
    }
    return condition->source->every ? answer.every : answer.one;
}

/* Whether any text may have what the condition looks for. */
static bool may_be_met(const struct run *run, const struct program_condition *condition)
{
    if (run->unknown || condition->hidden || condition->empty_value)
        return true;
    switch (condition->source->operation) {
    case POLICY_EXISTS:
        return run_bit(run->seen_keys, condition->header);
    case POLICY_IN_DICTIONARY:
        return run_bit(run->seen_dictionaries, condition->dictionary);
    case POLICY_ADDRESS:
    case POLICY_IN_GROUP:
        return any_key_seen(run, condition);
    default:
        for (size_t i = 0; i < condition->value_count; i++)
            if (run_bit(run->seen_patterns, condition->values[i].id))
                return true;
        return false;
    }
}

struct counting {
    int64_t count, enough;
};

static bool count_one(void *context, const struct text *text, size_t start, size_t end,
                      int64_t weight)
{
    struct counting *counting = context;
    (void)text;
    (void)start;
    (void)end;
    counting->count += weight;
    return counting->count < counting->enough;
}

/* The sum of weights, which the one pass over the texts made. */
static bool words_weigh(const struct run *run, const struct program_condition *condition,
                        size_t recipient, bool *in_limits)
{
    int64_t sum = 0;
    for (size_t i = 0; i < run->text_count; i++) {
        const struct text *text = &run->texts[i];
        if (!run_covers(condition, text, recipient))
            continue;
        *in_limits &= !text->unweighed;
        for (size_t s = 0; s < text->sum_count; s++)
            if (text->sums[s].dictionary == condition->dictionary)
                sum += text->sums[s].weight;
    }
    return sum >= condition->least;
}

static bool texts_fit(struct run *run, const struct program_condition *condition, size_t recipient,
                      bool *in_limits)
{
    struct counting counting = {.enough = condition->least};
    if (!may_be_met(run, condition))
        return false;
    if (condition->source->operation == POLICY_IN_DICTIONARY)
        return words_weigh(run, condition, recipient, in_limits);
    *in_limits = run_occurrences(run, condition, recipient, count_one, &counting);
    return counting.count >= counting.enough;
}

static bool language_fits(const struct run *run, const struct policy_condition *source)
{
    const char *language = run->message->language ? run->message->language : "unknown";
    for (size_t i = 0; i < source->values.count; i++)
        if (strcmp(source->values.items[i], language) == 0)
            return true;
    return false;
}

static bool fits(struct run *run, const struct program_condition *condition, size_t recipient,
                 bool *in_limits)
{
    const struct policy_message *message = run->message;
    switch (condition->source->field) {
    case POLICY_ATTACHMENT:
        return attachments_fit(run, condition);
    case POLICY_MESSAGE_SIZE:
    case POLICY_RECIPIENT_COUNT:
    case POLICY_ATTACHMENT_SIZE:
    case POLICY_ATTACHMENT_COUNT:
        return number_fits(run, condition);
    case POLICY_LANGUAGE:
        return language_fits(run, condition->source);
    case POLICY_VERDICT:
        return condition->verdicts & (message->verdicts ? message->verdicts : 1u << 31);
    case POLICY_DIRECTION:
        return condition->directions[message->direction];
    default:
        return texts_fit(run, condition, recipient, in_limits);
    }
}

static void note_problem(struct run *run, size_t filter, size_t condition, bool late)
{
    const struct policy_filter *source = run->program->filters[filter].source;
    if (run->problem)
        return;
    if (asprintf(&run->problem, "filter \"%s\" (%s), condition %zu: %s",
                 source->name ? source->name : "", source->id ? source->id : "", condition + 1,
                 late ? "there was no time left" : "it took too many steps or too much memory") < 0)
        run->problem = NULL;
}

/* Whether more is to be done than comparing what is there; that costs less than the clock. */
static bool must_search(const struct run *run, const struct program_condition *condition)
{
    if (condition->source->field == POLICY_ATTACHMENT)
        return run->attachment_count > 0;
    return condition->kinds && may_be_met(run, condition);
}

/* Without "not". */
static enum answer ask(struct run *run, size_t filter, size_t condition, size_t recipient)
{
    const struct program_condition *compiled = &run->program->filters[filter].conditions[condition];
    bool in_limits = true, late = run->late || (must_search(run, compiled) && run_is_late(run));
    bool fit = !late && fits(run, compiled, recipient, &in_limits);
    if (late || !in_limits) {
        note_problem(run, filter, condition, late || run_is_late(run));
        return ANSWER_LIMIT;
    }
    return fit ? ANSWER_MET : ANSWER_NOT_MET;
}

enum answer run_condition(struct run *run, size_t filter, size_t condition, size_t recipient)
{
    const struct program_condition *compiled = &run->program->filters[filter].conditions[condition];
    unsigned char *memo = &run->memo[compiled->question];
    enum answer answer;
    if (compiled->for_recipient || *memo == 0) {
        answer = ask(run, filter, condition, recipient);
        *memo = (unsigned char)(1 + answer);
    } else {
        answer = (enum answer)(*memo - 1);
    }
    if (answer == ANSWER_LIMIT)
        return answer;
    return (answer == ANSWER_MET) != compiled->source->negated ? ANSWER_MET : ANSWER_NOT_MET;
}
