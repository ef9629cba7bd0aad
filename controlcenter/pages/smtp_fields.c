#include "controlcenter/pages/smtp_fields.h"
#include "controlcenter/pages/smtp_values.h"

#include "common/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST SMTP_PAGE_HOST
#define BOTH (SMTP_PAGE_HOST | SMTP_PAGE_COMMON)
#define SECURITY SMTP_PAGE_SECURITY

/* What both servers have. `usual` is the default as people write it; "" where there is none. */
#define SERVER(way)                                                                                \
    {way "_listeners", way, way, "listeners", SMTP_LISTENERS, HOST, ""},                           \
        {way "_networks", way, way, "allowed_networks", SMTP_TEXTS, HOST, ""},                     \
        {way "_tls", way, way, "tls", SMTP_WORD, BOTH, "optional"},                                \
        {way "_megabytes", way, way, "max_message_bytes", SMTP_MEGABYTES, BOTH, "50"},             \
        {way "_recipients", way, way, "max_recipients", SMTP_NUMBER, BOTH, "1000"},                \
        {way "_sessions", way, way, "max_sessions", SMTP_NUMBER, BOTH, "1000"},                    \
        {way "_sessions_per_ip", way, way, "max_sessions_per_ip", SMTP_NUMBER, BOTH, "50"},        \
        {way "_errors", way, way, "max_errors", SMTP_NUMBER, BOTH, "20"},                          \
        {way "_idle", way, way, "idle_seconds", SMTP_NUMBER, BOTH, "300"},                         \
        {way "_proxies", way, way, "proxy_networks", SMTP_TEXTS, HOST, ""},                        \
        {way "_xclient", way, way, "xclient_networks", SMTP_TEXTS, HOST, ""},                      \
        RATE(way, "connections_per_minute"), RATE(way, "messages_per_minute"),                     \
        RATE(way, "recipients_per_minute"), RATE(way, "sender_messages_per_hour"),                 \
        RATE(way, "sender_recipients_per_hour"), RATE(way, "recipient_messages_per_hour")
#define RATE(way, name)                                                                            \
    {                                                                                              \
        way "_" name, way, way ".rates", name, SMTP_NUMBER, BOTH, "0"                              \
    }
#define HARVEST(name, usual)                                                                       \
    {                                                                                              \
        "inbound_" name, "inbound", "inbound.harvest", name, SMTP_NUMBER, BOTH, usual              \
    }
#define DELIVERY(field, name, kind, usual)                                                         \
    {                                                                                              \
        field, "delivery", "delivery", name, kind, BOTH, usual                                     \
    }
#define REPORTS(field, name)                                                                       \
    {                                                                                              \
        field, "delivery", "delivery.tls_reports", name, SMTP_TEXT, SECURITY, ""                   \
    }

static const struct setting {
    const char *field;  /* of the form; also the member of `group` without "inbound_" */
    const char *group;  /* of the template's data */
    const char *object; /* where `member` is, such as "inbound.rates"; "" for the settings itself */
    const char *member;
    enum smtp_kind kind;
    int pages;
    const char *usual;
} settings[] = {
    SERVER("inbound"),
    HARVEST("unknown_recipients", "20"),
    HARVEST("window_seconds", "600"),
    HARVEST("block_seconds", "3600"),
    SERVER("outbound"),
    {"outbound_auth", "outbound", "outbound", "auth", SMTP_WORD, BOTH, "off"},
    {"scan_wait", "delivery", "", "scan_wait_seconds", SMTP_NUMBER, BOTH, "30"},
    DELIVERY("retries", "retry_seconds", SMTP_NUMBERS, "300\n900\n1800\n3600"),
    DELIVERY("lifetime", "lifetime_seconds", SMTP_NUMBER, "432000"),
    DELIVERY("delay_warning", "delay_warning_seconds", SMTP_NUMBER, "14400"),
    DELIVERY("connect", "connect_seconds", SMTP_NUMBER, "30"),
    DELIVERY("reply", "reply_seconds", SMTP_NUMBER, "300"),
    DELIVERY("connections", "max_connections", SMTP_NUMBER, "20"),
    DELIVERY("messages", "messages_per_connection", SMTP_NUMBER, "100"),
    DELIVERY("messages_per_minute", "messages_per_minute", SMTP_NUMBER, "0"),
    DELIVERY("ip_preference", "ip_preference", SMTP_WORD, "ipv6"),
    DELIVERY("dns_servers", "dns_servers", SMTP_TEXTS, ""),
    DELIVERY("dns_validates", "dns_validates", SMTP_SWITCH, "no"),
    {"tls", "delivery", "delivery", "tls", SMTP_WORD, SECURITY, "opportunistic"},
    {"dane", "delivery", "delivery", "dane", SMTP_SWITCH, SECURITY, "yes"},
    {"mta_sts", "delivery", "delivery", "mta_sts", SMTP_SWITCH, SECURITY, "yes"},
    {"trusted", "delivery", "delivery", "trusted_certificates", SMTP_LINES, SECURITY, ""},
    REPORTS("reports_from", "from"),
    REPORTS("reports_organization", "organization"),
    REPORTS("reports_contact", "contact"),
};
#define SETTING_COUNT (sizeof settings / sizeof *settings)

static bool is_on(const struct setting *setting, enum smtp_page which)
{
    return (setting->pages & (int)which) != 0;
}

/* --- objects by their path --- */

/* The next name of a path such as "inbound.rates"; false behind the last one. */
static bool next_name(const char **path, char name[32])
{
    size_t length = strcspn(*path, ".");
    if (length == 0)
        return false;
    snprintf(name, 32, "%.*s", (int)length, *path);
    *path += length + ((*path)[length] == '.');
    return true;
}

static const json_t *find_object(const json_t *smtp, const char *path)
{
    char name[32];
    while (next_name(&path, name))
        smtp = json_object_get(smtp, name);
    return smtp;
}

static json_t *make_object(struct page *page, json_t *smtp, const char *path)
{
    char name[32];
    while (next_name(&path, name)) {
        json_t *object = json_object_get(smtp, name);
        smtp = json_is_object(object) ? object : page_put_object(page, smtp, name);
    }
    return smtp;
}

/* An object without members says nothing; "tls_reports" may not even be there then. */
static void drop_if_empty(json_t *smtp, const char *path)
{
    const char *dot = strrchr(path, '.');
    if (!dot)
        return;
    char parent[32];
    snprintf(parent, sizeof parent, "%.*s", (int)(dot - path), path);
    json_t *holder = (json_t *)find_object(smtp, parent);
    if (json_object_size(json_object_get(holder, dot + 1)) == 0)
        json_object_del(holder, dot + 1);
}

static const json_t *find_value(const json_t *smtp, const struct setting *setting)
{
    return json_object_get(find_object(smtp, setting->object), setting->member);
}

/* --- filling and reading --- */

void smtp_fields_fill(struct form *form, enum smtp_page which, const json_t *smtp)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        struct buffer text = BUFFER_INIT;
        if (!is_on(setting, which))
            continue;
        smtp_value_text(setting->kind, find_value(smtp, setting), &text);
        form_set(form, setting->field, buffer_text(&text));
        buffer_free(&text);
    }
}

void smtp_fields_read(struct form *form, enum smtp_page which, json_t *smtp)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        if (!is_on(setting, which))
            continue;
        json_t *object = make_object(form->page, smtp, setting->object);
        json_t *value = smtp_value_take(form, setting->field, setting->kind);
        if (value)
            page_put(form->page, object, setting->member, value);
        else
            json_object_del(object, setting->member);
    }
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (is_on(&settings[i], which))
            drop_if_empty(smtp, settings[i].object);
}

/* --- refusals of the check --- */

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

static bool is_in(const char *where, const struct setting *setting)
{
    char path[128];
    snprintf(path, sizeof path, "smtp.%s", setting->object);
    return strcmp(where, path) == 0;
}

void smtp_fields_refuse(struct form *form, enum smtp_page which, const struct error *error)
{
    const struct setting *first = NULL;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (!is_on(&settings[i], which))
            continue;
        const char *rest = behind_path(error->where, &settings[i]);
        if (rest || is_in(error->where, &settings[i])) {
            int line = rest && *rest == '[' ? atoi(rest + 1) + 1 : 0;
            form_refuse_reason(form, settings[i].field, line, error->message);
            return;
        }
        first = first ? first : &settings[i];
    }
    char text[700];
    form_refuse_reason(form, first->field, 0, error_text(error, text, sizeof text));
}

/* --- showing --- */

static const char *key_of(const struct setting *setting)
{
    size_t length = strlen(setting->group);
    bool prefixed =
        strncmp(setting->field, setting->group, length) == 0 && setting->field[length] == '_';
    return prefixed ? setting->field + length + 1 : setting->field;
}

static json_t *group_of(struct page *page, const char *name)
{
    json_t *group = json_object_get(page->data, name);
    if (group)
        return group;
    group = page_put_object(page, page->data, name);
    page_put(page, group, "is_inbound", json_boolean(strcmp(name, "inbound") == 0));
    return group;
}

/* Every member is there, also where it is empty: a template would find the page's own otherwise. */
static void put_field(struct form *form, const struct setting *setting, const json_t *common)
{
    struct page *page = form->page;
    const json_t *value = find_value(common, setting);
    struct buffer usual = BUFFER_INIT;
    const char *text = json_string_value(json_object_get(form->values, setting->field));
    const char *message = json_string_value(json_object_get(form->error, setting->field));
    bool given = common && value;
    if (given)
        smtp_value_text(setting->kind, value, &usual);
    else
        buffer_add_text(&usual, setting->usual);
    while (usual.length > 0 && usual.data[usual.length - 1] == '\n')
        usual.data[--usual.length] = '\0';
    json_t *field = page_put_object(page, group_of(page, setting->group), key_of(setting));
    page_put(page, field, "name", json_string(setting->field));
    page_put(page, field, "value", json_string(text ? text : ""));
    page_put(page, field, "message", json_string(message ? message : ""));
    page_put(page, field, "usual", json_string(buffer_text(&usual)));
    page_put(page, field, "own", json_boolean(text && *text));
    page_put(page, field, "common", json_boolean(given));
    page_put(page, field, "is_list", json_boolean(smtp_kind_is_list(setting->kind)));
    json_t *is = page_put_object(page, field, "is");
    if (text && (setting->kind == SMTP_WORD || setting->kind == SMTP_SWITCH))
        page_put(page, is, *text ? text : "usual", json_true());
    buffer_free(&usual);
}

void smtp_fields_put(struct form *form, enum smtp_page which, const json_t *common)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (is_on(&settings[i], which))
            put_field(form, &settings[i], common);
}

json_t *smtp_common(struct page *page, struct error *error)
{
    return page_read_setting(page, SMTP_COMMON_SETTING, error);
}
