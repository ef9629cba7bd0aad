#include "controlcenter/pages/queue_put.h"

void queue_put_entry(struct page *page, json_t *row, const struct queue_entry *entry)
{
    page_put_text(page, row, "id", entry->id);
    page_put_word(page, row, "queue", entry->queue, queue_names);
    page_put_word(page, row, "direction", entry->direction, queue_directions);
    page_put_word(page, row, "state", entry->state, queue_states);
    page_put(page, row, "sender_known", json_boolean(entry->has_sender));
    page_put_text(page, row, "sender", entry->sender);
    page_put_time(page, row, "received_at", entry->received_at);
    if (entry->size >= 0)
        page_put_size(page, row, "size", entry->size);
    if (entry->recipient_count >= 0)
        page_put_count(page, row, "recipient_count", entry->recipient_count);
}

static void put_recipient(struct page *page, json_t *row,
                          const struct queue_entry_recipient *recipient)
{
    page_put_text(page, row, "address", recipient->address);
    if (recipient->state)
        page_put_word(page, row, "state", recipient->state, page_states);
    else
        page_put(page, row, "state", json_null()); /* or the message's would be shown */
    page_put_time(page, row, "next_attempt", recipient->next_attempt);
    page_put_text(page, row, "reply", recipient->reply);
    page_put_text(page, row, "route", recipient->route);
    if (recipient->attempts >= 0)
        page_put_count(page, row, "attempts", recipient->attempts);
}

void queue_put_recipients(struct page *page, json_t *row, const struct queue_entry *entry)
{
    json_t *rows = page_put_array(page, row, "recipients");
    for (size_t i = 0; i < entry->kept; i++)
        put_recipient(page, page_add_object(page, rows), &entry->recipients[i]);
    if (entry->recipient_count > (int64_t)entry->kept)
        page_put_count(page, row, "more_recipients", entry->recipient_count - (int64_t)entry->kept);
}

void queue_put_outlook(struct page *page, json_t *row, const struct queue_entry *entry)
{
    int64_t next_attempt = 0, attempts = -1;
    const char *reply = "", *route = "";
    for (size_t i = 0; i < entry->kept; i++) {
        const struct queue_entry_recipient *recipient = &entry->recipients[i];
        if (recipient->next_attempt && (!next_attempt || recipient->next_attempt < next_attempt))
            next_attempt = recipient->next_attempt;
        if (recipient->attempts > attempts)
            attempts = recipient->attempts;
        if (!*reply)
            reply = recipient->reply;
        if (!*route)
            route = recipient->route;
    }
    page_put_time(page, row, "next_attempt", next_attempt);
    page_put_text(page, row, "reply", reply);
    page_put_text(page, row, "route", route);
    if (attempts >= 0)
        page_put_count(page, row, "attempts", attempts);
}
