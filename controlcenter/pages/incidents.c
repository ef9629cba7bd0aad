/* Incidents: the folders with their counts, and the search over what is in them. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/incident_put.h"

#include "common/cleanup.h"
#include "common/timestamp.h"
#include "controlcenter/incidents/rights.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE 100
#define TEXT_MOST 1000
#define DAY_MS 86400000LL

static const char *const fields[] = {"folder",   "state", "text",  "filter",
                                     "assigned", "from",  "until", NULL};
static const char *const states[] = {"",         "open",    "closed",  "approved",
                                     "rejected", "deleted", "bounced", "routed",
                                     "done",     "expired", NULL};
static const char *const assignments[] = {"", "me", "nobody", NULL};

/* --- the search --- */

static const char *take_text(struct form *form, const char *field)
{
    const char *text = form_take_query(form, field);
    if (strlen(text) > TEXT_MOST)
        form_refuse(form, field, "search_long", json_pack("{s:i}", "most", TEXT_MOST));
    return *text ? text : NULL;
}

static const char *take_word(struct form *form, const char *field, const char *const *words)
{
    const char *text = form_take_query(form, field);
    for (size_t i = 0; words[i]; i++)
        if (*text && strcmp(text, words[i]) == 0) {
            form_select(form, field, text);
            return text;
        }
    if (*text)
        form_refuse(form, field, "choose_listed", NULL);
    return NULL;
}

/* A day; the end of a range is the end of the day. */
static int64_t take_day(struct form *form, const char *field, bool is_end)
{
    const char *text = form_take_query(form, field);
    char iso[TIMESTAMP_TEXT_SIZE];
    int64_t time = 0;
    if (!*text)
        return 0;
    snprintf(iso, sizeof(iso), "%.10sT00:00:00Z", text);
    if (strlen(text) != 10 || !timestamp_parse(iso, &time) || time <= 0) {
        form_refuse(form, field, "time_form", NULL);
        return 0;
    }
    return time + (is_end ? DAY_MS : 0);
}

static void take_keyset(struct page *page, struct store_incident_query *query)
{
    const char *time = http_query(page->request, "before");
    const char *number = http_query(page->request, "number");
    if (!time || !number || !incident_number(time) || !incident_number(number))
        return;
    query->before_time = incident_number(time);
    query->before_number = incident_number(number);
    page_put_true(page, page->data, "is_later");
}

static void take_query(struct form *form, struct store_incident_query *query)
{
    *query = (struct store_incident_query){
        .folder = take_text(form, "folder"),
        .state = take_word(form, "state", states),
        .text = take_text(form, "text"),
        .filter = take_text(form, "filter"),
        .from = take_day(form, "from", false),
        .until = take_day(form, "until", true),
        .limit = PAGE_SIZE,
    };
    const char *assigned = take_word(form, "assigned", assignments);
    if (assigned)
        query->assigned = strcmp(assigned, "me") == 0 ? page_administrator(form->page) : "";
    take_keyset(form->page, query);
    if (query->from && query->until && query->from >= query->until)
        form_refuse(form, "until", "range_backwards", NULL);
}

/* The search again, without where the page begins. */
static void put_links(struct page *page, const struct store_incident *last)
{
    struct buffer link = BUFFER_INIT;
    bool is_search = false;
    buffer_add_text(&link, "/incidents?");
    for (size_t i = 0; fields[i]; i++) {
        const char *value = http_query(page->request, fields[i]);
        if (!value || !*value)
            continue;
        is_search = true;
        buffer_add_format(&link, "%s=", fields[i]);
        http_encode(&link, value);
        buffer_add_text(&link, "&");
    }
    page_put_text(page, page->data, "newest", buffer_text(&link));
    if (last) {
        buffer_add_format(&link, "before=%lld&number=%lld", (long long)last->received_at,
                          (long long)last->number);
        page_put_text(page, page->data, "next", buffer_text(&link));
    }
    page->failed = page->failed || link.failed;
    buffer_free(&link);
    page_put(page, page->data, "is_search", json_boolean(is_search));
}

/* --- folders --- */

static const struct store_incident_folder *find_counts(const struct store_incident_folder *folders,
                                                       size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(folders[i].id, id) == 0)
            return &folders[i];
    return NULL;
}

/* It is shown already. */
static void forget(struct store_incident_folder *folders, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(folders[i].id, id) == 0)
            folders[i].id[0] = '\0';
}

static void put_folder(struct page *page, json_t *rows, const char *id, const char *name,
                       const struct store_incident_folder *counts, const char *chosen)
{
    json_t *row = page_add_object(page, rows);
    struct buffer link = BUFFER_INIT;
    http_encode(&link, id);
    page_put_text(page, row, "folder_id", id);
    page_put_text(page, row, "folder_link", buffer_text(&link));
    page_put_text(page, row, "folder_label", name);
    page_put(page, row, "chosen", json_boolean(chosen && strcmp(chosen, id) == 0));
    page_put_count(page, row, "open_count", counts ? counts->open : 0);
    page_put_count(page, row, "closed_count", counts ? counts->closed : 0);
    page_put_size(page, row, "folder_size", counts ? counts->bytes : 0);
    buffer_free(&link);
}

/* Those in force, then those of which only incidents are left. */
static bool put_folders(struct page *page, const struct store_incident_query *query,
                        struct error *error)
{
    struct store_incident_folder *folders = NULL;
    size_t count = 0, index;
    const json_t *value;
    cleanup_json json_t *settings = store_incident_settings(page->application->store, error);
    if (!settings ||
        !store_incident_folders(page->application->store, query->hidden, &folders, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "folders");
    json_array_foreach(settings, index, value)
    {
        const char *id = json_string_value(json_object_get(value, "id"));
        const char *name = json_string_value(json_object_get(value, "name"));
        if (!id || !name || incident_rights_hide(query->hidden, id))
            continue;
        put_folder(page, rows, id, name, find_counts(folders, count, id), query->folder);
        forget(folders, count, id);
    }
    for (size_t i = 0; i < count; i++)
        if (*folders[i].id && folders[i].open + folders[i].closed > 0)
            put_folder(page, rows, folders[i].id, folders[i].name, &folders[i], query->folder);
    free(folders);
    page_put(page, page->data, "has_folders", json_boolean(json_array_size(rows) > 0));
    return true;
}

/* --- the page --- */

/* In a folder its own actions are offered, elsewhere those that every folder may have. */
static bool put_actions(struct page *page, const struct store_incident_query *query,
                        struct error *error)
{
    bool is_one = query->folder && !incident_rights_hide(query->hidden, query->folder);
    struct incident_folder *folder = calloc(1, sizeof(*folder));
    bool ok = folder || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    ok = ok && incident_folder_find(page->application->store, is_one ? query->folder : "any",
                                    folder, error);
    if (ok)
        incident_put_actions(page, folder, folder->quarantine);
    free(folder);
    return ok;
}

static bool put_results(struct page *page, const struct store_incident_query *query,
                        struct error *error)
{
    struct store_incident *incidents = NULL;
    size_t count = 0;
    if (!store_incident_search(page->application->store, query, &incidents, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "incidents");
    for (size_t i = 0; i < count; i++)
        incident_put(page, page_add_object(page, rows), &incidents[i]);
    put_links(page, count == query->limit ? &incidents[count - 1] : NULL);
    page_put_count(page, page->data, "incident_count", (int64_t)count);
    page_put(page, page->data, "has_incidents", json_boolean(count > 0));
    store_incident_list_free(incidents, count);
    return true;
}

void page_incidents(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct store_incident_query query;
    struct error error = {0};
    page_open(&page, request, response, "incidents");
    form_open(&form, &page);
    form_set_purpose(&form, "search");
    take_query(&form, &query);
    if (form.wrong)
        response->status = 422;
    cleanup_json json_t *hidden =
        incident_rights_hidden(page.application->store, page_administrator(&page), &error);
    query.hidden = hidden;
    if (hidden && put_folders(&page, &query, &error) && put_actions(&page, &query, &error) &&
        (form.wrong || put_results(&page, &query, &error)))
        page_show(&page, "incidents/list");
    else
        page_fail(&page, &error);
}
