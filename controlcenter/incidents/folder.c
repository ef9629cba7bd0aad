#include "controlcenter/incidents/folder.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/policy_model.h"
#include "controlcenter/store/incidents.h"

#include <stdio.h>
#include <string.h>

#define QUOTA_MOST (100 << 20) /* megabytes */

static const struct {
    const char *name, *member;
    size_t most;
    bool decides;
} steps[] = {
    [INCIDENT_DELIVER] = {"deliver", NULL, 0, true},
    [INCIDENT_BOUNCE] = {"bounce", "text", INCIDENT_TEXT_SIZE - 1, true},
    [INCIDENT_DELETE] = {"delete", NULL, 0, true},
    [INCIDENT_ROUTE] = {"route", "host", 300, true},
    [INCIDENT_FORWARD] = {"forward", "address", 320, false},
    [INCIDENT_ARCHIVE] = {"archive", "address", 320, false},
};

static const char usual_actions[] =
    "[{\"id\":\"approve\",\"name\":\"Approve\",\"steps\":[{\"do\":\"deliver\"}]},"
    "{\"id\":\"reject\",\"name\":\"Reject\",\"steps\":[{\"do\":\"bounce\"}]},"
    "{\"id\":\"delete\",\"name\":\"Delete\",\"steps\":[{\"do\":\"delete\"}]}]";

const char *incident_step_name(enum incident_step_kind kind)
{
    return steps[kind].name;
}

const char *incident_step_member(enum incident_step_kind kind)
{
    return steps[kind].member;
}

/* Filters have actions that go to the same places, and their rules are these. */
bool incident_step_check(enum incident_step_kind kind, const char *value, struct error *error)
{
    struct error local = {0};
    if (kind != INCIDENT_ROUTE && kind != INCIDENT_FORWARD && kind != INCIDENT_ARCHIVE)
        return true;
    cleanup_json json_t *policies =
        json_pack("{s:[{s:s,s:s,s:[],s:[{s:s,s:s}]}]}", "filters", "id", "step", "name", "step",
                  "conditions", "actions", "action", steps[kind].name, steps[kind].member, value);
    struct policy_set *set = policy_set_parse(policies, NULL, &local);
    policy_set_free(set);
    return set || error_set(error, ERROR_INVALID, steps[kind].member, "%s", local.message);
}

bool incident_action_decides(const struct incident_action *action)
{
    for (size_t i = 0; i < action->step_count; i++)
        if (steps[action->steps[i].kind].decides)
            return true;
    return false;
}

const struct incident_action *incident_folder_action(const struct incident_folder *folder,
                                                     const char *id)
{
    for (size_t i = 0; i < folder->action_count; i++)
        if (strcmp(folder->actions[i].id, id) == 0)
            return &folder->actions[i];
    return NULL;
}

/* --- reading --- */

static bool take_text(const json_t *value, const struct json_place *place, const char *name,
                      char *to, size_t size, struct error *error)
{
    const char *text;
    if (!json_get_text(value, place, name, size - 1, &text, error))
        return false;
    memcpy(to, text, strlen(text) + 1);
    return *to || json_place_error(place, name, error, "is empty");
}

static bool read_step(const json_t *value, const struct json_place *place,
                      struct incident_step *step, struct error *error)
{
    const char *name, *text;
    int kind = 0;
    if (!json_get_text(value, place, "do", 32, &name, error))
        return false;
    while (kind < INCIDENT_STEPS && strcmp(steps[kind].name, name) != 0)
        kind++;
    if (kind == INCIDENT_STEPS)
        return json_place_error(place, "do", error, "is no step of an action");
    step->kind = (enum incident_step_kind)kind;
    if (!steps[kind].member)
        return true;
    if (!json_get_text_or(value, place, steps[kind].member, steps[kind].most, "", &text, error))
        return false;
    memcpy(step->value, text, strlen(text) + 1);
    return *text || kind == INCIDENT_BOUNCE ||
           json_place_error(place, steps[kind].member, error, "is empty");
}

static bool read_action(const json_t *value, const struct json_place *place,
                        struct incident_action *action, struct error *error)
{
    const json_t *array;
    if (!take_text(value, place, "id", action->id, sizeof(action->id), error) ||
        !take_text(value, place, "name", action->name, sizeof(action->name), error) ||
        !json_get_array(value, place, "steps", true, INCIDENT_STEPS_MOST, &array, error))
        return false;
    struct json_place list = {.parent = place, .name = "steps"};
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct json_place at = {.parent = &list, .index = i};
        if (!read_step(json_array_get(array, i), &at, &action->steps[action->step_count++], error))
            return false;
    }
    return action->step_count > 0 || json_place_error(place, "steps", error, "are none");
}

static bool read_actions(const json_t *array, struct incident_folder *folder, struct error *error)
{
    struct json_place list = {.name = "actions"};
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct json_place at = {.parent = &list, .index = i};
        struct incident_action *action = &folder->actions[folder->action_count];
        if (!read_action(json_array_get(array, i), &at, action, error))
            return false;
        if (incident_folder_action(folder, action->id))
            return json_place_error(&at, "id", error, "stands there twice");
        folder->action_count++;
    }
    return true;
}

static bool read_administrators(const json_t *value, struct incident_folder *folder,
                                struct error *error)
{
    const json_t *array;
    struct json_place list = {.name = "administrators"};
    if (!json_get_array(value, NULL, "administrators", false, INCIDENT_ADMINISTRATORS_MOST, &array,
                        error))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct json_place at = {.parent = &list, .index = i};
        const char *name = json_string_value(json_array_get(array, i));
        if (!name || !*name || strlen(name) >= sizeof(folder->administrators[i]))
            return json_place_error(&at, NULL, error, "must be the name of an administrator");
        memcpy(folder->administrators[i], name, strlen(name) + 1);
        folder->administrator_count++;
    }
    return true;
}

bool incident_folder_read(const json_t *value, struct incident_folder *folder, struct error *error)
{
    const json_t *array;
    const char *expiry;
    *folder = (struct incident_folder){0};
    if (!take_text(value, NULL, "id", folder->id, sizeof(folder->id), error) ||
        !take_text(value, NULL, "name", folder->name, sizeof(folder->name), error) ||
        !json_get_bool_or(value, NULL, "quarantine", false, &folder->quarantine, error) ||
        !json_get_integer_or(value, NULL, "retention_days", 1, INCIDENT_RETENTION_MOST,
                             INCIDENT_RETENTION_DAYS, &folder->retention_days, error) ||
        !json_get_integer_or(value, NULL, "quota_megabytes", 0, QUOTA_MOST, 0,
                             &folder->quota_megabytes, error) ||
        !read_administrators(value, folder, error) ||
        !json_get_text_or(value, NULL, "expiry", 16, "delete", &expiry, error) ||
        !json_get_array(value, NULL, "actions", false, INCIDENT_ACTIONS_MOST, &array, error))
        return false;
    folder->expiry_delivers = strcmp(expiry, "deliver") == 0;
    if (!folder->expiry_delivers && strcmp(expiry, "delete") != 0)
        return error_set(error, ERROR_INVALID, "expiry", "must be delete or deliver");
    if (array)
        return read_actions(array, folder, error);
    cleanup_json json_t *usual = json_loads(usual_actions, 0, NULL);
    return read_actions(usual, folder, error);
}

/* --- the one in force --- */

static const json_t *find(const json_t *folders, const char *id)
{
    const json_t *folder;
    size_t index;
    json_array_foreach((json_t *)folders, index, folder)
    {
        const char *text = json_string_value(json_object_get(folder, "id"));
        if (text && strcmp(text, id) == 0)
            return folder;
    }
    return NULL;
}

bool incident_folder_find(struct store *store, const char *id, struct incident_folder *folder,
                          struct error *error)
{
    cleanup_json json_t *folders = store_incident_settings(store, error);
    const json_t *value = find(folders, id);
    if (!folders || value)
        return folders && incident_folder_read(value, folder, error);
    cleanup_json json_t *gone = json_pack("{s:s,s:s,s:b}", "id", id, "name", id, "quarantine", 1);
    return incident_folder_read(gone, folder, error);
}
