/* The dashboard: mail flow of a day, queues, hosts, and what needs attention. */
#include "controlcenter/pages/certificate_put.h"
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/host_status.h"
#include "controlcenter/pages/pages.h"

#include "common/cleanup.h"
#include "common/timestamp.h"

#include <stdio.h>

#define HOURS 24
#define HOSTS_SHOWN 20
#define ALERTS_SHOWN 20

/* The chart's box, in the units of its SVG. */
#define CHART_HEIGHT 220
#define BAR_STEP 30
#define BAR_WIDTH 20

/* --- the chart --- */

/* A round number at or above the highest bar, so that the scale can be read. */
static int64_t scale_top(int64_t highest)
{
    for (int64_t power = 1; power < INT64_MAX / 20; power *= 10)
        for (int64_t step = 1; step <= 5; step += step == 1 ? 1 : 3)
            if (step * power >= highest && step * power >= 4)
                return step * power;
    return highest;
}

static int bar_height(int64_t count, int64_t top)
{
    int height = (int)((double)count * CHART_HEIGHT / (double)top);
    return count > 0 && height < 2 ? 2 : height;
}

static void put_bar(struct page *page, json_t *bars, size_t index, const json_t *hour, int64_t top)
{
    int64_t received = json_integer_value(json_object_get(hour, "received"));
    int64_t virus = json_integer_value(json_object_get(hour, "virus"));
    int all = bar_height(received, top), bad = bar_height(virus, top);
    json_t *bar = page_add_object(page, bars);
    char label[16];
    int64_t at = json_integer_value(json_object_get(hour, "at"));
    snprintf(label, sizeof label, "%02d:00", (int)(at / 3600000 % 24));
    page_put_text(page, bar, "hour", label);
    page_put(page, bar, "labelled", json_boolean(index % 4 == 0));
    page_put_time(page, bar, "at", at);
    page_put_count(page, bar, "received", received);
    page_put_count(page, bar, "virus", virus);
    page_put_number(page, bar, "x", (int)index * BAR_STEP + (BAR_STEP - BAR_WIDTH) / 2);
    page_put_number(page, bar, "middle", (int)index * BAR_STEP + BAR_STEP / 2);
    page_put_number(page, bar, "received_y", CHART_HEIGHT - all);
    page_put_number(page, bar, "received_height", all);
    if (bad > 0) {
        page_put_number(page, bar, "virus_y", CHART_HEIGHT - bad);
        page_put_number(page, bar, "virus_height", bad);
    }
}

static void put_chart(struct page *page, const json_t *by_hour)
{
    int64_t highest = 0;
    size_t index;
    json_t *hour, *chart = page_put_object(page, page->data, "chart");
    json_array_foreach((json_t *)by_hour, index, hour)
    {
        int64_t received = json_integer_value(json_object_get(hour, "received"));
        highest = received > highest ? received : highest;
    }
    int64_t top = scale_top(highest);
    page_put_count(page, chart, "top", top);
    page_put(page, chart, "is_empty", json_boolean(highest == 0));
    json_t *bars = page_put_array(page, chart, "bars");
    json_array_foreach((json_t *)by_hour, index, hour) put_bar(page, bars, index, hour, top);
}

/* --- figures --- */

static void put_figures(struct page *page, const json_t *summary)
{
    static const char *const names[] = {"received", "delivered", "virus",
                                        "spam",     "rejected",  "deferred"};
    json_t *figures = page_put_object(page, page->data, "figures");
    int64_t received = json_integer_value(json_object_get(summary, "received"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int64_t count = json_integer_value(json_object_get(summary, names[i]));
        page_put_count(page, figures, names[i], count);
        if (received > 0 && count >= 0) {
            char share[40], text[16];
            snprintf(share, sizeof share, "%s_share", names[i]);
            snprintf(text, sizeof text, "%.1f %%", 100.0 * (double)count / (double)received);
            page_put_text(page, figures, share, text);
        }
    }
    page_put(page, figures, "has_spam",
             json_boolean(json_integer_value(json_object_get(summary, "spam")) > 0));
}

static bool put_mail_flow(struct page *page, struct error *error)
{
    cleanup_json json_t *summary = store_audit_summary(page->application->store, HOURS, error);
    if (!summary)
        return false;
    put_figures(page, summary);
    put_chart(page, json_object_get(summary, "by_hour"));
    return true;
}

/* --- hosts --- */

struct totals {
    struct host_queues queues;
    int64_t unknown; /* hosts whose queues are unknown */
    int64_t online;
};

static void add_queue(int64_t *total, int64_t count)
{
    *total += count > 0 ? count : 0;
}

static void add_host(struct totals *totals, const struct host_summary *summary)
{
    const struct host_queues *queues = &summary->queues;
    totals->online += summary->state == HOST_ONLINE;
    totals->unknown += queues->inbound < 0 || queues->outbound < 0 || queues->delivery < 0;
    add_queue(&totals->queues.inbound, queues->inbound);
    add_queue(&totals->queues.outbound, queues->outbound);
    add_queue(&totals->queues.delivery, queues->delivery);
}

static void put_hosts(struct page *page, const struct store_scanner *scanners, size_t count)
{
    int64_t now = timestamp_now_ms(), alerting = 0;
    struct totals totals = {0};
    json_t *rows = page_put_array(page, page->data, "hosts");
    json_t *alerts = page_put_array(page, page->data, "alerts");
    for (size_t i = 0; i < count; i++) {
        struct host_summary summary;
        host_summarise(&scanners[i], now, &summary);
        add_host(&totals, &summary);
        if (i < HOSTS_SHOWN)
            host_put(page, page_add_object(page, rows), &scanners[i], now);
        if (summary.needs_attention && ++alerting <= ALERTS_SHOWN)
            host_put(page, page_add_object(page, alerts), &scanners[i], now);
    }
    page_put_count(page, page->data, "host_count", (int64_t)count);
    page_put_count(page, page->data, "online_count", totals.online);
    page_put(page, page->data, "has_hosts", json_boolean(count > 0));
    page_put(page, page->data, "has_more_hosts", json_boolean(count > HOSTS_SHOWN));
    if (alerting > 0)
        page_put_true(page, page->data, "has_alerts");
    if (alerting > ALERTS_SHOWN)
        page_put_count(page, page->data, "more_alerts", alerting - ALERTS_SHOWN);
    json_t *queues = page_put_object(page, page->data, "queues");
    if (totals.unknown < (int64_t)count)
        host_put_queues(page, queues, &totals.queues);
    if (totals.unknown > 0)
        page_put_count(page, queues, "unknown", totals.unknown);
}

static bool put_fleet(struct page *page, struct error *error)
{
    struct store_scanner *scanners = NULL;
    size_t count = 0;
    if (!store_scanner_list(page->application->store, &scanners, &count, error))
        return false;
    put_hosts(page, scanners, count);
    store_scanner_list_free(scanners, count);
    bool any = false;
    if (!certificate_put_expiring(page, timestamp_now_ms(), &any, error))
        return false;
    if (any)
        page_put_true(page, page->data, "has_alerts");
    return true;
}

/* --- the Control Center itself --- */

static bool put_control_center(struct page *page, struct error *error)
{
    struct store *store = page->application->store;
    int64_t version, domains, start = timestamp_monotonic_ms();
    if (!store_ping(store, error))
        return false;
    int64_t elapsed = timestamp_monotonic_ms() - start;
    if (!store_configuration_version(store, &version, error) ||
        !store_domain_count(store, &domains, error))
        return false;
    json_t *center = page_put_object(page, page->data, "center");
    page_put_count(page, center, "database_ms", elapsed);
    page_put_number(page, center, "configuration_version", version);
    page_put_count(page, center, "domains", domains);
    page_put(page, center, "has_domains", json_boolean(domains > 0));
    page_put_text(page, center, "fleet_url", fleet_url(page->application->fleet));
    return true;
}

void page_dashboard(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, "dashboard");
    page_put_time(&page, page.data, "now", timestamp_now_ms());
    if (put_control_center(&page, &error) && put_mail_flow(&page, &error) &&
        put_fleet(&page, &error))
        page_show(&page, "dashboard");
    else
        page_fail(&page, &error);
}
