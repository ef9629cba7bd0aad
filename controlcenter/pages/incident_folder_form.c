#include "controlcenter/pages/incident_folder_form.h"

#include "controlcenter/pages/policy_objects.h"

#include "common/cleanup.h"
#include "controlcenter/store/incidents.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OWN_ACTIONS 3
#define NAME_MOST 200
#define FIELD_SIZE 32

/* Those that every folder may have, in the order in which they are offered. */
static const struct standard {
    const char *id, *name;
    enum incident_step_kind kind;
} standards[] = {
    {"approve", "Approve", INCIDENT_DELIVER},
    {"reject", "Reject", INCIDENT_BOUNCE},
    {"delete", "Delete", INCIDENT_DELETE},
    {"bounce", "Bounce", INCIDENT_BOUNCE},
    {"route", "Deliver by another host", INCIDENT_ROUTE},
    {"forward", "Forward", INCIDENT_FORWARD},
    {"archive", "Archive", INCIDENT_ARCHIVE},
};
#define STANDARDS (sizeof(standards) / sizeof(standards[0]))

static const char *const kinds[] = {"quarantine", "note", NULL};
static const char *const expiries[] = {"delete", "deliver", NULL};
static const char *const rejections[] = {"bounce", "delete", NULL};

static const char *field_name(char field[FIELD_SIZE], const char *before, const char *after)
{
    snprintf(field, FIELD_SIZE, "%s_%s", before, after);
    return field;
}

static const char *own_field(char field[FIELD_SIZE], size_t index, const char *after)
{
    snprintf(field, FIELD_SIZE, "own%zu_%s", index, after);
    return field;
}

static bool is_standard(const char *id)
{
    for (size_t i = 0; i < STANDARDS; i++)
        if (strcmp(standards[i].id, id) == 0)
            return true;
    return false;
}

static const struct incident_step *find_step(const struct incident_action *action,
                                             enum incident_step_kind kind)
{
    for (size_t i = 0; i < action->step_count; i++)
        if (action->steps[i].kind == kind)
            return &action->steps[i];
    return NULL;
}

static bool has_name(const json_t *names, const char *wanted)
{
    const json_t *name;
    size_t index;
    json_array_foreach((json_t *)names, index, name)
    {
        if (strcasecmp(json_string_value(name), wanted) == 0)
            return true;
    }
    return false;
}

/* --- rows for the template --- */

/* What was typed, or is so, and what is wrong with it, as members of a row. */
static void put_value(struct form *form, json_t *row, const char *field, const char *name)
{
    struct page *page = form->page;
    char error[FIELD_SIZE];
    page_put_text(page, row, name, json_string_value(json_object_get(form->values, field)));
    page_put_text(page, row, field_name(error, name, "error"),
                  json_string_value(json_object_get(form->error, field)));
}

static void put_standard_rows(struct form *form)
{
    struct page *page = form->page;
    char field[FIELD_SIZE];
    json_t *rows = page_put_array(page, page->data, "standards");
    for (size_t i = 0; i < STANDARDS; i++) {
        const struct standard *standard = &standards[i];
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "id", standard->id);
        page_put_text(page, row, "label", standard->name);
        page_put_true(page, page_put_object(page, row, "is"), standard->id);
        put_value(form, row, field_name(field, "use", standard->id), "used");
        put_value(form, row, field_name(field, "value", standard->id), "value");
        page_put(page, row, "has_host", json_boolean(standard->kind == INCIDENT_ROUTE));
        page_put(page, row, "has_text", json_boolean(standard->kind == INCIDENT_BOUNCE));
        page_put(
            page, row, "has_address",
            json_boolean(standard->kind == INCIDENT_FORWARD || standard->kind == INCIDENT_ARCHIVE));
    }
}

static void put_own_rows(struct form *form)
{
    static const char *const members[] = {"id", "name", "value", "forward", "archive"};
    struct page *page = form->page;
    char field[FIELD_SIZE];
    json_t *rows = page_put_array(page, page->data, "own_actions");
    for (size_t i = 1; i <= OWN_ACTIONS; i++) {
        json_t *row = page_add_object(page, rows);
        page_put_number(page, row, "place", (int64_t)i);
        for (size_t j = 0; j < sizeof(members) / sizeof(members[0]); j++) {
            char name[FIELD_SIZE];
            put_value(form, row, own_field(field, i, members[j]),
                      field_name(name, "own", members[j]));
        }
        const char *chosen =
            json_string_value(json_object_get(form->values, own_field(field, i, "decision")));
        page_put_true(page, page_put_object(page, row, "decision"),
                      chosen && *chosen ? chosen : "none");
    }
}

/* Every account, then those who are named without having one. */
static void put_administrator_rows(struct form *form, const json_t *chosen)
{
    struct page *page = form->page;
    struct error error = {0};
    json_t *name;
    size_t index, accounts;
    cleanup_json json_t *names = store_incident_administrators(page->application->store, &error);
    accounts = json_array_size(names);
    page->failed = page->failed || !names;
    json_array_foreach(chosen, index, name)
    {
        if (!has_name(names, json_string_value(name)))
            json_array_append(names, name);
    }
    json_t *rows = page_put_array(page, page->data, "administrators");
    json_array_foreach(names, index, name)
    {
        json_t *row = page_add_object(page, rows);
        page_put_number(page, row, "place", (int64_t)index + 1);
        page_put_text(page, row, "administrator", json_string_value(name));
        page_put(page, row, "used", json_boolean(has_name(chosen, json_string_value(name))));
        page_put(page, row, "is_unknown", json_boolean(index >= accounts));
    }
}

/* --- from the document --- */

static void set_number(struct form *form, const char *field, int64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)number);
    form_set(form, field, text);
}

static void put_standard(struct form *form, const struct standard *standard,
                         const struct incident_action *action)
{
    char field[FIELD_SIZE];
    form_set(form, field_name(field, "use", standard->id), "1");
    if (find_step(action, standard->kind))
        form_set(form, field_name(field, "value", standard->id),
                 find_step(action, standard->kind)->value);
    if (strcmp(standard->id, "reject") == 0)
        form_select(form, "rejection", find_step(action, INCIDENT_BOUNCE) ? "bounce" : "delete");
}

static void put_own(struct form *form, size_t index, const struct incident_action *action)
{
    char field[FIELD_SIZE];
    form_set(form, own_field(field, index, "id"), action->id);
    form_set(form, own_field(field, index, "name"), action->name);
    for (size_t i = 0; i < action->step_count; i++) {
        const struct incident_step *step = &action->steps[i];
        bool decides = step->kind != INCIDENT_FORWARD && step->kind != INCIDENT_ARCHIVE;
        form_set(form, own_field(field, index, decides ? "value" : incident_step_name(step->kind)),
                 step->value);
        if (decides)
            form_set(form, own_field(field, index, "decision"), incident_step_name(step->kind));
    }
}

void incident_folder_form_put(struct form *form, const struct incident_folder *folder)
{
    size_t own = 0;
    form_set(form, "name", folder->name);
    form_select(form, "kind", folder->quarantine ? "quarantine" : "note");
    form_select(form, "expiry", folder->expiry_delivers ? "deliver" : "delete");
    set_number(form, "retention_days", folder->retention_days);
    set_number(form, "quota_megabytes", folder->quota_megabytes);
    for (size_t i = 0; i < STANDARDS; i++) {
        const struct incident_action *action = incident_folder_action(folder, standards[i].id);
        if (action)
            put_standard(form, &standards[i], action);
    }
    for (size_t i = 0; i < folder->action_count && own < OWN_ACTIONS; i++)
        if (!is_standard(folder->actions[i].id))
            put_own(form, ++own, &folder->actions[i]);
    cleanup_json json_t *administrators = json_array();
    for (size_t i = 0; i < folder->administrator_count; i++)
        json_array_append_new(administrators, json_string(folder->administrators[i]));
    put_standard_rows(form);
    put_own_rows(form);
    put_administrator_rows(form, administrators);
}

/* --- from the form --- */

static int64_t take_number(struct form *form, const char *field, int64_t least, int64_t most)
{
    const char *text = form_take(form, field);
    size_t length = strlen(text);
    int64_t number = strtoll(text, NULL, 10);
    if (length == 0 || length > 9 || strspn(text, "0123456789") != length || number < least ||
        number > most)
        form_refuse(form, field, "incident_number_range",
                    json_pack("{s:I,s:I}", "least", (json_int_t)least, "most", (json_int_t)most));
    return number;
}

static json_t *make_step(enum incident_step_kind kind, const char *value)
{
    const char *member = incident_step_member(kind);
    return member && *value ? json_pack("{s:s,s:s}", "do", incident_step_name(kind), member, value)
                            : json_pack("{s:s}", "do", incident_step_name(kind));
}

/* Refuses a value that cannot be used beside its field. */
static void check_value(struct form *form, const char *field, enum incident_step_kind kind,
                        const char *value)
{
    struct error error = {0};
    if (strlen(value) >= INCIDENT_TEXT_SIZE)
        form_refuse(form, field, "incident_too_long",
                    json_pack("{s:i}", "most", INCIDENT_TEXT_SIZE - 1));
    else if (!incident_step_check(kind, value, &error))
        form_refuse_reason(form, field, 0, error.message);
}

static void take_standard(struct form *form, const struct standard *standard, json_t *actions)
{
    char field[FIELD_SIZE];
    bool used = *form_take(form, field_name(field, "use", standard->id)) != '\0';
    const char *value = form_take_lines(form, field_name(field, "value", standard->id));
    enum incident_step_kind kind = standard->kind;
    if (strcmp(standard->id, "reject") == 0) {
        const char *how = form_take_word(form, "rejection", rejections);
        kind = how && strcmp(how, "delete") == 0 ? INCIDENT_DELETE : INCIDENT_BOUNCE;
    }
    if (!used)
        return;
    check_value(form, field, kind, value);
    json_array_append_new(actions, json_pack("{s:s,s:s,s:[o]}", "id", standard->id, "name",
                                             standard->name, "steps", make_step(kind, value)));
}

static void take_copy(struct form *form, size_t index, enum incident_step_kind kind, json_t *steps)
{
    char field[FIELD_SIZE];
    const char *address = form_take(form, own_field(field, index, incident_step_name(kind)));
    if (!*address)
        return;
    check_value(form, field, kind, address);
    json_array_append_new(steps, make_step(kind, address));
}

static void take_decision(struct form *form, size_t index, json_t *steps)
{
    char field[FIELD_SIZE];
    const char *decision = form_take(form, own_field(field, index, "decision"));
    const char *value = form_take(form, own_field(field, index, "value"));
    for (int kind = INCIDENT_DELIVER; kind <= INCIDENT_ROUTE; kind++)
        if (strcmp(decision, incident_step_name((enum incident_step_kind)kind)) == 0) {
            check_value(form, field, (enum incident_step_kind)kind, value);
            json_array_append_new(steps, make_step((enum incident_step_kind)kind, value));
        }
}

static void take_own(struct form *form, size_t index, json_t *actions)
{
    char field[FIELD_SIZE], id[POLICY_ID_SIZE];
    const char *known = form_take(form, own_field(field, index, "id"));
    cleanup_json json_t *steps = json_array();
    take_copy(form, index, INCIDENT_FORWARD, steps);
    take_copy(form, index, INCIDENT_ARCHIVE, steps);
    take_decision(form, index, steps);
    const char *name = form_take(form, own_field(field, index, "name"));
    if (!*name && json_array_size(steps) > 0)
        form_refuse(form, field, "incident_name_missing", NULL);
    if (!*name)
        return;
    if (strlen(name) > NAME_MOST)
        form_refuse(form, field, "incident_too_long", json_pack("{s:i}", "most", NAME_MOST));
    if (json_array_size(steps) == 0)
        form_refuse(form, field, "incident_steps_missing", NULL);
    policy_new_id(name, id);
    bool keeps = *known && strlen(known) < POLICY_ID_SIZE && !is_standard(known);
    json_array_append_new(actions, json_pack("{s:s,s:s,s:O}", "id", keeps ? known : id, "name",
                                             name, "steps", steps));
}

/* Those who are checked. Only an account can be: a name that nobody has would close the folder to
 * everybody. */
static json_t *take_administrators(struct form *form)
{
    const struct http_request *request = form->page->request;
    struct error error = {0};
    json_t *chosen = json_array();
    cleanup_json json_t *names =
        store_incident_administrators(form->page->application->store, &error);
    form->page->failed = form->page->failed || !names;
    for (size_t i = 0; i < request->form.count; i++) {
        const struct http_field *field = &request->form.items[i];
        if (strcmp(field->name, "administrator") != 0 || has_name(chosen, field->value))
            continue;
        if (json_array_size(chosen) == INCIDENT_ADMINISTRATORS_MOST) {
            form_refuse(form, "administrators", "incident_administrators_many",
                        json_pack("{s:i}", "most", INCIDENT_ADMINISTRATORS_MOST));
            break;
        }
        if (!has_name(names, field->value))
            form_refuse(form, "administrators", "incident_administrator_unknown",
                        json_pack("{s:s}", "name", field->value));
        json_array_append_new(chosen, json_string(field->value));
    }
    return chosen;
}

json_t *incident_folder_form_read(struct form *form, const char *id)
{
    struct incident_folder *read = calloc(1, sizeof(*read));
    struct error error = {0};
    const char *name = form_take(form, "name");
    const char *kind = form_take_word(form, "kind", kinds);
    const char *expiry = form_take_word(form, "expiry", expiries);
    int64_t days = take_number(form, "retention_days", 1, INCIDENT_RETENTION_MOST);
    int64_t megabytes = take_number(form, "quota_megabytes", 0, 100000000);
    json_t *actions = json_array();
    json_t *administrators = take_administrators(form);
    if (!*name || strlen(name) > NAME_MOST)
        form_refuse(form, "name", *name ? "incident_too_long" : "incident_name_missing",
                    json_pack("{s:i}", "most", NAME_MOST));
    for (size_t i = 0; i < STANDARDS; i++)
        take_standard(form, &standards[i], actions);
    for (size_t i = 1; i <= OWN_ACTIONS; i++)
        take_own(form, i, actions);
    json_t *folder =
        json_pack("{s:s,s:s,s:b,s:o,s:I,s:I,s:s,s:O}", "id", id, "name", name, "quarantine",
                  kind && strcmp(kind, "quarantine") == 0, "actions", actions, "retention_days",
                  (json_int_t)days, "quota_megabytes", (json_int_t)megabytes, "expiry",
                  expiry ? expiry : "delete", "administrators", administrators);
    if (!form->wrong && read && !incident_folder_read(folder, read, &error))
        form_refuse_reason(form, "name", 0, error.message);
    free(read);
    put_standard_rows(form);
    put_own_rows(form);
    put_administrator_rows(form, administrators);
    json_decref(administrators);
    if (!form->wrong)
        return folder;
    json_decref(folder);
    return NULL;
}
