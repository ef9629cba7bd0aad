/* Malware, signatures: how freshclam is run on the scanners. The password of the proxy is stored
 * apart, and never shown again. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"

#include "common/cleanup.h"
#include "common/config_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEMPLATE "malware/signature_updates"
#define HOURS_USUAL 4
#define PORT_USUAL 3128
#define URL_SIZE 1100

/* --- the form as it is stored --- */

static void set_number(struct form *form, const char *field, const json_t *value, int usual)
{
    char text[32];
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : usual;
    snprintf(text, sizeof text, "%lld", (long long)number);
    form_set(form, field, text);
}

static void set_text(struct form *form, const char *field, const json_t *value)
{
    form_set(form, field, json_is_string(value) ? json_string_value(value) : "");
}

static void set_urls(struct form *form, const json_t *urls)
{
    struct buffer text = BUFFER_INIT;
    const json_t *url;
    size_t index;
    json_array_foreach((json_t *)urls, index, url)
    {
        buffer_add_format(&text, "%s\n", json_string_value(url));
    }
    form_set(form, "urls", buffer_text(&text));
    buffer_free(&text);
}

static void set_form(struct form *form, const json_t *update)
{
    const json_t *proxy = json_object_get(update, "proxy");
    set_number(form, "hours", json_object_get(update, "hours"), HOURS_USUAL);
    form_set(form, "official", json_is_false(json_object_get(update, "official")) ? "" : "yes");
    set_text(form, "mirror", json_object_get(update, "mirror"));
    set_text(form, "proxy_host", json_object_get(proxy, "host"));
    set_number(form, "proxy_port", json_object_get(proxy, "port"), PORT_USUAL);
    set_text(form, "proxy_user", json_object_get(proxy, "user"));
    set_urls(form, json_object_get(update, "urls"));
}

/* NULL without *error's code where there is none yet. */
static json_t *read_setting(struct page *page, const char *key, struct error *error)
{
    json_t *value = store_setting_get(page->application->store, key, error);
    if (!value && error->code == ERROR_NOT_FOUND)
        *error = (struct error){0};
    return value;
}

/* Whether a password is there is all that anybody is told. */
static json_t *read_secret(struct page *page, struct error *error)
{
    json_t *secret = read_setting(page, FLEET_SIGNATURE_PROXY_SECRET, error);
    const char *password = json_string_value(json_object_get(secret, "password"));
    page_put(page, page->data, "has_password", json_boolean(password && *password));
    return secret;
}

void page_signature_settings_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    page_open(&page, request, response, "malware_signatures");
    form_open(&form, &page);
    cleanup_json json_t *update = read_setting(&page, FLEET_SIGNATURE_UPDATE, &error);
    cleanup_json json_t *secret = error.code ? NULL : read_secret(&page, &error);
    if (error.code) {
        page_fail(&page, &error);
        return;
    }
    set_form(&form, update);
    page_show(&page, TEMPLATE);
}

/* --- what was sent --- */

static json_int_t take_number(struct form *form, const char *field, int usual)
{
    const char *text = form_take(form, field);
    char *end;
    errno = 0;
    long long number = *text ? strtoll(text, &end, 10) : usual;
    if (!*text || (errno == 0 && *end == '\0'))
        return number;
    form_refuse(form, field, "number_form", NULL);
    return usual;
}

static json_t *take_urls(struct form *form)
{
    char line[URL_SIZE];
    json_t *urls = json_array();
    const char *at = form_take_lines(form, "urls");
    while (urls && (at = form_next_line(at, line, sizeof line)))
        json_array_append_new(urls, json_string(line));
    return urls;
}

static bool take_proxy(struct form *form, json_t *update)
{
    const char *host = form_take(form, "proxy_host");
    const char *user = form_take(form, "proxy_user");
    json_int_t port = take_number(form, "proxy_port", PORT_USUAL);
    return !*host || json_object_set_new(
                         update, "proxy",
                         json_pack("{s:s,s:I,s:s}", "host", host, "port", port, "user", user)) == 0;
}

/* Members of the setting; the caller owns it. NULL when memory ran out. */
static json_t *take_update(struct form *form)
{
    json_int_t hours = take_number(form, "hours", HOURS_USUAL);
    bool official = *form_take(form, "official") != '\0';
    json_t *update = json_pack("{s:I,s:b,s:s,s:o}", "hours", hours, "official", official, "mirror",
                               form_take(form, "mirror"), "urls", take_urls(form));
    if (!update || take_proxy(form, update))
        return update;
    json_decref(update);
    return NULL;
}

/* The password that was typed, "" to forget it; NULL: the stored one stays. */
static const char *take_password(struct form *form)
{
    const char *password = http_form(form->page->request, "proxy_password");
    const char *user = form_take(form, "proxy_user");
    if (!*user || !*form_take(form, "proxy_host"))
        return "";
    return password && *password ? password : NULL;
}

/* --- checking and storing --- */

static void refuse(struct form *form, const struct error *error)
{
    static const struct {
        const char *where, *field;
    } fields[] = {
        {"update.hours", "hours"},
        {"update.mirror", "mirror"},
        {"update.urls", "urls"},
        {"proxy.host", "proxy_host"},
        {"proxy.port", "proxy_port"},
        {"proxy.user", "proxy_user"},
        {"proxy.password", "proxy_password"},
    };
    const char *index = strstr(error->where, "urls[");
    int line = index ? (int)strtol(index + 5, NULL, 10) + 1 : 0;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strstr(error->where, fields[i].where)) {
            form_refuse_reason(form, fields[i].field, line, error->message);
            return;
        }
    form_refuse_reason(form, "hours", 0, error->message);
}

/* As it goes to scanners, with a password that was typed. */
static bool check(struct form *form, const json_t *update, const char *password,
                  struct error *error)
{
    cleanup_json json_t *whole = json_deep_copy(update);
    json_t *proxy = json_object_get(whole, "proxy");
    if (proxy && password)
        json_object_set_new(proxy, "password", json_string(password));
    return fleet_check_signature_update(form->page->application->fleet, whole, error);
}

static bool store(struct page *page, const json_t *update, const char *password,
                  struct error *error)
{
    struct store *to = page->application->store;
    cleanup_json json_t *secret = password ? json_pack("{s:s}", "password", password) : NULL;
    return (!password || store_setting_put(to, FLEET_SIGNATURE_PROXY_SECRET, secret,
                                           page_administrator(page), true, error)) &&
           store_setting_put(to, FLEET_SIGNATURE_UPDATE, update, page_administrator(page), true,
                             error);
}

void page_signature_settings(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    page_open(&page, request, response, "malware_signatures");
    form_open(&form, &page);
    cleanup_json json_t *update = take_update(&form);
    const char *password = take_password(&form);
    if (!form.wrong && !check(&form, update, password, &error) && error.code == ERROR_INVALID)
        refuse(&form, &error);
    if (!form.wrong && !error.code && store(&page, update, password, &error)) {
        page_redirect(&page, "/malware/signatures", "saved");
        return;
    }
    cleanup_json json_t *secret = form.wrong ? read_secret(&page, &error) : NULL;
    if (!form.wrong) {
        page_fail(&page, &error);
        return;
    }
    response->status = 422;
    page_show(&page, TEMPLATE);
}
