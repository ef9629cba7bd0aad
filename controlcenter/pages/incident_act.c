/* Incidents: what is decided, for one or for several at once. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/incident_put.h"

#include "common/cleanup.h"
#include "controlcenter/incidents/act.h"
#include "controlcenter/incidents/rights.h"

#include <string.h>

#define NUMBERS_MOST 1000
#define COMMENT_MOST 4000

static size_t take_numbers(const struct http_request *request, int64_t *numbers)
{
    size_t count = 0;
    for (size_t i = 0; i < request->form.count && count < NUMBERS_MOST; i++) {
        const struct http_field *field = &request->form.items[i];
        int64_t number = strcmp(field->name, "n") == 0 ? incident_number(field->value) : 0;
        if (number > 0)
            numbers[count++] = number;
    }
    return count;
}

/* --- the page that says what will happen --- */

void page_incident_confirm(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    int64_t numbers[NUMBERS_MOST];
    page_open(&page, request, response, "incidents");
    form_open(&form, &page);
    form_set_purpose(&form, "action");
    size_t count = take_numbers(request, numbers);
    const char *action = form_take(&form, "action");
    if (count == 0)
        form_refuse(&form, "scope", "incident_none_selected", NULL);
    json_t *rows = page_put_array(&page, page.data, "selected");
    for (size_t i = 0; i < count; i++)
        page_put_number(&page, page_add_object(&page, rows), "number", numbers[i]);
    page_put_text(&page, page.data, "action_id", action);
    page_put_count(&page, page.data, "count", (int64_t)count);
    page_put(&page, page.data, "is_one", json_boolean(count == 1));
    page_put(&page, page.data, "may_go_on", json_boolean(!form.wrong));
    if (form.wrong)
        response->status = 422;
    page_show(&page, "incidents/confirm");
}

/* --- doing it --- */

static bool act_if_seen(const struct page *page, int64_t number, const char *action,
                        const char *comment, struct error *error)
{
    struct store *store = page->application->store;
    const char *who = page_administrator(page);
    struct store_incident incident;
    if (!incident_rights_get(store, number, who, &incident, error))
        return false;
    store_incident_clear(&incident);
    return incident_act(store, number, action, who, comment, error);
}

/* Returns whether it was done; why not goes to the page. */
static bool act(struct page *page, json_t *rows, int64_t number, const char *action,
                const char *comment, struct error *error)
{
    if (act_if_seen(page, number, action, comment, error))
        return true;
    json_t *row = page_add_object(page, rows);
    page_put_number(page, row, "number", number);
    page_put_text(page, row, "reason", error->message);
    return false;
}

static bool is_of_one(const struct error *error)
{
    return error->code == ERROR_EXISTS || error->code == ERROR_NOT_FOUND ||
           error->code == ERROR_INVALID || error->code == ERROR_LIMIT;
}

/* False with *error where nothing further can be done. */
static bool act_on_all(struct page *page, const int64_t *numbers, size_t count, const char *action,
                       const char *comment, size_t *done, struct error *error)
{
    json_t *rows = page_put_array(page, page->data, "refused");
    for (size_t i = 0; i < count; i++) {
        *error = (struct error){0};
        if (act(page, rows, numbers[i], action, comment, error))
            (*done)++;
        else if (!is_of_one(error))
            return *done > 0;
    }
    return true;
}

void page_incident_act(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    int64_t numbers[NUMBERS_MOST];
    size_t done = 0;
    page_open(&page, request, response, "incidents");
    form_open(&form, &page);
    size_t count = take_numbers(request, numbers);
    const char *comment = form_take_lines(&form, "comment");
    if (count == 0 || strlen(comment) > COMMENT_MOST) {
        page_redirect(&page, "/incidents", NULL);
        return;
    }
    if (!act_on_all(&page, numbers, count, form_take(&form, "action"), comment, &done, &error)) {
        page_fail(&page, &error);
        return;
    }
    if (count == done && count == 1) {
        char path[48];
        snprintf(path, sizeof(path), "/incidents/%lld", (long long)numbers[0]);
        page_redirect(&page, path, "incident_done");
        return;
    }
    page_put_count(&page, page.data, "done", (int64_t)done);
    page_put(&page, page.data, "is_one", json_boolean(done == 1));
    page_put(&page, page.data, "is_none", json_boolean(done == 0));
    page_put(&page, page.data, "has_refused", json_boolean(done < count));
    if (done == 0)
        response->status = 409;
    page_show(&page, "incidents/result");
}
