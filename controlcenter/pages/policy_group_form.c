/* One policy group in a form. */
#include "controlcenter/pages/policy_group_form.h"

#include "controlcenter/pages/list_rows.h"
#include "controlcenter/pages/policy_objects.h"

#include "common/config_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_SIZE 64
#define LINE_SIZE 400
#define BAD_LINES_SHOWN 50
#define HOURS_DIGITS 4

static const char *const directions[] = {"inbound", "outbound", NULL};
static const char *const ends[] = {"delete", "deliver", NULL};
static const char directory_group[] = "group:";

static void field_name(char field[FIELD_SIZE], const char *direction, enum config_verdict verdict,
                       const char *what)
{
    snprintf(field, FIELD_SIZE, "%s_%s%s", direction, config_verdict_name(verdict), what);
}

/* --- members --- */

/* NULL, or why the line is no member. */
static const char *wrong_member(const char *line)
{
    char normal[ADDRESS_SIZE];
    if (strncmp(line, directory_group, sizeof directory_group - 1) == 0)
        return line[sizeof directory_group - 1] ? NULL : "names no directory group";
    return list_normalise(line, true, normal);
}

/* Every line that is wrong is named, not only the first. */
static void add_bad_line(struct form *form, int number, const char *line, const char *reason)
{
    struct page *page = form->page;
    json_t *rows = json_object_get(page->data, "bad_lines");
    if (!rows)
        rows = page_put_array(page, page->data, "bad_lines");
    if (json_array_size(rows) == 0)
        form_refuse(form, "members", "policy_lines_wrong", NULL);
    if (json_array_size(rows) >= BAD_LINES_SHOWN)
        return;
    json_t *row = page_add_object(page, rows);
    page_put_number(page, row, "number", number);
    page_put_text(page, row, "line", line);
    page_put_text(page, row, "reason", reason);
}

static json_t *read_members(struct form *form)
{
    json_t *members = json_array();
    char line[LINE_SIZE];
    const char *at = form_take_lines(form, "members");
    for (int number = 1; *at; number++) {
        size_t length = strcspn(at, "\n");
        bool has_text = strspn(at, " ") < length;
        const char *next = at[length] ? at + length + 1 : at + length;
        if (has_text) {
            form_next_line(at, line, sizeof line);
            const char *reason = wrong_member(line);
            if (reason)
                add_bad_line(form, number, line, reason);
            else
                json_array_append_new(members, json_string(line));
        }
        at = next;
    }
    return members;
}

/* --- the malware policy --- */

static void read_quarantine(struct form *form, json_t *policy, const char *direction,
                            enum config_verdict verdict)
{
    char field[FIELD_SIZE];
    field_name(field, direction, verdict, "_hours");
    const char *hours = form_take(form, field);
    size_t length = strlen(hours);
    if (length > HOURS_DIGITS || strspn(hours, "0123456789") != length)
        form_refuse(form, field, "number_form", NULL);
    else if (length > 0)
        page_put(form->page, policy, "hours", json_integer(atoi(hours)));
    field_name(field, direction, verdict, "_then");
    page_put_text(form->page, policy, "then", form_take_word(form, field, ends));
}

static void read_verdict(struct form *form, json_t *verdicts, const char *direction,
                         enum config_verdict verdict)
{
    char field[FIELD_SIZE];
    enum config_action action;
    field_name(field, direction, verdict, "");
    const char *chosen = form_take(form, field);
    if (!*chosen)
        return;
    bool cannot_clean = verdict == CONFIG_VERDICT_UNSCANNABLE && strcmp(chosen, "clean") == 0;
    if (!config_action_parse(chosen, &action) || cannot_clean) {
        form_refuse(form, field, "choose_action", NULL);
        return;
    }
    json_t *policy = page_put_object(form->page, verdicts, config_verdict_name(verdict));
    page_put_text(form->page, policy, "action", chosen);
    if (action == CONFIG_ACTION_QUARANTINE)
        read_quarantine(form, policy, direction, verdict);
    field_name(field, direction, verdict, "_bypass");
    if (*form_take(form, field))
        page_put_true(form->page, policy, "bypass_content");
}

json_t *group_form_read(struct form *form, const json_t *document, const char *id)
{
    json_t *group = json_object(), *malware = json_object();
    const char *name = form_take(form, "name");
    if (!*name)
        form_refuse(form, "name", "directory_name_missing", NULL);
    else if (policy_name_is_taken(document, "groups", name, id))
        form_refuse(form, "name", "policy_name_there", NULL);
    page_put(form->page, group, "id", json_string(id));
    page_put(form->page, group, "name", json_string(name));
    page_put(form->page, group, "members", read_members(form));
    for (size_t d = 0; directions[d]; d++) {
        json_t *verdicts = json_object();
        for (size_t v = 0; v < CONFIG_VERDICT_COUNT; v++)
            read_verdict(form, verdicts, directions[d], (enum config_verdict)v);
        if (json_object_size(verdicts) > 0)
            page_put(form->page, malware, directions[d], verdicts);
        else
            json_decref(verdicts);
    }
    page_put(form->page, group, "malware", malware);
    return group;
}

/* --- showing --- */

static void put_message(struct form *form, json_t *row, const char *name, const char *direction,
                        enum config_verdict verdict, const char *what)
{
    char field[FIELD_SIZE];
    field_name(field, direction, verdict, what);
    page_put(form->page, row, name, json_string(json_text_of(form->error, field)));
}

static void put_verdict(struct form *form, json_t *rows, const json_t *policy,
                        const char *direction, enum config_verdict verdict)
{
    struct page *page = form->page;
    char field[FIELD_SIZE], hours[FIELD_SIZE];
    const json_t *set = json_object_get(policy, "hours");
    json_t *row = page_add_object(page, rows);
    field_name(field, direction, verdict, "");
    page_put_text(page, row, "field", field);
    page_put_true(page, page_put_object(page, row, "is_verdict"), config_verdict_name(verdict));
    page_put(page, row, "can_clean", json_boolean(verdict != CONFIG_VERDICT_UNSCANNABLE));
    page_put_true(page, page_put_object(page, row, "action"), json_text_of(policy, "action"));
    page_put(page, row, "delivers",
             json_boolean(strcmp(json_text_of(policy, "then"), "deliver") == 0));
    page_put(page, row, "bypass",
             json_boolean(json_is_true(json_object_get(policy, "bypass_content"))));
    field_name(hours, direction, verdict, "_hours");
    if (json_is_integer(set))
        page_put_number(page, row, "hours", json_integer_value(set));
    else
        page_put(page, row, "hours", json_string(json_text_of(form->values, hours)));
    put_message(form, row, "message", direction, verdict, "");
    put_message(form, row, "hours_message", direction, verdict, "_hours");
}

void group_form_put(struct form *form, const json_t *group)
{
    struct page *page = form->page;
    struct buffer members = BUFFER_INIT;
    const json_t *malware = json_object_get(group, "malware");
    if (!json_object_get(form->values, "members")) {
        list_join(json_object_get(group, "members"), "\n", &members);
        form_set(form, "name", json_text_of(group, "name"));
        form_set(form, "members", buffer_text(&members));
        buffer_free(&members);
    }
    json_t *sides = page_put_array(page, page->data, "sides");
    for (size_t d = 0; directions[d]; d++) {
        json_t *side = page_add_object(page, sides);
        const json_t *verdicts = json_object_get(malware, directions[d]);
        page_put_true(page, page_put_object(page, side, "is"), directions[d]);
        json_t *rows = page_put_array(page, side, "verdicts");
        for (size_t v = 0; v < CONFIG_VERDICT_COUNT; v++) {
            enum config_verdict verdict = (enum config_verdict)v;
            put_verdict(form, rows, json_object_get(verdicts, config_verdict_name(verdict)),
                        directions[d], verdict);
        }
    }
}

/* "policies.groups[3].malware.inbound.virus.hours" is at inbound_virus_hours. */
void group_form_refuse(struct form *form, size_t index, const struct error *error)
{
    char place[FIELD_SIZE], field[FIELD_SIZE], text[700];
    snprintf(place, sizeof place, "groups[%zu].", index);
    const char *found = strstr(error->where, place), *member = found ? found + strlen(place) : "";
    if (strncmp(member, "members[", 8) == 0) {
        form_refuse_reason(form, "members", atoi(member + 8) + 1, error->message);
        return;
    }
    for (size_t d = 0; directions[d]; d++)
        for (size_t v = 0; v < CONFIG_VERDICT_COUNT; v++) {
            snprintf(place, sizeof place, "malware.%s.%s.hours", directions[d],
                     config_verdict_name((enum config_verdict)v));
            field_name(field, directions[d], (enum config_verdict)v, "_hours");
            if (strcmp(member, place) == 0) {
                form_refuse_reason(form, field, 0, error->message);
                return;
            }
        }
    if (strcmp(member, "name") == 0)
        form_refuse_reason(form, "name", 0, error->message);
    else
        form_refuse(form, "name", "policy_elsewhere",
                    json_pack("{s:s}", "reason", error_text(error, text, sizeof text)));
}
