/* Policies, policy groups: adding one and editing one. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/policy_edit.h"
#include "controlcenter/pages/policy_group_form.h"

#define PATH "/policies/groups"

static bool open_edit(struct policy_edit *edit, struct http_request *request,
                      struct http_response *response)
{
    return policy_edit_open(edit, request, response, "policy_groups", "groups");
}

static void show(struct policy_edit *edit)
{
    group_form_put(&edit->form, edit->object);
    policy_edit_show(edit, "policies/group");
}

void page_policy_group_new_form(struct http_request *request, struct http_response *response)
{
    struct policy_edit edit;
    if (!open_edit(&edit, request, response))
        return;
    edit.object = json_pack("{s:s,s:[]}", "name", "", "members");
    show(&edit);
}

void page_policy_group_form(struct http_request *request, struct http_response *response)
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

static void save(struct policy_edit *edit)
{
    struct error error = {0};
    size_t index;
    if (policy_edit_save(edit, "group", PATH, &index, &error))
        return;
    if (error.code != ERROR_EXISTS)
        group_form_refuse(&edit->form, index, &error);
    show(edit);
}

static void answer(struct http_request *request, struct http_response *response)
{
    struct policy_edit edit;
    if (!open_edit(&edit, request, response))
        return;
    edit.object = group_form_read(&edit.form, edit.draft.document, edit.id);
    if (edit.form.wrong || edit.draft.page.failed || policy_edit_conflicts(&edit))
        show(&edit);
    else
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
