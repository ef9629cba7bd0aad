/* Questions to the mail transfer of several scanners at once, so that one that is away holds up
 * nobody for longer than its own time limit. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_QUEUE_ASK_H
#define GATEHOUSE_CONTROLCENTER_PAGES_QUEUE_ASK_H

#include "controlcenter/pages/pages.h"

#define QUEUE_WAIT_MS 4000 /* for what is only looked at */
#define QUEUE_ACT_MS 10000 /* for what changes something */

struct queue_question {
    const struct store_scanner *scanner;
    json_t *request; /* owned; NULL where it could not be made */
    json_t *reply;   /* owned; NULL with `error` */
    struct error error;
};

/* Asks all of them, and waits at most `wait_ms`, less for scanners that have been silent. */
void queue_ask(struct page *page, struct queue_question *questions, size_t count, int wait_ms);
void queue_questions_free(struct queue_question *questions, size_t count);

/* Adds what came of a question that was not answered to an array: the host, and that it is away or
 * the reason that it gave. */
void queue_put_problem(struct page *page, json_t *problems, const struct queue_question *question);

#endif
