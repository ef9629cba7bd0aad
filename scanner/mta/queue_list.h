/* What administrators see of the queue (docs/architecture.md, queue_list and queue_message). */
#ifndef GATEHOUSE_SCANNER_MTA_QUEUE_LIST_H
#define GATEHOUSE_SCANNER_MTA_QUEUE_LIST_H

#include "scanner/mta/queue_filter.h"

#define QUEUE_LIST_MOST 1000           /* messages of one list */
#define QUEUE_LIST_BYTES (2u << 20)    /* of one list, about: a longer one ends early with `more` */
#define QUEUE_LIST_RECIPIENTS 10       /* that a list shows of a message */
#define QUEUE_HEADER_BYTES (16u << 10) /* of the header that queue_message shows */
#define QUEUE_MESSAGE_BYTES (3u << 20) /* of the recipients that queue_message shows, about */

struct queue_list;

/* Reads {"filter","after","limit"} and gathers the list from the loop, in slices. `done` gets the
 * reply's JSON text, borrowed, from the loop; the list is then gone. NULL with *error. */
struct queue_list *queue_list_begin(struct queue *queue, struct event_base *base,
                                    const json_t *request,
                                    void (*done)(void *argument, const char *text, size_t length),
                                    void *argument, struct error *error);
/* Gives it up before `done`. */
void queue_list_cancel(struct queue_list *list);

/* The reply to {"id"}. ERROR_NOT_FOUND: it is not in the queue. */
bool queue_message_write(struct queue *queue, const json_t *request, struct buffer *out,
                         struct error *error);

#endif
