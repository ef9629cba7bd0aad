/* One session of an SMTP client, from its connection to its end. A session owns itself: it answers,
 * times out, ends and frees itself, and then calls `gone`. */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_SESSION_H
#define GATEHOUSE_SCANNER_MTA_SMTP_SESSION_H

#include "common/ip.h"
#include "scanner/mta/mta.h"
#include "scanner/mta/queue.h"
#include "scanner/mta/smtp_rates.h"
#include "scanner/mta/tls.h"

#include <stdbool.h>
#include <stdint.h>

struct smtp_session;

/* Events of refused and broken transactions that may still be logged, for all sessions together: a
 * flood of refusals must not fill the disk. */
struct smtp_event_budget {
    int64_t second;   /* of the monotonic clock */
    unsigned left;    /* in that second */
    uint64_t dropped; /* since it began */
};

/* Takes one from the budget; false where none is left. */
bool smtp_event_budget_take(struct smtp_event_budget *budget);

struct smtp_session_options {
    struct mta *mta;
    int fd; /* taken over; connected, non-blocking */
    struct ip_address peer;
    uint16_t peer_port;
    enum queue_direction direction;
    struct tls_context *tls;          /* NULL: no certificate, so no TLS; borrowed for the call */
    bool implicit_tls;                /* TLS from the first byte on (RFC 8314); needs `tls` */
    struct smtp_rates *rates;         /* must outlive the session */
    struct smtp_event_budget *budget; /* the same */
    /* The session is another client's from now on; false, and the reply that ends the session,
     * where that client may have none. */
    bool (*move)(void *argument, const struct ip_address *peer, uint16_t port,
                 char reply[SMTP_REPLY_SIZE]);
    void (*gone)(void *argument);
    void *argument;
};

/* Begins with the greeting; never calls `gone` before it returned. Holds mta->config as it is. */
struct smtp_session *smtp_session_new(const struct smtp_session_options *options);
/* Ends it with 421; where the message is with the intake, after its answer. May call `gone`. */
void smtp_session_stop(struct smtp_session *session);
/* Ends it at once, without a word. Calls `gone`. */
void smtp_session_free(struct smtp_session *session);

#endif
