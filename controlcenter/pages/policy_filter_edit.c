/* Policies, content filters: adding one and editing one.
 *
 * The form works by itself: each button that adds or removes a row, or brings the inputs of another
 * field, sends it, and it comes back so. The script (webroot/policy_filter.js) asks for the same
 * and puts the answer in place of what is shown. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/policy_draft.h"
#include "controlcenter/pages/policy_filter_form.h"
#include "controlcenter/pages/policy_objects.h"
#include "controlcenter/pages/policy_summary.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define PATH "/policies/filters"
#define TEMPLATE "policies/filter"

/* A filter in the form: a new one, or one of the draft. */
struct edit {
    struct policy_draft draft;
    struct form form;
    json_t *filter; /* as it is shown */
    char id[POLICY_ID_SIZE];
    bool is_new;
};

static bool open_edit(struct edit *edit, struct http_request *request,
                      struct http_response *response)
{
    const char *id = request->capture_count > 0 ? request->captures[0] : NULL;
    *edit = (struct edit){.is_new = id == NULL};
    if (!policy_draft_open(&edit->draft, request, response, "policy_filters"))
        return false;
    form_open(&edit->form, &edit->draft.page);
    snprintf(edit->id, sizeof edit->id, "%s", id ? id : "");
    return true;
}

static void close_edit(struct edit *edit)
{
    json_decref(edit->filter);
}

/* The filter of the draft, NULL where there is none (any more). */
static json_t *stored(const struct edit *edit)
{
    return policy_find(edit->draft.document, "filters", edit->id, NULL);
}

/* What the form was opened over, by which a change of somebody else is seen. */
static void put_state(struct edit *edit)
{
    struct page *page = &edit->draft.page;
    char hash[POLICY_HASH_SIZE];
    const json_t *filter = stored(edit);
    page_put(page, page->data, "is_new", json_boolean(edit->is_new));
    if (edit->is_new)
        return;
    page_put_text(page, page->data, "id", edit->id);
    page_put_text(page, page->data, "stored_name",
                  policy_text_of(filter ? filter : edit->filter, "name"));
    policy_hash(filter, hash);
    const char *was = http_form(page->request, "was");
    bool keeps = was && edit->form.wrong && !json_object_get(page->data, "conflict");
    page_put_text(page, page->data, "was", keeps ? was : hash);
}

static void show(struct edit *edit)
{
    struct page *page = &edit->draft.page;
    filter_form_put(&edit->form, edit->draft.document, edit->filter);
    put_state(edit);
    if (edit->form.wrong)
        page->response->status = 422;
    policy_draft_show(&edit->draft, TEMPLATE);
    close_edit(edit);
}

/* --- showing --- */

static json_t *new_filter(void)
{
    return json_pack("{s:s,s:b,s:[],s:s,s:[o],s:[o],s:s}", "name", "", "enabled", 1, "groups",
                     "match", "all", "conditions", filter_form_new_condition(), "actions",
                     filter_form_new_action(), "then", "continue");
}

void page_policy_filter_new_form(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    if (!open_edit(&edit, request, response))
        return;
    edit.filter = new_filter();
    show(&edit);
}

void page_policy_filter_form(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    struct error error = {.code = ERROR_NOT_FOUND};
    if (!open_edit(&edit, request, response))
        return;
    edit.filter = json_incref(stored(&edit));
    if (edit.filter)
        show(&edit);
    else
        policy_draft_fail(&edit.draft, &error);
}

/* --- saving --- */

/* True after it has told that somebody else changed the filter since the form was opened; what was
 * typed stays, and the next save puts it in place of theirs. */
static bool tell_conflict(struct edit *edit)
{
    struct page *page = &edit->draft.page;
    struct buffer theirs = BUFFER_INIT;
    char hash[POLICY_HASH_SIZE];
    const json_t *filter = stored(edit);
    const char *was = http_form(page->request, "was");
    policy_hash(filter, hash);
    if (edit->is_new || (was && strcmp(was, hash) == 0))
        return false;
    json_t *conflict = page_put_object(page, page->data, "conflict");
    page_put(page, conflict, "removed", json_boolean(!filter));
    if (filter)
        policy_filter_words(page, edit->draft.document, filter, &theirs);
    page_put_text(page, conflict, "theirs", buffer_text(&theirs));
    buffer_free(&theirs);
    page->response->status = 409;
    show(edit);
    return true;
}

/* The draft with the filter in its place, which is *index. */
static json_t *with_filter(struct edit *edit, size_t *index)
{
    json_t *document = policy_draft_copy(&edit->draft, "filters");
    json_t *filters = policy_section(document, "filters");
    if (policy_find(document, "filters", edit->id, index)) {
        json_array_set(filters, *index, edit->filter);
        return document;
    }
    *index = json_array_size(filters);
    json_array_append(filters, edit->filter);
    return document;
}

static void give_id(struct edit *edit)
{
    if (*edit->id)
        return;
    policy_new_id(policy_text_of(edit->filter, "name"), edit->id);
    json_object_set_new(edit->filter, "id", json_string(edit->id));
}

static void refuse(struct edit *edit, size_t index, const struct error *error)
{
    if (error->code == ERROR_INVALID || error->code == ERROR_LIMIT) {
        filter_form_refuse(&edit->form, index, error);
    } else if (error->code == ERROR_EXISTS) {
        form_refuse(&edit->form, "name", "policy_busy", NULL);
    } else {
        policy_draft_fail(&edit->draft, error);
        close_edit(edit);
        return;
    }
    if (edit->is_new)
        edit->id[0] = '\0';
    show(edit);
}

static void save(struct edit *edit)
{
    struct error error = {0};
    struct buffer what = BUFFER_INIT;
    size_t index;
    filter_form_check(&edit->form, edit->draft.document, edit->filter);
    if (edit->form.wrong) {
        show(edit);
        return;
    }
    if (tell_conflict(edit))
        return;
    give_id(edit);
    cleanup_json json_t *document = with_filter(edit, &index);
    buffer_add_format(&what, "%s filter %s", edit->is_new ? "added" : "changed",
                      policy_text_of(edit->filter, "name"));
    bool done = policy_draft_put(&edit->draft, document, buffer_text(&what), &error);
    buffer_free(&what);
    if (!done) {
        refuse(edit, index, &error);
        return;
    }
    policy_draft_redirect(&edit->draft, PATH, "kept");
    close_edit(edit);
}

/* --- rows that come and go --- */

static void remove_row(json_t *rows, const char *number)
{
    if (*number && strspn(number, "0123456789") == strlen(number) && strlen(number) <= 4)
        json_array_remove(rows, strtoul(number, NULL, 10));
}

static void add_row(json_t *rows, size_t most, json_t *row)
{
    if (json_array_size(rows) < most)
        json_array_append_new(rows, row);
    else
        json_decref(row);
}

/* False where the button is the one that saves. */
static bool change_rows(struct edit *edit, const char *what)
{
    static const char remove_condition[] = "remove_condition_", remove_action[] = "remove_action_";
    json_t *conditions = json_object_get(edit->filter, "conditions");
    json_t *actions = json_object_get(edit->filter, "actions");
    if (strcmp(what, "add_condition") == 0)
        add_row(conditions, FILTER_CONDITIONS_MOST, filter_form_new_condition());
    else if (strcmp(what, "add_action") == 0)
        add_row(actions, FILTER_ACTIONS_MOST, filter_form_new_action());
    else if (strncmp(what, remove_condition, sizeof remove_condition - 1) == 0)
        remove_row(conditions, what + sizeof remove_condition - 1);
    else if (strncmp(what, remove_action, sizeof remove_action - 1) == 0)
        remove_row(actions, what + sizeof remove_action - 1);
    else
        return strcmp(what, "refresh") == 0;
    return true;
}

static void answer(struct http_request *request, struct http_response *response)
{
    struct edit edit;
    if (!open_edit(&edit, request, response))
        return;
    const char *what = http_form(request, "do");
    edit.filter = filter_form_read(&edit.draft.page, edit.draft.document, edit.id);
    if (what && change_rows(&edit, what))
        show(&edit);
    else
        save(&edit);
}

void page_policy_filter_new(struct http_request *request, struct http_response *response)
{
    answer(request, response);
}

void page_policy_filter(struct http_request *request, struct http_response *response)
{
    answer(request, response);
}
