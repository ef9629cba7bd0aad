/* Status, message audit log: one message, as a timeline of everything that happened to it. */
#include "controlcenter/pages/audit_filters.h"
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"

#include "common/cleanup.h"
#include "common/timestamp.h"

#include <string.h>

#define THREATS_SHOWN 100

static const char *const event_types[] = {"received", "aborted",  "refused", "scanned",
                                          "action",   "delivery", "bounced", "queue",
                                          "filters",  "incident", NULL};
static const char *const actions[] = {"deliver", "delete",     "reject",  "bounce",
                                      "clean",   "quarantine", "refused", "message aborted",
                                      "hold",    "defer",      "move",    NULL};
static const char *const queue_actions[] = {"hold", "release", "flush", "reroute", NULL};
static const char *const directions[] = {"inbound", "outbound", "internal", NULL};
static const char *const outcomes[] = {"delivered", "deferred", "failed", NULL};

/* --- members of the store's JSON --- */

static const char *text_of(const json_t *from, const char *name)
{
    return json_string_value(json_object_get(from, name));
}

static void copy_count(struct page *page, json_t *to, const json_t *from, const char *name)
{
    const json_t *value = json_object_get(from, name);
    if (json_is_integer(value))
        page_put_count(page, to, name, json_integer_value(value));
}

/* A port is a name, not a quantity: no comma. */
static void copy_port(struct page *page, json_t *to, const json_t *from, const char *name)
{
    const json_t *value = json_object_get(from, name);
    if (json_integer_value(value) > 0)
        page_put(page, to, name, json_integer(json_integer_value(value)));
}

static void copy_time(struct page *page, json_t *to, const json_t *from, const char *name)
{
    const json_t *value = json_object_get(from, name);
    int64_t time = json_integer_value(value);
    if (json_is_string(value) && !timestamp_parse(json_string_value(value), &time))
        return;
    page_put_time(page, to, name, time);
}

/* Events say false, true or how; columns say "", "yes" or how. */
static void copy_tls(struct page *page, json_t *to, const json_t *from)
{
    const json_t *value = json_object_get(from, "tls");
    const char *text = json_string_value(value);
    if (json_is_true(value) || (text && strcmp(text, "yes") == 0))
        page_put_true(page, page_put_object(page, to, "tls"), "used");
    else if (text && *text)
        page_put_text(page, page_put_object(page, to, "tls"), "how", text);
}

static void put_elapsed(struct page *page, json_t *to, const json_t *from)
{
    const json_t *value = json_object_get(from, "elapsed_us");
    if (json_is_integer(value))
        page_put_count(page, to, "elapsed_ms", (json_integer_value(value) + 500) / 1000);
}

static void put_threats(struct page *page, json_t *to, const json_t *from)
{
    const json_t *threat;
    size_t index;
    json_t *rows = page_put_array(page, to, "threats");
    json_array_foreach(json_object_get(from, "threats"), index, threat)
    {
        if (index >= THREATS_SHOWN)
            break;
        json_t *row = page_add_object(page, rows);
        page_copy_text(page, row, threat, "name");
        page_copy_text(page, row, threat, "part");
        const char *verdict = text_of(threat, "verdict");
        page_put(page, row, "has_verdict", json_boolean(verdict && *verdict));
        page_put_word(page, row, "verdict", verdict, page_verdicts);
    }
    page_put(page, to, "has_threats", json_boolean(json_array_size(rows) > 0));
}

/* --- the message and its recipients --- */

static void put_summary(struct page *page, const json_t *message)
{
    static const char *const texts[] = {"id",     "scanner_host", "peer_ip", "helo",   "protocol",
                                        "sender", "subject",      "from",    "reason", "message_id",
                                        "policy", "detail",       "reply"};
    json_t *to = page_put_object(page, page->data, "message");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        page_copy_text(page, to, message, texts[i]);
    copy_time(page, to, message, "at");
    copy_port(page, to, message, "peer_port");
    copy_count(page, to, message, "parts");
    copy_tls(page, to, message);
    put_elapsed(page, to, message);
    put_threats(page, to, message);
    page_put_word(page, to, "direction", text_of(message, "direction"), directions);
    page_put_word(page, to, "verdict", text_of(message, "verdict"), page_verdicts);
    page_put_word(page, to, "action", text_of(message, "action"), actions);
    const json_t *size = json_object_get(message, "size");
    if (json_is_integer(size)) {
        page_put_size(page, to, "size", json_integer_value(size));
        page_put_count(page, to, "bytes", json_integer_value(size));
    }
}

static void put_recipients(struct page *page, const json_t *recipients)
{
    const json_t *recipient;
    size_t index;
    json_t *rows = page_put_array(page, page->data, "recipients");
    json_array_foreach((json_t *)recipients, index, recipient)
    {
        json_t *row = page_add_object(page, rows);
        page_copy_text(page, row, recipient, "address");
        page_copy_text(page, row, recipient, "host");
        page_copy_text(page, row, recipient, "ip");
        copy_port(page, row, recipient, "port");
        page_copy_text(page, row, recipient, "reply");
        page_copy_text(page, row, recipient, "dsn");
        copy_count(page, row, recipient, "attempts");
        copy_time(page, row, recipient, "changed_at");
        copy_time(page, row, recipient, "next_attempt");
        copy_tls(page, row, recipient);
        page_put_word(page, row, "state", text_of(recipient, "state"), page_states);
    }
    page_put_count(page, page->data, "recipient_count", (int64_t)json_array_size(rows));
    page_put(page, page->data, "has_recipients", json_boolean(json_array_size(rows) > 0));
}

/* A recipient that waits still does so in a scanner's queue. */
static bool is_queued(const json_t *recipients)
{
    static const char *const waiting[] = {"to be scanned", "quarantined", "queued", "deferred"};
    const json_t *recipient;
    size_t index;
    json_array_foreach((json_t *)recipients, index, recipient)
    {
        const char *state = text_of(recipient, "state");
        for (size_t i = 0; state && i < sizeof waiting / sizeof *waiting; i++)
            if (strcmp(state, waiting[i]) == 0)
                return true;
    }
    return false;
}

static void put_queue_entry(struct page *page, const json_t *message, const json_t *recipients)
{
    const char *scanner_id = text_of(message, "scanner_id");
    struct buffer path = BUFFER_INIT;
    if (!scanner_id || !is_queued(recipients))
        return;
    buffer_add_format(&path, "/queues/%s/%s", scanner_id, text_of(message, "id"));
    page_put_text(page, page->data, "queue_entry", buffer_text(&path));
    buffer_free(&path);
}

/* --- the timeline --- */

/* The addresses that an event names, by value or by the index of the recipient. */
static void put_event_recipients(struct page *page, json_t *to, const json_t *event,
                                 const json_t *recipients)
{
    const json_t *named;
    size_t index;
    json_t *rows = page_put_array(page, to, "addresses");
    json_array_foreach(json_object_get(event, "recipients"), index, named)
    {
        const char *address = json_string_value(named);
        if (json_is_integer(named) && json_integer_value(named) >= 0)
            address =
                text_of(json_array_get(recipients, (size_t)json_integer_value(named)), "address");
        if (address)
            page_put_text(page, page_add_object(page, rows), "address", address);
    }
}

static void put_event_members(struct page *page, json_t *to, const json_t *event)
{
    static const char *const texts[] = {
        "peer_ip", "helo",    "protocol",      "sender",  "reply", "reason",  "detail",
        "policy",  "address", "host",          "ip",      "dsn",   "subject", "message_id",
        "from",    "route",   "administrator", "security"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        page_copy_text(page, to, event, texts[i]);
    page_copy_text(page, to, event, "user");
    copy_port(page, to, event, "peer_port");
    copy_port(page, to, event, "port");
    copy_count(page, to, event, "attempt");
    copy_count(page, to, event, "parts");
    copy_time(page, to, event, "next_attempt");
    copy_tls(page, to, event);
    put_elapsed(page, to, event);
    put_threats(page, to, event);
    page_put_word(page, to, "direction", text_of(event, "direction"), directions);
    page_put_word(page, to, "verdict", text_of(event, "verdict"), page_verdicts);
    page_put_word(page, to, "action", text_of(event, "action"), actions);
    page_put_word(page, to, "queue_action", text_of(event, "action"), queue_actions);
    page_put_word(page, to, "outcome", text_of(event, "outcome"), outcomes);
}

static void put_events(struct page *page, const json_t *events, const json_t *recipients)
{
    const json_t *event;
    size_t index;
    json_t *rows = page_put_array(page, page->data, "events");
    json_array_foreach((json_t *)events, index, event)
    {
        json_t *row = page_add_object(page, rows);
        copy_time(page, row, event, "at");
        page_put_word(page, row, "type", text_of(event, "type"), event_types);
        json_t *to = page_put_object(page, row, "event");
        put_event_members(page, to, event);
        put_event_recipients(page, to, event, recipients);
        audit_filters_put(page, to, event, recipients);
        audit_incident_put(page, to, event);
        audit_other_message_put(page, to, event);
        const json_t *size = json_object_get(event, "size");
        if (json_is_integer(size))
            page_put_size(page, to, "size", json_integer_value(size));
    }
}

void page_audit_message(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, "audit");
    cleanup_json json_t *whole =
        store_audit_message(page.application->store, request->captures[0], &error);
    if (!whole) {
        page_fail(&page, &error);
        return;
    }
    const json_t *recipients = json_object_get(whole, "recipients");
    put_summary(&page, json_object_get(whole, "message"));
    put_recipients(&page, recipients);
    put_queue_entry(&page, json_object_get(whole, "message"), recipients);
    put_events(&page, json_object_get(whole, "events"), recipients);
    page_show(&page, "audit/message");
}
