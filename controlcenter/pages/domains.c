/* Protocols, domains and routes: the list, with the route of everything else above it. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"
#include "controlcenter/pages/route_form.h"

#include "common/cleanup.h"

#include <string.h>

#define PAGE_SIZE 100
#define SEARCH_MOST 253

static bool put_default_route(struct page *page, struct error *error)
{
    cleanup_json json_t *route =
        store_setting_get(page->application->store, "default_route", error);
    if (!route && error->code != ERROR_NOT_FOUND)
        return false;
    *error = (struct error){0};
    route_put(page, page->data, "default_route", route);
    return true;
}

static void put_next(struct page *page, const char *search, const char *last)
{
    struct buffer link = BUFFER_INIT;
    buffer_add_text(&link, "/domains?after=");
    http_encode(&link, last);
    if (*search) {
        buffer_add_text(&link, "&search=");
        http_encode(&link, search);
    }
    page_put_text(page, page->data, "next", buffer_text(&link));
    buffer_free(&link);
}

static void put_domain(struct page *page, json_t *row, const struct store_entry *domain)
{
    const char *recipients = json_string_value(json_object_get(domain->value, "recipients"));
    page_put_text(page, row, "name", domain->key);
    page_put_text(page, row, "alias_of",
                  json_string_value(json_object_get(domain->value, "alias_of")));
    if (recipients)
        page_put_true(page, row, recipients);
    route_put(page, row, "route", json_object_get(domain->value, "route"));
}

static bool put_domains(struct page *page, const char *search, const char *after,
                        struct error *error)
{
    struct store_entry *domains = NULL;
    size_t count = 0;
    if (!store_entry_list(page->application->store, STORE_DOMAINS, search, after, PAGE_SIZE + 1,
                          &domains, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "domains");
    for (size_t i = 0; i < count && i < PAGE_SIZE; i++)
        put_domain(page, page_add_object(page, rows), &domains[i]);
    if (count > PAGE_SIZE)
        put_next(page, search, domains[PAGE_SIZE - 1].key);
    page_put(page, page->data, "has_domains", json_boolean(count > 0));
    store_entry_list_free(domains, count);
    return true;
}

static bool put_count(struct page *page, struct error *error)
{
    int64_t count;
    if (!store_domain_count(page->application->store, &count, error))
        return false;
    page_put_count(page, page->data, "count", count);
    page_put(page, page->data, "is_empty", json_boolean(count == 0));
    return true;
}

static const char *query_text(const struct http_request *request, const char *name)
{
    const char *text = http_query(request, name);
    return text && strlen(text) <= SEARCH_MOST ? text : "";
}

void page_domains(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    const char *search = query_text(request, "search"), *after = query_text(request, "after");
    page_open(&page, request, response, "domains");
    page_put_text(&page, page.data, "search", search);
    page_put(&page, page.data, "is_later", json_boolean(*after));
    if (put_default_route(&page, &error) && put_count(&page, &error) &&
        put_domains(&page, search, after, &error))
        page_show(&page, "domains/list");
    else
        page_fail(&page, &error);
}
