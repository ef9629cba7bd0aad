/* Protocols, domains and routes: adding, editing and removing a domain, and the default route. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"
#include "controlcenter/pages/route_form.h"

#include "common/address.h"
#include "common/cleanup.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_ROUTE "default_route"

static const char *const validations[] = {"any", "reject", "drop", NULL};

/* --- one domain --- */

/* What is kept of a domain beside its name; NULL with ERROR_NOT_FOUND where there is none. The
 * caller owns it. */
static json_t *find_domain(struct store *store, const char *name, struct error *error)
{
    return store_entry_get(store, STORE_DOMAINS, name, error);
}

static json_t *route_of(const json_t *domain)
{
    return json_object_get(domain, "route");
}

static void put_name(struct page *page, const char *name)
{
    page_put_text(page, page->data, "domain", name);
}

static void fill(struct form *form, const json_t *domain)
{
    const char *alias_of = json_string_value(json_object_get(domain, "alias_of"));
    const char *recipients = json_string_value(json_object_get(domain, "recipients"));
    route_form_fill(form, route_of(domain));
    form_select(form, "recipients", recipients ? recipients : validations[0]);
    form_set(form, "alias_of", alias_of);
}

/* The normal form of the domain that this one stands for, "" for none. */
static void read_alias_of(struct form *form, char normal[DOMAIN_SIZE])
{
    const char *text = form_take(form, "alias_of");
    const char *reason = *text ? domain_normalise(text, true, normal) : NULL;
    if (!*text || reason)
        normal[0] = '\0';
    if (reason)
        form_refuse(form, "alias_of", "domain_form", json_pack("{s:s}", "reason", reason));
}

/* NULL where something was refused. The caller owns the domain. */
static json_t *read_domain(struct form *form, const json_t *present)
{
    char alias_of[DOMAIN_SIZE];
    cleanup_json json_t *route = route_form_read(form, route_of(present));
    const char *recipients = form_take_word(form, "recipients", validations);
    read_alias_of(form, alias_of);
    if (form->wrong || !route)
        return NULL;
    return json_pack("{s:O,s:s,s:s*}", "route", route, "recipients", recipients, "alias_of",
                     *alias_of ? alias_of : NULL);
}

static bool save(struct form *form, const char *name, json_t *domain, bool replace,
                 struct error *error)
{
    struct page *page = form->page;
    struct store_entry entry = {.value = domain};
    snprintf(entry.key, sizeof(entry.key), "%s", name);
    return fleet_check_entries(STORE_DOMAINS, &entry, 1, error) &&
           store_entry_put(page->application->store, STORE_DOMAINS, name, domain, replace,
                           page_administrator(page), error);
}

static void refuse(struct form *form, const struct error *error)
{
    if (error->code == ERROR_EXISTS)
        form_refuse(form, "name", "domain_there", NULL);
    else if (strstr(error->where, "alias_of"))
        form_refuse_reason(form, "alias_of", 0, error->message);
    else if (!route_form_refuse(form, error))
        form_refuse_reason(form, "name", 0, error->message);
}

/* Shows the form again, or what went wrong where it is not the form's fault. */
static void answer_refused(struct form *form, const struct error *error, const char *template)
{
    struct page *page = form->page;
    if (error->code == ERROR_EXISTS || error->code == ERROR_INVALID || error->code == ERROR_LIMIT)
        refuse(form, error);
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
    cleanup_json json_t *domain = json_pack("{s:{s:s}}", "route", "kind", "relay");
    fill(&form, domain);
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
    cleanup_json json_t *domain = read_domain(&form, NULL);
    if (domain && !form.wrong && save(&form, normal, domain, false, &error))
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
    cleanup_json json_t *domain = find_domain(page.application->store, name, &error);
    if (!domain) {
        page_fail(&page, &error);
        return;
    }
    put_name(&page, name);
    fill(&form, domain);
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
    cleanup_json json_t *domain = read_domain(&form, present);
    if (domain && !form.wrong && save(&form, name, domain, true, &error))
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
    cleanup_json json_t *domain = find_domain(page.application->store, name, &error);
    if (!domain) {
        page_fail(&page, &error);
        return;
    }
    put_name(&page, name);
    route_put(&page, page.data, "route", route_of(domain));
    page_show(&page, "domains/remove");
}

void page_domain_remove(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    const char *name = request->captures[0];
    page_open(&page, request, response, "domains");
    form_open(&form, &page);
    if (store_domain_remove(page.application->store, name, page_administrator(&page), &error)) {
        page_redirect(&page, "/domains", "removed");
        return;
    }
    cleanup_json json_t *domain =
        error.code == ERROR_DENIED ? find_domain(page.application->store, name, &error) : NULL;
    if (!domain) {
        page_fail(&page, &error);
        return;
    }
    put_name(&page, name);
    route_put(&page, page.data, "route", route_of(domain));
    form_refuse(&form, "remove", "reason_plain", json_pack("{s:s}", "reason", error.message));
    response->status = 409;
    page_show(&page, "domains/remove");
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
    cleanup_json json_t *present =
        store_setting_get(page.application->store, DEFAULT_ROUTE, &error);
    if (!present && error.code != ERROR_NOT_FOUND) {
        page_fail(&page, &error);
        return;
    }
    cleanup_json json_t *route = route_form_read(&form, present);
    if (!form.wrong && page_save_setting(&page, DEFAULT_ROUTE, route, &error))
        page_redirect(&page, "/domains", "saved");
    else
        answer_refused(&form, &error, "domains/default_route");
}
