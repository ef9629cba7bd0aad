/* Policies, content filters: the list, its order, and what is done to a filter there. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/policy_draft.h"
#include "controlcenter/pages/policy_objects.h"
#include "controlcenter/pages/policy_summary.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define PATH "/policies/filters"
#define SHOWN_MOST 200 /* filters of a page; the summary of each is written anew */

static struct policy_place place_of(const struct http_request *request)
{
    return (struct policy_place){
        .section = "filters", .word = "filter", .id = request->captures[0], .before = ""};
}

/* --- the list --- */

static size_t first_of(const struct http_request *request, size_t count)
{
    const char *text = http_query(request, "from");
    size_t first = text && strspn(text, "0123456789") == strlen(text) && strlen(text) <= 6
                       ? strtoul(text, NULL, 10)
                       : 1;
    return first < 1 ? 0 : first > count ? (count > 0 ? count - 1 : 0) : first - 1;
}

static void put_filter(struct policy_draft *draft, json_t *rows, const json_t *filter, size_t index,
                       size_t count)
{
    struct page *page = &draft->page;
    struct buffer summary = BUFFER_INIT;
    json_t *row = page_add_object(page, rows);
    policy_filter_words(page, draft->document, filter, &summary);
    page_put_text(page, row, "id", json_text_of(filter, "id"));
    page_put_text(page, row, "name", json_text_of(filter, "name"));
    page_put_text(page, row, "summary", buffer_text(&summary));
    page_put_number(page, row, "position", (int64_t)index + 1);
    page_put(page, row, "enabled",
             json_boolean(!json_is_false(json_object_get(filter, "enabled"))));
    page_put(page, row, "is_first", json_boolean(index == 0));
    page_put(page, row, "is_last", json_boolean(index + 1 == count));
    buffer_free(&summary);
}

static void put_filters(struct policy_draft *draft)
{
    struct page *page = &draft->page;
    const json_t *filters = json_object_get(draft->document, "filters");
    size_t count = json_array_size(filters), first = first_of(page->request, count);
    size_t end = count - first > SHOWN_MOST ? first + SHOWN_MOST : count;
    json_t *rows = page_put_array(page, page->data, "filters");
    for (size_t i = first; i < end; i++)
        put_filter(draft, rows, json_array_get(filters, i), i, count);
    page_put(page, page->data, "has_filters", json_boolean(count > 0));
    page_put_count(page, page->data, "count", (int64_t)count);
    page_put(page, page->data, "is_paged", json_boolean(count > SHOWN_MOST));
    if (first > 0)
        page_put_number(page, page->data, "earlier",
                        first > SHOWN_MOST ? (int64_t)(first - SHOWN_MOST) + 1 : 1);
    if (end < count)
        page_put_number(page, page->data, "later", (int64_t)end + 1);
    if (end < count) /* what is dropped below the last row stands before this one */
        page_put_text(page, page->data, "next_id",
                      json_text_of(json_array_get(filters, end), "id"));
}

void page_policy_filters(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    if (!policy_draft_open(&draft, request, response, "policy_filters"))
        return;
    put_filters(&draft);
    policy_draft_show(&draft, "policies/filters");
}

/* --- changes --- */

static void change(struct http_request *request, struct http_response *response, policy_change how,
                   const struct policy_place *place, const char *done)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, "policy_filters");
    if (policy_draft_change(&page, how, place, &error))
        page_redirect(&page, PATH, done);
    else
        page_fail(&page, &error);
}

/* "up" and "down" of the buttons; "before" with an identity ("" for the end) of a drag. */
void page_policy_filter_move(struct http_request *request, struct http_response *response)
{
    struct policy_place place = place_of(request);
    const char *direction = http_form(request, "direction");
    const char *before = http_form(request, "before");
    if (direction) {
        place.step = strcmp(direction, "up") == 0 ? -1 : 1;
        change(request, response, policy_change_step, &place, "moved");
        return;
    }
    place.before = before ? before : "";
    change(request, response, policy_change_move, &place, "moved");
}

void page_policy_filter_switch(struct http_request *request, struct http_response *response)
{
    struct policy_place place = place_of(request);
    const char *enabled = http_form(request, "enabled");
    place.enabled = enabled && strcmp(enabled, "yes") == 0;
    change(request, response, policy_change_enabled, &place, "kept");
}

void page_policy_filter_copy(struct http_request *request, struct http_response *response)
{
    struct policy_place place = place_of(request);
    change(request, response, policy_change_copy, &place, "copied");
}

void page_policy_filter_remove_form(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct error error = {.code = ERROR_NOT_FOUND};
    struct buffer summary = BUFFER_INIT;
    if (!policy_draft_open(&draft, request, response, "policy_filters"))
        return;
    const json_t *filter = policy_find(draft.document, "filters", request->captures[0], NULL);
    if (!filter) {
        policy_draft_fail(&draft, &error);
        return;
    }
    policy_filter_words(&draft.page, draft.document, filter, &summary);
    page_put_text(&draft.page, draft.page.data, "id", json_text_of(filter, "id"));
    page_put_text(&draft.page, draft.page.data, "name", json_text_of(filter, "name"));
    page_put_text(&draft.page, draft.page.data, "summary", buffer_text(&summary));
    buffer_free(&summary);
    policy_draft_show(&draft, "policies/filter_remove");
}

void page_policy_filter_remove(struct http_request *request, struct http_response *response)
{
    struct policy_place place = place_of(request);
    change(request, response, policy_change_remove, &place, "removed");
}
