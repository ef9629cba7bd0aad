/* Protocols, domains and routes: the list, with the route of everything else above it. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"
#include "controlcenter/pages/paging.h"
#include "controlcenter/pages/route_form.h"

#include "common/cleanup.h"

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

static bool put_domains(const struct paging *paging, struct error *error)
{
    struct page *page = paging->page;
    struct store_entry *domains = NULL;
    size_t count = 0;
    if (!store_entry_list(page->application->store, STORE_DOMAINS, paging->search, paging->after,
                          PAGING_SIZE + 1, &domains, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "domains");
    for (size_t i = 0; i < count && i < PAGING_SIZE; i++)
        put_domain(page, page_add_object(page, rows), &domains[i]);
    if (count > PAGING_SIZE)
        paging_put_next(paging, domains[PAGING_SIZE - 1].key);
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

void page_domains(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, "domains");
    struct paging paging = paging_begin(&page, "/domains");
    if (put_default_route(&page, &error) && put_count(&page, &error) &&
        put_domains(&paging, &error))
        page_show(&page, "domains/list");
    else
        page_fail(&page, &error);
}
