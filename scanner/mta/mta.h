/* What the parts of the mta share: one context, made and owned by main.c and passed to each part.
 * Everything runs on one thread, the event loop's. */
#ifndef GATEHOUSE_SCANNER_MTA_MTA_H
#define GATEHOUSE_SCANNER_MTA_MTA_H

#include "scanner/mta/config_ref.h"

#include <event2/event.h>

struct mta {
    struct event_base *base;
    const char *state;         /* absolute path of the scanner's state directory */
    struct config_ref *config; /* the one that runs; replaced by a reload, so take a reference to
                                  keep one over an event */
    struct queue *queue;       /* queue.h */
    struct scan_client *scan_client;    /* scan_client.h */
    struct directory_client *directory; /* directory_client.h */
    struct intake *intake;              /* intake.h */
    struct delivery *delivery;          /* delivery.h */
    struct smtp_server *smtp_server;    /* smtp_server.h */
};

#endif
