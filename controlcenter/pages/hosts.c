/* Administration, hosts: the list, a host's page, and its removal. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/host_status.h"
#include "controlcenter/pages/pages.h"

#include "common/timestamp.h"

void page_hosts(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    struct store_scanner *scanners = NULL;
    size_t count = 0;
    page_open(&page, request, response, "hosts");
    if (!store_scanner_list(page.application->store, &scanners, &count, &error)) {
        page_fail(&page, &error);
        return;
    }
    int64_t now = timestamp_now_ms();
    json_t *rows = page_put_array(&page, page.data, "hosts");
    for (size_t i = 0; i < count; i++)
        host_put(&page, page_add_object(&page, rows), &scanners[i], now);
    store_scanner_list_free(scanners, count);
    page_put(&page, page.data, "has_hosts", json_boolean(count > 0));
    page_put_count(&page, page.data, "count", (int64_t)count);
    page_show(&page, "hosts/list");
}

static void show_host(struct http_request *request, struct http_response *response,
                      const char *template)
{
    struct page page;
    struct error error = {0};
    struct store_scanner scanner = {0};
    page_open(&page, request, response, "hosts");
    if (!store_scanner_get(page.application->store, request->captures[0], &scanner, &error)) {
        page_fail(&page, &error);
        return;
    }
    host_put(&page, page_put_object(&page, page.data, "host"), &scanner, timestamp_now_ms());
    store_scanner_clear(&scanner);
    page_show(&page, template);
}

void page_host(struct http_request *request, struct http_response *response)
{
    show_host(request, response, "hosts/host");
}

void page_host_remove_form(struct http_request *request, struct http_response *response)
{
    show_host(request, response, "hosts/remove");
}

void page_host_remove(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, "hosts");
    if (store_scanner_remove(page.application->store, request->captures[0],
                             page_administrator(&page), &error))
        page_redirect(&page, "/hosts", "removed");
    else
        page_fail(&page, &error);
}
