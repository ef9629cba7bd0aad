/* What an administrator looks for in the queues: fields of a form, the filter of the scanners'
 * queue operations, and a query string are the same thing. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_QUEUE_SEARCH_H
#define GATEHOUSE_CONTROLCENTER_PAGES_QUEUE_SEARCH_H

#include "controlcenter/pages/pages.h"

struct queue_search {
    const char *host;                             /* a scanner's id; NULL: all scanners */
    const char *queue, *state;                    /* NULL: any */
    const char *sender, *recipient, *domain, *id; /* NULL: any */
};

/* Reads the fields host, queue, state, sender, recipient, domain and id by `take` (form_take or
 * form_take_query), refuses what cannot be, and marks what was chosen for the template's lists. The
 * texts are the form's. */
void queue_search_take(struct form *form, const char *(*take)(struct form *form, const char *field),
                       struct queue_search *search);
bool queue_search_is_empty(const struct queue_search *search);

/* The `filter` of queue_list and queue_act; the caller owns it. NULL when memory ran out. */
json_t *queue_search_filter(const struct queue_search *search);
/* Adds "host=...&sender=...&", as the page of the search takes it. */
void queue_search_link(const struct queue_search *search, struct buffer *link);
/* Puts the address of the search's first page into the page's data. */
void queue_search_put_link(struct page *page, const char *name, const struct queue_search *search);

#endif
