/* One object of the draft in its form. */
#include "controlcenter/pages/policy_edit.h"

#include "common/cleanup.h"

#include <stdio.h>
#include <string.h>

bool policy_edit_open(struct policy_edit *edit, struct http_request *request,
                      struct http_response *response, const char *place, const char *section)
{
    const char *id = request->capture_count > 0 ? request->captures[0] : NULL;
    *edit = (struct policy_edit){.section = section, .is_new = id == NULL};
    if (!policy_draft_open(&edit->draft, request, response, place))
        return false;
    form_open(&edit->form, &edit->draft.page);
    snprintf(edit->id, sizeof(edit->id), "%s", id ? id : "");
    return true;
}

static void close_edit(struct policy_edit *edit)
{
    json_decref(edit->object);
    edit->object = NULL;
}

json_t *policy_edit_stored(const struct policy_edit *edit)
{
    return policy_find(edit->draft.document, edit->section, edit->id, NULL);
}

/* --- showing --- */

static void put_state(struct policy_edit *edit)
{
    struct page *page = &edit->draft.page;
    char hash[POLICY_HASH_SIZE];
    const json_t *stored = policy_edit_stored(edit);
    page_put(page, page->data, "is_new", json_boolean(edit->is_new));
    if (edit->is_new)
        return;
    page_put_text(page, page->data, "id", edit->id);
    page_put_text(page, page->data, "stored_name",
                  json_text_of(stored ? stored : edit->object, "name"));
    policy_hash(stored, hash);
    const char *was = http_form(page->request, "was");
    bool keeps = was && edit->form.wrong && !json_object_get(page->data, "conflict");
    page_put_text(page, page->data, "was", keeps ? was : hash);
}

void policy_edit_show(struct policy_edit *edit, const char *template)
{
    put_state(edit);
    if (edit->form.wrong)
        edit->draft.page.response->status = 422;
    policy_draft_show(&edit->draft, template);
    close_edit(edit);
}

/* --- saving --- */

bool policy_edit_conflicts(struct policy_edit *edit)
{
    struct page *page = &edit->draft.page;
    char hash[POLICY_HASH_SIZE];
    const json_t *stored = policy_edit_stored(edit);
    const char *was = http_form(page->request, "was");
    policy_hash(stored, hash);
    if (edit->is_new || (was && strcmp(was, hash) == 0))
        return false;
    page_put(page, page_put_object(page, page->data, "conflict"), "removed", json_boolean(!stored));
    page->response->status = 409;
    return true;
}

/* The draft with the object in its place, which is *index. */
static json_t *with_object(struct policy_edit *edit, size_t *index)
{
    json_t *document = policy_draft_copy(&edit->draft, edit->section);
    json_t *list = policy_section(document, edit->section);
    if (policy_find(document, edit->section, edit->id, index)) {
        json_array_set(list, *index, edit->object);
        return document;
    }
    *index = json_array_size(list);
    json_array_append(list, edit->object);
    return document;
}

static bool put(struct policy_edit *edit, const char *word, size_t *index, struct error *error)
{
    struct buffer what = BUFFER_INIT;
    const char *name = json_text_of(edit->object, "name");
    if (edit->is_new) {
        policy_new_id(name, edit->id);
        json_object_set_new(edit->object, "id", json_string(edit->id));
    }
    cleanup_json json_t *document = with_object(edit, index);
    buffer_add_format(&what, "%s %s %s", edit->is_new ? "added" : "changed", word, name);
    bool done = policy_draft_put(&edit->draft, document, buffer_text(&what), error);
    buffer_free(&what);
    return done;
}

bool policy_edit_save(struct policy_edit *edit, const char *word, const char *path, size_t *index,
                      struct error *error)
{
    if (put(edit, word, index, error)) {
        policy_draft_redirect(&edit->draft, path, "kept");
        close_edit(edit);
        return true;
    }
    bool about_object = error->code == ERROR_INVALID || error->code == ERROR_LIMIT;
    if (!about_object && error->code != ERROR_EXISTS) {
        policy_draft_fail(&edit->draft, error);
        close_edit(edit);
        return true;
    }
    if (error->code == ERROR_EXISTS)
        form_refuse(&edit->form, "name", "policy_busy", NULL);
    if (edit->is_new)
        edit->id[0] = '\0';
    return false;
}
