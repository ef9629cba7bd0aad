/* The draft of the policies behind a page. */
#include "controlcenter/pages/policy_draft.h"

#include "controlcenter/pages/policy_difference.h"

#include "common/cleanup.h"

#define TRIES 5 /* of a change while others change the draft too */

bool policy_draft_open(struct policy_draft *draft, struct http_request *request,
                       struct http_response *response, const char *place)
{
    struct error error = {0};
    *draft = (struct policy_draft){0};
    page_open(&draft->page, request, response, place);
    draft->document =
        store_policy_draft_light(draft->page.application->store, &draft->revision, &error);
    if (draft->document)
        return true;
    page_fail(&draft->page, &error);
    return false;
}

static void release(struct policy_draft *draft)
{
    json_decref(draft->document);
    draft->document = NULL;
}

/* Counts what differs from the document in force. */
static bool put_banner(struct policy_draft *draft, struct error *error)
{
    struct page *page = &draft->page;
    bool changed;
    int64_t version = 0;
    if (!store_policy_is_changed(page->application->store, &changed, error))
        return false;
    if (!changed)
        return true;
    cleanup_json json_t *active =
        store_policy_active_light(page->application->store, &version, error);
    if (!active && error->code != ERROR_NOT_FOUND)
        return false;
    *error = (struct error){0};
    size_t count = policy_difference_count(active, draft->document);
    json_t *pending = page_put_object(page, page->data, "pending");
    page_put_count(page, pending, "count", (int64_t)count);
    page_put(page, pending, "several", json_boolean(count != 1));
    page_put_number(page, pending, "version", version);
    page_put(page, pending, "is_first", json_boolean(version == 0));
    return true;
}

void policy_draft_show(struct policy_draft *draft, const char *template)
{
    struct error error = {0};
    page_put_number(&draft->page, draft->page.data, "revision", draft->revision);
    if (put_banner(draft, &error))
        page_show(&draft->page, template);
    else
        page_fail(&draft->page, &error);
    release(draft);
}

void policy_draft_redirect(struct policy_draft *draft, const char *path, const char *done)
{
    page_redirect(&draft->page, path, done);
    release(draft);
}

void policy_draft_fail(struct policy_draft *draft, const struct error *error)
{
    if (error->code == ERROR_EXISTS) {
        draft->page.response->status = 409;
        policy_draft_show(draft, "policies/busy");
        return;
    }
    page_fail(&draft->page, error);
    release(draft);
}

static bool put(struct page *page, const json_t *document, int64_t revision, const char *what,
                struct error *error)
{
    return fleet_check_policies(page->application->fleet, document, error) &&
           store_policy_draft_put(page->application->store, document, revision, what,
                                  page_administrator(page), error);
}

json_t *policy_draft_copy(const struct policy_draft *draft, const char *section)
{
    json_t *copy = json_copy(draft->document);
    json_t *list = json_copy(json_object_get(draft->document, section));
    json_object_set_new(copy, section, list ? list : json_array());
    return copy;
}

bool policy_draft_put(struct policy_draft *draft, const json_t *document, const char *what,
                      struct error *error)
{
    return put(&draft->page, document, draft->revision, what, error);
}

bool policy_draft_change(struct page *page, policy_change change, const void *argument,
                         struct error *error)
{
    for (int i = 0; i < TRIES; i++) {
        struct buffer what = BUFFER_INIT;
        int64_t revision;
        *error = (struct error){0};
        cleanup_json json_t *document =
            store_policy_draft_light(page->application->store, &revision, error);
        bool done = document && change(document, argument, &what, error) &&
                    put(page, document, revision, buffer_text(&what), error);
        buffer_free(&what);
        if (done || error->code != ERROR_EXISTS)
            return done;
    }
    return false;
}
