/* One action of an administrator on one queued message. Private to queue_operations.c. */
#ifndef GATEHOUSE_SCANNER_MTA_QUEUE_ACTION_H
#define GATEHOUSE_SCANNER_MTA_QUEUE_ACTION_H

#include "scanner/mta/mta.h"
#include "scanner/mta/queue.h"

enum queue_action_result {
    QUEUE_ACTION_CHANGED,
    QUEUE_ACTION_NEEDLESS, /* it is so already */
    QUEUE_ACTION_REFUSED,  /* not of a message in this state */
    QUEUE_ACTION_BUSY,     /* an attempt is under way: to be asked again */
};

struct queue_action_order {
    const char *administrator;
    const char *route; /* of reroute; "" takes it away */
};

typedef enum queue_action_result (*queue_action)(struct mta *mta, struct queue_message *message,
                                                 const struct queue_action_order *order);

/* NULL where there is no such action. */
queue_action queue_action_find(const char *name);

/* Runs it. A message that is to be handed over can only be deleted. */
enum queue_action_result queue_action_run(queue_action run, struct mta *mta,
                                          struct queue_message *message,
                                          const struct queue_action_order *order);

#endif
