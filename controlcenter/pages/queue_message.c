/* Status, message queues: one message with all its recipients. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/queue_ask.h"
#include "controlcenter/pages/queue_put.h"

#include "common/cleanup.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

/* Header text keeps its line ends; whatever else is no text becomes '?'. */
static void put_header(struct page *page, const json_t *reply)
{
    const char *header = json_string_value(json_object_get(reply, "header"));
    struct buffer text = BUFFER_INIT;
    while (header && *header && text.length < QUEUE_HEADER_MOST) {
        size_t room = QUEUE_HEADER_MOST - text.length, length = strcspn(header, "\r\n");
        size_t kept = length < room ? length : room;
        size_t start = text.length;
        buffer_add(&text, header, kept);
        if (!text.failed)
            text.length = start + utf8_scrub(text.data + start, kept);
        buffer_add(&text, "\n", 1);
        header += length;
        header += header[0] == '\r' && header[1] == '\n' ? 2 : *header ? 1 : 0;
    }
    page->failed = page->failed || text.failed;
    page_put_text(page, page->data, "header", buffer_text(&text));
    buffer_free(&text);
}

static bool put_message(struct page *page, const json_t *reply)
{
    struct queue_entry entry;
    if (!queue_entry_read(json_object_get(reply, "message"), QUEUE_RECIPIENTS_MOST, &entry))
        return false;
    json_t *to = page_put_object(page, page->data, "message");
    queue_put_entry(page, to, &entry);
    queue_put_recipients(page, to, &entry);
    page_put(page, page->data, "is_held",
             json_boolean(entry.state && strcmp(entry.state, "held") == 0));
    queue_entry_clear(&entry);
    put_header(page, reply);
    return true;
}

/* The message left the queue, or its scanner is away: neither is an error of the page. */
static void put_absence(struct page *page, const struct queue_question *question)
{
    bool is_away =
        question->error.code == ERROR_TIMEOUT || question->error.code == ERROR_UNAVAILABLE;
    page_put(page, page->data, "is_away", json_boolean(is_away));
    page_put(page, page->data, "is_gone", json_boolean(!is_away));
    page->response->status = is_away ? 503 : 404;
}

void page_queue_message(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    struct message_id id;
    struct store_scanner scanner = {0};
    struct queue_question question = {.scanner = &scanner};
    page_open(&page, request, response, "queues");
    if (!message_id_parse(request->captures[1], &id))
        error_set(&error, ERROR_NOT_FOUND, NULL, "is no message id");
    if (error.code ||
        !store_scanner_get(page.application->store, request->captures[0], &scanner, &error)) {
        page_fail(&page, &error);
        return;
    }
    page_put_text(&page, page.data, "id", request->captures[1]);
    page_put_text(&page, page.data, "host_id", scanner.id);
    page_put_text(&page, page.data, "host_name", scanner.host_name);
    question.request = json_pack("{s:s,s:s}", "op", "queue_message", "id", request->captures[1]);
    queue_ask(&page, &question, 1, QUEUE_WAIT_MS);
    if (!question.reply || !put_message(&page, question.reply))
        put_absence(&page, &question);
    page_show(&page, "queues/message");
    json_decref(question.request);
    json_decref(question.reply);
    store_scanner_clear(&scanner);
}
