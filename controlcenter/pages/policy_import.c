/* Policies as a file: export of the draft and of versions, and import into the draft. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/policy_draft.h"
#include "controlcenter/pages/policy_file.h"
#include "controlcenter/pages/policy_place.h"

#include "common/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEMPLATE "policies/import"

/* --- export --- */

static void send_file(struct page *page, const json_t *document, const char *name)
{
    char disposition[96];
    cleanup_free char *text = policy_file_write(document);
    if (!text || !buffer_add_format(&page->response->body, "%s\n", text)) {
        struct error error = {.code = ERROR_INTERNAL, .message = "out of memory"};
        page_fail(page, &error);
        return;
    }
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s.json\"", name);
    http_add_header(page->response, "Content-Disposition", disposition);
    snprintf(page->response->content_type, sizeof page->response->content_type,
             "application/json; charset=utf-8");
    json_decref(page->data);
}

void page_policy_export(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    int64_t revision;
    page_open(&page, request, response, "policy_filters");
    cleanup_json json_t *draft = store_policy_draft(page.application->store, &revision, &error);
    if (draft)
        send_file(&page, draft, "policies");
    else
        page_fail(&page, &error);
}

void page_policy_version_export(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    char name[48];
    const char *text = request->captures[0];
    bool is_number = strspn(text, "0123456789") == strlen(text) && strlen(text) <= 15;
    int64_t version = is_number ? strtoll(text, NULL, 10) : 0;
    page_open(&page, request, response, "policy_history");
    cleanup_json json_t *document = store_policy_version(page.application->store, version, &error);
    snprintf(name, sizeof name, "policies-version-%" PRId64, version);
    if (document)
        send_file(&page, document, name);
    else
        page_fail(&page, &error);
}

/* --- import --- */

void page_policy_import_form(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct form form;
    if (!policy_draft_open(&draft, request, response, "policy_filters"))
        return;
    form_open(&form, &draft.page);
    policy_draft_show(&draft, TEMPLATE);
}

/* The file that was chosen, or the text that was pasted; NULL after refusing. */
static const char *sent_text(struct form *form, size_t *length)
{
    const struct http_file *file = http_file(form->page->request, "file");
    const char *text = form_take_lines(form, "text");
    if (file) {
        *length = file->length;
        return file->data;
    }
    *length = strlen(text);
    if (*length > 0)
        return text;
    form_refuse(form, "file", "import_missing", NULL);
    return NULL;
}

static void refuse(struct policy_draft *draft, struct form *form, const json_t *document,
                   const struct error *error)
{
    struct buffer text = BUFFER_INIT;
    if (error->code == ERROR_EXISTS) {
        form_refuse(form, "file", "policy_import_moved", NULL);
        draft->page.response->status = 409;
    } else if (error->code == ERROR_INVALID && document) {
        policy_place_words(&draft->page, document, error, &text);
        form_refuse(form, "file", "policy_plain", json_pack("{s:s}", "reason", buffer_text(&text)));
    } else if (error->code == ERROR_INVALID || error->code == ERROR_LIMIT) {
        form_refuse(form, "file", "policy_file_wrong",
                    json_pack("{s:s}", "reason", error->message));
    }
    buffer_free(&text);
    if (!form->wrong) {
        policy_draft_fail(draft, error);
        return;
    }
    if (draft->page.response->status == 200)
        draft->page.response->status = 422;
    policy_draft_show(draft, TEMPLATE);
}

void page_policy_import(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct form form;
    struct error error = {0};
    size_t length = 0;
    if (!policy_draft_open(&draft, request, response, "policy_filters"))
        return;
    form_open(&form, &draft.page);
    const char *text = sent_text(&form, &length), *revision = http_form(request, "revision");
    cleanup_json json_t *document = text ? policy_file_read(text, length, &error) : NULL;
    if (document && (!revision || strtoll(revision, NULL, 10) != draft.revision))
        error_set(&error, ERROR_EXISTS, NULL, "the draft was changed meanwhile");
    else if (document && policy_draft_put(&draft, document, "imported a file", &error)) {
        policy_draft_redirect(&draft, "/policies/review", "imported");
        return;
    }
    refuse(&draft, &form, document, &error);
}
