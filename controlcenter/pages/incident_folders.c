/* Incidents, folders: what is in them, and their settings in the draft of the policies. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/incident_folder_form.h"
#include "controlcenter/pages/policy_draft.h"
#include "controlcenter/pages/policy_objects.h"

#include "common/cleanup.h"
#include "controlcenter/incidents/rights.h"
#include "controlcenter/store/incidents.h"

#include <stdlib.h>
#include <string.h>

#define SECTION "folders"
#define PATH "/incidents/folders"
#define PLACE "incident_folders"

/* --- the list --- */

static void put_figures(struct page *page, json_t *row, const struct store_incident_folder *counts)
{
    page_put_count(page, row, "open_count", counts ? counts->open : 0);
    page_put_count(page, row, "closed_count", counts ? counts->closed : 0);
    page_put_size(page, row, "size", counts ? counts->bytes : 0);
    page_put_time(page, row, "oldest", counts ? counts->oldest_at : 0);
}

static void put_administrators(struct page *page, json_t *row, const struct incident_folder *folder)
{
    json_t *rows = page_put_array(page, row, "administrators");
    for (size_t i = 0; i < folder->administrator_count; i++)
        page_put_text(page, page_add_object(page, rows), "administrator",
                      folder->administrators[i]);
    page_put(page, row, "is_limited", json_boolean(folder->administrator_count > 0));
}

static void put_folder(struct page *page, const json_t *document, const json_t *value, json_t *row,
                       const struct store_incident_folder *folders, size_t count)
{
    struct incident_folder *folder = calloc(1, sizeof(*folder));
    const struct store_incident_folder *counts = NULL;
    struct error error = {0};
    if (!folder) {
        page->failed = true;
        return;
    }
    const char *id = json_text_of(value, "id");
    for (size_t i = 0; i < count; i++)
        if (strcmp(folders[i].id, id) == 0)
            counts = &folders[i];
    page_put_text(page, row, "id", id);
    page_put_text(page, row, "name", json_text_of(value, "name"));
    page_put(page, row, "is_quarantine",
             json_boolean(json_is_true(json_object_get(value, "quarantine"))));
    put_figures(page, row, counts);
    if (incident_folder_read(value, folder, &error)) {
        page_put_count(page, row, "days", folder->retention_days);
        if (folder->quota_megabytes > 0)
            page_put_count(page, row, "quota", folder->quota_megabytes);
        page_put(page, row, "is_over",
                 json_boolean(folder->quota_megabytes > 0 && counts &&
                              counts->bytes > folder->quota_megabytes << 20));
        put_administrators(page, row, folder);
        json_t *actions = page_put_array(page, row, "offers");
        for (size_t i = 0; i < folder->action_count; i++)
            page_put_text(page, page_add_object(page, actions), "offer", folder->actions[i].name);
    } else {
        page_put_text(page, row, "problem", error.message);
    }
    cleanup_json json_t *users = policy_users(document, SECTION, id);
    page_put_count(page, row, "user_count", (int64_t)json_array_size(users));
    free(folder);
}

static bool put_folders(struct policy_draft *draft, struct error *error)
{
    struct page *page = &draft->page;
    struct store_incident_folder *folders = NULL;
    size_t count = 0, index;
    const json_t *value;
    struct store *store = page->application->store;
    cleanup_json json_t *hidden = incident_rights_hidden(store, page_administrator(page), error);
    if (!hidden || !store_incident_folders(store, hidden, &folders, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, SECTION);
    json_array_foreach(json_object_get(draft->document, SECTION), index, value)
    {
        json_t *row = page_add_object(page, rows);
        page_put(page, row, "is_hidden",
                 json_boolean(incident_rights_hide(hidden, json_text_of(value, "id"))));
        put_folder(page, draft->document, value, row, folders, count);
    }
    page_put(page, page->data, "has_folders", json_boolean(json_array_size(rows) > 0));
    free(folders);
    return true;
}

void page_incident_folders(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct error error = {0};
    if (!policy_draft_open(&draft, request, response, PLACE))
        return;
    if (put_folders(&draft, &error))
        policy_draft_show(&draft, "incidents/folders");
    else
        policy_draft_fail(&draft, &error);
}

/* --- the two to begin with --- */

static bool add_usual(json_t *document, const void *argument, struct buffer *what,
                      struct error *error)
{
    static const struct {
        const char *id, *name;
        bool quarantine;
    } usual[] = {{"held", "Held for review", true}, {"informational", "Informational", false}};
    json_t *list = policy_section(document, SECTION);
    (void)argument;
    for (size_t i = 0; i < 2; i++) {
        if (policy_find(document, SECTION, usual[i].id, NULL))
            continue;
        json_t *folder =
            json_pack("{s:s,s:s,s:b,s:i,s:i,s:s}", "id", usual[i].id, "name", usual[i].name,
                      "quarantine", usual[i].quarantine, "retention_days", INCIDENT_RETENTION_DAYS,
                      "quota_megabytes", 0, "expiry", "delete");
        if (json_array_append_new(list, folder) != 0)
            return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    }
    return buffer_add_text(what, "added the usual folders") ||
           error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

void page_incident_folders_usual(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, PLACE);
    if (policy_draft_change(&page, add_usual, NULL, &error))
        page_redirect(&page, PATH, "kept");
    else
        page_fail(&page, &error);
}

/* --- one --- */

/* Opens the draft and finds the folder that the address names; NULL after answering. For a new one
 * `value` stays NULL. */
static bool open_folder(struct policy_draft *draft, struct http_request *request,
                        struct http_response *response, const json_t **value)
{
    struct error error = {0};
    *value = NULL;
    if (!policy_draft_open(draft, request, response, PLACE))
        return false;
    if (request->capture_count == 0)
        return true;
    *value = policy_find(draft->document, SECTION, request->captures[0], NULL);
    if (*value)
        return true;
    error_set(&error, ERROR_NOT_FOUND, SECTION, "there is no such folder");
    policy_draft_fail(draft, &error);
    return false;
}

static void put_users(struct policy_draft *draft, const json_t *value)
{
    struct page *page = &draft->page;
    const json_t *name;
    size_t index;
    if (!value)
        return;
    cleanup_json json_t *users = policy_users(draft->document, SECTION, json_text_of(value, "id"));
    json_t *rows = page_put_array(page, page->data, "users");
    json_array_foreach(users, index, name)
    {
        page_put_text(page, page_add_object(page, rows), "filter", json_string_value(name));
    }
    page_put(page, page->data, "has_users", json_boolean(json_array_size(rows) > 0));
    page_put_text(page, page->data, "id", json_text_of(value, "id"));
    page_put_text(page, page->data, "folder_name", json_text_of(value, "name"));
}

static void show_form(struct policy_draft *draft, const json_t *value)
{
    put_users(draft, value);
    policy_draft_show(draft, "incidents/folder");
}

void page_incident_folder_form(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct form form;
    struct error error = {0};
    const json_t *value;
    if (!open_folder(&draft, request, response, &value))
        return;
    struct incident_folder *folder = calloc(1, sizeof(*folder));
    cleanup_json json_t *fresh =
        json_pack("{s:s,s:s,s:b}", "id", "new", "name", "New folder", "quarantine", 1);
    form_open(&form, &draft.page);
    if (folder && incident_folder_read(value ? value : fresh, folder, &error)) {
        if (!value)
            folder->name[0] = '\0';
        incident_folder_form_put(&form, folder);
        show_form(&draft, value);
    } else {
        policy_draft_fail(&draft, &error);
    }
    free(folder);
}

/* Puts the folder in the place of the one of its identity, or at the end. */
static bool put_in_place(json_t *document, const void *argument, struct buffer *what,
                         struct error *error)
{
    const json_t *folder = argument;
    size_t index;
    json_t *list = policy_section(document, SECTION);
    json_t *copy = json_deep_copy(folder);
    const char *name = json_text_of(folder, "name");
    bool known = policy_find(document, SECTION, json_text_of(folder, "id"), &index) != NULL;
    buffer_add_format(what, "%s folder %s", known ? "changed" : "added", name);
    int result = known ? json_array_set_new(list, index, copy) : json_array_append_new(list, copy);
    return result == 0 || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

void page_incident_folder(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct form form;
    struct error error = {0};
    const json_t *value;
    char id[POLICY_ID_SIZE] = "";
    if (!open_folder(&draft, request, response, &value))
        return;
    form_open(&form, &draft.page);
    if (value)
        snprintf(id, sizeof(id), "%s", json_text_of(value, "id"));
    else
        policy_new_id(form_take(&form, "name"), id);
    cleanup_json json_t *folder = incident_folder_form_read(&form, id);
    if (folder && policy_name_is_taken(draft.document, SECTION, json_text_of(folder, "name"), id))
        form_refuse(&form, "name", "incident_name_taken", NULL);
    if (!form.wrong && !policy_draft_change(&draft.page, put_in_place, folder, &error)) {
        policy_draft_fail(&draft, &error);
        return;
    }
    if (!form.wrong) {
        policy_draft_redirect(&draft, PATH, "kept");
        return;
    }
    response->status = 422;
    show_form(&draft, value);
}

void page_incident_folder_remove(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct form form;
    struct error error = {0};
    const json_t *value;
    if (!open_folder(&draft, request, response, &value))
        return;
    struct policy_place place = {
        .section = SECTION, .id = json_text_of(value, "id"), .word = "folder"};
    if (policy_draft_change(&draft.page, policy_change_remove, &place, &error)) {
        policy_draft_redirect(&draft, PATH, "kept");
    } else if (error.code == ERROR_DENIED) {
        form_open(&form, &draft.page);
        form_refuse(&form, "remove", "incident_folder_used", NULL);
        response->status = 409;
        struct incident_folder *folder = calloc(1, sizeof(*folder));
        if (folder && incident_folder_read(value, folder, &error))
            incident_folder_form_put(&form, folder);
        free(folder);
        show_form(&draft, value);
    } else {
        policy_draft_fail(&draft, &error);
    }
}
