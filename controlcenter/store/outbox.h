/* Mail that the Control Center sends: notifications and released messages. A row is there until a
 * scanner has it on stable storage; controlcenter/mail/outbox.h hands them to scanners. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_OUTBOX_H
#define GATEHOUSE_CONTROLCENTER_STORE_OUTBOX_H

#include "controlcenter/store/store.h"

struct store_outbox_new {
    const char *sender; /* envelope; "" the null sender */
    const char *const *recipients;
    size_t recipient_count;
    const char *message;    /* the whole text (CRLF), or NULL: the body of `message_id` */
    size_t message_length;
    const char *message_id; /* of store/messages.h */
    const char *header;     /* fields put before the body (CRLF), or NULL */
    const char *route;      /* as scanner/mta/destination.h, or NULL */
    bool inbound;           /* its direction */
    const char *reason;     /* for the audit log, such as "incident.approve" */
    const char *administrator; /* who did it; "" nobody */
    const char *scanner_id; /* that should send it where it can; NULL: any */
};
/* Within the transaction of the connection where `connection` (a struct store_connection of
 * store_internal.h) is given, else in its own. */
bool store_outbox_add(struct store *store, const struct store_outbox_new *mail, char id[37],
                      struct error *error);

#endif
