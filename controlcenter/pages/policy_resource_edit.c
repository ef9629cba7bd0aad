/* Policies: adding and editing what filters refer to. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/notification_preview.h"
#include "controlcenter/pages/policy_draft.h"
#include "controlcenter/pages/policy_objects.h"
#include "controlcenter/pages/policy_resource.h"

#include "common/cleanup.h"

#include <stdio.h>
#include <string.h>

#define WORDS_SHOWN 20000 /* in the form; more are a file's */

/* One in the form: a new one, or one of the draft. */
struct edit {
    const struct resource_kind *kind;
    struct policy_draft draft;
    struct form form;
    json_t *object; /* as it was read; owned; NULL while the stored one is shown */
    char id[POLICY_ID_SIZE];
    bool is_new;
};

static bool open_edit(struct edit *edit, struct http_request *request,
                      struct http_response *response)
{
    const char *id = request->capture_count > 0 ? request->captures[0] : NULL;
    *edit = (struct edit){.kind = resource_of_path(request->path), .is_new = id == NULL};
    if (!policy_draft_open(&edit->draft, request, response, edit->kind->place))
        return false;
    form_open(&edit->form, &edit->draft.page);
    snprintf(edit->id, sizeof(edit->id), "%s", id ? id : "");
    return true;
}

static json_t *stored(const struct edit *edit)
{
    return policy_find(edit->draft.document, edit->kind->section, edit->id, NULL);
}

static void close_edit(struct edit *edit)
{
    json_decref(edit->object);
}

static bool is_template(const struct edit *edit)
{
    return strcmp(edit->kind->section, "templates") == 0;
}

/* --- showing --- */

static void show(struct edit *edit)
{
    struct page *page = &edit->draft.page;
    char hash[POLICY_HASH_SIZE];
    const json_t *object = stored(edit), *words = json_object_get(object, "words");
    const char *was = http_form(page->request, "was");
    bool keeps = was && edit->form.wrong && !json_object_get(page->data, "conflict");
    page_put_true(page, page_put_object(page, page->data, "is"), edit->kind->section);
    page_put_text(page, page->data, "path", edit->kind->path);
    page_put(page, page->data, "is_new", json_boolean(edit->is_new));
    if (object) {
        policy_hash(object, hash);
        page_put_text(page, page->data, "was", keeps ? was : hash);
        page_put_text(page, page->data, "stored_name", policy_text_of(object, "name"));
    }
    page_put_text(page, page->data, "id", edit->id);
    if (json_integer_value(json_object_get(words, "count")) > WORDS_SHOWN)
        page_put_count(page, page->data, "too_many",
                       json_integer_value(json_object_get(words, "count")));
    if (is_template(edit))
        notification_put_names(page);
    if (edit->form.wrong)
        page->response->status = 422;
    policy_draft_show(&edit->draft, "policies/resource");
    close_edit(edit);
}

void page_policy_resource_new_form(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    if (!open_edit(&edit, request, response))
        return;
    resource_form_put(&edit.form, edit.kind, NULL);
    show(&edit);
}

/* The object with its words, where those can stand in a form. */
static json_t *whole_object(struct edit *edit, struct error *error)
{
    json_t *object = stored(edit);
    const json_t *words = json_object_get(object, "words");
    int64_t revision;
    if (!object)
        error_set(error, ERROR_NOT_FOUND, edit->id, "there is no such %s", edit->kind->word);
    if (!json_is_object(words) || json_integer_value(json_object_get(words, "count")) > WORDS_SHOWN)
        return json_incref(object);
    cleanup_json json_t *document =
        store_policy_draft(edit->draft.page.application->store, &revision, error);
    if (!document)
        return NULL;
    json_t *whole = policy_find(document, edit->kind->section, edit->id, NULL);
    return json_incref(whole ? whole : object);
}

void page_policy_resource_form(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    struct error error = {0};
    if (!open_edit(&edit, request, response))
        return;
    cleanup_json json_t *object = whole_object(&edit, &error);
    if (!object) {
        policy_draft_fail(&edit.draft, &error);
        return;
    }
    resource_form_put(&edit.form, edit.kind, object);
    show(&edit);
}

/* --- saving --- */

/* True after it has told that somebody else changed it since the form was opened. */
static bool tell_conflict(struct edit *edit)
{
    struct page *page = &edit->draft.page;
    char hash[POLICY_HASH_SIZE] = "";
    const json_t *object = stored(edit);
    const char *was = http_form(page->request, "was");
    if (object)
        policy_hash(object, hash);
    if (edit->is_new || (was && strcmp(was, hash) == 0))
        return false;
    page_put(page, page_put_object(page, page->data, "conflict"), "removed", json_boolean(!object));
    page->response->status = 409;
    show(edit);
    return true;
}

static json_t *with_object(struct edit *edit, size_t *index)
{
    const char *section = edit->kind->section;
    json_t *document = policy_draft_copy(&edit->draft, section);
    json_t *list = policy_section(document, section);
    if (policy_find(document, section, edit->id, index)) {
        json_array_set(list, *index, edit->object);
        return document;
    }
    *index = json_array_size(list);
    json_array_append(list, edit->object);
    return document;
}

static void refuse(struct edit *edit, size_t index, const struct error *error)
{
    if (error->code == ERROR_INVALID || error->code == ERROR_LIMIT) {
        resource_form_refuse(&edit->form, edit->kind, index, error);
    } else if (error->code == ERROR_EXISTS) {
        form_refuse(&edit->form, "name", "policy_busy", NULL);
    } else {
        policy_draft_fail(&edit->draft, error);
        close_edit(edit);
        return;
    }
    show(edit);
}

static void save(struct edit *edit)
{
    struct error error = {0};
    struct buffer what = BUFFER_INIT;
    size_t index;
    if (edit->is_new) {
        policy_new_id(policy_text_of(edit->object, "name"), edit->id);
        json_object_set_new(edit->object, "id", json_string(edit->id));
    }
    cleanup_json json_t *document = with_object(edit, &index);
    buffer_add_format(&what, "%s %s %s", edit->is_new ? "added" : "changed", edit->kind->word,
                      policy_text_of(edit->object, "name"));
    bool done = policy_draft_put(&edit->draft, document, buffer_text(&what), &error);
    buffer_free(&what);
    if (!done) {
        refuse(edit, index, &error);
        return;
    }
    policy_draft_redirect(&edit->draft, edit->kind->path, "kept");
    close_edit(edit);
}

void page_policy_resource(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    if (!open_edit(&edit, request, response))
        return;
    edit.object = resource_form_read(&edit.form, edit.kind, edit.draft.document, edit.id);
    bool previews = is_template(&edit) && http_form(request, "preview");
    if (previews && !edit.form.wrong)
        notification_put_preview(&edit.draft.page, edit.object);
    if (previews)
        resource_form_put(&edit.form, edit.kind, edit.object);
    if (previews || edit.form.wrong || edit.draft.page.failed)
        show(&edit);
    else if (!tell_conflict(&edit))
        save(&edit);
}

/* --- words as a file --- */

static void add_word(struct buffer *text, const json_t *word)
{
    json_int_t weight = json_integer_value(json_object_get(word, "weight"));
    buffer_add_text(text, policy_text_of(word, "text"));
    if (weight > 1)
        buffer_add_format(text, " | %" JSON_INTEGER_FORMAT, weight);
    buffer_add_text(text, "\r\n");
}

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
        add_word(&response->body, word);
    }
    snprintf(response->content_type, sizeof(response->content_type), "text/plain; charset=utf-8");
    http_add_header(response, "Content-Disposition", "attachment; filename=\"words.txt\"");
    json_decref(page.data);
}
