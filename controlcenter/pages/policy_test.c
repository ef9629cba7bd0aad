/* Policies, try a message: what the draft would do with it, and why. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/policy_draft.h"
#include "controlcenter/pages/policy_person.h"
#include "controlcenter/pages/policy_trial.h"

#include "common/cleanup.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TEMPLATE "policies/test"
#define MESSAGE_MOST (8u << 20) /* bytes; in base64, with the draft, within a request's limit */
#define RECIPIENTS_MOST 20
#define LINE_SIZE 700
#define WAIT_MS 40000

static const char *const directions[] = {"inbound", "outbound", NULL};

/* --- the form --- */

static bool put_hosts(struct page *page, const char *chosen, struct error *error)
{
    struct store_scanner *scanners = NULL;
    size_t count = 0;
    if (!store_scanner_list(page->application->store, &scanners, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "scanners");
    for (size_t i = 0; i < count; i++) {
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "scanner_id", scanners[i].id);
        page_put_text(page, row, "host_name", scanners[i].host_name);
        page_put(page, row, "is_chosen", json_boolean(strcmp(chosen, scanners[i].id) == 0));
    }
    page_put(page, page->data, "has_scanners", json_boolean(count > 0));
    store_scanner_list_free(scanners, count);
    return true;
}

static void show(struct policy_draft *draft, struct form *form, const char *host)
{
    struct error error = {0};
    if (form->wrong)
        draft->page.response->status = 422;
    if (put_hosts(&draft->page, host, &error))
        policy_draft_show(draft, TEMPLATE);
    else
        policy_draft_fail(draft, &error);
}

void page_policy_test_form(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct form form;
    if (!policy_draft_open(&draft, request, response, "policy_test"))
        return;
    form_open(&form, &draft.page);
    form_select(&form, "direction", directions[0]);
    show(&draft, &form, "");
}

/* --- what is asked --- */

static void take_recipients(struct form *form, const json_t *document, json_t *recipients)
{
    char line[LINE_SIZE];
    const char *reason;
    int number = 1;
    for (const char *at = form_next_line(form_take_lines(form, "recipients"), line, sizeof line);
         at; at = form_next_line(at, line, sizeof line), number++) {
        json_t *person = policy_person(document, line, &reason);
        if (!person)
            form_refuse_reason(form, "recipients", number, reason);
        else if (number > RECIPIENTS_MOST)
            form_refuse(form, "recipients", "policy_recipients_many",
                        json_pack("{s:i}", "most", RECIPIENTS_MOST));
        json_array_append_new(recipients, person ? person : json_object());
    }
    if (json_array_size(recipients) == 0)
        form_refuse(form, "recipients", "policy_text_missing", NULL);
}

static json_t *take_envelope(struct form *form, const json_t *document)
{
    const char *direction = form_take_word(form, "direction", directions), *reason = NULL;
    const char *typed = form_take(form, "sender");
    json_t *sender =
        *typed ? policy_person(document, typed, &reason)
               : json_pack("{s:s,s:[],s:s}", "address", "", "directory_groups", "group", "default");
    json_t *recipients = json_array();
    if (!sender)
        form_refuse_reason(form, "sender", 0, reason);
    take_recipients(form, document, recipients);
    return json_pack("{s:s,s:o,s:o}", "direction", direction ? direction : directions[0], "sender",
                     sender ? sender : json_object(), "recipients", recipients);
}

/* Line ends of text that was pasted are those of the form; mail has CRLF. */
static bool add_message(struct form *form, struct buffer *message)
{
    const struct http_file *file = http_file(form->page->request, "file");
    const char *text = form_take_lines(form, "text");
    const char *data = file ? file->data : text;
    size_t length = file ? file->length : strlen(text);
    if (length == 0)
        form_refuse(form, "file", "policy_message_missing", NULL);
    for (size_t i = 0; i < length; i++) {
        if (data[i] == '\n' && (i == 0 || data[i - 1] != '\r'))
            buffer_add(message, "\r", 1);
        buffer_add(message, data + i, 1);
    }
    if (message->failed)
        form_refuse(form, "file", "policy_message_large", NULL);
    return !form->wrong;
}

static json_t *base64(const struct buffer *message)
{
    size_t size = sodium_base64_ENCODED_LEN(message->length, sodium_base64_VARIANT_ORIGINAL);
    cleanup_free char *text = malloc(size);
    return text ? json_string(sodium_bin2base64(text, size, (const unsigned char *)message->data,
                                                message->length, sodium_base64_VARIANT_ORIGINAL))
                : NULL;
}

static json_t *ask(struct page *page, const char *host, const json_t *policies,
                   const json_t *envelope, const struct buffer *message, struct error *error)
{
    cleanup_json json_t *request =
        json_pack("{s:s,s:O,s:O,s:o}", "op", "dry_run", "policies", policies, "envelope", envelope,
                  "message", base64(message));
    if (request)
        return fleet_ask(page->application->fleet, host, "engine-control", request, WAIT_MS, error);
    error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    return NULL;
}

static void try_message(struct policy_draft *draft, struct form *form, const char *host,
                        const json_t *envelope, const struct buffer *message)
{
    struct page *page = &draft->page;
    struct error error = {0};
    int64_t revision;
    cleanup_json json_t *whole = store_policy_draft(page->application->store, &revision, &error);
    cleanup_json json_t *policies =
        whole ? fleet_scanner_policies(page->application->fleet, whole, &error) : NULL;
    cleanup_json json_t *reply =
        policies ? ask(page, host, policies, envelope, message, &error) : NULL;
    if (reply)
        policy_trial_put(page, whole, envelope, reply);
    else if (error.code == ERROR_NOT_FOUND)
        form_refuse(form, "scanner", "queue_no_scanner", NULL);
    else
        form_refuse(form, "scanner", "policy_test_refused",
                    json_pack("{s:s}", "reason", error.message));
}

void page_policy_test(struct http_request *request, struct http_response *response)
{
    struct policy_draft draft;
    struct form form;
    struct buffer message = {.limit = MESSAGE_MOST};
    if (!policy_draft_open(&draft, request, response, "policy_test"))
        return;
    form_open(&form, &draft.page);
    form_set_purpose(&form, "action");
    const char *host = form_take(&form, "scanner");
    cleanup_json json_t *envelope = take_envelope(&form, draft.document);
    if (!*host)
        form_refuse(&form, "scanner", "choose_listed", NULL);
    if (add_message(&form, &message))
        try_message(&draft, &form, host, envelope, &message);
    buffer_free(&message);
    show(&draft, &form, host);
}
