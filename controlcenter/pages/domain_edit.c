/* Protocols, domains and routes: adding, editing and removing a domain, and the default route. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"
#include "controlcenter/pages/route_form.h"

#include "common/address.h"
#include "common/cleanup.h"

#include <string.h>

#define DEFAULT_ROUTE "default_route"

/* --- one domain --- */

/* NULL with ERROR_NOT_FOUND where there is no such domain. The caller owns the route. */
static json_t *find_domain(struct store *store, const char *name, struct error *error)
{
    struct store_domain *domains = NULL;
    size_t count = 0;
    char before[DOMAIN_SIZE + 2];
    json_t *route = NULL;
    size_t length = strlen(name);
    if (length == 0 || length >= DOMAIN_SIZE ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != length) {
        error_set(error, ERROR_NOT_FOUND, name, "there is no such domain");
        return NULL;
    }
    /* The list gives what sorts after a name: this one sorts just before it, because no domain has
     * a DEL in it. */
    memcpy(before, name, length);
    before[length - 1]--;
    before[length] = '\x7f';
    before[length + 1] = '\0';
    if (!store_domain_list(store, NULL, before, 1, &domains, &count, error))
        return NULL;
    if (count == 1 && strcmp(domains[0].name, name) == 0)
        route = json_incref(domains[0].route);
    else
        error_set(error, ERROR_NOT_FOUND, name, "there is no such domain");
    store_domain_list_free(domains, count);
    return route;
}

static void put_name(struct page *page, const char *name)
{
    page_put_text(page, page->data, "domain", name);
}

static bool save(struct form *form, const char *name, const json_t *route, bool replace,
                 struct error *error)
{
    struct page *page = form->page;
    return fleet_check_domain(page->application->fleet, name, route, error) &&
           store_domain_put(page->application->store, name, route, replace,
                            page_administrator(page), error);
}

/* Shows the form again, or what went wrong where it is not the form's fault. */
static void answer_refused(struct form *form, const struct error *error, const char *template)
{
    struct page *page = form->page;
    if (error->code == ERROR_EXISTS)
        form_refuse(form, "name", "domain_there", NULL);
    else if (error->code == ERROR_INVALID && !route_form_refuse(form, error))
        form_refuse_reason(form, "name", 0, error->message);
    if (!form->wrong) {
        page_fail(page, error);
        return;
    }
    page->response->status = 422;
    page_show(page, template);
}

/* --- add --- */

void page_domain_new_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    page_open(&page, request, response, "domains");
    form_open(&form, &page);
    cleanup_json json_t *relay = json_pack("{s:s}", "kind", "relay");
    route_form_fill(&form, relay);
    page_show(&page, "domains/new");
}

static void check_name(struct form *form, const char *name, char normal[DOMAIN_SIZE])
{
    const char *reason = *name ? domain_normalise(name, true, normal) : NULL;
    if (!*name)
        form_refuse(form, "name", "domain_missing", NULL);
    else if (reason)
        form_refuse(form, "name", "domain_form", json_pack("{s:s}", "reason", reason));
}

void page_domain_new(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    char normal[DOMAIN_SIZE] = "";
    page_open(&page, request, response, "domains");
    form_open(&form, &page);
    check_name(&form, form_take(&form, "name"), normal);
    cleanup_json json_t *route = route_form_read(&form);
    if (!form.wrong && save(&form, normal, route, false, &error))
        page_redirect(&page, "/domains", "added");
    else
        answer_refused(&form, &error, "domains/new");
}

/* --- edit --- */

void page_domain_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    const char *name = request->captures[0];
    page_open(&page, request, response, "domains");
    form_open(&form, &page);
    cleanup_json json_t *route = find_domain(page.application->store, name, &error);
    if (!route) {
        page_fail(&page, &error);
        return;
    }
    put_name(&page, name);
    route_form_fill(&form, route);
    page_show(&page, "domains/edit");
}

void page_domain(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    const char *name = request->captures[0];
    page_open(&page, request, response, "domains");
    form_open(&form, &page);
    put_name(&page, name);
    cleanup_json json_t *present = find_domain(page.application->store, name, &error);
    if (!present) {
        page_fail(&page, &error);
        return;
    }
    cleanup_json json_t *route = route_form_read(&form);
    if (!form.wrong && save(&form, name, route, true, &error))
        page_redirect(&page, "/domains", "saved");
    else
        answer_refused(&form, &error, "domains/edit");
}

/* --- remove --- */

void page_domain_remove_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    const char *name = request->captures[0];
    page_open(&page, request, response, "domains");
    cleanup_json json_t *route = find_domain(page.application->store, name, &error);
    if (!route) {
        page_fail(&page, &error);
        return;
    }
    put_name(&page, name);
    route_put(&page, page.data, "route", route);
    page_show(&page, "domains/remove");
}

void page_domain_remove(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, "domains");
    if (store_domain_remove(page.application->store, request->captures[0],
                            page_administrator(&page), &error))
        page_redirect(&page, "/domains", "removed");
    else
        page_fail(&page, &error);
}

/* --- the route of everything else --- */

void page_default_route_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    page_open(&page, request, response, "domains");
    form_open(&form, &page);
    cleanup_json json_t *route = store_setting_get(page.application->store, DEFAULT_ROUTE, &error);
    if (!route && error.code != ERROR_NOT_FOUND) {
        page_fail(&page, &error);
        return;
    }
    route_form_fill(&form, route);
    page_show(&page, "domains/default_route");
}

void page_default_route(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    page_open(&page, request, response, "domains");
    form_open(&form, &page);
    cleanup_json json_t *route = route_form_read(&form);
    if (!form.wrong && page_save_setting(&page, DEFAULT_ROUTE, route, &error))
        page_redirect(&page, "/domains", "saved");
    else
        answer_refused(&form, &error, "domains/default_route");
}
