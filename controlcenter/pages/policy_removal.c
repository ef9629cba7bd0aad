/* Removing an object of the draft that filters may refer to. */
#include "controlcenter/pages/policy_removal.h"

#include "common/cleanup.h"

void policy_removal_put_count(struct page *page, json_t *row, const json_t *document,
                              const char *section, const char *id)
{
    cleanup_json json_t *users = policy_users(document, section, id);
    size_t count = json_array_size(users);
    page_put_count(page, row, "user_count", (int64_t)count);
    page_put(page, row, "has_users", json_boolean(count > 0));
    page_put(page, row, "one_user", json_boolean(count == 1));
}

const json_t *policy_removal_put(struct policy_draft *draft, const char *section, const char *id)
{
    struct page *page = &draft->page;
    struct error error = {.code = ERROR_NOT_FOUND};
    const json_t *object = policy_find(draft->document, section, id, NULL), *user;
    size_t i;
    if (!object) {
        policy_draft_fail(draft, &error);
        return NULL;
    }
    page_put_text(page, page->data, "id", id);
    page_put_text(page, page->data, "name", json_text_of(object, "name"));
    cleanup_json json_t *users = policy_users(draft->document, section, id);
    json_t *rows = page_put_array(page, page->data, "users");
    json_array_foreach(users, i, user)
    {
        page_put_text(page, page_add_object(page, rows), "user_name", json_string_value(user));
    }
    page_put(page, page->data, "has_users", json_boolean(i > 0));
    return object;
}

bool policy_removal_try(struct policy_draft *draft, const struct policy_place *place,
                        const char *path)
{
    struct error error = {0};
    if (policy_draft_change(&draft->page, policy_change_remove, place, &error)) {
        policy_draft_redirect(draft, path, "removed");
        return true;
    }
    if (error.code == ERROR_DENIED) {
        draft->page.response->status = 409;
        return false;
    }
    policy_draft_fail(draft, &error);
    return true;
}
