#include "controlcenter/pages/route_form.h"

#include "controlcenter/pages/endpoint.h"

#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 320
#define RELAYS_MOST 16

static const char *const balances[] = {"failover", "share", NULL};
static const char *const levels[] = {"inherit",  "off",      "opportunistic",
                                     "required", "verified", NULL};

static bool is_relay(const json_t *route)
{
    const char *kind = json_string_value(json_object_get(route, "kind"));
    return kind && strcmp(kind, "relay") == 0;
}

/* The text of one relay; NULL where it has no host. */
static const char *relay_text(const json_t *relay, char text[ENDPOINT_TEXT_SIZE])
{
    const char *host = json_string_value(json_object_get(relay, "host"));
    const json_t *port = json_object_get(relay, "port");
    return host ? endpoint_text(host, port ? (int)json_integer_value(port) : SMTP_PORT, text)
                : NULL;
}

static void put_kind(struct form *form, bool relay)
{
    page_put_true(form->page, form->page->data, relay ? "kind_relay" : "kind_mx");
}

static const char *text_member(const json_t *route, const char *name, const char *fallback)
{
    const char *text = json_string_value(json_object_get(route, name));
    return text ? text : fallback;
}

static void put_password(struct form *form, const json_t *route)
{
    if (json_object_get(route, "password"))
        page_put_true(form->page, form->page->data, "has_password");
}

static void put_relay_options(struct form *form, const json_t *route)
{
    form_select(form, "balance", text_member(route, "balance", balances[0]));
    form_select(form, "tls", text_member(route, "tls", levels[0]));
    form_set(form, "user", text_member(route, "user", ""));
    if (json_is_true(json_object_get(route, "mx")))
        form_set(form, "relays_mx", "yes");
    put_password(form, route);
}

void route_form_fill(struct form *form, const json_t *route)
{
    struct buffer lines = BUFFER_INIT;
    char text[ENDPOINT_TEXT_SIZE];
    const json_t *relay;
    size_t index;
    json_array_foreach(json_object_get(route, "relays"), index, relay)
    {
        if (relay_text(relay, text))
            buffer_add_format(&lines, "%s\n", text);
    }
    form_set(form, "relays", buffer_text(&lines));
    put_kind(form, is_relay(route));
    put_relay_options(form, route);
    buffer_free(&lines);
}

/* The array of relays; NULL where a line was refused. */
static json_t *read_relays(struct form *form, const char *text)
{
    char line[LINE_SIZE];
    struct endpoint endpoint;
    int number = 0;
    json_t *relays = json_array();
    while ((text = form_next_line(text, line, sizeof line))) {
        const char *refusal = NULL;
        if (++number > RELAYS_MOST)
            refusal = "relays_many";
        else if (!endpoint_parse(line, SMTP_PORT, &endpoint))
            refusal = "relay_form";
        if (!refusal && json_array_append_new(relays, json_pack("{s:s,s:i}", "host", endpoint.host,
                                                                "port", endpoint.port)) == 0)
            continue;
        form_refuse(form, "relays", refusal ? refusal : "relay_form",
                    json_pack("{s:i,s:i}", "line", number, "most", RELAYS_MOST));
        json_decref(relays);
        return NULL;
    }
    if (number > 0)
        return relays;
    form_refuse(form, "relays", "relays_none", NULL);
    json_decref(relays);
    return NULL;
}

/* Members that say what goes without saying are left out, so that a route has one form. */
static bool set_text(json_t *route, const char *name, const char *text, const char *fallback)
{
    return strcmp(text, fallback) == 0 || json_object_set_new(route, name, json_string(text)) == 0;
}

/* The password that was typed, or the one that is there. */
static json_t *read_password(struct form *form, const json_t *present)
{
    const char *typed = http_form(form->page->request, "password");
    if (typed && *typed)
        return json_string(typed);
    return json_incref(json_object_get(present, "password"));
}

static bool set_account(struct form *form, json_t *route, const json_t *present)
{
    const char *user = form_take(form, "user");
    if (!*user)
        return true;
    json_t *password = read_password(form, present);
    if (!password)
        form_refuse(form, "password", "password_missing", NULL);
    return set_text(route, "user", user, "") &&
           (!password || json_object_set_new(route, "password", password) == 0);
}

static json_t *read_relay_route(struct form *form, const char *lines, const json_t *present)
{
    json_t *relays = read_relays(form, lines);
    json_t *route = json_pack("{s:s,s:o*}", "kind", "relay", "relays", relays);
    const char *balance = form_take_word(form, "balance", balances);
    const char *tls = form_take_word(form, "tls", levels);
    bool mx = *form_take(form, "relays_mx") != '\0';
    bool ok = route && set_account(form, route, present) &&
              (!balance || set_text(route, "balance", balance, balances[0])) &&
              (!tls || set_text(route, "tls", tls, levels[0])) &&
              (!mx || json_object_set_new(route, "mx", json_true()) == 0);
    if (!ok)
        form->page->failed = true;
    if (ok && !form->wrong)
        return route;
    json_decref(route);
    return NULL;
}

json_t *route_form_read(struct form *form, const json_t *present)
{
    const char *kind = form_take(form, "kind");
    const char *lines = form_take_lines(form, "relays");
    bool relay = strcmp(kind, "relay") == 0;
    put_kind(form, relay);
    put_password(form, present);
    if (relay)
        return read_relay_route(form, lines, present);
    if (strcmp(kind, "mx") == 0)
        return json_pack("{s:s}", "kind", "mx");
    form_refuse(form, "kind", "choose_route", NULL);
    return NULL;
}

bool route_form_refuse(struct form *form, const struct error *error)
{
    const char *route = strstr(error->where, "route");
    const char *relays = route ? strstr(route, "relays") : NULL;
    if (!route)
        return false;
    if (relays)
        form_refuse_reason(form, "relays", relays[6] == '[' ? atoi(relays + 7) + 1 : 0,
                           error->message);
    else if (strstr(route, ".tls"))
        form_refuse_reason(form, "tls", 0, error->message);
    else if (strstr(route, ".user") || strstr(route, ".password"))
        form_refuse_reason(form, "user", 0, error->message);
    else
        form_refuse_reason(form, "kind", 0, error->message);
    return true;
}

void route_put(struct page *page, json_t *object, const char *name, const json_t *route)
{
    char text[ENDPOINT_TEXT_SIZE];
    const json_t *relay;
    size_t index;
    json_t *to = page_put_object(page, object, name);
    if (!is_relay(route)) {
        page_put_true(page, to, "mx");
        return;
    }
    json_t *relays = page_put_array(page, to, "relays");
    json_array_foreach(json_object_get(route, "relays"), index, relay)
    {
        if (relay_text(relay, text))
            page_put_text(page, page_add_object(page, relays), "endpoint", text);
    }
    page_put(page, to, "share",
             json_boolean(strcmp(text_member(route, "balance", ""), "share") == 0));
    page_put(page, to, "by_mx", json_boolean(json_is_true(json_object_get(route, "mx"))));
    page_put(page, to, "signs_in", json_boolean(json_object_get(route, "user") != NULL));
}
