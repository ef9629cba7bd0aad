/* Policies, policy groups: the list, its order, and what is done to a group there. */
#include "controlcenter/pages/address_rows.h"
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/policy_draft.h"
#include "controlcenter/pages/policy_objects.h"
#include "controlcenter/pages/policy_removal.h"

#include <string.h>

#define PATH "/policies/groups"
#define MEMBERS_SHOWN 5

static struct policy_place place_of(const struct http_request *request)
{
    return (struct policy_place){
        .section = "groups", .word = "group", .id = request->captures[0], .before = ""};
}

/* --- the list --- */

static void put_members(struct page *page, json_t *row, const json_t *members)
{
    address_rows_put(page, row, members, "to", MEMBERS_SHOWN, "more");
    page_put(page, row, "has_members", json_boolean(json_array_size(members) > 0));
}

static void put_group(struct policy_draft *draft, json_t *rows, const json_t *group, size_t index,
                      size_t count)
{
    struct page *page = &draft->page;
    const json_t *malware = json_object_get(group, "malware");
    json_t *row = page_add_object(page, rows);
    page_put_text(page, row, "id", json_text_of(group, "id"));
    page_put_text(page, row, "name", json_text_of(group, "name"));
    put_members(page, row, json_object_get(group, "members"));
    policy_removal_put_count(page, row, draft->document, "groups", json_text_of(group, "id"));
    page_put(page, row, "own_inbound",
             json_boolean(json_object_size(json_object_get(malware, "inbound")) > 0));
    page_put(page, row, "own_outbound",
             json_boolean(json_object_size(json_object_get(malware, "outbound")) > 0));
    page_put(page, row, "is_first", json_boolean(index == 0));
    page_put(page, row, "is_last", json_boolean(index + 1 == count));
}

void page_policy_groups(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    const json_t *group;
    size_t i;
    if (!policy_draft_open(&draft, request, response, "policy_groups"))
        return;
    struct page *page = &draft.page;
    const json_t *groups = json_object_get(draft.document, "groups");
    json_t *rows = page_put_array(page, page->data, "groups");
    json_array_foreach(groups, i, group)
    {
        put_group(&draft, rows, group, i, json_array_size(groups));
    }
    page_put(page, page->data, "has_groups", json_boolean(i > 0));
    policy_draft_show(&draft, "policies/groups");
}

/* --- changes --- */

static void change(struct http_request *request, struct http_response *response, policy_change how,
                   const struct policy_place *place, const char *done)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, "policy_groups");
    if (policy_draft_change(&page, how, place, &error))
        page_redirect(&page, PATH, done);
    else
        page_fail(&page, &error);
}

void page_policy_group_move(struct http_request *request, struct http_response *response)
{
    struct policy_place place = place_of(request);
    const char *direction = http_form(request, "direction");
    place.step = direction && strcmp(direction, "up") == 0 ? -1 : 1;
    change(request, response, policy_change_step, &place, "moved");
}

void page_policy_group_copy(struct http_request *request, struct http_response *response)
{
    struct policy_place place = place_of(request);
    change(request, response, policy_change_copy, &place, "copied");
}

/* A group that filters name cannot be removed: the page says which filters these are. */
static void show_removal(struct policy_draft *draft, const char *id)
{
    struct page *page = &draft->page;
    const json_t *group = policy_removal_put(draft, "groups", id);
    if (!group)
        return;
    page_put_text(page, page->data, "path", PATH);
    put_members(page, page->data, json_object_get(group, "members"));
    policy_draft_show(draft, "policies/group_remove");
}

void page_policy_group_remove_form(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    if (policy_draft_open(&draft, request, response, "policy_groups"))
        show_removal(&draft, request->captures[0]);
}

void page_policy_group_remove(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct policy_place place = place_of(request);
    if (policy_draft_open(&draft, request, response, "policy_groups") &&
        !policy_removal_try(&draft, &place, PATH))
        show_removal(&draft, place.id);
}
