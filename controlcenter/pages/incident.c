/* Incidents: one of them, with its message; comments, assignment, and the message as a file. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/incident_put.h"

#include "common/cleanup.h"
#include "controlcenter/incidents/rights.h"
#include "controlcenter/store/messages.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COMMENT_MOST 4000

/* Opens the page and reads the incident that the address names, where whoever asks may see it.
 * False after it has answered that this cannot be done. */
static bool open_incident(struct page *page, struct http_request *request,
                          struct http_response *response, struct store_incident *incident)
{
    struct error error = {0};
    int64_t number = incident_number(request->captures[0]);
    page_open(page, request, response, "incidents");
    if (incident_rights_get(page->application->store, number, page_administrator(page), incident,
                            &error))
        return true;
    page_fail(page, &error);
    return false;
}

/* --- the page --- */

static bool put_assignees(struct page *page, const struct store_incident *incident,
                          struct error *error)
{
    const json_t *name;
    size_t index;
    cleanup_json json_t *names =
        incident_rights_assignees(page->application->store, incident->folder, error);
    if (!names)
        return false;
    json_t *rows = page_put_array(page, page->data, "assignees");
    json_array_foreach(names, index, name)
    {
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "assignee", json_string_value(name));
        page_put(page, row, "chosen",
                 json_boolean(strcmp(json_string_value(name), incident->assigned_to) == 0));
    }
    return true;
}

static bool put_whole(struct page *page, const struct store_incident *incident, struct error *error)
{
    struct incident_folder *folder = calloc(1, sizeof(*folder));
    bool ok = folder || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    ok = ok && incident_folder_find(page->application->store, incident->folder, folder, error) &&
         incident_put_history(page, incident->number, error) &&
         put_assignees(page, incident, error);
    if (ok) {
        incident_put(page, page_put_object(page, page->data, "incident"), incident);
        incident_put_actions(page, folder, incident->quarantine);
        incident_put_content(page, incident);
    }
    free(folder);
    return ok;
}

static void show(struct page *page, const struct store_incident *incident)
{
    struct error error = {0};
    if (put_whole(page, incident, &error))
        page_show(page, "incidents/incident");
    else
        page_fail(page, &error);
}

void page_incident(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct store_incident incident;
    if (!open_incident(&page, request, response, &incident))
        return;
    show(&page, &incident);
    store_incident_clear(&incident);
}

/* --- comments and assignment --- */

static void lead_back(struct page *page, const struct store_incident *incident, const char *done)
{
    char path[48];
    snprintf(path, sizeof(path), "/incidents/%" PRId64, incident->number);
    page_redirect(page, path, done);
}

void page_incident_comment(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct store_incident incident;
    struct error error = {0};
    if (!open_incident(&page, request, response, &incident))
        return;
    form_open(&form, &page);
    const char *comment = form_take_lines(&form, "comment");
    if (!*comment)
        form_refuse(&form, "comment", "comment_empty", NULL);
    else if (strlen(comment) > COMMENT_MOST)
        form_refuse(&form, "comment", "comment_long", json_pack("{s:i}", "most", COMMENT_MOST));
    if (form.wrong) {
        response->status = 422;
        show(&page, &incident);
    } else if (store_incident_comment(page.application->store, incident.number,
                                      page_administrator(&page), comment, &error)) {
        lead_back(&page, &incident, "commented");
    } else {
        page_fail(&page, &error);
    }
    store_incident_clear(&incident);
}

/* Whether the folder's incidents may be seen by whoever is to look after this one; nobody ("") may
 * be too. */
static bool check_assignee(struct page *page, const struct store_incident *incident, const char *to,
                           struct error *error)
{
    const json_t *name;
    size_t index;
    cleanup_json json_t *names =
        incident_rights_assignees(page->application->store, incident->folder, error);
    if (!names)
        return false;
    json_array_foreach(names, index, name)
    {
        if (strcasecmp(json_string_value(name), to) == 0)
            return true;
    }
    return !*to || error_set(error, ERROR_INVALID, "assigned",
                             "there is no administrator of that name who may see this folder");
}

void page_incident_assign(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct store_incident incident;
    struct error error = {0};
    if (!open_incident(&page, request, response, &incident))
        return;
    form_open(&form, &page);
    const char *to = form_take(&form, "assigned");
    if (check_assignee(&page, &incident, to, &error) &&
        store_incident_assign(page.application->store, incident.number, to,
                              page_administrator(&page), &error)) {
        lead_back(&page, &incident, "assigned");
    } else if (error.code == ERROR_INVALID) {
        form_refuse_reason(&form, "assigned", 0, error.message);
        response->status = 422;
        show(&page, &incident);
    } else {
        page_fail(&page, &error);
    }
    store_incident_clear(&incident);
}

/* --- the message as a file --- */

static bool add_piece(void *argument, const void *data, size_t length)
{
    return buffer_add(argument, data, length);
}

static bool write_log(struct page *page, const struct store_incident *incident, struct error *error)
{
    cleanup_json json_t *detail = json_pack("{s:I}", "incident", (json_int_t)incident->number);
    return store_log_add(page->application->store, page_administrator(page), page->request->peer,
                         "incident.download", detail, error);
}

/* It is never shown: the browser keeps it as a file, whatever it says that it is. */
void page_incident_source(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct store_incident incident;
    struct error error = {0};
    char disposition[80];
    if (!open_incident(&page, request, response, &incident))
        return;
    if (write_log(&page, &incident, &error) &&
        store_message_read(page.application->store, incident.handover_id, add_piece,
                           &response->body, &error)) {
        snprintf(disposition, sizeof(disposition),
                 "attachment; filename=\"incident-%" PRId64 ".eml\"", incident.number);
        snprintf(response->content_type, sizeof(response->content_type), "message/rfc822");
        http_add_header(response, "Content-Disposition", disposition);
        http_add_header(response, "Content-Security-Policy", "sandbox");
        json_decref(page.data);
    } else {
        buffer_clear(&response->body);
        page_fail(&page, &error);
    }
    store_incident_clear(&incident);
}
