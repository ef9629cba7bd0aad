/* Status, message queues: what will be done is shown first, then it is done by the scanners' own
 * jobs. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/queue_ask.h"
#include "controlcenter/pages/queue_order.h"

#include "common/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the page that says what will happen --- */

static void put_selected(struct page *page, const struct queue_order *order)
{
    json_t *rows = page_put_array(page, page->data, "selected_messages");
    const json_t *id;
    size_t index;
    char text[2 * MESSAGE_ID_TEXT_SIZE];
    for (size_t i = 0; i < order->part_count && !order->all; i++) {
        json_array_foreach(order->parts[i].ids, index, id)
        {
            snprintf(text, sizeof text, "%s.%s", order->parts[i].scanner->id,
                     json_string_value(id));
            page_put_text(page, page_add_object(page, rows), "value", text);
        }
    }
}

static void put_parts(struct page *page, const struct queue_order *order)
{
    json_t *rows = page_put_array(page, page->data, "parts");
    int64_t total = 0;
    bool over = false;
    for (size_t i = 0; i < order->part_count; i++) {
        const struct queue_order_part *part = &order->parts[i];
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "host_name", part->scanner->host_name);
        page_put(page, row, "over", json_boolean(part->over));
        if (part->count >= 0)
            page_put_count(page, row, "part_count", part->count);
        total += part->count > 0 ? part->count : 0;
        over = over || part->over;
    }
    page_put_count(page, page->data, "total", total);
    page_put(page, page->data, "is_one", json_boolean(total == 1 && !over));
    page_put(page, page->data, "is_none", json_boolean(total == 0));
    page_put(page, page->data, "total_over", json_boolean(over));
}

static void show_confirmation(struct queue_order *order)
{
    struct page *page = order->form->page;
    if (order->action)
        page_put_true(page, page_put_object(page, page->data, "action"), order->action);
    page_put_text(page, page->data, "action_name", order->action);
    page_put(page, page->data, "all", json_boolean(order->all));
    page_put(page, page->data, "may_go_on", json_boolean(order->action && order->part_count > 0));
    page_put(page, page->data, "is_search", json_boolean(!queue_search_is_empty(&order->search)));
    put_selected(page, order);
    put_parts(page, order);
    queue_search_put_link(page, "back", &order->search);
    if (order->form->wrong)
        page->response->status = 422;
    page_show(page, "queues/confirm");
}

static bool open_order(struct page *page, struct form *form, struct http_request *request,
                       struct http_response *response, struct queue_order *order)
{
    struct error error = {0};
    page_open(page, request, response, "queues");
    form_open(form, page);
    form_set_purpose(form, "action");
    if (queue_order_read(form, order, &error))
        return true;
    page_fail(page, &error);
    queue_order_clear(order);
    return false;
}

void page_queue_confirm(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct queue_order order;
    if (!open_order(&page, &form, request, response, &order))
        return;
    form_set(&form, "route_kind", "mx");
    page_put_true(&page, page_put_object(&page, page.data, "route_kind"), "mx");
    if (!form.wrong)
        queue_order_count(&order);
    show_confirmation(&order);
    queue_order_clear(&order);
}

/* --- doing it --- */

static bool write_log(const struct queue_order *order, struct error *error)
{
    struct page *page = order->form->page;
    char action[32];
    snprintf(action, sizeof action, "queue.%s", order->action);
    cleanup_json json_t *detail = queue_order_log(order);
    if (!detail)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    return store_log_add(page->application->store, page_administrator(page), page->request->peer,
                         action, detail, error);
}

static struct queue_question *give_orders(const struct queue_order *order)
{
    struct queue_question *questions = calloc(order->part_count + 1, sizeof *questions);
    for (size_t i = 0; questions && i < order->part_count; i++)
        questions[i] =
            (struct queue_question){.scanner = order->parts[i].scanner,
                                    .request = queue_order_request(order, &order->parts[i])};
    if (questions)
        queue_ask(order->form->page, questions, order->part_count, QUEUE_ACT_MS);
    return questions;
}

/* Every scanner refused, so there is nothing to follow: the reasons are shown instead. */
static bool all_refused(struct queue_order *order, const struct queue_question *questions)
{
    for (size_t i = 0; i < order->part_count; i++)
        if (questions[i].reply || questions[i].error.code != ERROR_INVALID)
            return false;
    for (size_t i = 0; i < order->part_count; i++)
        form_refuse(order->form, order->has_route ? "route_to" : "action", "queue_refused",
                    json_pack("{s:s,s:s}", "host", questions[i].scanner->host_name, "reason",
                              questions[i].error.message));
    return true;
}

/* The progress page: which jobs run where, and who did not answer. */
static void follow_jobs(const struct queue_order *order, const struct queue_question *questions)
{
    struct page *page = order->form->page;
    struct buffer path = BUFFER_INIT;
    buffer_add_format(&path, "/queues/progress?action=%s&", order->action);
    for (size_t i = 0; i < order->part_count; i++) {
        const char *scanner_id = questions[i].scanner->id;
        const char *job = json_string_value(json_object_get(questions[i].reply, "job"));
        struct message_id parsed;
        if (job && message_id_parse(job, &parsed))
            buffer_add_format(&path, "job=%s.%s&", scanner_id, job);
        else if (questions[i].error.code == ERROR_INVALID)
            buffer_add_format(&path, "refused=%s&", scanner_id);
        else
            buffer_add_format(&path, "away=%s&", scanner_id);
    }
    queue_search_link(&order->search, &path);
    page->failed = page->failed || path.failed;
    page_redirect(page, buffer_text(&path), NULL);
    buffer_free(&path);
}

static void carry_out(struct queue_order *order)
{
    struct error error = {0};
    queue_order_count(order);
    if (!write_log(order, &error)) {
        page_fail(order->form->page, &error);
        return;
    }
    struct queue_question *questions = give_orders(order);
    if (!questions) {
        error_set(&error, ERROR_INTERNAL, NULL, "out of memory");
        page_fail(order->form->page, &error);
    } else if (all_refused(order, questions)) {
        show_confirmation(order);
    } else {
        follow_jobs(order, questions);
    }
    queue_questions_free(questions, order->part_count);
}

void page_queue_act(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct queue_order order;
    if (!open_order(&page, &form, request, response, &order))
        return;
    if (queue_order_is(&order, "reroute")) {
        queue_order_read_route(&order);
        page_put_true(&page, page_put_object(&page, page.data, "route_kind"),
                      form_take(&form, "route_kind"));
    }
    if (form.wrong)
        show_confirmation(&order);
    else
        carry_out(&order);
    queue_order_clear(&order);
}
