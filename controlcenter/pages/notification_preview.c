#include "controlcenter/pages/notification_preview.h"

#include "controlcenter/mail/notification_compose.h"
#include "controlcenter/mail/notification_text.h"
#include "controlcenter/pages/policy_objects.h"

#include "common/cleanup.h"
#include "controlcenter/incidents/rights.h"

#include <stdio.h>
#include <string.h>

static void put_name(struct page *page, json_t *rows, const char *name, const char *key)
{
    struct buffer meaning = BUFFER_INIT;
    char shown[NOTIFICATION_NAME_SIZE + 5];
    json_t *row = page_add_object(page, rows);
    snprintf(shown, sizeof(shown), "{{%s}}", name);
    page_put_text(page, row, "shown", shown);
    page_message(page, "notification_value", json_pack("{s:{s:b}}", "is", key, 1), &meaning);
    page_put_text(page, row, "meaning", buffer_text(&meaning));
    buffer_free(&meaning);
}

void notification_put_names(struct page *page)
{
    json_t *rows = page_put_array(page, page->data, "value_names");
    for (size_t i = 0; notification_names[i]; i++)
        put_name(page, rows, notification_names[i], notification_names[i]);
    put_name(page, rows, "link_view", "link_view");
    put_name(page, rows, "link_approve", "link_act");
    put_name(page, rows, "link_reject", "link_act");
    put_name(page, rows, "console_view", "console_view");
    put_name(page, rows, "console_approve", "console_act");
}

/* --- the preview --- */

static bool name_for_value(void *argument, const char *name, struct buffer *value,
                           struct error *error)
{
    (void)argument;
    return buffer_add_format(value, "[%s]", name) ||
           error_set(error, ERROR_LIMIT, NULL, "too long");
}

/* The newest incident, and what the audit log knows of its message; both may be missing. */
struct example {
    struct store_incident *incidents;
    size_t count;
    json_t *message;
};

static void find_example(struct page *page, struct example *example)
{
    struct store *store = page->application->store;
    struct store_incident_query query = {.limit = 1};
    struct error error = {0};
    *example = (struct example){0};
    cleanup_json json_t *hidden = incident_rights_hidden(store, page_administrator(page), &error);
    query.hidden = hidden;
    if (hidden &&
        store_incident_search(store, &query, &example->incidents, &example->count, &error) &&
        example->count > 0)
        example->message = store_audit_message(store, example->incidents[0].message_id, &error);
}

static void put_text(struct page *page, json_t *preview, const char *name, bool html,
                     const struct notification_context *context, const struct example *example)
{
    struct buffer text = BUFFER_INIT;
    struct error error = {0};
    const char *template = json_text_of(context->template, name);
    if (example->message)
        notification_preview(context, template, html, &text, &error);
    else
        notification_render(template, html, name_for_value, NULL, &text, &error);
    page_put_text(page, preview, name, buffer_text(&text));
    buffer_free(&text);
}

void notification_put_preview(struct page *page, const json_t *template)
{
    struct example example;
    find_example(page, &example);
    const char *filter = example.count > 0
                             ? json_text_of(json_array_get(example.incidents[0].filters, 0), "id")
                             : "";
    struct notification_context context = {
        .template = template,
        .message = example.message,
        .filter = filter,
        .incident = example.count > 0 ? &example.incidents[0] : NULL,
        .url = "https://…",
    };
    json_t *preview = page_put_object(page, page->data, "preview");
    if (example.message)
        page_put_number(page, preview, "incident_number", example.incidents[0].number);
    put_text(page, preview, "subject", false, &context, &example);
    put_text(page, preview, "text", false, &context, &example);
    put_text(page, preview, "html", true, &context, &example);
    json_decref(example.message);
    store_incident_list_free(example.incidents, example.count);
}
