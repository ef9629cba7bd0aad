/* A content filter for the template of its form: rows of conditions and actions with the inputs
 * that fit them. */
#include "controlcenter/pages/policy_filter_form.h"

#include "controlcenter/pages/policy_objects.h"
#include "controlcenter/pages/policy_options.h"
#include "controlcenter/pages/policy_rules.h"
#include "controlcenter/pages/policy_summary.h"

#include <stdio.h>
#include <string.h>

/* --- what every row has --- */

static void put_message(struct form *form, json_t *row, const char *prefix, const char *name)
{
    char field[FILTER_FIELD_SIZE];
    snprintf(field, sizeof field, "%s_%s", prefix, name);
    const char *message = json_text_of(form->error, field);
    if (*message)
        page_put_text(form->page, json_object_get(row, "message"), name, message);
}

static json_t *add_row(struct form *form, json_t *rows, char letter, size_t index,
                       char prefix[FILTER_FIELD_SIZE])
{
    json_t *row = page_add_object(form->page, rows);
    snprintf(prefix, FILTER_FIELD_SIZE, "%c%zu", letter, index);
    page_put_text(form->page, row, "row", prefix);
    page_put_number(form->page, row, "index", (int64_t)index);
    page_put_number(form->page, row, "number_of_row", (int64_t)index + 1);
    page_put_object(form->page, row, "message");
    return row;
}

static void put_lines(struct page *page, json_t *row, const char *name, const json_t *values)
{
    struct buffer text = BUFFER_INIT;
    const json_t *value;
    size_t i;
    json_array_foreach(values, i, value)
    {
        buffer_add_format(&text, "%s%s", i > 0 ? "\n" : "", json_string_value(value));
    }
    page_put(page, row, name, json_string(buffer_text(&text)));
    page_put_number(page, row, "lines", json_array_size(values) > 2 ? 5 : 2);
    buffer_free(&text);
}

static void put_flag(struct page *page, json_t *row, const json_t *object, const char *name)
{
    page_put(page, row, name, json_boolean(json_is_true(json_object_get(object, name))));
}

/* --- conditions --- */

static void put_operations(struct page *page, json_t *row, enum policy_field field)
{
    json_t *takes = page_put_object(page, row, "takes");
    for (int i = 0; i < POLICY_OPERATIONS; i++)
        if (policy_field_takes(field, (enum policy_operation)i))
            page_put_true(page, takes, policy_operation_name((enum policy_operation)i));
    page_put(page, row, "has_operations", json_boolean(!policy_field_takes(field, POLICY_IS)));
}

/* A number as it is typed; sizes in the largest unit that shows them whole. */
static void put_number(struct page *page, json_t *row, const json_t *number, bool is_size)
{
    json_int_t value = json_integer_value(number);
    json_t *unit = page_put_object(page, row, "unit");
    if (!json_is_integer(number)) {
        page_put(page, row, "number",
                 json_string(json_string_value(number) ? json_string_value(number) : ""));
        page_put_true(page, unit, is_size ? "mb" : "none");
        return;
    }
    bool is_mb = is_size && value > 0 && value % (1 << 20) == 0;
    bool is_kb = is_size && value > 0 && !is_mb && value % (1 << 10) == 0;
    page_put_true(page, unit, is_mb ? "mb" : is_kb ? "kb" : "none");
    page_put_number(page, row, "number", is_mb ? value >> 20 : is_kb ? value >> 10 : value);
}

static void put_words(struct page *page, json_t *row, enum policy_field field, const json_t *values)
{
    const char *const *words = policy_rule_words(field);
    json_t *shown = page_put_array(page, row, "words");
    for (size_t w = 0; words[w]; w++) {
        json_t *word = page_add_object(page, shown);
        const json_t *value;
        size_t i;
        page_put_text(page, word, "word", words[w]);
        page_put_true(page, page_put_object(page, word, "is"), words[w]);
        bool chosen = false;
        json_array_foreach(values, i, value)
        {
            chosen = chosen ||
                     (json_is_string(value) && strcmp(json_string_value(value), words[w]) == 0);
        }
        page_put(page, word, "chosen", json_boolean(chosen));
    }
}

static void put_operand(struct page *page, json_t *row, const json_t *document,
                        const json_t *condition, enum policy_field field,
                        enum policy_operation operation)
{
    enum policy_operand operand = policy_rule_operand(field, operation);
    json_t *wants = page_put_object(page, row, "wants");
    const json_t *values = json_object_get(condition, "values");
    if (operand == POLICY_LINES) {
        page_put_true(page, wants, "lines");
        put_lines(page, row, "values", values);
    } else if (operand == POLICY_WORDS) {
        page_put_true(page, wants, "words");
        put_words(page, row, field, values);
    } else if (operand == POLICY_REFERENCE) {
        page_put_true(page, wants, "reference");
        policy_options_put(page, row, document, policy_rule_section(operation),
                           json_text_of(condition, "id"));
    } else if (operand == POLICY_NUMBER) {
        page_put_true(page, wants, policy_rule_is_size(field) ? "size" : "number");
        put_number(page, row, json_object_get(condition, "number"), policy_rule_is_size(field));
    }
    if (policy_rule_is_text(field) && operation != POLICY_EXISTS)
        page_put_true(page, wants, "occurrences");
    if (field == POLICY_BODY || field == POLICY_ANY_TEXT)
        page_put_true(page, wants, "tags");
}

static void put_condition(struct form *form, json_t *rows, const json_t *document,
                          const json_t *condition, size_t index)
{
    static const char *const inputs[] = {"field", "op",     "name",    "values",
                                         "id",    "number", "at_least"};
    struct page *page = form->page;
    char prefix[FILTER_FIELD_SIZE];
    enum policy_field field;
    json_t *row = add_row(form, rows, 'c', index, prefix);
    if (!policy_rule_field(json_text_of(condition, "field"), &field))
        field = POLICY_SUBJECT;
    enum policy_operation operation = policy_rule_operation(field, json_text_of(condition, "op"));
    page_put_true(page, page_put_object(page, row, "field"), policy_field_name(field));
    page_put_true(page, page_put_object(page, row, "op"), policy_operation_name(operation));
    put_operations(page, row, field);
    put_operand(page, row, document, condition, field, operation);
    page_put(page, row, "name", json_string(json_text_of(condition, "name")));
    put_flag(page, row, condition, "not");
    put_flag(page, row, condition, "tags");
    put_flag(page, row, condition, "match_case");
    put_flag(page, row, condition, "every");
    const json_t *at_least = json_object_get(condition, "at_least");
    if (json_is_integer(at_least))
        page_put_number(page, row, "at_least", json_integer_value(at_least));
    else
        page_put(page, row, "at_least", json_string(json_text_of(condition, "at_least")));
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        put_message(form, row, prefix, inputs[i]);
}

/* --- actions --- */

static void put_notified(struct page *page, json_t *row, const json_t *to)
{
    struct buffer text = BUFFER_INIT;
    json_t *roles = page_put_object(page, row, "to_role");
    const json_t *value;
    size_t i;
    json_array_foreach(to, i, value)
    {
        const char *who = json_string_value(value);
        if (strcmp(who, "sender") != 0 && strcmp(who, "recipients") != 0)
            buffer_add_format(&text, "%s%s", text.length > 0 ? "\n" : "", who);
        else
            page_put_true(page, roles, who);
    }
    page_put(page, row, "to", json_string(buffer_text(&text)));
    buffer_free(&text);
}

static void put_action(struct form *form, json_t *rows, const json_t *document,
                       const json_t *action, size_t index)
{
    struct page *page = form->page;
    char prefix[FILTER_FIELD_SIZE];
    json_t *row = add_row(form, rows, 'a', index, prefix);
    const struct policy_rule_action *rule = policy_rule_action(json_text_of(action, "action"));
    if (!rule)
        rule = policy_rule_action("incident");
    page_put_true(page, page_put_object(page, row, "action"), rule->name);
    put_message(form, row, prefix, "action");
    for (const struct policy_rule_member *member = rule->members; member->name; member++) {
        const char *text = json_text_of(action, member->name);
        put_message(form, row, prefix, member->name);
        if (member->section)
            policy_options_put(page, row, document, member->section, text);
        else if (strcmp(member->name, "to") == 0)
            put_notified(page, row, json_object_get(action, "to"));
        else if (strcmp(member->name, "place") == 0 || strcmp(member->name, "which") == 0)
            page_put_true(page, page_put_object(page, row, member->name), text);
        else
            page_put(page, row, member->name, json_string(text));
    }
}

/* --- the whole --- */

static bool names_in(const json_t *texts, const char *name)
{
    const json_t *text;
    size_t i;
    json_array_foreach(texts, i, text)
    {
        if (json_is_string(text) && strcmp(json_string_value(text), name) == 0)
            return true;
    }
    return false;
}

static void put_groups(struct page *page, const json_t *document, const json_t *filter)
{
    const json_t *chosen = json_object_get(filter, "groups"), *group;
    json_t *rows = page_put_array(page, page->data, "group_rows");
    size_t i;
    json_array_foreach(json_object_get(document, "groups"), i, group)
    {
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "id", json_text_of(group, "id"));
        page_put_text(page, row, "name", json_text_of(group, "name"));
        page_put(page, row, "chosen", json_boolean(names_in(chosen, json_text_of(group, "id"))));
    }
    page_put(page, page->data, "default_chosen", json_boolean(names_in(chosen, "default")));
    page_put(page, page->data, "has_groups", json_boolean(i > 0));
}

static void put_directions(struct page *page, const json_t *filter)
{
    const json_t *directions = json_object_get(filter, "directions");
    page_put(page, page->data, "inbound",
             json_boolean(!directions || names_in(directions, "inbound")));
    page_put(page, page->data, "outbound",
             json_boolean(!directions || names_in(directions, "outbound")));
}

static void put_rows(struct form *form, const json_t *document, const json_t *filter,
                     const char *member, size_t most,
                     void (*put)(struct form *, json_t *, const json_t *, const json_t *, size_t))
{
    struct page *page = form->page;
    const json_t *elements = json_object_get(filter, member), *element;
    char name[32];
    size_t i;
    snprintf(name, sizeof name, "%s_rows", member);
    json_t *rows = page_put_array(page, page->data, name);
    json_array_foreach(elements, i, element)
    {
        put(form, rows, document, element, i);
    }
    snprintf(name, sizeof name, "%s_count", member);
    page_put_number(page, page->data, name, (int64_t)json_array_size(elements));
    snprintf(name, sizeof name, "%s_full", member);
    page_put(page, page->data, name, json_boolean(json_array_size(elements) >= most));
}

void filter_form_put(struct form *form, const json_t *document, const json_t *filter)
{
    struct page *page = form->page;
    struct buffer summary = BUFFER_INIT;
    form_set(form, "name", json_text_of(filter, "name"));
    page_put(page, page->data, "enabled",
             json_boolean(!json_is_false(json_object_get(filter, "enabled"))));
    put_directions(page, filter);
    put_groups(page, document, filter);
    page_put(page, page->data, "any",
             json_boolean(strcmp(json_text_of(filter, "match"), "any") == 0));
    page_put(page, page->data, "stop",
             json_boolean(strcmp(json_text_of(filter, "then"), "stop") == 0));
    put_rows(form, document, filter, "conditions", FILTER_CONDITIONS_MOST, put_condition);
    put_rows(form, document, filter, "actions", FILTER_ACTIONS_MOST, put_action);
    policy_filter_words(page, document, filter, &summary);
    page_put_text(page, page->data, "summary", buffer_text(&summary));
    buffer_free(&summary);
}
