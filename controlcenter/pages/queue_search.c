#include "controlcenter/pages/queue_search.h"

#include "controlcenter/pages/queue_entry.h"

#include <string.h>

#define TEXT_MOST 320

static const char *take_text(struct form *form,
                             const char *(*take)(struct form *form, const char *field),
                             const char *field)
{
    const char *text = take(form, field);
    if (strlen(text) > TEXT_MOST)
        form_refuse(form, field, "search_long", json_pack("{s:i}", "most", TEXT_MOST));
    return *text ? text : NULL;
}

static const char *take_word(struct form *form, json_t *selected,
                             const char *(*take)(struct form *form, const char *field),
                             const char *field, const char *const *known)
{
    const char *text = take(form, field);
    if (!*text)
        return NULL;
    for (size_t i = 0; known[i]; i++) {
        if (strcmp(text, known[i]) != 0)
            continue;
        page_put_word(form->page, selected, field, text, known);
        return known[i];
    }
    form_refuse(form, field, "choose_listed", NULL);
    return NULL;
}

static const char *take_id(struct form *form,
                           const char *(*take)(struct form *form, const char *field),
                           const char *field, const char *refusal)
{
    struct message_id id;
    const char *text = take(form, field);
    if (!*text)
        return NULL;
    if (message_id_parse(text, &id))
        return text;
    form_refuse(form, field, refusal, NULL);
    return NULL;
}

void queue_search_take(struct form *form, const char *(*take)(struct form *form, const char *field),
                       struct queue_search *search)
{
    json_t *selected = page_put_object(form->page, form->page->data, "selected");
    *search = (struct queue_search){
        .host = take_id(form, take, "host", "choose_listed"),
        .queue = take_word(form, selected, take, "queue", queue_names),
        .state = take_word(form, selected, take, "state", queue_states),
        .sender = take_text(form, take, "sender"),
        .recipient = take_text(form, take, "recipient"),
        .domain = take_text(form, take, "domain"),
        .id = take_id(form, take, "id", "message_id_form"),
    };
}

#define CONDITIONS 6

struct condition {
    const char *name, *value;
};

/* All but the host, which is none of the scanners' business. */
static void list_conditions(const struct queue_search *search, struct condition list[CONDITIONS])
{
    const struct condition all[CONDITIONS] = {
        {"queue", search->queue},         {"state", search->state},   {"sender", search->sender},
        {"recipient", search->recipient}, {"domain", search->domain}, {"id", search->id},
    };
    memcpy(list, all, sizeof all);
}

bool queue_search_is_empty(const struct queue_search *search)
{
    struct condition list[CONDITIONS];
    list_conditions(search, list);
    for (size_t i = 0; i < CONDITIONS; i++)
        if (list[i].value)
            return false;
    return !search->host;
}

json_t *queue_search_filter(const struct queue_search *search)
{
    struct condition list[CONDITIONS];
    json_t *filter = json_object();
    list_conditions(search, list);
    for (size_t i = 0; i < CONDITIONS; i++) {
        if (!list[i].value ||
            json_object_set_new(filter, list[i].name, json_string(list[i].value)) == 0)
            continue;
        json_decref(filter);
        return NULL;
    }
    return filter;
}

static void add_field(struct buffer *link, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_add_format(link, "%s=", name);
    http_encode(link, value);
    buffer_add_text(link, "&");
}

void queue_search_link(const struct queue_search *search, struct buffer *link)
{
    struct condition list[CONDITIONS];
    list_conditions(search, list);
    add_field(link, "host", search->host);
    for (size_t i = 0; i < CONDITIONS; i++)
        add_field(link, list[i].name, list[i].value);
}

void queue_search_put_link(struct page *page, const char *name, const struct queue_search *search)
{
    struct buffer link = BUFFER_INIT;
    buffer_add_text(&link, "/queues?");
    queue_search_link(search, &link);
    page->failed = page->failed || link.failed;
    page_put_text(page, page->data, name, buffer_text(&link));
    buffer_free(&link);
}
