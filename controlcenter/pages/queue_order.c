#include "controlcenter/pages/queue_order.h"

#include "controlcenter/pages/endpoint.h"
#include "controlcenter/pages/queue_ask.h"
#include "controlcenter/pages/route_form.h"
#include "controlcenter/pages/side_by_side.h"

#include "common/cleanup.h"
#include "common/ip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SELECTED_MOST 1000
#define COUNT_STEP 1000
#define COUNT_MOST 10000 /* beyond it is "more than" */

const char *const queue_actions[] = {"flush",  "hold",    "release", "delete",
                                     "bounce", "reroute", NULL};

/* --- which messages --- */

static struct queue_order_part *part_of(struct queue_order *order, const char *scanner_id)
{
    for (size_t i = 0; i < order->part_count; i++)
        if (strcmp(order->parts[i].scanner->id, scanner_id) == 0)
            return &order->parts[i];
    for (size_t i = 0; i < order->scanner_count; i++) {
        if (strcmp(order->scanners[i].id, scanner_id) != 0)
            continue;
        order->parts[order->part_count] =
            (struct queue_order_part){.scanner = &order->scanners[i], .count = -1};
        return &order->parts[order->part_count++];
    }
    return NULL;
}

/* "SCANNER.ID", each in its usual form. */
static bool split_selected(const char *text, char scanner_id[MESSAGE_ID_TEXT_SIZE],
                           char id[MESSAGE_ID_TEXT_SIZE])
{
    struct message_id parsed;
    size_t length = MESSAGE_ID_TEXT_SIZE - 1;
    if (strlen(text) != 2 * length + 1 || text[length] != '.')
        return false;
    snprintf(scanner_id, MESSAGE_ID_TEXT_SIZE, "%.36s", text);
    snprintf(id, MESSAGE_ID_TEXT_SIZE, "%.36s", text + length + 1);
    return message_id_parse(scanner_id, &parsed) && message_id_parse(id, &parsed);
}

static void select_one(struct queue_order *order, const char *text)
{
    char scanner_id[MESSAGE_ID_TEXT_SIZE], id[MESSAGE_ID_TEXT_SIZE];
    if (!split_selected(text, scanner_id, id))
        return;
    struct queue_order_part *part = part_of(order, scanner_id);
    if (!part)
        return;
    if (!part->ids)
        part->ids = json_array();
    if (json_array_append_new(part->ids, json_string(id)) != 0)
        order->form->page->failed = true;
    part->count = (int64_t)json_array_size(part->ids);
}

static void take_selected(struct queue_order *order)
{
    const struct http_fields *fields = &order->form->page->request->form;
    size_t taken = 0;
    for (size_t i = 0; i < fields->count && taken < SELECTED_MOST; i++) {
        if (strcmp(fields->items[i].name, "m") != 0)
            continue;
        select_one(order, fields->items[i].value);
        taken++;
    }
    if (order->part_count == 0)
        form_refuse(order->form, "scope", "queue_none_selected", NULL);
}

static void take_all(struct queue_order *order)
{
    const char *host = order->search.host;
    for (size_t i = 0; i < order->scanner_count; i++)
        if (!host || strcmp(host, order->scanners[i].id) == 0)
            part_of(order, order->scanners[i].id);
    if (order->part_count == 0)
        form_refuse(order->form, "scope", "queue_no_scanner", NULL);
}

static const char *take_action(struct form *form)
{
    const char *text = form_take(form, "action");
    for (size_t i = 0; queue_actions[i]; i++)
        if (strcmp(text, queue_actions[i]) == 0)
            return queue_actions[i];
    form_refuse(form, "action", "choose_listed", NULL);
    return NULL;
}

bool queue_order_read(struct form *form, struct queue_order *order, struct error *error)
{
    *order = (struct queue_order){.form = form, .action = take_action(form)};
    order->all = strcmp(form_take(form, "scope"), "all") == 0;
    queue_search_take(form, form_take, &order->search);
    if (!store_scanner_list(form->page->application->store, &order->scanners, &order->scanner_count,
                            error))
        return false;
    order->parts = calloc(order->scanner_count + 1, sizeof *order->parts);
    if (!order->parts)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    if (order->all && !form->wrong)
        take_all(order);
    else if (!order->all)
        take_selected(order);
    return true;
}

void queue_order_clear(struct queue_order *order)
{
    for (size_t i = 0; i < order->part_count; i++)
        json_decref(order->parts[i].ids);
    free(order->parts);
    store_scanner_list_free(order->scanners, order->scanner_count);
    *order = (struct queue_order){0};
}

bool queue_order_is(const struct queue_order *order, const char *action)
{
    return order->action && strcmp(order->action, action) == 0;
}

/* --- the new route --- */

/* "HOST:PORT" or "[IPv6]:PORT". */
static bool relay_route(const char *text, char route[QUEUE_ROUTE_SIZE])
{
    struct endpoint endpoint;
    struct ip_address address;
    char normal[DOMAIN_SIZE], written[ENDPOINT_TEXT_SIZE];
    if (!endpoint_parse(text, SMTP_PORT, &endpoint))
        return false;
    if (ip_parse(endpoint.host, &address))
        ip_text(&address, normal);
    else if (domain_normalise(endpoint.host, true, normal) != NULL)
        return false;
    snprintf(route, QUEUE_ROUTE_SIZE, "%s", endpoint_text(normal, endpoint.port, written));
    return true;
}

/* "mx", "mx:DOMAIN" or "mx:DOMAIN:PORT". */
static bool mx_route(const char *text, char route[QUEUE_ROUTE_SIZE])
{
    struct endpoint endpoint;
    char normal[DOMAIN_SIZE];
    if (!*text) {
        snprintf(route, QUEUE_ROUTE_SIZE, "mx");
        return true;
    }
    if (!endpoint_parse(text, SMTP_PORT, &endpoint) ||
        domain_normalise(endpoint.host, true, normal) != NULL)
        return false;
    if (endpoint.port == SMTP_PORT)
        snprintf(route, QUEUE_ROUTE_SIZE, "mx:%s", normal);
    else
        snprintf(route, QUEUE_ROUTE_SIZE, "mx:%s:%d", normal, endpoint.port);
    return true;
}

void queue_order_read_route(struct queue_order *order)
{
    struct form *form = order->form;
    const char *kind = form_take(form, "route_kind"), *to = form_take(form, "route_to");
    bool is_relay = strcmp(kind, "relay") == 0, is_mx = strcmp(kind, "mx") == 0;
    order->has_route = true;
    if (!is_relay && !is_mx && strcmp(kind, "normal") != 0)
        form_refuse(form, "route_kind", "choose_route", NULL);
    else if (is_relay && !relay_route(to, order->route))
        form_refuse(form, "route_to", "queue_relay_form", NULL);
    else if (is_mx && !mx_route(to, order->route))
        form_refuse(form, "route_to", "queue_mx_form", NULL);
}

/* --- how many --- */

struct tally {
    struct fleet *fleet;
    json_t **filters; /* one for each part, because threads share nothing */
    struct queue_order *order;
};

/* Counts the next ones and moves `after` on; false at the end. */
static bool count_step(const struct tally *tally, size_t index, char after[MESSAGE_ID_TEXT_SIZE])
{
    struct queue_order_part *part = &tally->order->parts[index];
    struct error error = {0};
    size_t count = 0;
    cleanup_json json_t *request =
        json_pack("{s:s,s:O,s:s,s:i}", "op", "queue_list", "filter", tally->filters[index], "after",
                  after, "limit", COUNT_STEP);
    cleanup_json json_t *reply =
        request ? fleet_ask(tally->fleet, part->scanner->id, "mta", request, QUEUE_WAIT_MS, &error)
                : NULL;
    struct queue_entry *entries =
        reply ? queue_entries_read(reply, after, COUNT_STEP, &count) : NULL;
    bool more = entries && count > 0 && json_is_true(json_object_get(reply, "more"));
    if (entries)
        part->count = (part->count < 0 ? 0 : part->count) + (int64_t)count;
    else
        part->count = -1;
    if (more)
        memcpy(after, entries[count - 1].id, MESSAGE_ID_TEXT_SIZE);
    queue_entries_free(entries, count);
    part->over = more && part->count >= COUNT_MOST;
    return more && !part->over;
}

static void count_part(void *argument, size_t index)
{
    struct tally *tally = argument;
    char after[MESSAGE_ID_TEXT_SIZE] = "";
    while (tally->filters[index] && count_step(tally, index, after))
        ;
}

void queue_order_count(struct queue_order *order)
{
    struct tally tally = {.fleet = order->form->page->application->fleet, .order = order};
    if (!order->all || order->part_count == 0)
        return;
    tally.filters = calloc(order->part_count, sizeof *tally.filters);
    if (!tally.filters)
        return;
    for (size_t i = 0; i < order->part_count; i++)
        tally.filters[i] = queue_search_filter(&order->search);
    side_by_side(order->part_count, count_part, &tally);
    for (size_t i = 0; i < order->part_count; i++)
        json_decref(tally.filters[i]);
    free(tally.filters);
}

/* --- what is sent and logged --- */

json_t *queue_order_request(const struct queue_order *order, const struct queue_order_part *part)
{
    const char *administrator = page_administrator(order->form->page);
    json_t *request =
        json_pack("{s:s,s:s,s:s,s:s*}", "op", "queue_act", "action", order->action, "administrator",
                  administrator, "route", order->has_route ? order->route : NULL);
    int result = order->all
                     ? json_object_set_new(request, "filter", queue_search_filter(&order->search))
                     : json_object_set(request, "ids", part->ids);
    if (result == 0)
        return request;
    json_decref(request);
    return NULL;
}

static json_t *part_log(const struct queue_order_part *part)
{
    json_t *line = json_pack("{s:s,s:s,s:O*}", "host", part->scanner->host_name, "scanner",
                             part->scanner->id, "ids", part->ids);
    if (part->count >= 0)
        json_object_set_new(line, part->over ? "more_than" : "count", json_integer(part->count));
    return line;
}

json_t *queue_order_log(const struct queue_order *order)
{
    json_t *hosts = json_array();
    for (size_t i = 0; i < order->part_count; i++)
        if (json_array_append_new(hosts, part_log(&order->parts[i])) != 0) {
            json_decref(hosts);
            return NULL;
        }
    return json_pack("{s:s,s:o*,s:o,s:s*}", "selection", order->all ? "all found" : "selected",
                     "filter", order->all ? queue_search_filter(&order->search) : NULL, "hosts",
                     hosts, "route", order->has_route ? order->route : NULL);
}
