/* A host's own SMTP settings: a table of fields between a form and the "smtp" member of its
 * configuration. A field that is left empty takes the default. */
#include "controlcenter/pages/endpoint.h"
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"

#include "common/cleanup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 320
#define LINES_MOST 2000
#define MEGABYTE 1048576.0

enum kind { LISTENERS, TEXTS, NUMBERS, NUMBER, MEGABYTES };

static const struct setting {
    const char *field;
    const char *object; /* "" for the settings themselves */
    const char *member;
    enum kind kind;
} settings[] = {
    {"inbound_listeners", "inbound", "listeners", LISTENERS},
    {"inbound_networks", "inbound", "allowed_networks", TEXTS},
    {"inbound_megabytes", "inbound", "max_message_bytes", MEGABYTES},
    {"inbound_recipients", "inbound", "max_recipients", NUMBER},
    {"inbound_sessions", "inbound", "max_sessions", NUMBER},
    {"inbound_sessions_per_ip", "inbound", "max_sessions_per_ip", NUMBER},
    {"inbound_errors", "inbound", "max_errors", NUMBER},
    {"inbound_idle", "inbound", "idle_seconds", NUMBER},
    {"outbound_listeners", "outbound", "listeners", LISTENERS},
    {"outbound_networks", "outbound", "allowed_networks", TEXTS},
    {"outbound_megabytes", "outbound", "max_message_bytes", MEGABYTES},
    {"outbound_recipients", "outbound", "max_recipients", NUMBER},
    {"outbound_sessions", "outbound", "max_sessions", NUMBER},
    {"outbound_sessions_per_ip", "outbound", "max_sessions_per_ip", NUMBER},
    {"outbound_errors", "outbound", "max_errors", NUMBER},
    {"outbound_idle", "outbound", "idle_seconds", NUMBER},
    {"scan_wait", "", "scan_wait_seconds", NUMBER},
    {"retries", "delivery", "retry_seconds", NUMBERS},
    {"lifetime", "delivery", "lifetime_seconds", NUMBER},
    {"delay_warning", "delivery", "delay_warning_seconds", NUMBER},
    {"connect", "delivery", "connect_seconds", NUMBER},
    {"reply", "delivery", "reply_seconds", NUMBER},
    {"connections", "delivery", "max_connections", NUMBER},
    {"messages", "delivery", "messages_per_connection", NUMBER},
    {"dns_servers", "delivery", "dns_servers", TEXTS},
};
#define SETTING_COUNT (sizeof settings / sizeof *settings)

static bool is_list(enum kind kind)
{
    return kind == LISTENERS || kind == TEXTS || kind == NUMBERS;
}

/* --- from the settings to the form --- */

static void add_line(struct buffer *text, enum kind kind, const json_t *value)
{
    char line[ENDPOINT_TEXT_SIZE];
    const char *address = json_string_value(json_object_get(value, "address"));
    if (kind == LISTENERS && address)
        buffer_add_format(
            text, "%s\n",
            endpoint_text(address, (int)json_integer_value(json_object_get(value, "port")), line));
    else if (kind == TEXTS && json_is_string(value))
        buffer_add_format(text, "%s\n", json_string_value(value));
    else if (kind == NUMBERS && json_is_integer(value))
        buffer_add_format(text, "%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
}

static void add_value(struct buffer *text, enum kind kind, const json_t *value)
{
    const json_t *element;
    size_t index;
    if (is_list(kind)) {
        json_array_foreach((json_t *)value, index, element) add_line(text, kind, element);
    } else if (kind == NUMBER && json_is_integer(value)) {
        buffer_add_format(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (kind == MEGABYTES && json_is_integer(value)) {
        buffer_add_format(text, "%.9g", (double)json_integer_value(value) / MEGABYTE);
    }
}

static void fill_form(struct form *form, const json_t *smtp)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        const json_t *object = *setting->object ? json_object_get(smtp, setting->object) : smtp;
        struct buffer text = BUFFER_INIT;
        add_value(&text, setting->kind, json_object_get(object, setting->member));
        form_set(form, setting->field, buffer_text(&text));
        buffer_free(&text);
    }
}

/* --- from the form to the settings --- */

static json_t *read_whole_number(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 15 || strspn(text, "0123456789") != length)
        return NULL;
    return json_integer(strtoll(text, NULL, 10));
}

static json_t *read_megabytes(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 15 || strspn(text, "0123456789.") != length)
        return NULL;
    char *end;
    double size = strtod(text, &end);
    return *end ? NULL : json_integer(llround(size * MEGABYTE));
}

static json_t *read_line(enum kind kind, const char *line)
{
    struct endpoint endpoint;
    if (kind == NUMBERS)
        return read_whole_number(line);
    if (kind == TEXTS)
        return json_string(line);
    return endpoint_parse(line, 0, &endpoint)
               ? json_pack("{s:s,s:i}", "address", endpoint.host, "port", endpoint.port)
               : NULL;
}

/* NULL where a line was refused. */
static json_t *read_list(struct form *form, const struct setting *setting, const char *text)
{
    char line[LINE_SIZE];
    int number = 0;
    json_t *array = json_array();
    while ((text = form_next_line(text, line, sizeof line))) {
        json_t *value = ++number <= LINES_MOST ? read_line(setting->kind, line) : NULL;
        if (json_array_append_new(array, value) == 0)
            continue;
        const char *key = setting->kind == LISTENERS ? "listener_form" : "number_in_line";
        form_refuse(form, setting->field, key, json_pack("{s:i}", "line", number));
        json_decref(array);
        return NULL;
    }
    return array;
}

/* NULL where the field is empty (the default applies) or was refused. Without listeners a server
 * takes no mail, so an empty list of these is said as such. */
static json_t *read_setting(struct form *form, const struct setting *setting)
{
    if (is_list(setting->kind)) {
        const char *lines = form_take_lines(form, setting->field);
        return *lines || setting->kind == LISTENERS ? read_list(form, setting, lines) : NULL;
    }
    const char *text = form_take(form, setting->field);
    json_t *value = setting->kind == NUMBER ? read_whole_number(text) : read_megabytes(text);
    if (!value && *text)
        form_refuse(form, setting->field, "number", NULL);
    return value;
}

static json_t *object_of(struct form *form, json_t *smtp, const char *name)
{
    json_t *object = *name ? json_object_get(smtp, name) : smtp;
    return json_is_object(object) ? object : page_put_object(form->page, smtp, name);
}

/* Members that the form does not know stay as they are. */
static void read_form(struct form *form, json_t *smtp)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        json_t *object = object_of(form, smtp, setting->object);
        json_t *value = read_setting(form, setting);
        if (value)
            page_put(form->page, object, setting->member, value);
        else
            json_object_del(object, setting->member);
    }
}

/* --- refusals of the check: "smtp.inbound.listeners[1].port" --- */

/* Where `where` goes on behind the path of the setting, or NULL. */
static const char *behind_path(const char *where, const struct setting *setting)
{
    char path[128];
    int length = snprintf(path, sizeof path, "smtp.%s%s%s", setting->object,
                          *setting->object ? "." : "", setting->member);
    if (strncmp(where, path, (size_t)length) != 0)
        return NULL;
    where += length;
    return *where == '\0' || *where == '[' || *where == '.' ? where : NULL;
}

static void refuse(struct form *form, const struct error *error)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const char *rest = behind_path(error->where, &settings[i]);
        if (!rest)
            continue;
        int line = *rest == '[' ? atoi(rest + 1) + 1 : 0;
        form_refuse_reason(form, settings[i].field, line, error->message);
        return;
    }
    char text[700];
    form_refuse_reason(form, settings[0].field, 0, error_text(error, text, sizeof text));
}

/* --- handlers --- */

static bool open_host(struct page *page, struct form *form, struct http_request *request,
                      struct http_response *response, struct store_scanner *scanner)
{
    struct error error = {0};
    page_open(page, request, response, "hosts");
    if (!store_scanner_get(page->application->store, request->captures[0], scanner, &error)) {
        page_fail(page, &error);
        return false;
    }
    form_open(form, page);
    json_t *host = page_put_object(page, page->data, "host");
    page_put_text(page, host, "id", scanner->id);
    page_put_text(page, host, "host_name", scanner->host_name);
    return true;
}

void page_host_settings_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct store_scanner scanner = {0};
    if (!open_host(&page, &form, request, response, &scanner))
        return;
    fill_form(&form, scanner.smtp);
    store_scanner_clear(&scanner);
    page_show(&page, "hosts/settings");
}

static bool save(struct form *form, const struct store_scanner *scanner, const json_t *smtp,
                 struct error *error)
{
    struct page *page = form->page;
    return fleet_check_smtp(page->application->fleet, smtp, error) &&
           store_scanner_set_smtp(page->application->store, scanner->id, smtp,
                                  page_administrator(page), error);
}

static void answer_settings(struct form *form, const struct store_scanner *scanner)
{
    struct page *page = form->page;
    struct error error = {0};
    char path[64];
    cleanup_json json_t *smtp =
        json_is_object(scanner->smtp) ? json_deep_copy(scanner->smtp) : json_object();
    read_form(form, smtp);
    if (!form->wrong && !page->failed && save(form, scanner, smtp, &error)) {
        snprintf(path, sizeof path, "/hosts/%s", scanner->id);
        page_redirect(page, path, "saved");
        return;
    }
    if (error.code == ERROR_INVALID)
        refuse(form, &error);
    if (form->wrong || page->failed) {
        page->response->status = 422;
        page_show(page, "hosts/settings");
    } else {
        page_fail(page, &error);
    }
}

void page_host_settings(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct store_scanner scanner = {0};
    if (!open_host(&page, &form, request, response, &scanner))
        return;
    answer_settings(&form, &scanner);
    store_scanner_clear(&scanner);
}
