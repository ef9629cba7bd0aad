/* Queued messages as templates take them; what is unknown is left out. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_QUEUE_PUT_H
#define GATEHOUSE_CONTROLCENTER_PAGES_QUEUE_PUT_H

#include "controlcenter/pages/queue_entry.h"

/* The members id, queue, direction, state, sender (with sender_known), size, received_at,
 * recipient_count. */
void queue_put_entry(struct page *page, json_t *row, const struct queue_entry *entry);
/* An array "recipients" with address, state, attempts, next_attempt, reply and route of those that
 * are kept; "more_recipients" counts the others. */
void queue_put_recipients(struct page *page, json_t *row, const struct queue_entry *entry);
/* Over the recipients that are kept: the earliest next_attempt, the most attempts, and the reply
 * and the own route of the first one that has any. */
void queue_put_outlook(struct page *page, json_t *row, const struct queue_entry *entry);

#endif
