/* Policies: adding and editing what filters refer to. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/notification_preview.h"
#include "controlcenter/pages/policy_edit.h"
#include "controlcenter/pages/policy_resource.h"

#include "common/cleanup.h"

#include <stdio.h>
#include <string.h>

#define WORDS_SHOWN 20000 /* in the form; more are a file's */

static const struct resource_kind *kind_of(const struct policy_edit *edit)
{
    return resource_of_path(edit->draft.page.request->path);
}

static bool open_edit(struct policy_edit *edit, struct http_request *request,
                      struct http_response *response)
{
    const struct resource_kind *kind = resource_of_path(request->path);
    return policy_edit_open(edit, request, response, kind->place, kind->section);
}

static bool is_template(const struct policy_edit *edit)
{
    return strcmp(edit->section, "templates") == 0;
}

/* --- showing --- */

static void show(struct policy_edit *edit)
{
    struct page *page = &edit->draft.page;
    const json_t *words = json_object_get(policy_edit_stored(edit), "words");
    page_put_true(page, page_put_object(page, page->data, "is"), edit->section);
    page_put_text(page, page->data, "path", kind_of(edit)->path);
    if (json_integer_value(json_object_get(words, "count")) > WORDS_SHOWN)
        page_put_count(page, page->data, "too_many",
                       json_integer_value(json_object_get(words, "count")));
    if (is_template(edit))
        notification_put_names(page);
    policy_edit_show(edit, "policies/resource");
}

void page_policy_resource_new_form(struct http_request *request, struct http_response *response)
{
    struct policy_edit edit;
    if (!open_edit(&edit, request, response))
        return;
    resource_form_put(&edit.form, kind_of(&edit), NULL);
    show(&edit);
}

/* The object with its words, where those can stand in a form. */
static json_t *whole_object(struct policy_edit *edit, struct error *error)
{
    json_t *object = policy_edit_stored(edit);
    const json_t *words = json_object_get(object, "words");
    int64_t revision;
    if (!object)
        error_set(error, ERROR_NOT_FOUND, edit->id, "there is no such %s", kind_of(edit)->word);
    if (!json_is_object(words) || json_integer_value(json_object_get(words, "count")) > WORDS_SHOWN)
        return json_incref(object);
    cleanup_json json_t *document =
        store_policy_draft(edit->draft.page.application->store, &revision, error);
    if (!document)
        return NULL;
    json_t *whole = policy_find(document, edit->section, edit->id, NULL);
    return json_incref(whole ? whole : object);
}

void page_policy_resource_form(struct http_request *request, struct http_response *response)
{
    struct policy_edit edit;
    struct error error = {0};
    if (!open_edit(&edit, request, response))
        return;
    cleanup_json json_t *object = whole_object(&edit, &error);
    if (!object) {
        policy_draft_fail(&edit.draft, &error);
        return;
    }
    resource_form_put(&edit.form, kind_of(&edit), object);
    show(&edit);
}

/* --- saving --- */

static void save(struct policy_edit *edit)
{
    const struct resource_kind *kind = kind_of(edit);
    struct error error = {0};
    size_t index;
    if (policy_edit_save(edit, kind->word, kind->path, &index, &error))
        return;
    if (error.code != ERROR_EXISTS)
        resource_form_refuse(&edit->form, kind, index, &error);
    show(edit);
}

void page_policy_resource(struct http_request *request, struct http_response *response)
{
    struct policy_edit edit;
    if (!open_edit(&edit, request, response))
        return;
    edit.object = resource_form_read(&edit.form, kind_of(&edit), edit.draft.document, edit.id);
    bool previews = is_template(&edit) && http_form(request, "preview");
    if (previews && !edit.form.wrong)
        notification_put_preview(&edit.draft.page, edit.object);
    if (previews)
        resource_form_put(&edit.form, kind_of(&edit), edit.object);
    if (previews || edit.form.wrong || edit.draft.page.failed || policy_edit_conflicts(&edit))
        show(&edit);
    else
        save(&edit);
}

/* --- words as a file --- */

void page_policy_words(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {.code = ERROR_NOT_FOUND};
    const json_t *word;
    int64_t revision;
    size_t i;
    page_open(&page, request, response, "policy_dictionaries");
    cleanup_json json_t *document = store_policy_draft(page.application->store, &revision, &error);
    const json_t *dictionary = policy_find(document, "dictionaries", request->captures[0], NULL);
    if (!dictionary) {
        page_fail(&page, &error);
        return;
    }
    json_array_foreach(json_object_get(dictionary, "words"), i, word)
    {
        resource_add_word(&response->body, word);
        buffer_add_text(&response->body, "\r\n");
    }
    snprintf(response->content_type, sizeof(response->content_type), "text/plain; charset=utf-8");
    http_add_header(response, "Content-Disposition", "attachment; filename=\"words.txt\"");
    json_decref(page.data);
}
