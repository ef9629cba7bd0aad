#include "common/utf8.h"
#include "scanner/policy/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FINDS_MOST = 100,
    FINDS_OF_CONDITION = 20, /* so that one condition leaves room for the others */
    TEXT_MOST = 200,
};

struct marking {
    struct policy_result *result;
    size_t filter, condition;
    const struct program_condition *compiled;
    size_t left;
    bool no_memory;
};

static char *field_name(const struct policy_condition *source, unsigned kinds)
{
    static const char *const names[TEXT_KINDS] = {
        "subject",   "body", "body", "attachment_text", "attachment_text", "header", "sender",
        "recipient", "from", "to",   "attachment_name"};
    char *name = NULL;
    if (source->field == POLICY_HEADER)
        return asprintf(&name, "header %s", source->header ? source->header : "") < 0 ? NULL : name;
    for (int i = 0; i < TEXT_KINDS; i++)
        if (kinds >> i & 1)
            return strdup(names[i]);
    return strdup("attachment");
}

/* The beginning of the text, not cut within a character. */
static char *excerpt(const char *text, size_t length)
{
    if (length > TEXT_MOST)
        for (length = TEXT_MOST; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
            length--;
    return strndup(text, length);
}

static bool add_find(struct marking *marking, const char *part, unsigned kinds, const char *text,
                     size_t text_length, size_t offset, size_t length)
{
    struct policy_result *result = marking->result;
    if (result->find_count == FINDS_MOST || marking->left == 0)
        return false;
    struct policy_find *finds = realloc(result->finds, (result->find_count + 1) * sizeof *finds);
    marking->no_memory = !finds;
    if (!finds)
        return false;
    result->finds = finds;
    struct policy_find *find = &finds[result->find_count++];
    *find = (struct policy_find){.filter = marking->filter,
                                 .condition = marking->condition,
                                 .part = strdup(part ? part : ""),
                                 .field = field_name(marking->compiled->source, kinds),
                                 .text = excerpt(text, text_length),
                                 .offset = offset,
                                 .length = length};
    marking->no_memory = !find->part || !find->field || !find->text;
    marking->left--;
    return !marking->no_memory;
}

static bool mark(void *context, const struct text *text, size_t start, size_t end, int64_t weight)
{
    struct marking *marking = context;
    (void)weight;
    return add_find(marking, text->part, text->kinds & marking->compiled->kinds, text->data + start,
                    end - start, start, end - start);
}

static void mark_attachments(struct run *run, struct marking *marking)
{
    for (size_t i = 0; i < run->attachment_count; i++) {
        const struct attachment *attachment = &run->attachments[i];
        const struct policy_node *node = attachment->node;
        const char *text = node->name ? node->name : node->type ? node->type : "";
        if (marking->compiled->source->every && !(node->flags & POLICY_NODE_ATTACHMENT))
            continue;
        if (run_attachment_fits(run, marking->compiled, attachment) &&
            !add_find(marking, node->path, 0, text, strlen(text), 0, 0))
            return;
    }
}

static void mark_condition(struct run *run, struct marking *marking, const bool *met)
{
    const struct program_condition *compiled = marking->compiled;
    size_t recipients = compiled->for_recipient ? run->message->recipient_count : 1;
    if (compiled->source->field == POLICY_ATTACHMENT) {
        if (run_condition(run, marking->filter, marking->condition, 0) == ANSWER_MET)
            mark_attachments(run, marking);
        return;
    }
    for (size_t i = 0; i < recipients && !marking->no_memory; i++)
        if ((!compiled->for_recipient || met[i]) &&
            run_condition(run, marking->filter, marking->condition, i) == ANSWER_MET)
            run_occurrences(run, compiled, i, mark, marking);
}

bool run_finds(struct run *run, size_t filter, const bool *met, struct policy_result *result)
{
    const struct program_filter *compiled = &run->program->filters[filter];
    struct marking marking = {.result = result, .filter = filter};
    for (size_t i = 0; i < compiled->source->condition_count && !marking.no_memory; i++) {
        const struct program_condition *condition = &compiled->conditions[i];
        bool places = condition->kinds || condition->source->field == POLICY_ATTACHMENT;
        if (result->find_count == FINDS_MOST)
            break;
        if (!places || condition->source->negated)
            continue;
        marking.condition = i;
        marking.compiled = condition;
        marking.left = FINDS_OF_CONDITION;
        mark_condition(run, &marking, met);
    }
    return !marking.no_memory;
}
