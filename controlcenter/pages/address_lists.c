/* Protocols, aliases and masquerades: the lists, and adding, editing and removing an entry. Both
 * are lists of addresses that become others; which one it is, the path says. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/list_rows.h"
#include "controlcenter/pages/pages.h"
#include "controlcenter/pages/paging.h"

#include "common/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MOST 5 /* addresses of an alias in the list */

static const struct list_kind *begin(struct page *page, struct http_request *request,
                                     struct http_response *response)
{
    const struct list_kind *kind = list_of_path(request->path);
    page_open(page, request, response, kind->place);
    page_put_true(page, page_put_object(page, page->data, "list"), kind->place);
    page_put_text(page, page->data, "path", kind->path);
    return kind;
}

/* --- the list --- */

static void put_targets(struct page *page, json_t *row, const json_t *to)
{
    json_t *shown = page_put_array(page, row, "to");
    if (json_is_string(to)) {
        page_put_text(page, page_add_object(page, shown), "address", json_string_value(to));
        return;
    }
    size_t count = json_array_size(to);
    for (size_t i = 0; i < count && i < SHOWN_MOST; i++)
        page_put_text(page, page_add_object(page, shown), "address",
                      json_string_value(json_array_get(to, i)));
    if (count > SHOWN_MOST)
        page_put_count(page, row, "more", (int64_t)(count - SHOWN_MOST));
}

static void put_link(struct page *page, json_t *row, const char *name, const char *key)
{
    struct buffer link = BUFFER_INIT;
    http_encode(&link, key);
    page_put_text(page, row, name, buffer_text(&link));
    buffer_free(&link);
}

static bool put_entries(const struct paging *paging, const struct list_kind *kind,
                        struct error *error)
{
    struct page *page = paging->page;
    struct store_entry *entries = NULL;
    size_t count = 0;
    if (!store_entry_list(page->application->store, kind->list, paging->search, paging->after,
                          PAGING_SIZE + 1, &entries, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "entries");
    for (size_t i = 0; i < count && i < PAGING_SIZE; i++) {
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "key", entries[i].key);
        put_link(page, row, "link", entries[i].key);
        put_targets(page, row, json_object_get(entries[i].value, "to"));
    }
    if (count > PAGING_SIZE)
        paging_put_next(paging, entries[PAGING_SIZE - 1].key);
    page_put(page, page->data, "has_entries", json_boolean(count > 0));
    store_entry_list_free(entries, count);
    return true;
}

void page_address_list(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    int64_t count;
    const struct list_kind *kind = begin(&page, request, response);
    struct paging paging = paging_begin(&page, kind->path);
    if (!store_entry_count(page.application->store, kind->list, &count, &error) ||
        !put_entries(&paging, kind, &error)) {
        page_fail(&page, &error);
        return;
    }
    page_put_count(&page, page.data, "count", count);
    page_put(&page, page.data, "is_empty", json_boolean(count == 0));
    page_show(&page, "addresses/list");
}

/* --- one entry --- */

static void fill(struct form *form, const char *key, const json_t *value)
{
    const json_t *to = json_object_get(value, "to");
    struct buffer text = BUFFER_INIT;
    list_join(to, "\n", &text);
    form_set(form, "key", key);
    form_set(form, "to", json_is_string(to) ? json_string_value(to) : buffer_text(&text));
    buffer_free(&text);
}

static void read_key(struct form *form, const struct list_kind *kind, char key[ADDRESS_SIZE])
{
    const char *reason = list_normalise(form_take(form, "key"), kind->subdomains, key);
    if (reason)
        form_refuse(form, "key", "address_form", json_pack("{s:s}", "reason", reason));
}

static json_t *read_targets(struct form *form)
{
    json_t *to = list_split(form_take_lines(form, "to"));
    if (json_array_size(to) == 0)
        form_refuse(form, "to", "alias_targets_missing", NULL);
    return json_pack("{s:o}", "to", to);
}

static json_t *read_replacement(struct form *form)
{
    char to[ADDRESS_SIZE] = "";
    const char *reason = list_normalise(form_take(form, "to"), false, to);
    if (reason)
        form_refuse(form, "to", "address_form", json_pack("{s:s}", "reason", reason));
    return json_pack("{s:s}", "to", to);
}

static bool save(struct form *form, const struct list_kind *kind, const char *key, json_t *value,
                 bool replace, struct error *error)
{
    struct page *page = form->page;
    struct store_entry entry = {.value = value};
    snprintf(entry.key, sizeof entry.key, "%s", key);
    return fleet_check_entries(kind->list, &entry, 1, error) &&
           store_entry_put(page->application->store, kind->list, key, value, replace,
                           page_administrator(page), error);
}

/* A refusal of the check names a place such as "aliases[0].to[2]". */
static void refuse(struct form *form, const struct error *error)
{
    const char *to = strstr(error->where, ".to");
    if (error->code == ERROR_EXISTS)
        form_refuse(form, "key", "entry_there", NULL);
    else if (to)
        form_refuse_reason(form, "to", to[3] == '[' ? atoi(to + 4) + 1 : 0, error->message);
    else
        form_refuse_reason(form, "key", 0, error->message);
}

static void answer_form(struct form *form, const struct list_kind *kind, bool replace)
{
    struct page *page = form->page;
    struct error error = {0};
    char key[ADDRESS_SIZE] = "";
    read_key(form, kind, key);
    cleanup_json json_t *value =
        kind->list == STORE_ALIASES ? read_targets(form) : read_replacement(form);
    if (!form->wrong && save(form, kind, key, value, replace, &error)) {
        page_redirect(page, kind->path, replace ? "saved" : "added");
        return;
    }
    if (error.code == ERROR_EXISTS || error.code == ERROR_INVALID || error.code == ERROR_LIMIT)
        refuse(form, &error);
    if (!form->wrong) {
        page_fail(page, &error);
        return;
    }
    page->response->status = 422;
    page_show(page, "addresses/form");
}

void page_address_new_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    begin(&page, request, response);
    form_open(&form, &page);
    page_put_true(&page, page.data, "is_new");
    page_show(&page, "addresses/form");
}

void page_address_new(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    const struct list_kind *kind = begin(&page, request, response);
    form_open(&form, &page);
    page_put_true(&page, page.data, "is_new");
    answer_form(&form, kind, false);
}

/* The entry that the query names; NULL after answering where there is none. */
static json_t *find_entry(struct page *page, const struct list_kind *kind, const char **key)
{
    struct error error = {0};
    const char *named = http_query(page->request, "key");
    *key = named ? named : "";
    json_t *value = store_entry_get(page->application->store, kind->list, *key, &error);
    if (!value)
        page_fail(page, &error);
    return value;
}

void page_address_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    const char *key;
    const struct list_kind *kind = begin(&page, request, response);
    cleanup_json json_t *value = find_entry(&page, kind, &key);
    if (!value)
        return;
    form_open(&form, &page);
    fill(&form, key, value);
    put_link(&page, page.data, "link", key);
    page_show(&page, "addresses/form");
}

/* The key stands in the form, where it cannot be edited. */
void page_address(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    const struct list_kind *kind = begin(&page, request, response);
    form_open(&form, &page);
    const char *key = form_take(&form, "key");
    cleanup_json json_t *present =
        store_entry_get(page.application->store, kind->list, key, &error);
    if (!present) {
        page_fail(&page, &error);
        return;
    }
    put_link(&page, page.data, "link", key);
    answer_form(&form, kind, true);
}

void page_address_remove_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    const char *key;
    const struct list_kind *kind = begin(&page, request, response);
    cleanup_json json_t *value = find_entry(&page, kind, &key);
    if (!value)
        return;
    page_put_text(&page, page.data, "key", key);
    put_targets(&page, page.data, json_object_get(value, "to"));
    page_show(&page, "addresses/remove");
}

void page_address_remove(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    const struct list_kind *kind = begin(&page, request, response);
    const char *key = http_form(request, "key");
    if (store_entry_remove(page.application->store, kind->list, key ? key : "",
                           page_administrator(&page), &error))
        page_redirect(&page, kind->path, "removed");
    else
        page_fail(&page, &error);
}
