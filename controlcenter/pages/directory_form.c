#include "controlcenter/pages/directory_form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 320
#define DOMAINS_MOST 1000
#define PRESETS 3

/* --- tables --- */

static const struct number {
    const char *field, *usual;
} numbers[] = {
    {"timeout_seconds", "10"}, {"cache_seconds", "600"}, {"negative_cache_seconds", "60"}};
#define NUMBER_COUNT (sizeof numbers / sizeof *numbers)

static const char *const preset_names[PRESETS] = {"active_directory", "openldap", "389"};

/* The texts of one purpose: the field, the member of its object, and what each preset puts in. */
struct purpose_text {
    const char *field, *member;
    const char *presets[PRESETS];
};

#define AD_PERSON "(objectCategory=person)(objectClass=user)"
#define AD_ENABLED "(!(userAccountControl:1.2.840.113556.1.4.803:=2))"

static const struct purpose {
    const char *name;
    struct purpose_text texts[4]; /* ends with a NULL field */
} purposes[] = {
    {"authentication",
     {{"authentication_filter",
       "filter",
       {"(&(|(userPrincipalName=%s)(mail=%s)(sAMAccountName=%s))" AD_PERSON AD_ENABLED ")",
        "(&(|(uid=%s)(mail=%s))(objectClass=inetOrgPerson))",
        "(&(|(uid=%s)(mail=%s))(objectClass=inetOrgPerson)(!(nsAccountLock=true)))"}}}},
    {"recipients",
     {{"recipients_filter",
       "filter",
       {"(|(mail=%s)(proxyAddresses=smtp:%s))", "(&(mail=%s)(objectClass=inetOrgPerson))",
        "(|(mail=%s)(mailAlternateAddress=%s))"}}}},
    {"routing",
     {{"routing_filter",
       "filter",
       {"(|(mail=%s)(proxyAddresses=smtp:%s))",
        "(&(mailLocalAddress=%s)(objectClass=inetLocalMailRecipient))",
        "(|(mail=%s)(mailAlternateAddress=%s))"}},
      {"routing_host", "host_attribute", {"mailHost", "mailHost", "mailHost"}},
      {"routing_address",
       "address_attribute",
       {"mailRoutingAddress", "mailRoutingAddress", "mailRoutingAddress"}}}},
    {"groups",
     {{"groups_filter",
       "filter",
       {"(&(objectClass=group)(member:1.2.840.113556.1.4.1941:=%D))",
        "(&(objectClass=groupOfNames)(member=%D))",
        "(&(objectClass=groupOfUniqueNames)(uniqueMember=%D))"}},
      {"groups_name", "name_attribute", {"cn", "cn", "cn"}}}},
};
#define PURPOSE_COUNT (sizeof purposes / sizeof *purposes)

/* Where a purpose stands in the settings; *is_on where that is not among the disabled ones. */
static const json_t *find_purpose(const json_t *settings, const char *name, bool *is_on)
{
    const json_t *purpose = json_object_get(settings, name);
    *is_on = purpose != NULL;
    return purpose ? purpose : json_object_get(json_object_get(settings, "disabled"), name);
}

static void put_on(struct form *form, const char *name, bool is_on)
{
    json_t *on = json_object_get(form->page->data, "on");
    if (!on)
        on = page_put_object(form->page, form->page->data, "on");
    page_put(form->page, on, name, json_boolean(is_on));
}

static bool take_check(struct form *form, const char *field)
{
    const char *value = http_form(form->page->request, field);
    bool is_on = value && strcmp(value, "on") == 0;
    put_on(form, field, is_on);
    return is_on;
}

/* --- from the settings to the form --- */

static void set_text(struct form *form, const json_t *object, const char *member, const char *field)
{
    form_set(form, field, json_string_value(json_object_get(object, member)));
}

static void set_lines(struct form *form, const json_t *array, const char *field)
{
    struct buffer lines = BUFFER_INIT;
    const json_t *value;
    size_t index;
    json_array_foreach((json_t *)array, index, value)
    {
        if (json_is_string(value))
            buffer_add_format(&lines, "%s\n", json_string_value(value));
    }
    form_set(form, field, buffer_text(&lines));
    buffer_free(&lines);
}

static void set_numbers(struct form *form, const json_t *settings)
{
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        const json_t *value = json_object_get(settings, numbers[i].field);
        char text[24];
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        form_set(form, numbers[i].field, json_is_integer(value) ? text : numbers[i].usual);
    }
}

static void set_purposes(struct form *form, const json_t *settings)
{
    for (size_t i = 0; i < PURPOSE_COUNT; i++) {
        bool is_on;
        const json_t *purpose = find_purpose(settings, purposes[i].name, &is_on);
        put_on(form, purposes[i].name, is_on);
        for (const struct purpose_text *text = purposes[i].texts; text->field; text++)
            set_text(form, purpose, text->member, text->field);
    }
}

void directory_form_fill(struct form *form, const char *name, const json_t *settings)
{
    const json_t *servers = json_object_get(settings, "servers");
    form_set(form, "name", name);
    form_set(form, "server", json_string_value(json_array_get(servers, 0)));
    form_set(form, "alternate", json_string_value(json_array_get(servers, 1)));
    put_on(form, "start_tls", json_is_true(json_object_get(settings, "start_tls")));
    set_text(form, settings, "ca", "ca");
    set_text(form, settings, "bind_dn", "bind_dn");
    set_text(form, settings, "base_dn", "base_dn");
    set_lines(form, json_object_get(settings, "domains"), "domains");
    set_numbers(form, settings);
    set_purposes(form, settings);
}

void directory_form_preset(struct form *form, const char *preset)
{
    for (size_t which = 0; which < PRESETS; which++) {
        if (strcmp(preset, preset_names[which]) != 0)
            continue;
        for (size_t i = 0; i < PURPOSE_COUNT; i++)
            for (const struct purpose_text *text = purposes[i].texts; text->field; text++)
                form_set(form, text->field, text->presets[which]);
        return;
    }
    form_refuse(form, "preset", "choose_listed", NULL);
}

/* --- from the form to the settings --- */

static void read_servers(struct form *form, json_t *settings)
{
    static const char *const fields[] = {"server", "alternate"};
    json_t *servers = page_put_array(form->page, settings, "servers");
    for (size_t i = 0; i < 2; i++) {
        const char *server = form_take(form, fields[i]);
        if (*server && json_array_append_new(servers, json_string(server)) != 0)
            form->page->failed = true;
        if (!*server && i == 0)
            form_refuse(form, "server", "directory_server_missing", NULL);
    }
}

static void read_domains(struct form *form, json_t *settings)
{
    const char *text = form_take_lines(form, "domains");
    char line[LINE_SIZE];
    json_t *domains = page_put_array(form->page, settings, "domains");
    while ((text = form_next_line(text, line, sizeof line)) &&
           json_array_size(domains) < DOMAINS_MOST)
        if (json_array_append_new(domains, json_string(line)) != 0)
            form->page->failed = true;
}

static void read_numbers(struct form *form, json_t *settings)
{
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        const char *text = form_take(form, numbers[i].field);
        size_t length = strlen(text);
        if (length == 0)
            continue;
        if (length > 9 || strspn(text, "0123456789") != length)
            form_refuse(form, numbers[i].field, "number", NULL);
        else
            page_put(form->page, settings, numbers[i].field, json_integer(atol(text)));
    }
}

static void read_purposes(struct form *form, json_t *settings)
{
    json_t *disabled = page_put_object(form->page, settings, "disabled");
    for (size_t i = 0; i < PURPOSE_COUNT; i++) {
        bool is_on = take_check(form, purposes[i].name);
        json_t *purpose =
            page_put_object(form->page, is_on ? settings : disabled, purposes[i].name);
        for (const struct purpose_text *text = purposes[i].texts; text->field; text++)
            page_put_text(form->page, purpose, text->member, form_take(form, text->field));
    }
}

json_t *directory_form_read(struct form *form)
{
    struct page *page = form->page;
    json_t *settings = json_object();
    if (!*form_take(form, "name"))
        form_refuse(form, "name", "directory_name_missing", NULL);
    read_servers(form, settings);
    page_put(page, settings, "start_tls", json_boolean(take_check(form, "start_tls")));
    page_put_text(page, settings, "ca", form_take_lines(form, "ca"));
    page_put_text(page, settings, "bind_dn", form_take(form, "bind_dn"));
    page_put_text(page, settings, "base_dn", form_take(form, "base_dn"));
    read_domains(form, settings);
    read_numbers(form, settings);
    read_purposes(form, settings);
    return settings;
}

/* --- refusals: "directory.sources[2].routing.filter" --- */

/* The field of a path behind the source, and the line in it. */
static const char *field_of(const char *path, int *line)
{
    static const char *const own[] = {"name",          "start_tls", "ca", "bind_dn",
                                      "bind_password", "base_dn",   NULL};
    *line = 0;
    if (strncmp(path, "servers", 7) == 0)
        return strncmp(path, "servers[1]", 10) == 0 ? "alternate" : "server";
    if (strncmp(path, "domains", 7) == 0) {
        *line = path[7] == '[' ? atoi(path + 8) + 1 : 0;
        return "domains";
    }
    for (size_t i = 0; own[i]; i++)
        if (strcmp(path, own[i]) == 0)
            return own[i];
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        if (strcmp(path, numbers[i].field) == 0)
            return numbers[i].field;
    for (size_t i = 0; i < PURPOSE_COUNT; i++) {
        size_t length = strlen(purposes[i].name);
        if (strncmp(path, purposes[i].name, length) != 0)
            continue;
        for (const struct purpose_text *text = purposes[i].texts; text->field; text++)
            if (path[length] == '.' && strcmp(path + length + 1, text->member) == 0)
                return text->field;
        return purposes[i].texts[0].field;
    }
    return "name";
}

void directory_form_refuse(struct form *form, const struct error *error)
{
    const char *end = strchr(error->where, ']');
    int line = 0;
    const char *field = end && end[1] == '.' ? field_of(end + 2, &line) : "name";
    if (error->code == ERROR_EXISTS)
        form_refuse(form, "name", "directory_there", NULL);
    else
        form_refuse_reason(form, field, line, error->message);
}
