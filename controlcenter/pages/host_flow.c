#include "controlcenter/pages/host_flow.h"
#include "controlcenter/pages/handlers.h"

#include "common/cleanup.h"

#include <stdio.h>
#include <string.h>

static const char *const directions[] = {"inbound", "outbound"}; /* inbound is the first */
#define DIRECTION_COUNT (sizeof directions / sizeof *directions)

static const struct flow {
    const char *name;
    bool accept, deliver;
} flows[] = {
    {"normal", true, true},
    {"no_accept", false, true},
    {"no_delivery", true, false},
    {"stopped", false, false},
};
#define FLOW_COUNT (sizeof flows / sizeof *flows)

static const struct flow *flow_of(const json_t *smtp, const char *direction)
{
    const json_t *server = json_object_get(smtp, direction);
    bool accept = !json_is_false(json_object_get(server, "accept"));
    bool deliver = !json_is_false(json_object_get(server, "deliver"));
    for (size_t i = 0; i < FLOW_COUNT; i++)
        if (flows[i].accept == accept && flows[i].deliver == deliver)
            return &flows[i];
    return &flows[0];
}

bool host_flow_is_normal(const json_t *smtp)
{
    for (size_t i = 0; i < DIRECTION_COUNT; i++)
        if (flow_of(smtp, directions[i]) != &flows[0])
            return false;
    return true;
}

void host_flow_put(struct page *page, json_t *row, const json_t *smtp)
{
    json_t *rows = page_put_array(page, row, "flows");
    for (size_t i = 0; i < DIRECTION_COUNT; i++) {
        json_t *flow = page_add_object(page, rows);
        page_put_text(page, flow, "name", directions[i]);
        page_put(page, flow, "is_inbound", json_boolean(i == 0));
        page_put_true(page, flow, flow_of(smtp, directions[i])->name);
    }
}

/* --- changing it --- */

/* What is normal is left out. */
static void set_flag(struct page *page, json_t *server, const char *name, bool value)
{
    if (value)
        json_object_del(server, name);
    else
        page_put(page, server, name, json_false());
}

/* False where the form names none of the choices. */
static bool set_flow(struct page *page, json_t *smtp, const char *direction)
{
    const char *name = http_form(page->request, direction);
    json_t *server = json_object_get(smtp, direction);
    for (size_t i = 0; name && i < FLOW_COUNT; i++) {
        if (strcmp(flows[i].name, name) != 0)
            continue;
        if (!json_is_object(server))
            server = page_put_object(page, smtp, direction);
        set_flag(page, server, "accept", flows[i].accept);
        set_flag(page, server, "deliver", flows[i].deliver);
        return true;
    }
    return false;
}

static bool save(struct page *page, const char *id, const json_t *smtp, struct error *error)
{
    return fleet_check_smtp(page->application->fleet, smtp, error) &&
           store_scanner_set_smtp(page->application->store, id, smtp, page_administrator(page),
                                  error);
}

void page_host_flow(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    struct store_scanner scanner = {0};
    char path[64];
    page_open(&page, request, response, "hosts");
    if (!store_scanner_get(page.application->store, request->captures[0], &scanner, &error)) {
        page_fail(&page, &error);
        return;
    }
    snprintf(path, sizeof path, "/hosts/%s", scanner.id);
    bool known = true;
    for (size_t i = 0; i < DIRECTION_COUNT; i++)
        known = set_flow(&page, scanner.smtp, directions[i]) && known;
    if (known && !page.failed && save(&page, scanner.id, scanner.smtp, &error))
        page_redirect(&page, path, "saved");
    else if (!known)
        page_redirect(&page, path, NULL);
    else
        page_fail(&page, &error);
    store_scanner_clear(&scanner);
}
