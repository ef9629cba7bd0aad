#include "controlcenter/incidents/rights.h"

#include "common/cleanup.h"

#include <string.h>
#include <strings.h>

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

/* Settings that cannot be read open the folder to nobody. */
static bool is_open_to(const json_t *settings, const char *administrator)
{
    const json_t *name, *names = json_object_get(settings, "administrators");
    size_t index;
    if (!names)
        return true;
    if (!json_is_array(names))
        return false;
    json_array_foreach((json_t *)names, index, name)
    {
        const char *text = json_string_value(name);
        if (text && *text && strcasecmp(text, administrator) == 0)
            return true;
    }
    return json_array_size(names) == 0;
}

static bool is_folder(const json_t *settings, const char *id)
{
    const char *text = json_string_value(json_object_get(settings, "id"));
    return text && strcmp(text, id) == 0;
}

/* Whether the folder is the administrator's, by all that the policies say of it. */
static bool may_see(const json_t *folders, const char *id, const char *administrator)
{
    const json_t *settings;
    size_t index;
    json_array_foreach((json_t *)folders, index, settings)
    {
        if (is_folder(settings, id) && !is_open_to(settings, administrator))
            return false;
    }
    return true;
}

json_t *incident_rights_hidden(struct store *store, const char *administrator, struct error *error)
{
    const json_t *settings;
    size_t index;
    bool ok = true;
    cleanup_json json_t *folders = store_incident_settings(store, error);
    json_t *hidden = json_array();
    json_array_foreach(folders, index, settings)
    {
        json_t *id = json_object_get(settings, "id");
        if (json_is_string(id) && !is_open_to(settings, administrator))
            ok = json_array_append(hidden, id) == 0 && ok;
    }
    if (folders && hidden && ok)
        return hidden;
    json_decref(hidden);
    if (folders)
        out_of_memory(error);
    return NULL;
}

bool incident_rights_hide(const json_t *hidden, const char *folder)
{
    const json_t *id;
    size_t index;
    json_array_foreach((json_t *)hidden, index, id)
    {
        if (json_is_string(id) && strcmp(json_string_value(id), folder) == 0)
            return true;
    }
    return false;
}

bool incident_rights_get(struct store *store, int64_t number, const char *administrator,
                         struct store_incident *incident, struct error *error)
{
    if (!store_incident_get(store, number, incident, error))
        return false;
    cleanup_json json_t *folders = store_incident_settings(store, error);
    if (folders && may_see(folders, incident->folder, administrator))
        return true;
    store_incident_clear(incident);
    return folders ? error_set(error, ERROR_NOT_FOUND, "incident", "there is no such incident")
                   : false;
}

json_t *incident_rights_assignees(struct store *store, const char *folder, struct error *error)
{
    json_t *name;
    size_t index;
    cleanup_json json_t *folders = store_incident_settings(store, error);
    cleanup_json json_t *names = folders ? store_incident_administrators(store, error) : NULL;
    if (!names)
        return NULL;
    json_t *assignees = json_array();
    bool ok = assignees != NULL;
    json_array_foreach(names, index, name)
    {
        if (may_see(folders, folder, json_string_value(name)))
            ok = ok && json_array_append(assignees, name) == 0;
    }
    if (ok)
        return assignees;
    json_decref(assignees);
    out_of_memory(error);
    return NULL;
}
