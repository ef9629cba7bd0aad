#include "controlcenter/pages/paging.h"

#include <string.h>

#define NAME_MOST 319 /* of an address */

static const char *query_text(const struct http_request *request, const char *name)
{
    const char *text = http_query(request, name);
    return text && strlen(text) <= NAME_MOST ? text : "";
}

struct paging paging_begin(struct page *page, const char *path)
{
    struct paging paging = {.page = page,
                            .path = path,
                            .search = query_text(page->request, "search"),
                            .after = query_text(page->request, "after")};
    page_put_text(page, page->data, "path", path);
    page_put_text(page, page->data, "search", paging.search);
    page_put(page, page->data, "is_later", json_boolean(*paging.after));
    return paging;
}

void paging_put_next(const struct paging *paging, const char *last)
{
    struct buffer link = BUFFER_INIT;
    buffer_add_format(&link, "%s?after=", paging->path);
    http_encode(&link, last);
    if (*paging->search) {
        buffer_add_text(&link, "&search=");
        http_encode(&link, paging->search);
    }
    page_put_text(paging->page, paging->page->data, "next", buffer_text(&link));
    buffer_free(&link);
}
