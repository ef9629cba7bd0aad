/* Policies, policy groups: adding one and editing one. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/policy_draft.h"
#include "controlcenter/pages/policy_group_form.h"
#include "controlcenter/pages/policy_objects.h"

#include "common/cleanup.h"

#include <string.h>

#define PATH "/policies/groups"

/* A group in the form: a new one, or one of the draft. */
struct edit {
    struct policy_draft draft;
    struct form form;
    json_t *group; /* as it is shown */
    char id[POLICY_ID_SIZE];
    bool is_new;
};

static bool open_edit(struct edit *edit, struct http_request *request,
                      struct http_response *response)
{
    const char *id = request->capture_count > 0 ? request->captures[0] : NULL;
    *edit = (struct edit){.is_new = id == NULL};
    if (!policy_draft_open(&edit->draft, request, response, "policy_groups"))
        return false;
    form_open(&edit->form, &edit->draft.page);
    snprintf(edit->id, sizeof edit->id, "%s", id ? id : "");
    return true;
}

static json_t *stored(const struct edit *edit)
{
    return policy_find(edit->draft.document, "groups", edit->id, NULL);
}

static void show(struct edit *edit)
{
    struct page *page = &edit->draft.page;
    char hash[POLICY_HASH_SIZE];
    const json_t *group = stored(edit);
    const char *was = http_form(page->request, "was");
    bool keeps = was && edit->form.wrong && !json_object_get(page->data, "conflict");
    group_form_put(&edit->form, edit->group);
    page_put(page, page->data, "is_new", json_boolean(edit->is_new));
    if (!edit->is_new) {
        policy_hash(group, hash);
        page_put_text(page, page->data, "id", edit->id);
        page_put_text(page, page->data, "was", keeps ? was : hash);
        page_put_text(page, page->data, "stored_name",
                      policy_text_of(group ? group : edit->group, "name"));
    }
    if (edit->form.wrong)
        page->response->status = 422;
    policy_draft_show(&edit->draft, "policies/group");
    json_decref(edit->group);
}

void page_policy_group_new_form(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    if (!open_edit(&edit, request, response))
        return;
    edit.group = json_pack("{s:s,s:[]}", "name", "", "members");
    show(&edit);
}

void page_policy_group_form(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    struct error error = {.code = ERROR_NOT_FOUND};
    if (!open_edit(&edit, request, response))
        return;
    edit.group = json_incref(stored(&edit));
    if (edit.group)
        show(&edit);
    else
        policy_draft_fail(&edit.draft, &error);
}

/* --- saving --- */

/* True after it has told that somebody else changed the group since the form was opened. */
static bool tell_conflict(struct edit *edit)
{
    struct page *page = &edit->draft.page;
    char hash[POLICY_HASH_SIZE];
    const json_t *group = stored(edit);
    const char *was = http_form(page->request, "was");
    policy_hash(group, hash);
    if (edit->is_new || (was && strcmp(was, hash) == 0))
        return false;
    page_put(page, page_put_object(page, page->data, "conflict"), "removed", json_boolean(!group));
    page->response->status = 409;
    show(edit);
    return true;
}

static json_t *with_group(struct edit *edit, size_t *index)
{
    json_t *document = policy_draft_copy(&edit->draft, "groups");
    json_t *groups = policy_section(document, "groups");
    if (policy_find(document, "groups", edit->id, index)) {
        json_array_set(groups, *index, edit->group);
        return document;
    }
    *index = json_array_size(groups);
    json_array_append(groups, edit->group);
    return document;
}

static void refuse(struct edit *edit, size_t index, const struct error *error)
{
    if (error->code == ERROR_INVALID || error->code == ERROR_LIMIT) {
        group_form_refuse(&edit->form, index, error);
    } else if (error->code == ERROR_EXISTS) {
        form_refuse(&edit->form, "name", "policy_busy", NULL);
    } else {
        policy_draft_fail(&edit->draft, error);
        json_decref(edit->group);
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
        policy_new_id(policy_text_of(edit->group, "name"), edit->id);
        json_object_set_new(edit->group, "id", json_string(edit->id));
    }
    cleanup_json json_t *document = with_group(edit, &index);
    buffer_add_format(&what, "%s group %s", edit->is_new ? "added" : "changed",
                      policy_text_of(edit->group, "name"));
    bool done = policy_draft_put(&edit->draft, document, buffer_text(&what), &error);
    buffer_free(&what);
    if (!done) {
        refuse(edit, index, &error);
        return;
    }
    policy_draft_redirect(&edit->draft, PATH, "kept");
    json_decref(edit->group);
}

static void answer(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    if (!open_edit(&edit, request, response))
        return;
    edit.group = group_form_read(&edit.form, edit.draft.document, edit.id);
    if (edit.form.wrong || edit.draft.page.failed)
        show(&edit);
    else if (!tell_conflict(&edit))
        save(&edit);
}

void page_policy_group_new(struct http_request *request, struct http_response *response)
{
    answer(request, response);
}

void page_policy_group(struct http_request *request, struct http_response *response)
{
    answer(request, response);
}
