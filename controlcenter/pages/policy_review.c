/* Policies: what of the draft is not in force, putting it in force, and discarding it. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/policy_difference.h"
#include "controlcenter/pages/policy_draft.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define COMMENT_MOST 1000 /* bytes */

/* The revision of the draft that the form was shown for; -1 for none. */
static int64_t sent_revision(const struct http_request *request)
{
    const char *text = http_form(request, "revision");
    size_t length = text ? strlen(text) : 0;
    bool is_number = length > 0 && length <= 15 && strspn(text, "0123456789") == length;
    return is_number ? strtoll(text, NULL, 10) : -1;
}

/* Puts what differs from the version in force. */
static bool put_differences(struct policy_draft *draft, struct error *error)
{
    struct page *page = &draft->page;
    int64_t version = 0, revision;
    cleanup_json json_t *active = store_policy_active(page->application->store, &version, error);
    if (!active && error->code != ERROR_NOT_FOUND)
        return false;
    *error = (struct error){0};
    cleanup_json json_t *whole = store_policy_draft(page->application->store, &revision, error);
    if (!whole)
        return false;
    policy_difference_put(page, active, whole);
    return true;
}

static void show(struct policy_draft *draft, const char *template)
{
    struct error error = {0};
    if (put_differences(draft, &error))
        policy_draft_show(draft, template);
    else
        policy_draft_fail(draft, &error);
}

/* --- putting in force --- */

void page_policy_review(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct form form;
    if (!policy_draft_open(&draft, request, response, "policy_review"))
        return;
    form_open(&form, &draft.page);
    show(&draft, "policies/review");
}

static void refuse(struct policy_draft *draft, struct form *form, const struct error *error)
{
    if (error->code == ERROR_EXISTS) {
        draft->page.response->status = 409;
        page_put_true(&draft->page, draft->page.data, "has_moved");
    } else if (error->code == ERROR_INVALID) {
        draft->page.response->status = 422;
        form_refuse(form, "comment", "policy_draft_wrong",
                    json_pack("{s:s,s:s}", "where", error->where, "reason", error->message));
    } else {
        policy_draft_fail(draft, error);
        return;
    }
    show(draft, "policies/review");
}

void page_policy_publish(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct form form;
    struct error error = {0};
    int64_t version;
    if (!policy_draft_open(&draft, request, response, "policy_review"))
        return;
    struct page *page = &draft.page;
    form_open(&form, page);
    form_set_purpose(&form, "action");
    const char *comment = form_take(&form, "comment");
    if (strlen(comment) > COMMENT_MOST) {
        form_refuse(&form, "comment", "policy_comment_long", NULL);
        response->status = 422;
        show(&draft, "policies/review");
        return;
    }
    if (fleet_check_policies(page->application->fleet, draft.document, &error) &&
        store_policy_publish(page->application->store, sent_revision(request), comment,
                             page_administrator(page), &version, &error))
        policy_draft_redirect(&draft, "/policies/history", "in_force");
    else
        refuse(&draft, &form, &error);
}

/* --- discarding --- */

void page_policy_discard_form(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    if (policy_draft_open(&draft, request, response, "policy_review"))
        show(&draft, "policies/discard");
}

void page_policy_discard(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct error error = {0};
    if (!policy_draft_open(&draft, request, response, "policy_review"))
        return;
    if (sent_revision(request) != draft.revision) {
        response->status = 409;
        page_put_true(&draft.page, draft.page.data, "has_moved");
        show(&draft, "policies/discard");
        return;
    }
    if (store_policy_discard(draft.page.application->store, page_administrator(&draft.page),
                             &error))
        policy_draft_redirect(&draft, "/policies/filters", "discarded");
    else
        policy_draft_fail(&draft, &error);
}
