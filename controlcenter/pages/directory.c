/* Protocols, directory: the LDAP sources in the order in which scanners ask them. */
#include "controlcenter/pages/directory_edit.h"
#include "controlcenter/pages/handlers.h"

#include <stdlib.h>
#include <string.h>

static const char *const purposes[] = {"authentication", "recipients", "routing", "groups", NULL};

static void put_source(struct page *page, json_t *rows, const struct store_directory_source *source)
{
    json_t *row = page_add_object(page, rows);
    const json_t *server;
    size_t index;
    page_put_number(page, row, "id", source->id);
    page_put_text(page, row, "name", source->name);
    json_t *servers = page_put_array(page, row, "servers");
    json_array_foreach(json_object_get(source->settings, "servers"), index, server)
    {
        page_put_text(page, page_add_object(page, servers), "server", json_string_value(server));
    }
    for (size_t i = 0; purposes[i]; i++)
        if (json_object_get(source->settings, purposes[i]))
            page_put_true(page, row, purposes[i]);
    page_put(page, row, "every_domain",
             json_boolean(json_array_size(json_object_get(source->settings, "domains")) == 0));
    page_put_count(page, row, "domain_count",
                   (int64_t)json_array_size(json_object_get(source->settings, "domains")));
}

void page_directory(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    struct store_directory_source *sources = NULL;
    size_t count = 0;
    page_open(&page, request, response, "directory");
    if (!store_directory_source_list(page.application->store, &sources, &count, &error)) {
        page_fail(&page, &error);
        return;
    }
    json_t *rows = page_put_array(&page, page.data, "sources");
    for (size_t i = 0; i < count; i++) {
        put_source(&page, rows, &sources[i]);
        json_t *row = json_array_get(rows, i);
        page_put(&page, row, "is_first", json_boolean(i == 0));
        page_put(&page, row, "is_last", json_boolean(i + 1 == count));
    }
    page_put(&page, page.data, "has_sources", json_boolean(count > 0));
    store_directory_source_list_free(sources, count);
    page_show(&page, "directory/list");
}

int64_t directory_id(const struct http_request *request)
{
    const char *text = request->captures[0];
    size_t length = strlen(text);
    bool is_number = length > 0 && length <= 15 && strspn(text, "0123456789") == length;
    return is_number ? strtoll(text, NULL, 10) : -1;
}

void page_directory_move(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    const char *direction = http_form(request, "direction");
    bool up = direction && strcmp(direction, "up") == 0;
    page_open(&page, request, response, "directory");
    if (store_directory_source_move(page.application->store, directory_id(request), up,
                                    page_administrator(&page), &error))
        page_redirect(&page, "/directory", "saved");
    else
        page_fail(&page, &error);
}

void page_directory_remove_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    struct store_directory_source source;
    page_open(&page, request, response, "directory");
    if (!store_directory_source_get(page.application->store, directory_id(request), &source,
                                    &error)) {
        page_fail(&page, &error);
        return;
    }
    page_put_number(&page, page.data, "id", source.id);
    page_put_text(&page, page.data, "name", source.name);
    store_directory_source_clear(&source);
    page_show(&page, "directory/remove");
}

void page_directory_remove(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, "directory");
    if (store_directory_source_remove(page.application->store, directory_id(request),
                                      page_administrator(&page), &error))
        page_redirect(&page, "/directory", "removed");
    else
        page_fail(&page, &error);
}
