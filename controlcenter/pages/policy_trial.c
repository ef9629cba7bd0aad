/* What a scanner says of a message and a draft. */
#include "controlcenter/pages/policy_trial.h"

#include "controlcenter/pages/policy_objects.h"
#include "controlcenter/pages/policy_summary.h"

#include <string.h>

static const char *const dispositions[] = {"deliver", "delete", "reject", "bounce",
                                           "defer",   "hold",   NULL};
static const char *const results[] = {"met", "not_met", "skipped", "limit", NULL};

static bool is_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

/* --- the end of it --- */

static bool has_recipient(const json_t *outcome, size_t recipient)
{
    const json_t *index;
    size_t i;
    json_array_foreach(json_object_get(outcome, "recipients"), i, index)
    {
        if (json_integer_value(index) == (json_int_t)recipient)
            return true;
    }
    return false;
}

static void put_outcome(struct page *page, json_t *row, const json_t *document,
                        const json_t *outcome)
{
    const json_t *element;
    size_t i;
    page_put_word(page, row, "disposition", json_text_of(outcome, "disposition"), dispositions);
    page_put_text(page, row, "reply", json_text_of(outcome, "text"));
    page_put_text(page, row, "decided_by",
                  policy_name_of(document, "filters", json_text_of(outcome, "decided_by")));
    page_put(page, row, "rewritten", json_boolean(json_object_get(outcome, "body") != NULL));
    page_put_text(page, row, "header", json_text_of(outcome, "header"));
    json_t *actions = page_put_array(page, row, "outcome_actions");
    json_array_foreach(json_object_get(outcome, "actions"), i, element)
    {
        struct buffer words = BUFFER_INIT;
        policy_action_words(page, document, element, &words);
        page_put_text(page, page_add_object(page, actions), "line", buffer_text(&words));
        buffer_free(&words);
    }
}

/* --- the way there --- */

static void put_conditions(struct page *page, json_t *row, const json_t *document,
                           const json_t *filter, const json_t *trace)
{
    const json_t *said = json_object_get(trace, "conditions"), *result;
    const json_t *conditions = json_object_get(filter, "conditions");
    json_t *rows = page_put_array(page, row, "trial_conditions");
    size_t i;
    json_array_foreach(said, i, result)
    {
        struct buffer words = BUFFER_INIT;
        json_t *line = page_add_object(page, rows);
        policy_condition_words(page, document, json_array_get(conditions, i), &words);
        page_put_text(page, line, "words", buffer_text(&words));
        page_put_word(page, line, "result", json_string_value(result), results);
        buffer_free(&words);
    }
}

static void put_traces(struct page *page, json_t *row, const json_t *document, const json_t *traces,
                       size_t recipient)
{
    json_t *rows = page_put_array(page, row, "rules");
    const json_t *trace;
    size_t i;
    json_array_foreach(traces, i, trace)
    {
        const char *id = json_text_of(trace, "filter");
        if (json_integer_value(json_object_get(trace, "recipient")) != (json_int_t)recipient)
            continue;
        json_t *rule = page_add_object(page, rows);
        page_put_text(page, rule, "rule_name", policy_name_of(document, "filters", id));
        page_put(page, rule, "applies", json_boolean(is_true(trace, "applies")));
        page_put(page, rule, "met", json_boolean(is_true(trace, "met")));
        put_conditions(page, rule, document, policy_find(document, "filters", id, NULL), trace);
    }
    page_put(page, row, "has_rules", json_boolean(json_array_size(rows) > 0));
}

static void put_recipient(struct page *page, json_t *rows, const json_t *document,
                          const json_t *person, const json_t *reply, size_t index)
{
    const json_t *answer = json_object_get(reply, "answer"), *outcome;
    const char *group = json_text_of(person, "group");
    json_t *row = page_add_object(page, rows);
    size_t i;
    page_put_text(page, row, "address", json_text_of(person, "address"));
    page_put(page, row, "group_name", json_string(policy_name_of(document, "groups", group)));
    json_array_foreach(json_object_get(answer, "outcomes"), i, outcome)
    {
        if (has_recipient(outcome, index))
            put_outcome(page, row, document, outcome);
    }
    put_traces(page, row, document, json_object_get(reply, "trace"), index);
}

void policy_trial_put(struct page *page, const json_t *document, const json_t *envelope,
                      const json_t *reply)
{
    const json_t *result = json_object_get(reply, "result"), *person;
    json_t *trial = page_put_object(page, page->data, "trial");
    size_t i;
    page_put_word(page, trial, "verdict", json_text_of(result, "verdict"), page_verdicts);
    page_put_text(page, trial, "subject", json_text_of(result, "subject"));
    page_put_text(page, trial, "problem", json_text_of(reply, "problem"));
    json_t *rows = page_put_array(page, trial, "people");
    json_array_foreach(json_object_get(envelope, "recipients"), i, person)
    {
        put_recipient(page, rows, document, person, reply, i);
    }
}
