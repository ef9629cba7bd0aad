/* Policies: lists of what filters refer to, and what is done to one of them there. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/notification_preview.h"
#include "controlcenter/pages/policy_draft.h"
#include "controlcenter/pages/policy_objects.h"
#include "controlcenter/pages/policy_removal.h"
#include "controlcenter/pages/policy_resource.h"

#include "common/cleanup.h"
#include "common/utf8.h"

#include <stdio.h>
#include <string.h>

#define SUMMARY_MOST 120 /* bytes */
#define ENTRIES_SHOWN 6

static struct policy_place place_of(const struct http_request *request)
{
    const struct resource_kind *kind = resource_of_path(request->path);
    return (struct policy_place){
        .section = kind->section, .word = kind->word, .id = request->captures[0], .before = ""};
}

static void put_kind(struct page *page, const struct resource_kind *kind)
{
    page_put_true(page, page_put_object(page, page->data, "is"), kind->section);
    page_put_text(page, page->data, "path", kind->path);
}

/* --- the list --- */

static const char *entry_text(const json_t *entry)
{
    return json_is_string(entry) ? json_string_value(entry) : json_text_of(entry, "text");
}

/* The first entries of arrays, the beginning of texts. */
static void add_summary(const struct resource_kind *kind, const json_t *object, struct buffer *text)
{
    size_t shown = 0, all = 0, i;
    for (size_t k = 0; k < kind->field_count; k++) {
        const struct resource_field *field = &kind->fields[k];
        const json_t *value = json_object_get(object, field->name), *entry;
        if (field->input == RESOURCE_LINE || field->input == RESOURCE_TEXT) {
            if (text->length == 0)
                buffer_add_text(text, json_text_of(object, field->name));
            continue;
        }
        if (json_is_object(value))
            all += (size_t)json_integer_value(json_object_get(value, "count"));
        json_array_foreach((json_t *)value, i, entry)
        {
            if (shown < ENTRIES_SHOWN)
                buffer_add_format(text, "%s%s", shown++ ? ", " : "", entry_text(entry));
            all++;
        }
    }
    if (all > shown)
        buffer_add_format(text, "%s(%zu)", shown ? ", … " : "", all);
}

/* Text of one line, cut between characters. */
static void put_cut(struct page *page, json_t *row, const char *name, const char *text)
{
    char shown[SUMMARY_MOST + sizeof("…")];
    size_t length = 0, step;
    while ((step = utf8_sequence(text + length, strlen(text + length))) > 0 &&
           length + step <= SUMMARY_MOST && text[length] != '\n')
        length += step;
    snprintf(shown, sizeof(shown), "%.*s%s", (int)length, text, text[length] ? "…" : "");
    page_put_text(page, row, name, shown);
}

static void put_row(struct policy_draft *draft, json_t *rows, const struct resource_kind *kind,
                    const json_t *object, bool premium)
{
    struct page *page = &draft->page;
    struct buffer summary = BUFFER_INIT;
    const char *id = json_text_of(object, "id");
    json_t *row = page_add_object(page, rows);
    page_put_text(page, row, "id", id);
    page_put_text(page, row, "name", json_text_of(object, "name"));
    add_summary(kind, object, &summary);
    put_cut(page, row, "summary", buffer_text(&summary));
    buffer_free(&summary);
    page_put(page, row, "premium", json_boolean(premium));
    policy_removal_put_count(page, row, draft->document, kind->section, id);
}

void page_policy_resources(struct http_request *request, struct http_response *response)
{
    const struct resource_kind *kind = resource_of_path(request->path);
    struct policy_draft draft;
    const json_t *object;
    size_t i;
    if (!policy_draft_open(&draft, request, response, kind->place))
        return;
    struct page *page = &draft.page;
    put_kind(page, kind);
    json_t *rows = page_put_array(page, page->data, "rows");
    json_array_foreach(json_object_get(draft.document, kind->section), i, object)
    {
        put_row(&draft, rows, kind, object, false);
    }
    cleanup_json json_t *premium = resource_premium(kind);
    json_array_foreach(premium, i, object)
    {
        put_row(&draft, rows, kind, object, true);
    }
    page_put(page, page->data, "has_rows", json_boolean(json_array_size(rows) > 0));
    page_put(page, page->data, "offers_usual",
             json_boolean(strcmp(kind->section, "templates") == 0 &&
                          notification_usual_lacks(draft.document)));
    policy_draft_show(&draft, "policies/resources");
}

/* --- one of Gatehouse's own --- */

void page_policy_resource_premium(struct http_request *request, struct http_response *response)
{
    const struct resource_kind *kind = resource_of_path(request->path);
    struct policy_draft draft;
    struct form form;
    struct error error = {.code = ERROR_NOT_FOUND};
    if (!policy_draft_open(&draft, request, response, kind->place))
        return;
    cleanup_json json_t *object = resource_find_premium(kind, request->captures[0]);
    if (!object) {
        policy_draft_fail(&draft, &error);
        return;
    }
    form_open(&form, &draft.page);
    resource_form_put(&form, kind, object);
    put_kind(&draft.page, kind);
    page_put_text(&draft.page, draft.page.data, "id", request->captures[0]);
    page_put_true(&draft.page, draft.page.data, "premium");
    page_put_text(&draft.page, draft.page.data, "stored_name", json_text_of(object, "name"));
    policy_draft_show(&draft, "policies/resource");
}

/* --- copies --- */

/* A copy of one of Gatehouse's own is one that can be edited. */
static bool copy_premium(json_t *document, const void *argument, struct buffer *what,
                         struct error *error)
{
    const struct policy_place *place = argument;
    struct buffer name = BUFFER_INIT;
    char id[POLICY_ID_SIZE], path[100];
    snprintf(path, sizeof(path), "/policies/%s", place->section);
    cleanup_json json_t *object = resource_find_premium(resource_of_path(path), place->id);
    if (!object)
        return error_set(error, ERROR_NOT_FOUND, place->id, "there is no such %s", place->word);
    policy_copy_name(document, place->section, json_text_of(object, "name"), &name);
    policy_new_id(buffer_text(&name), id);
    bool ok = json_object_set_new(object, "id", json_string(id)) == 0 &&
              json_object_set_new(object, "name", json_string(buffer_text(&name))) == 0 &&
              json_array_append(policy_section(document, place->section), object) == 0;
    buffer_add_format(what, "copied %s %s", place->word, buffer_text(&name));
    buffer_free(&name);
    return ok || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

void page_policy_resource_copy(struct http_request *request, struct http_response *response)
{
    const struct resource_kind *kind = resource_of_path(request->path);
    struct policy_place place = place_of(request);
    struct page page;
    struct error error = {0};
    bool premium = strncmp(place.id, "premium.", strlen("premium.")) == 0;
    page_open(&page, request, response, kind->place);
    if (policy_draft_change(&page, premium ? copy_premium : policy_change_copy, &place, &error))
        page_redirect(&page, kind->path, "copied");
    else
        page_fail(&page, &error);
}

/* --- removal --- */

static void show_removal(struct policy_draft *draft, const char *id)
{
    const struct resource_kind *kind = resource_of_path(draft->page.request->path);
    if (!policy_removal_put(draft, kind->section, id))
        return;
    put_kind(&draft->page, kind);
    policy_draft_show(draft, "policies/resource_remove");
}

void page_policy_resource_remove_form(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    if (policy_draft_open(&draft, request, response, resource_of_path(request->path)->place))
        show_removal(&draft, request->captures[0]);
}

void page_policy_resource_remove(struct http_request *request, struct http_response *response)
{
    const struct resource_kind *kind = resource_of_path(request->path);
    struct policy_draft draft;
    struct policy_place place = place_of(request);
    if (policy_draft_open(&draft, request, response, kind->place) &&
        !policy_removal_try(&draft, &place, kind->path))
        show_removal(&draft, place.id);
}
