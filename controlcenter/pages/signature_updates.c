#include "controlcenter/pages/signature_updates.h"
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/host_status.h"

#include "common/cleanup.h"
#include "common/timestamp.h"
#include "common/utf8.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MOST 300
#define ASK_MS 15000

/* --- what an agent says --- */

static void put_said(struct page *page, json_t *to, const char *name, const char *said)
{
    char text[TEXT_MOST + 1];
    if (!said)
        return;
    snprintf(text, sizeof text, "%s", said);
    text[utf8_scrub(text, strlen(text))] = '\0';
    page_put_text(page, to, name, text);
}

static void put_moment(struct page *page, json_t *to, const char *name, const json_t *status)
{
    const char *said = json_string_value(json_object_get(status, name));
    int64_t moment;
    if (said && timestamp_parse(said, &moment) && moment > 0)
        page_put_time(page, to, name, moment);
}

void signature_update_put(struct page *page, json_t *row, const json_t *status)
{
    if (!json_is_object(status))
        return;
    const char *problem = json_string_value(json_object_get(status, "error"));
    bool running = json_is_true(json_object_get(status, "running"));
    json_t *to = page_put_object(page, row, "update");
    page_put(page, to, "missing", json_boolean(json_is_false(json_object_get(status, "program"))));
    page_put(page, to, "running", json_boolean(running));
    page_put(page, to, "failed", json_boolean(!running && problem && *problem));
    put_moment(page, to, "last_run", status);
    put_moment(page, to, "last_success", status);
    put_said(page, to, "reason", problem);
}

/* --- all of them --- */

bool signature_updates_put(struct page *page, struct error *error)
{
    struct store_scanner *scanners = NULL;
    size_t count = 0;
    if (!store_scanner_list(page->application->store, &scanners, &count, error))
        return false;
    int64_t now = timestamp_now_ms();
    json_t *rows = page_put_array(page, page->data, "hosts");
    for (size_t i = 0; i < count; i++)
        host_put(page, page_add_object(page, rows), &scanners[i], now);
    page_put(page, page->data, "has_hosts", json_boolean(count > 0));
    store_scanner_list_free(scanners, count);
    return true;
}

/* --- update now --- */

void page_signature_update_now(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    cleanup_json json_t *order = json_pack("{s:s}", "op", "update_signatures");
    page_open(&page, request, response, "malware_signatures");
    cleanup_json json_t *reply =
        fleet_ask(page.application->fleet, request->captures[0], "agent", order, ASK_MS, &error);
    if (reply) {
        page_redirect(&page, "/malware/signatures", "update_asked");
        return;
    }
    if (error.code != ERROR_INVALID && error.code != ERROR_TIMEOUT) {
        page_fail(&page, &error);
        return;
    }
    struct form form;
    form_open(&form, &page);
    form_refuse(&form, "hosts", "update_refused", json_pack("{s:s}", "reason", error.message));
    response->status = 422;
    signatures_show(&page);
}
