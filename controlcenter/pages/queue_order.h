/* What an administrator wants done with queued messages: which action, on which of them. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_QUEUE_ORDER_H
#define GATEHOUSE_CONTROLCENTER_PAGES_QUEUE_ORDER_H

#include "controlcenter/pages/queue_entry.h"
#include "controlcenter/pages/queue_search.h"

extern const char *const queue_actions[]; /* of the contract; ends with NULL */

/* What concerns one scanner. */
struct queue_order_part {
    const struct store_scanner *scanner;
    json_t *ids;   /* those that were selected; NULL where all that are found are meant */
    int64_t count; /* of messages; -1: the scanner does not say */
    bool over;     /* there are more than `count` */
};

struct queue_order {
    struct form *form;
    const char *action; /* of queue_actions; NULL where the form was refused */
    bool all;           /* all that the search finds */
    struct queue_search search;
    bool has_route;
    char route[QUEUE_ROUTE_SIZE]; /* of "reroute"; "" for the normal one */
    struct store_scanner *scanners;
    size_t scanner_count;
    struct queue_order_part *parts;
    size_t part_count;
};

/* Reads the fields action, scope ("selected" or "all"), m ("SCANNER.ID", any number of them) and
 * those of the search; refusals are the form's. False with *error only where the scanners cannot be
 * listed. Clear it in any case. */
bool queue_order_read(struct form *form, struct queue_order *order, struct error *error);
void queue_order_clear(struct queue_order *order);
bool queue_order_is(const struct queue_order *order, const char *action);

/* The route of "reroute", by the fields route_kind ("relay", "mx" or "normal") and route_to. */
void queue_order_read_route(struct queue_order *order);

/* Asks the scanners how many messages the search finds, where all of them are meant. */
void queue_order_count(struct queue_order *order);

/* The request for one scanner (queue_act), and the line of the administrators' log. The caller owns
 * them; NULL when memory ran out. */
json_t *queue_order_request(const struct queue_order *order, const struct queue_order_part *part);
json_t *queue_order_log(const struct queue_order *order);

#endif
