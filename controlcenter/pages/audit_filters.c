#include "controlcenter/pages/audit_filters.h"

#include "common/message_id.h"

#include <string.h>

#define FINDS_SHOWN 20
#define ADDRESSES_SHOWN 100
#define FILTERS_SHOWN 100

static const char *const dispositions[] = {"deliver", "delete", "reject",     "bounce",
                                           "defer",   "hold",   "quarantine", NULL};

static const char *text_of(const json_t *from, const char *name)
{
    return json_string_value(json_object_get(from, name));
}

/* The addresses of the recipients whose indices `from` has. */
static void put_addresses(struct page *page, json_t *to, const json_t *from,
                          const json_t *recipients)
{
    const json_t *value;
    size_t index;
    json_t *rows = page_put_array(page, to, "addresses");
    json_array_foreach(json_object_get(from, "recipients"), index, value)
    {
        const json_t *recipient = json_array_get(recipients, (size_t)json_integer_value(value));
        if (index < ADDRESSES_SHOWN && text_of(recipient, "address"))
            page_copy_text(page, page_add_object(page, rows), recipient, "address");
    }
}

static void put_names(struct page *page, json_t *to, const json_t *outcome)
{
    const char *decided = text_of(outcome, "decided_by");
    const json_t *filter;
    size_t index;
    json_t *rows = page_put_array(page, to, "filters");
    json_array_foreach(json_object_get(outcome, "filters"), index, filter)
    {
        if (index >= FILTERS_SHOWN)
            break;
        json_t *row = page_add_object(page, rows);
        const char *id = text_of(filter, "id");
        page_copy_text(page, row, filter, "name");
        if (decided && id && strcmp(decided, id) == 0)
            page_put_true(page, row, "decided");
    }
}

static void put_copies(struct page *page, json_t *to, const json_t *outcome)
{
    const json_t *copy;
    size_t index;
    json_t *rows = page_put_array(page, to, "copies");
    json_array_foreach(json_object_get(outcome, "copies"), index, copy)
    {
        page_put_text(page, page_add_object(page, rows), "id", json_string_value(copy));
    }
    page_put(page, to, "has_copies", json_boolean(json_array_size(rows) > 0));
}

static void put_outcomes(struct page *page, json_t *to, const json_t *event,
                         const json_t *recipients)
{
    const json_t *outcome;
    size_t index;
    json_t *rows = page_put_array(page, to, "outcomes");
    json_array_foreach(json_object_get(event, "outcomes"), index, outcome)
    {
        json_t *row = page_add_object(page, rows);
        page_put_word(page, row, "action", text_of(outcome, "disposition"), dispositions);
        put_addresses(page, row, outcome, recipients);
        put_names(page, row, outcome);
        put_copies(page, row, outcome);
    }
}

static void put_finds(struct page *page, json_t *to, const json_t *event)
{
    static const char *const texts[] = {"name", "part", "field", "text"};
    const json_t *find;
    size_t index;
    json_t *rows = page_put_array(page, to, "finds");
    json_array_foreach(json_object_get(event, "finds"), index, find)
    {
        if (index >= FINDS_SHOWN)
            break;
        json_t *row = page_add_object(page, rows);
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            page_copy_text(page, row, find, texts[i]);
    }
    page_put(page, to, "has_finds", json_boolean(json_array_size(rows) > 0));
}

static void put_notifications(struct page *page, json_t *to, const json_t *event)
{
    const json_t *notify, *who;
    size_t index, i;
    json_t *rows = page_put_array(page, to, "notifications");
    json_array_foreach(json_object_get(event, "notify"), index, notify)
    {
        json_t *row = page_add_object(page, rows);
        json_t *names = page_put_array(page, row, "to");
        page_copy_text(page, row, notify, "template");
        json_array_foreach(json_object_get(notify, "to"), i, who)
        {
            page_put_text(page, page_add_object(page, names), "who", json_string_value(who));
        }
    }
    page_put(page, to, "has_notifications", json_boolean(json_array_size(rows) > 0));
}

void audit_filters_put(struct page *page, json_t *to, const json_t *event, const json_t *recipients)
{
    page_copy_text(page, to, event, "problem");
    put_outcomes(page, to, event, recipients);
    put_finds(page, to, event);
    put_notifications(page, to, event);
}

void audit_incident_put(struct page *page, json_t *to, const json_t *event)
{
    page_copy_text(page, to, event, "folder_name");
    page_copy_text(page, to, event, "copy");
    if (json_is_true(json_object_get(event, "quarantine")))
        page_put_true(page, to, "quarantine");
}

void audit_other_message_put(struct page *page, json_t *to, const json_t *event)
{
    const char *detail = text_of(event, "detail");
    size_t length = detail ? strlen(detail) : 0;
    struct message_id id;
    if (length >= 8 + 36 && strncmp(detail + length - 36 - 8, "message ", 8) == 0 &&
        message_id_parse(detail + length - 36, &id))
        page_put_text(page, to, "other", detail + length - 36);
}
