/* What is wrong with a content filter, at the field of its form. */
#include "controlcenter/pages/policy_filter_form.h"

#include "controlcenter/pages/policy_objects.h"
#include "controlcenter/pages/policy_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refuse(struct form *form, const char *row, const char *member, const char *key)
{
    char field[FILTER_FIELD_SIZE];
    snprintf(field, sizeof field, "%s_%s", row, member);
    form_refuse(form, field, key, NULL);
}

/* --- what is missing --- */

static void check_condition(struct form *form, const json_t *condition, const char *row)
{
    enum policy_field field;
    if (!policy_rule_field(json_text_of(condition, "field"), &field))
        return;
    enum policy_operation operation = policy_rule_operation(field, json_text_of(condition, "op"));
    if (field == POLICY_HEADER && !*json_text_of(condition, "name"))
        refuse(form, row, "name", "policy_header_missing");
    switch (policy_rule_operand(field, operation)) {
    case POLICY_LINES:
        if (json_array_size(json_object_get(condition, "values")) == 0)
            refuse(form, row, "values", "policy_values_missing");
        break;
    case POLICY_WORDS:
        if (json_array_size(json_object_get(condition, "values")) == 0)
            refuse(form, row, "values", "policy_words_missing");
        break;
    case POLICY_REFERENCE:
        if (!*json_text_of(condition, "id"))
            refuse(form, row, "id", "choose_listed");
        break;
    case POLICY_NUMBER:
        if (!json_is_integer(json_object_get(condition, "number")))
            refuse(form, row, "number", "number_form");
        break;
    default:
        break;
    }
    const json_t *at_least = json_object_get(condition, "at_least");
    if (at_least && !json_is_integer(at_least))
        refuse(form, row, "at_least", "number_form");
}

static void check_action(struct form *form, const json_t *action, const char *row)
{
    const struct policy_rule_action *rule = policy_rule_action(json_text_of(action, "action"));
    for (const struct policy_rule_member *member = rule ? rule->members : NULL;
         member && member->name; member++) {
        const json_t *value = json_object_get(action, member->name);
        if (member->optional || !value)
            continue;
        if (strcmp(member->name, "to") == 0 && json_array_size(value) == 0)
            refuse(form, row, "to", "policy_notified_missing");
        else if (json_is_string(value) && !*json_string_value(value))
            refuse(form, row, member->name,
                   member->section ? "choose_listed" : "policy_text_missing");
    }
}

static void check_rows(struct form *form, const json_t *filter, const char *member, char letter,
                       void (*check)(struct form *, const json_t *, const char *))
{
    const json_t *element;
    size_t i;
    json_array_foreach(json_object_get(filter, member), i, element)
    {
        char row[FILTER_FIELD_SIZE];
        snprintf(row, sizeof row, "%c%zu", letter, i);
        check(form, element, row);
    }
}

void filter_form_check(struct form *form, const json_t *document, const json_t *filter)
{
    const char *name = json_text_of(filter, "name");
    const json_t *directions = json_object_get(filter, "directions");
    bool stops = strcmp(json_text_of(filter, "then"), "stop") == 0;
    if (!*name)
        form_refuse(form, "name", "directory_name_missing", NULL);
    else if (policy_name_is_taken(document, "filters", name, json_text_of(filter, "id")))
        form_refuse(form, "name", "policy_name_there", NULL);
    if (directions && json_array_size(directions) == 0)
        form_refuse(form, "directions", "policy_direction_missing", NULL);
    if (json_array_size(json_object_get(filter, "conditions")) == 0 &&
        strcmp(json_text_of(filter, "match"), "any") == 0)
        form_refuse(form, "conditions", "policy_condition_missing", NULL);
    if (json_array_size(json_object_get(filter, "actions")) == 0 && !stops)
        form_refuse(form, "actions", "policy_action_missing", NULL);
    check_rows(form, filter, "conditions", 'c', check_condition);
    check_rows(form, filter, "actions", 'a', check_action);
}

/* --- what the check of the whole document says --- */

/* Reads "NAME[N]" at the beginning of a place and what follows behind the dot. */
static const char *read_element(const char *place, const char *name, unsigned *index)
{
    size_t length = strlen(name);
    char *end;
    if (strncmp(place, name, length) != 0 || place[length] != '[')
        return NULL;
    *index = (unsigned)strtoul(place + length + 1, &end, 10);
    if (*end != ']')
        return NULL;
    return end[1] == '.' ? end + 2 : end + 1;
}

/* "values[1]" is line 2 of the field "values". */
static void refuse_member(struct form *form, char letter, unsigned row, const char *member,
                          const char *reason)
{
    char field[FILTER_FIELD_SIZE];
    size_t length = strcspn(member, "[");
    int line = member[length] == '[' ? atoi(member + length + 1) + 1 : 0;
    if (length == 0)
        snprintf(field, sizeof field, "%c%u_%s", letter, row, letter == 'c' ? "field" : "action");
    else
        snprintf(field, sizeof field, "%c%u_%.*s", letter, row, (int)length, member);
    form_refuse_reason(form, field, line, reason);
}

void filter_form_refuse(struct form *form, size_t index, const struct error *error)
{
    unsigned filter, row;
    const char *place = strstr(error->where, "filters[");
    const char *member = place ? read_element(place, "filters", &filter) : NULL, *rest;
    if (!member || filter != index) {
        char text[700];
        form_refuse(form, "name", "policy_elsewhere",
                    json_pack("{s:s}", "reason", error_text(error, text, sizeof text)));
    } else if ((rest = read_element(member, "conditions", &row))) {
        refuse_member(form, 'c', row, rest, error->message);
    } else if ((rest = read_element(member, "actions", &row))) {
        refuse_member(form, 'a', row, rest, error->message);
    } else {
        char field[FILTER_FIELD_SIZE];
        snprintf(field, sizeof field, "%.*s", (int)strcspn(member, "["), member);
        form_refuse_reason(form, *field ? field : "name", 0, error->message);
    }
}
