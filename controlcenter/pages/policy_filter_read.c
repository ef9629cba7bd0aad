/* A content filter out of the fields of its form. */
#include "controlcenter/pages/policy_filter_form.h"

#include "controlcenter/pages/policy_objects.h"
#include "controlcenter/pages/policy_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 4200 /* an expression and its NUL */
#define NUMBER_DIGITS 12

/* One row of the form: its fields begin with the letter and the number. */
struct row {
    struct page *page;
    char letter;
    size_t number;
    json_t *object;
};

static const char *sent(const struct row *row, const char *name)
{
    char field[FILTER_FIELD_SIZE];
    snprintf(field, sizeof field, "%c%zu_%s", row->letter, row->number, name);
    const char *text = http_form(row->page->request, field);
    return text ? text : "";
}

static const char *sent_lines(const struct row *row, const char *name)
{
    char field[FILTER_FIELD_SIZE];
    snprintf(field, sizeof field, "%c%zu_%s", row->letter, row->number, name);
    const char *text = http_form_lines(row->page->request, field);
    return text ? text : "";
}

static void take_text(const struct row *row, const char *name, bool optional)
{
    const char *text = sent(row, name);
    size_t start = strspn(text, " "), length = strlen(text);
    while (length > start && text[length - 1] == ' ')
        length--;
    if (length > start || !optional)
        page_put(row->page, row->object, name, json_stringn(text + start, length - start));
}

static void take_switch(const struct row *row, const char *name)
{
    if (*sent(row, name))
        page_put_true(row->page, row->object, name);
}

static void add_lines(const struct row *row, const char *text, json_t *values)
{
    char line[LINE_SIZE];
    for (const char *at = form_next_line(text, line, sizeof line); at;
         at = form_next_line(at, line, sizeof line))
        if (json_array_append_new(values, json_string(line)) != 0)
            row->page->failed = true;
}

/* A whole number as such; anything else stays text, to be shown again. */
static void take_number(const struct row *row, const char *name, int64_t factor, bool optional)
{
    const char *text = sent(row, name);
    size_t length = strlen(text);
    if (length == 0 && optional)
        return;
    bool is_number = length > 0 && length <= NUMBER_DIGITS && strspn(text, "0123456789") == length;
    page_put(row->page, row->object, name,
             is_number ? json_integer(strtoll(text, NULL, 10) * factor) : json_string(text));
}

static int64_t unit_of(const struct row *row)
{
    const char *unit = sent(row, "unit");
    return strcmp(unit, "mb") == 0 ? 1 << 20 : strcmp(unit, "kb") == 0 ? 1 << 10 : 1;
}

/* --- conditions --- */

static void take_words(const struct row *row, enum policy_field field)
{
    const char *const *words = policy_rule_words(field);
    json_t *values = page_put_array(row->page, row->object, "values");
    for (size_t i = 0; words[i]; i++) {
        char name[FILTER_FIELD_SIZE];
        snprintf(name, sizeof name, "is_%s", words[i]);
        if (*sent(row, name) && json_array_append_new(values, json_string(words[i])) != 0)
            row->page->failed = true;
    }
}

static void strip_dots(json_t *values)
{
    json_t *value;
    size_t i;
    json_array_foreach(values, i, value)
    {
        const char *text = json_string_value(value);
        if (text[0] == '.' && text[1])
            json_array_set_new(values, i, json_string(text + 1));
    }
}

static void take_operand(const struct row *row, enum policy_field field,
                         enum policy_operation operation)
{
    switch (policy_rule_operand(field, operation)) {
    case POLICY_LINES:
        add_lines(row, sent_lines(row, "values"), page_put_array(row->page, row->object, "values"));
        if (operation == POLICY_EXTENSION)
            strip_dots(json_object_get(row->object, "values"));
        break;
    case POLICY_WORDS:
        take_words(row, field);
        break;
    case POLICY_REFERENCE:
        take_text(row, "id", false);
        break;
    case POLICY_NUMBER:
        take_number(row, "number", policy_rule_is_size(field) ? unit_of(row) : 1, false);
        break;
    default:
        break;
    }
}

static void take_condition(struct row *row)
{
    enum policy_field field;
    if (!policy_rule_field(sent(row, "field"), &field))
        field = POLICY_SUBJECT;
    enum policy_operation operation = policy_rule_operation(field, sent(row, "op"));
    page_put_text(row->page, row->object, "field", policy_field_name(field));
    if (field == POLICY_HEADER)
        take_text(row, "name", false);
    take_switch(row, "not");
    if (operation != POLICY_IS)
        page_put_text(row->page, row->object, "op", policy_operation_name(operation));
    take_operand(row, field, operation);
    if (policy_rule_is_text(field) && operation != POLICY_EXISTS) {
        take_number(row, "at_least", 1, true);
        take_switch(row, "match_case");
    }
    if (field == POLICY_BODY || field == POLICY_ANY_TEXT)
        take_switch(row, "tags");
    if (field == POLICY_ATTACHMENT)
        take_switch(row, "every");
}

json_t *filter_form_new_condition(void)
{
    return json_pack("{s:s,s:s,s:[]}", "field", "subject", "op", "contains", "values");
}

/* --- actions --- */

static void take_notified(const struct row *row)
{
    static const char *const roles[] = {"sender", "recipients"};
    json_t *to = page_put_array(row->page, row->object, "to");
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        char name[FILTER_FIELD_SIZE];
        snprintf(name, sizeof name, "to_%s", roles[i]);
        if (*sent(row, name) && json_array_append_new(to, json_string(roles[i])) != 0)
            row->page->failed = true;
    }
    add_lines(row, sent_lines(row, "to"), to);
}

/* What a choice is where nothing was chosen yet. */
static void choose_first(const struct row *row, const char *member, const char *first)
{
    if (!*json_text_of(row->object, member))
        page_put_text(row->page, row->object, member, first);
}

static void take_action(struct row *row)
{
    const struct policy_rule_action *action = policy_rule_action(sent(row, "action"));
    if (!action)
        action = policy_rule_action("incident");
    page_put_text(row->page, row->object, "action", action->name);
    for (const struct policy_rule_member *member = action->members; member->name; member++) {
        bool is_idle = strcmp(action->name, "strip") == 0 && strcmp(member->name, "id") == 0 &&
                       strcmp(json_text_of(row->object, "which"), "list") != 0;
        if (strcmp(member->name, "to") == 0)
            take_notified(row);
        else if (strcmp(member->name, "note") == 0 && *sent_lines(row, "note"))
            page_put_text(row->page, row->object, "note", sent_lines(row, "note"));
        else if (!is_idle)
            take_text(row, member->name, member->optional);
        if (strcmp(member->name, "which") == 0)
            choose_first(row, "which", "matched");
        else if (strcmp(member->name, "place") == 0)
            choose_first(row, "place", "begin");
    }
}

json_t *filter_form_new_action(void)
{
    return json_pack("{s:s,s:s}", "action", "incident", "folder", "");
}

/* --- whole filters --- */

static size_t count_of(const struct page *page, const char *field, size_t most)
{
    const char *text = http_form(page->request, field);
    unsigned long count = text && strspn(text, "0123456789") == strlen(text) && strlen(text) <= 4
                              ? strtoul(text, NULL, 10)
                              : 0;
    return count < most ? count : most;
}

static void take_rows(struct page *page, json_t *filter, const char *member, char letter,
                      size_t most, void (*take)(struct row *row))
{
    json_t *rows = page_put_array(page, filter, member);
    size_t count = count_of(page, member, most);
    for (size_t i = 0; i < count; i++) {
        struct row row = {page, letter, i, page_add_object(page, rows)};
        take(&row);
    }
}

static bool is_on(const struct page *page, const char *field)
{
    const char *text = http_form(page->request, field);
    return text && *text;
}

static void take_directions(struct page *page, json_t *filter)
{
    bool inbound = is_on(page, "direction_inbound"), outbound = is_on(page, "direction_outbound");
    if (inbound && outbound)
        return; /* that is usual */
    json_t *directions = page_put_array(page, filter, "directions");
    if (inbound || outbound)
        json_array_append_new(directions, json_string(inbound ? "inbound" : "outbound"));
}

static void take_group(struct page *page, json_t *groups, const char *id)
{
    char field[POLICY_ID_SIZE + 8];
    snprintf(field, sizeof field, "group_%s", id);
    if (is_on(page, field) && json_array_append_new(groups, json_string(id)) != 0)
        page->failed = true;
}

static void take_groups(struct page *page, const json_t *document, json_t *filter)
{
    json_t *groups = page_put_array(page, filter, "groups");
    const json_t *group;
    size_t i;
    json_array_foreach(json_object_get(document, "groups"), i, group)
    {
        take_group(page, groups, json_text_of(group, "id"));
    }
    take_group(page, groups, "default");
}

static void take_choice(struct page *page, json_t *filter, const char *name, const char *usual,
                        const char *other)
{
    const char *text = http_form(page->request, name);
    page_put_text(page, filter, name, text && strcmp(text, other) == 0 ? other : usual);
}

json_t *filter_form_read(struct page *page, const json_t *document, const char *id)
{
    json_t *filter = json_object();
    const char *name = http_form(page->request, "name");
    size_t start = name ? strspn(name, " ") : 0, length = name ? strlen(name) : 0;
    while (length > start && name[length - 1] == ' ')
        length--;
    page_put(page, filter, "id", json_string(id));
    page_put(page, filter, "name", json_stringn(name ? name + start : "", length - start));
    page_put(page, filter, "enabled", json_boolean(is_on(page, "enabled")));
    take_directions(page, filter);
    take_groups(page, document, filter);
    take_choice(page, filter, "match", "all", "any");
    take_rows(page, filter, "conditions", 'c', FILTER_CONDITIONS_MOST, take_condition);
    take_rows(page, filter, "actions", 'a', FILTER_ACTIONS_MOST, take_action);
    take_choice(page, filter, "then", "continue", "stop");
    return filter;
}
