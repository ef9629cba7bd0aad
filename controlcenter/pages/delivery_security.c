/* Protocols, delivery security: what TLS mail to other servers needs, in general and by domain. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/smtp_fields.h"

#include "common/address.h"
#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/json.h"
#include "common/x509_bundle.h"

#include <string.h>

#define PATH "/delivery-security"
#define POLICIES_SHOWN 500

struct security {
    struct page page;
    struct form form;
    json_t *common; /* "smtp.common" */
};

static bool open_security(struct security *security, struct http_request *request,
                          struct http_response *response)
{
    struct page *page = &security->page;
    struct error error = {0};
    page_open(page, request, response, "delivery_security");
    form_open(&security->form, page);
    security->common = smtp_common(page, &error);
    if (!security->common)
        page_fail(page, &error);
    return security->common != NULL;
}

/* --- the list of policies --- */

static json_t *policies_of(const json_t *common)
{
    return json_object_get(json_object_get(common, "delivery"), "tls_policies");
}

static json_t *make_policies(struct security *security)
{
    struct page *page = &security->page;
    json_t *delivery = json_object_get(security->common, "delivery");
    if (!json_is_object(delivery))
        delivery = page_put_object(page, security->common, "delivery");
    json_t *policies = json_object_get(delivery, "tls_policies");
    return json_is_array(policies) ? policies : page_put_array(page, delivery, "tls_policies");
}

/* The place of the domain's policy, or the number of policies. */
static size_t find_policy(const json_t *policies, const char *domain)
{
    size_t index;
    json_t *policy;
    json_array_foreach((json_t *)policies, index, policy)
    {
        if (strcmp(json_text_of(policy, "domain"), domain) == 0)
            return index;
    }
    return json_array_size(policies);
}

static void put_mode(struct page *page, json_t *row, const char *mode)
{
    page_put_true(page, page_put_object(page, row, "mode"), *mode ? mode : "required");
}

static void put_policies(struct security *security)
{
    struct page *page = &security->page;
    const json_t *policies = policies_of(security->common);
    const char *search = form_take_query(&security->form, "search");
    json_t *rows = page_put_array(page, page->data, "policies"), *policy;
    size_t index, found = 0;
    json_array_foreach((json_t *)policies, index, policy)
    {
        if (!strcasestr(json_text_of(policy, "domain"), search) || ++found > POLICIES_SHOWN)
            continue;
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "domain", json_text_of(policy, "domain"));
        put_mode(page, row, json_text_of(policy, "tls"));
    }
    page_put(page, page->data, "has_policies", json_boolean(json_array_size(policies) > 0));
    page_put_count(page, page->data, "policy_count", (int64_t)json_array_size(policies));
    if (found > POLICIES_SHOWN)
        page_put_count(page, page->data, "more_policies", (int64_t)(found - POLICIES_SHOWN));
}

static void show(struct security *security)
{
    put_policies(security);
    put_mode(&security->page, security->page.data,
             json_text_of(security->form.values, "policy_tls"));
    page_put_true(&security->page, security->page.data, "for_all");
    smtp_fields_put(&security->form, SMTP_PAGE_SECURITY, NULL);
    page_show(&security->page, "protocols/delivery_security");
}

/* Shows what was refused again, or goes back to the page. `refuse` names the field of a refusal of
 * the check. */
static void save_or_show(struct security *security, const char *done,
                         void (*refuse)(struct form *form, const struct error *error),
                         void (*show_again)(struct security *security))
{
    struct page *page = &security->page;
    struct form *form = &security->form;
    struct error error = {0};
    if (!form->wrong && !page->failed &&
        page_save_setting(page, SMTP_COMMON_SETTING, security->common, &error)) {
        page_redirect(page, PATH, done);
        return;
    }
    if (error.code == ERROR_INVALID)
        refuse(form, &error);
    if (form->wrong || page->failed) {
        page->response->status = 422;
        show_again(security);
    } else {
        page_fail(page, &error);
    }
}

/* --- the page --- */

void page_delivery_security_form(struct http_request *request, struct http_response *response)
{
    struct security security = {0};
    if (!open_security(&security, request, response))
        return;
    smtp_fields_fill(&security.form, SMTP_PAGE_SECURITY, security.common);
    show(&security);
    json_decref(security.common);
}

static void refuse_field(struct form *form, const struct error *error)
{
    smtp_fields_refuse(form, SMTP_PAGE_SECURITY, error);
}

static void check_trusted(struct form *form)
{
    const char *text = json_string_value(json_object_get(form->values, "trusted"));
    struct error error = {0};
    if (text && *text && !x509_check_authorities(text, &error))
        form_refuse(form, "trusted", "certificate_refused",
                    json_pack("{s:s}", "reason", error.message));
}

void page_delivery_security(struct http_request *request, struct http_response *response)
{
    struct security security = {0};
    if (!open_security(&security, request, response))
        return;
    smtp_fields_read(&security.form, SMTP_PAGE_SECURITY, security.common);
    check_trusted(&security.form);
    save_or_show(&security, "saved", refuse_field, show);
    json_decref(security.common);
}

/* --- one policy --- */

static void refuse_domain(struct form *form, const struct error *error)
{
    form_refuse_reason(form, "policy_domain", 0, error->message);
}

static const char *take_mode(struct form *form)
{
    enum config_delivery_tls tls;
    const char *mode = form_take(form, "policy_tls");
    if (!config_delivery_tls_parse(mode, &tls))
        form_refuse(form, "policy_tls", "choose_listed", NULL);
    return mode;
}

/* With a dot before it: every domain below. */
static void take_domain(struct form *form, char domain[DOMAIN_SIZE + 1])
{
    const char *text = form_take(form, "policy_domain");
    const char *reason;
    bool below = *text == '.';
    domain[0] = '.';
    if (!*text)
        form_refuse(form, "policy_domain", "domain_missing", NULL);
    else if ((reason = domain_normalise(text + below, true, domain + below)))
        form_refuse(form, "policy_domain", "domain_form", json_pack("{s:s}", "reason", reason));
}

static void show_with_settings(struct security *security)
{
    cleanup_json json_t *stored = NULL;
    struct error error = {0};
    stored = smtp_common(&security->page, &error);
    smtp_fields_fill(&security->form, SMTP_PAGE_SECURITY, stored);
    show(security);
}

void page_tls_policy_new(struct http_request *request, struct http_response *response)
{
    struct security security = {0};
    char domain[DOMAIN_SIZE + 1] = "";
    if (!open_security(&security, request, response))
        return;
    struct form *form = &security.form;
    take_domain(form, domain);
    const char *mode = take_mode(form);
    json_t *policies = make_policies(&security);
    if (!form->wrong && find_policy(policies, domain) < json_array_size(policies))
        form_refuse(form, "policy_domain", "domain_there", NULL);
    if (!form->wrong &&
        json_array_append_new(policies, json_pack("{s:s,s:s}", "domain", domain, "tls", mode)) != 0)
        security.page.failed = true;
    save_or_show(&security, "added", refuse_domain, show_with_settings);
    json_decref(security.common);
}

/* The policy that the address names; NULL after the page was answered with 404. */
static json_t *policy_of_address(struct security *security, size_t *index)
{
    struct error error = {0};
    json_t *policies = policies_of(security->common);
    const char *domain = security->page.request->captures[0];
    *index = find_policy(policies, domain);
    json_t *policy = json_array_get(policies, *index);
    if (policy) {
        page_put_text(&security->page, security->page.data, "domain", domain);
        return policy;
    }
    error_set(&error, ERROR_NOT_FOUND, domain, "there is no such policy");
    page_fail(&security->page, &error);
    return NULL;
}

static void show_policy(struct security *security)
{
    put_mode(&security->page, security->page.data,
             json_text_of(security->form.values, "policy_tls"));
    page_show(&security->page, "protocols/tls_policy");
}

void page_tls_policy_form(struct http_request *request, struct http_response *response)
{
    struct security security = {0};
    size_t index;
    if (!open_security(&security, request, response))
        return;
    json_t *policy = policy_of_address(&security, &index);
    if (policy) {
        form_set(&security.form, "policy_tls", json_text_of(policy, "tls"));
        show_policy(&security);
    }
    json_decref(security.common);
}

void page_tls_policy(struct http_request *request, struct http_response *response)
{
    struct security security = {0};
    size_t index;
    if (!open_security(&security, request, response))
        return;
    json_t *policy = policy_of_address(&security, &index);
    if (policy) {
        page_put(&security.page, policy, "tls", json_string(take_mode(&security.form)));
        save_or_show(&security, "saved", refuse_domain, show_policy);
    }
    json_decref(security.common);
}

void page_tls_policy_remove(struct http_request *request, struct http_response *response)
{
    struct security security = {0};
    size_t index;
    if (!open_security(&security, request, response))
        return;
    if (policy_of_address(&security, &index)) {
        json_array_remove(policies_of(security.common), index);
        save_or_show(&security, "removed", refuse_domain, show_policy);
    }
    json_decref(security.common);
}
