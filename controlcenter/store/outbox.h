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
/* In a transaction of its own; within that of somebody else: outbox_internal.h. `id` is the message's
 * id at the scanner, and of the audit log. ERROR_INVALID: no recipient, or neither or both of text
 * and message_id. */
bool store_outbox_add(struct store *store, const struct store_outbox_new *mail, char id[37],
                      struct error *error);

/* --- for controlcenter/mail/outbox.c --- */

struct store_outbox_mail {
    char id[37];
    char message_id[37]; /* of the body; "" where `message` is all of it */
    char scanner_id[37]; /* that should send it; "" any */
    char bound_to[37];   /* the scanner that may have it already: no other may be asked; "" none */
    bool inbound;
    int attempts; /* this one counts */
    char *sender, *header, *route, *reason, *administrator; /* header and route may be "" */
    char *message;
    size_t message_length;
    json_t *recipients; /* [S] */
};
#define STORE_OUTBOX_LEASE_SECONDS 120
/* Takes at most `most` mails that are due, each for the time of a lease: until then nobody else is
 * given them. */
bool store_outbox_take(struct store *store, size_t most, struct store_outbox_mail **mails,
                       size_t *count, struct error *error);
void store_outbox_list_free(struct store_outbox_mail *mails, size_t count);
/* Takes the lease anew. */
bool store_outbox_renew(struct store *store, const char *id, struct error *error);
/* From now on that scanner alone may be asked to store it; "" lets it go where it is gone for good.
 * ERROR_EXISTS: another one may have it. ERROR_NOT_FOUND: it is sent. */
bool store_outbox_bind(struct store *store, const char *id, const char *scanner_id,
                       struct error *error);
/* The scanner has it on stable storage: the row goes, and where an administrator sent it the
 * administrators' log says so. */
bool store_outbox_sent(struct store *store, const struct store_outbox_mail *mail,
                       const char *scanner_id, struct error *error);
/* Not this time: why, and when it is tried again. */
bool store_outbox_failed(struct store *store, const char *id, const char *problem, int wait_seconds,
                         struct error *error);
/* Rings when a mail may be due (store_bell of requests.h). */
#define STORE_OUTBOX_BELL "00000000-0000-7000-8000-6f7574626f78"

/* --- what administrators see --- */

struct store_outbox_waiting {
    char id[37], message_id[37];
    int64_t created_at, next_attempt;
    int attempts;
    char reason[101], administrator[129];
    char problem[641]; /* of the last attempt; "" */
    json_t *recipients;
};
/* Those that are not with a scanner yet, the oldest first, at most `limit`; of one message where
 * `message_id` is not NULL. */
bool store_outbox_waiting(struct store *store, const char *message_id, size_t limit,
                          struct store_outbox_waiting **waiting, size_t *count,
                          struct error *error);
void store_outbox_waiting_free(struct store_outbox_waiting *waiting, size_t count);
/* All that nobody is sending just now are due at once. */
bool store_outbox_retry(struct store *store, struct error *error);

#endif
