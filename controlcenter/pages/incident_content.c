/* The message of an incident for templates. */
#include "controlcenter/pages/incident_put.h"

#include "controlcenter/incidents/view.h"

/* The numbers of the content as people read them. */
static void put_parts(struct page *page, json_t *content)
{
    json_t *part, *parts = json_object_get(content, "parts");
    size_t index;
    json_array_foreach(parts, index, part)
    {
        page_put_size(page, part, "size", json_integer_value(json_object_get(part, "bytes")));
        page_put(page, part, "has_text",
                 json_boolean(json_array_size(json_object_get(part, "pieces")) > 0));
    }
    int64_t left_out = json_integer_value(json_object_get(content, "parts_left_out"));
    json_object_del(content, "parts_left_out");
    if (left_out > 0)
        page_put_count(page, content, "parts_left_out", left_out);
    page_put(page, content, "has_parts", json_boolean(json_array_size(parts) > 0));
    page_put(page, content, "has_finds",
             json_boolean(json_array_size(json_object_get(content, "finds")) > 0));
}

void incident_put_content(struct page *page, const struct store_incident *incident)
{
    struct error error = {0};
    const struct application *application = page->application;
    json_t *content = incident_content(application->store, application->fleet, incident, &error);
    if (content) {
        put_parts(page, content);
        page_put(page, page->data, "content", content);
        return;
    }
    content = page_put_object(page, page->data, "content");
    page_put(page, content, "is_gone", json_boolean(error.code == ERROR_NOT_FOUND));
    page_put_text(page, content, "problem", error.message);
}
