/* Adding a scanner: its first settings, and the one command that enrols it, shown once. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"

#include "common/cleanup.h"

#include <string.h>

void page_host_new_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    page_open(&page, request, response, "hosts");
    form_open(&form, &page);
    form_set(&form, "inbound", "0.0.0.0:25");
    form_set(&form, "outbound", "0.0.0.0:587");
    page_show(&page, "hosts/new");
}

/* The form's field for the place that a check names ("smtp.outbound.listeners[0].port"). */
static const char *field_of(const char *where)
{
    static const struct {
        const char *place;
        const char *field;
    } fields[] = {{"smtp.inbound", "inbound"},
                  {"inbound", "inbound"},
                  {"smtp.outbound", "outbound"},
                  {"outbound", "outbound"}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strncmp(where, fields[i].place, strlen(fields[i].place)) == 0)
            return fields[i].field;
    return "host_name";
}

static bool create(struct form *form, char token[FLEET_TOKEN_SIZE], struct error *error)
{
    struct page *page = form->page;
    const char *host_name = form_take(form, "host_name");
    const char *inbound = form_take(form, "inbound"), *outbound = form_take(form, "outbound");
    cleanup_json json_t *smtp =
        fleet_smtp_settings(*inbound ? inbound : NULL, *outbound ? outbound : NULL, error);
    return smtp && fleet_create_token(page->application->fleet, host_name, smtp,
                                      page_administrator(page), token, error);
}

void page_host_new(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    char token[FLEET_TOKEN_SIZE];
    page_open(&page, request, response, "hosts");
    form_open(&form, &page);
    if (create(&form, token, &error)) {
        page_put_text(&page, page.data, "token", token);
        page_put_text(&page, page.data, "fleet_url", fleet_url(page.application->fleet));
        page_put_count(&page, page.data, "hours", FLEET_TOKEN_SECONDS / 3600);
        page_show(&page, "hosts/enrol");
        explicit_bzero(token, sizeof token);
    } else if (error.code == ERROR_INVALID) {
        form_refuse_reason(&form, field_of(error.where), 0, error.message);
        response->status = 422;
        page_show(&page, "hosts/new");
    } else {
        page_fail(&page, &error);
    }
}
