/* Policies, content filters: adding one and editing one.
 *
 * The form works by itself: each button that adds or removes a row, or brings the inputs of another
 * field, sends it, and it comes back so. The script (webroot/policy_filter.js) asks for the same
 * and puts the answer in place of what is shown. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/policy_edit.h"
#include "controlcenter/pages/policy_filter_form.h"
#include "controlcenter/pages/policy_summary.h"

#include <stdlib.h>
#include <string.h>

#define PATH "/policies/filters"

static bool open_edit(struct policy_edit *edit, struct http_request *request,
                      struct http_response *response)
{
    return policy_edit_open(edit, request, response, "policy_filters", "filters");
}

static void show(struct policy_edit *edit)
{
    filter_form_put(&edit->form, edit->draft.document, edit->object);
    policy_edit_show(edit, "policies/filter");
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
    struct policy_edit edit;
    if (!open_edit(&edit, request, response))
        return;
    edit.object = new_filter();
    show(&edit);
}

void page_policy_filter_form(struct http_request *request, struct http_response *response)
{
    struct policy_edit edit;
    struct error error = {.code = ERROR_NOT_FOUND};
    if (!open_edit(&edit, request, response))
        return;
    edit.object = json_incref(policy_edit_stored(&edit));
    if (edit.object)
        show(&edit);
    else
        policy_draft_fail(&edit.draft, &error);
}

/* --- saving --- */

/* True after it has told that somebody else changed the filter since the form was opened. */
static bool tell_conflict(struct policy_edit *edit)
{
    struct page *page = &edit->draft.page;
    struct buffer theirs = BUFFER_INIT;
    const json_t *filter = policy_edit_stored(edit);
    if (!policy_edit_conflicts(edit))
        return false;
    if (filter)
        policy_filter_words(page, edit->draft.document, filter, &theirs);
    page_put_text(page, json_object_get(page->data, "conflict"), "theirs", buffer_text(&theirs));
    buffer_free(&theirs);
    show(edit);
    return true;
}

static void save(struct policy_edit *edit)
{
    struct error error = {0};
    size_t index;
    filter_form_check(&edit->form, edit->draft.document, edit->object);
    if (edit->form.wrong) {
        show(edit);
        return;
    }
    if (tell_conflict(edit) || policy_edit_save(edit, "filter", PATH, &index, &error))
        return;
    if (error.code != ERROR_EXISTS)
        filter_form_refuse(&edit->form, index, &error);
    show(edit);
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
static bool change_rows(struct policy_edit *edit, const char *what)
{
    static const char remove_condition[] = "remove_condition_", remove_action[] = "remove_action_";
    json_t *conditions = json_object_get(edit->object, "conditions");
    json_t *actions = json_object_get(edit->object, "actions");
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
    struct policy_edit edit;
    if (!open_edit(&edit, request, response))
        return;
    const char *what = http_form(request, "do");
    edit.object = filter_form_read(&edit.draft.page, edit.draft.document, edit.id);
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
