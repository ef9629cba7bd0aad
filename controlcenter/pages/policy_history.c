/* Policies, history: the versions that were put in force, how they differ, and going back. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/policy_difference.h"
#include "controlcenter/pages/policy_draft.h"

#include "common/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH "/policies/history"
#define PAGE_SIZE 50

/* -1 for what is no number. */
static int64_t number_of(const char *text)
{
    size_t length = text ? strlen(text) : 0;
    bool is_number = length > 0 && length <= 15 && strspn(text, "0123456789") == length;
    return is_number ? strtoll(text, NULL, 10) : -1;
}

static void put_version(struct page *page, json_t *row, const struct store_policy_version *version)
{
    const json_t *change;
    size_t i;
    page_put_number(page, row, "version", version->version);
    page_put_time(page, row, "at", version->at);
    page_put_text(page, row, "administrator", version->administrator);
    page_put(page, row, "comment", json_string(version->comment ? version->comment : ""));
    json_t *changes = page_put_array(page, row, "changes");
    json_array_foreach(version->changes, i, change)
    {
        page_put_text(page, page_add_object(page, changes), "line", json_string_value(change));
    }
    page_put(page, row, "has_changes", json_boolean(i > 0));
}

/* --- the list --- */

static bool put_versions(struct page *page, struct error *error)
{
    struct store *store = page->application->store;
    struct store_policy_version *versions = NULL;
    size_t count = 0;
    int64_t before = number_of(http_query(page->request, "before")), active;
    if (!store_policy_active_version(store, &active, error) ||
        !store_policy_versions(store, before > 0 ? before : 0, PAGE_SIZE + 1, &versions, &count,
                               error))
        return false;
    json_t *rows = page_put_array(page, page->data, "versions");
    for (size_t i = 0; i < count && i < PAGE_SIZE; i++) {
        json_t *row = page_add_object(page, rows);
        put_version(page, row, &versions[i]);
        page_put(page, row, "in_force", json_boolean(versions[i].version == active));
        page_put(page, row, "is_newest", json_boolean(i == 0));
        page_put(page, row, "is_second", json_boolean(i == 1));
    }
    if (count > PAGE_SIZE)
        page_put_number(page, page->data, "later", versions[PAGE_SIZE - 1].version);
    page_put(page, page->data, "has_versions", json_boolean(count > 0));
    page_put(page, page->data, "has_several", json_boolean(count > 1));
    store_policy_versions_free(versions, count);
    return true;
}

void page_policy_history(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct error error = {0};
    if (!policy_draft_open(&draft, request, response, "policy_history"))
        return;
    if (put_versions(&draft.page, &error))
        policy_draft_show(&draft, "policies/history");
    else
        policy_draft_fail(&draft, &error);
}

/* --- one version --- */

/* Puts who made the version, when and why. */
static bool put_head(struct page *page, int64_t number, struct error *error)
{
    struct store_policy_version *versions = NULL;
    size_t count = 0;
    int64_t active;
    if (!store_policy_active_version(page->application->store, &active, error) ||
        !store_policy_versions(page->application->store, number + 1, 1, &versions, &count, error))
        return false;
    bool found = count == 1 && versions[0].version == number;
    if (found)
        put_version(page, page->data, &versions[0]);
    page_put(page, page->data, "in_force", json_boolean(number == active));
    store_policy_versions_free(versions, count);
    return found || error_set(error, ERROR_NOT_FOUND, NULL, "there is no such version");
}

/* The document before it; version 1 followed nothing. */
static bool put_differences(struct page *page, int64_t number, struct error *error)
{
    struct store *store = page->application->store;
    cleanup_json json_t *document = store_policy_version(store, number, error);
    cleanup_json json_t *previous =
        document && number > 1 ? store_policy_version(store, number - 1, error) : NULL;
    if (!document || (number > 1 && !previous))
        return false;
    policy_difference_put(page, previous, document);
    page_put_number(page, page->data, "previous", number - 1);
    page_put(page, page->data, "has_previous", json_boolean(number > 1));
    return true;
}

static void show_version(struct policy_draft *draft, int64_t number)
{
    struct error error = {0};
    if (number < 1)
        error_set(&error, ERROR_NOT_FOUND, NULL, "there is no such version");
    if (number >= 1 && put_head(&draft->page, number, &error) &&
        put_differences(&draft->page, number, &error))
        policy_draft_show(draft, "policies/version");
    else
        policy_draft_fail(draft, &error);
}

void page_policy_version(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    if (policy_draft_open(&draft, request, response, "policy_history"))
        show_version(&draft, number_of(request->captures[0]));
}

/* --- any two --- */

/* A version, or the draft for "draft". */
static json_t *document_of(struct page *page, const char *name, struct error *error)
{
    int64_t revision, number = number_of(name);
    if (name && strcmp(name, "draft") == 0)
        return store_policy_draft(page->application->store, &revision, error);
    if (number >= 1)
        return store_policy_version(page->application->store, number, error);
    error_set(error, ERROR_NOT_FOUND, NULL, "there is no such version");
    return NULL;
}

void page_policy_compare(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct error error = {0};
    const char *from = http_query(request, "from"), *to = http_query(request, "to");
    if (!policy_draft_open(&draft, request, response, "policy_history"))
        return;
    struct page *page = &draft.page;
    cleanup_json json_t *before = document_of(page, from, &error);
    cleanup_json json_t *after = before ? document_of(page, to, &error) : NULL;
    if (!after) {
        policy_draft_fail(&draft, &error);
        return;
    }
    page_put_text(page, page->data, "from", from);
    page_put_text(page, page->data, "to", to);
    page_put(page, page->data, "to_draft", json_boolean(strcmp(to, "draft") == 0));
    policy_difference_put(page, before, after);
    policy_draft_show(&draft, "policies/compare");
}

/* --- going back --- */

void page_policy_revert(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct error error = {0};
    char what[64];
    int64_t number = number_of(request->captures[0]);
    if (!policy_draft_open(&draft, request, response, "policy_history"))
        return;
    cleanup_json json_t *document = document_of(&draft.page, request->captures[0], &error);
    snprintf(what, sizeof what, "went back to version %" PRId64, number);
    if (document && number_of(http_form(request, "revision")) != draft.revision) {
        response->status = 409;
        page_put_true(&draft.page, draft.page.data, "has_moved");
        show_version(&draft, number);
    } else if (document && policy_draft_put(&draft, document, what, &error)) {
        policy_draft_redirect(&draft, "/policies/review", "reverted");
    } else {
        policy_draft_fail(&draft, &error);
    }
}
