/* Status, message audit log: the search and its pages. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"

#include "common/ip.h"
#include "common/message_id.h"
#include "common/timestamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MOST 1000
#define MINUTE_MS 60000
#define DAY_MS 86400000LL

static const char *const actions[] = {"deliver", "delete",          "reject", "bounce",
                                      "refused", "message aborted", NULL};
static const char *const directions[] = {"inbound", "outbound", "internal", NULL};
static const size_t page_sizes[] = {100, 200, 1000};
static const char *const fields[] = {"sender", "recipient", "subject", "id",    "ip",   "verdict",
                                     "state",  "host",      "from",    "until", "size", NULL};

/* --- the form --- */

static bool is_known(const char *word, const char *const *known)
{
    for (size_t i = 0; known[i]; i++)
        if (strcmp(word, known[i]) == 0)
            return true;
    return false;
}

/* Marks the chosen option of a list in the form: selected.FIELD.WORD. */
static const char *take_word(struct form *form, json_t *selected, const char *field,
                             const char *const *known)
{
    const char *word = form_take_query(form, field);
    if (!*word)
        return NULL;
    if (!is_known(word, known)) {
        form_refuse(form, field, "choose_listed", NULL);
        return NULL;
    }
    page_put_word(form->page, selected, field, word, known);
    return word;
}

static const char *take_text(struct form *form, const char *field)
{
    const char *text = form_take_query(form, field);
    if (strlen(text) > TEXT_MOST)
        form_refuse(form, field, "search_long", json_pack("{s:i}", "most", TEXT_MOST));
    return *text ? text : NULL;
}

static const char *take_ip(struct form *form, const char *field)
{
    struct ip_address address;
    const char *text = form_take_query(form, field);
    if (*text && !ip_parse(text, &address))
        form_refuse(form, field, "ip_form", NULL);
    return *text ? text : NULL;
}

/* "2026-01-31", or with a time as browsers send it: "2026-01-31T12:00". The end of a range is the
 * end of the day or minute that it names. */
static int64_t take_time(struct form *form, const char *field, bool is_end)
{
    const char *text = form_take_query(form, field);
    size_t length = strlen(text);
    char iso[TIMESTAMP_TEXT_SIZE];
    int64_t time;
    if (length == 0)
        return 0;
    if (length == 10)
        snprintf(iso, sizeof iso, "%.10sT00:00:00Z", text);
    else
        snprintf(iso, sizeof iso, length == 16 ? "%.10sT%.5s:00Z" : "%.10sT%.8sZ", text,
                 length > 11 ? text + 11 : "");
    if (length > 19 || !timestamp_parse(iso, &time) || time <= 0) {
        form_refuse(form, field, "time_form", NULL);
        return 0;
    }
    return time + (!is_end ? 0 : length == 10 ? DAY_MS : length == 16 ? MINUTE_MS : 1000);
}

static size_t take_size(struct form *form, json_t *selected)
{
    const char *text = form_take_query(form, "size");
    size_t size = page_sizes[0];
    for (size_t i = 0; i < sizeof page_sizes / sizeof *page_sizes; i++)
        if (strtoul(text, NULL, 10) == page_sizes[i])
            size = page_sizes[i];
    char name[16];
    snprintf(name, sizeof name, "size_%zu", size);
    page_put_true(form->page, selected, name);
    return size;
}

static void take_host(struct form *form, struct store_audit_query *query)
{
    struct message_id id;
    const char *text = form_take_query(form, "host");
    if (*text && !message_id_parse(text, &id))
        form_refuse(form, "host", "choose_listed", NULL);
    query->scanner_id = *text ? text : NULL;
}

/* Where the page before ended. */
static void take_keyset(struct page *page, struct store_audit_query *query)
{
    const char *time = http_query(page->request, "before");
    const char *id = http_query(page->request, "before_id");
    struct message_id parsed;
    if (!time || !id || strlen(time) > 15 || strspn(time, "0123456789") != strlen(time) ||
        !message_id_parse(id, &parsed))
        return;
    query->before_time = strtoll(time, NULL, 10);
    query->before_id = id;
    page_put_true(page, page->data, "is_later");
}

static void take_query(struct form *form, struct store_audit_query *query)
{
    json_t *selected = page_put_object(form->page, form->page->data, "selected");
    *query = (struct store_audit_query){
        .sender = take_text(form, "sender"),
        .recipient = take_text(form, "recipient"),
        .subject = take_text(form, "subject"),
        .message_id = take_text(form, "id"),
        .peer_ip = take_ip(form, "ip"),
        .verdict = take_word(form, selected, "verdict", page_verdicts),
        .outcome = take_word(form, selected, "state", page_states),
        .from = take_time(form, "from", false),
        .until = take_time(form, "until", true),
        .limit = take_size(form, selected),
    };
    take_host(form, query);
    take_keyset(form->page, query);
    if (query->from && query->until && query->from >= query->until)
        form_refuse(form, "until", "range_backwards", NULL);
}

/* --- the hosts to choose from --- */

static bool put_hosts(struct page *page, const char *chosen, struct error *error)
{
    struct store_scanner *scanners = NULL;
    size_t count = 0;
    if (!store_scanner_list(page->application->store, &scanners, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "hosts");
    for (size_t i = 0; i < count; i++) {
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "id", scanners[i].id);
        page_put_text(page, row, "name", scanners[i].host_name);
        page_put(page, row, "chosen", json_boolean(chosen && strcmp(chosen, scanners[i].id) == 0));
    }
    store_scanner_list_free(scanners, count);
    return true;
}

/* --- results --- */

/* Reads "2 delivered, 1 deferred" back into numbers and states. */
static void put_outcomes(struct page *page, json_t *row, const char *outcomes)
{
    json_t *array = page_put_array(page, row, "outcomes");
    while (*outcomes) {
        char state[40];
        char *end;
        long count = strtol(outcomes, &end, 10);
        size_t skip = strspn(end, " "), length = strcspn(end + skip, ",");
        snprintf(state, sizeof state, "%.*s", (int)(length < 39 ? length : 39), end + skip);
        json_t *outcome = page_add_object(page, array);
        page_put_word(page, outcome, "state", state, page_states);
        if (count > 1)
            page_put_count(page, outcome, "count", count);
        outcomes = end + skip + length;
        outcomes += strspn(outcomes, ", ");
    }
}

static void put_message(struct page *page, json_t *rows, const struct store_audit_message *message)
{
    json_t *row = page_add_object(page, rows);
    page_put_text(page, row, "id", message->id);
    page_put_time(page, row, "at", message->at);
    page_put_text(page, row, "host", message->scanner_host);
    page_put_word(page, row, "direction", message->direction, directions);
    page_put_text(page, row, "ip", message->peer_ip);
    page_put_word(page, row, "verdict", message->verdict, page_verdicts);
    page_put_word(page, row, "action", message->action, actions);
    page_put_text(page, row, "sender", message->sender);
    page_put_text(page, row, "subject", message->subject);
    page_put_text(page, row, "recipients", message->recipients);
    page_put_size(page, row, "size", message->size);
    put_outcomes(page, row, message->outcomes);
}

/* The search again, without where the page begins. */
static void add_search(const struct page *page, struct buffer *link)
{
    buffer_add_text(link, "/audit?");
    for (size_t i = 0; fields[i]; i++) {
        const char *value = http_query(page->request, fields[i]);
        if (!value || !*value)
            continue;
        buffer_add_format(link, "%s=", fields[i]);
        http_encode(link, value);
        buffer_add_text(link, "&");
    }
}

static void put_links(struct page *page, const struct store_audit_message *last)
{
    struct buffer link = BUFFER_INIT;
    add_search(page, &link);
    page_put_text(page, page->data, "newest", buffer_text(&link));
    if (last) {
        buffer_add_format(&link, "before=%lld&before_id=%s", (long long)last->at, last->id);
        page_put_text(page, page->data, "next", buffer_text(&link));
    }
    if (link.failed)
        page->failed = true;
    buffer_free(&link);
}

static bool put_results(struct page *page, const struct store_audit_query *query,
                        struct error *error)
{
    struct store_audit_message *messages = NULL;
    size_t count = 0;
    if (!store_audit_search(page->application->store, query, &messages, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "messages");
    for (size_t i = 0; i < count; i++)
        put_message(page, rows, &messages[i]);
    put_links(page, count == query->limit ? &messages[count - 1] : NULL);
    /* Not "count", which rows have too and leave out. */
    page_put_count(page, page->data, "message_count", (int64_t)count);
    page_put(page, page->data, "has_messages", json_boolean(count > 0));
    store_audit_list_free(messages, count);
    return true;
}

static bool is_searching(const struct page *page)
{
    for (size_t i = 0; fields[i]; i++) {
        const char *value = http_query(page->request, fields[i]);
        if (value && *value && strcmp(fields[i], "size") != 0)
            return true;
    }
    return false;
}

/* A search that the store refuses or gives up is the form's matter; the rest is not. */
static void answer_error(struct form *form, const struct error *error)
{
    bool is_long = error->code == ERROR_TIMEOUT;
    if (error->code != ERROR_INVALID && !is_long) {
        page_fail(form->page, error);
        return;
    }
    form_refuse_reason(form, is_long ? "from" : error->where, 0, error->message);
    form->page->response->status = is_long ? 503 : 422;
    page_show(form->page, "audit/search");
}

void page_audit(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct store_audit_query query;
    struct error error = {0};
    page_open(&page, request, response, "audit");
    form_open(&form, &page);
    form_set_purpose(&form, "search");
    take_query(&form, &query);
    page_put(&page, page.data, "is_search", json_boolean(is_searching(&page)));
    if (!put_hosts(&page, query.scanner_id, &error)) {
        page_fail(&page, &error);
    } else if (form.wrong) {
        response->status = 422;
        page_show(&page, "audit/search");
    } else if (put_results(&page, &query, &error)) {
        page_show(&page, "audit/search");
    } else {
        answer_error(&form, &error);
    }
}
