#include "controlcenter/pages/route_form.h"

#include "controlcenter/pages/endpoint.h"

#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 320
#define RELAYS_MOST 16

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

json_t *route_form_read(struct form *form)
{
    const char *kind = form_take(form, "kind");
    const char *lines = form_take_lines(form, "relays");
    bool relay = strcmp(kind, "relay") == 0;
    put_kind(form, relay);
    if (!relay && strcmp(kind, "mx") != 0) {
        form_refuse(form, "kind", "choose_route", NULL);
        return NULL;
    }
    if (!relay)
        return json_pack("{s:s}", "kind", "mx");
    json_t *relays = read_relays(form, lines);
    return relays ? json_pack("{s:s,s:o}", "kind", "relay", "relays", relays) : NULL;
}

bool route_form_refuse(struct form *form, const struct error *error)
{
    const char *relays = strstr(error->where, "relays");
    if (!strstr(error->where, "route"))
        return false;
    if (!relays)
        form_refuse_reason(form, "kind", 0, error->message);
    else
        form_refuse_reason(form, "relays", relays[6] == '[' ? atoi(relays + 7) + 1 : 0,
                           error->message);
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
}
