/* Audit events as the queue log keeps them: one JSON object and '\n' each, appended to `out`. The
 * members are those of docs/architecture.md, "Audit events". Text that is not UTF-8 is made so. */
#ifndef GATEHOUSE_SCANNER_MTA_AUDIT_EVENT_H
#define GATEHOUSE_SCANNER_MTA_AUDIT_EVENT_H

#include "common/buffer.h"
#include "scanner/mta/queue.h"
#include "scanner/mta/transaction.h"

#include <jansson.h>

/* The envelope of a transaction in whatever state it was when the event happened. */
struct audit_envelope {
    const char *sender; /* NULL: no MAIL command yet */
    const struct queue_draft_recipient *recipients;
    size_t recipient_count;
    uint64_t size; /* bytes of the content received so far */
};

void audit_received(struct buffer *out, const struct message_id *id,
                    const struct transaction *transaction, const struct audit_envelope *envelope);
/* The sender ended the session midway. */
void audit_aborted(struct buffer *out, const struct message_id *id,
                   const struct transaction *transaction, const struct audit_envelope *envelope);
/* Refused before it was accepted, with the reply that the client got ("550 5.7.1 ..."). */
void audit_refused(struct buffer *out, const struct message_id *id,
                   const struct transaction *transaction, const struct audit_envelope *envelope,
                   const char *reply);

/* `result` is the engine's {"verdict",...} object. */
void audit_scanned(struct buffer *out, const struct message_id *id, const json_t *result);

/* `action` and `policy` such as "delete", "malware.virus"; it concerns recipients 0 to count-1
 * where `recipients` is NULL. `detail` may be NULL. */
void audit_action(struct buffer *out, const struct message_id *id, const char *action,
                  const char *policy, const uint32_t *recipients, size_t count, const char *detail);

/* What an administrator did to the queued recipients: `action` "hold", "release", "flush" or
 * "reroute", with the new `route` (else NULL). */
void audit_queue(struct buffer *out, const struct message_id *id, const char *action,
                 const char *administrator, const uint32_t *recipients, size_t count,
                 const char *route);

/* An event whose members beside the usual ones stand in `members` (an object; borrowed): `type` is
 * "filters" or "incident". */
void audit_members(struct buffer *out, const struct message_id *id, const char *type,
                   const json_t *members);

struct audit_delivery {
    uint32_t recipient;
    const char *address;
    uint32_t attempt;     /* counts from 1 */
    const char *outcome;  /* "delivered", "deferred" or "failed" */
    const char *host;     /* NULL: none was reached */
    const char *ip;       /* NULL: none */
    uint16_t port;        /* 0: none */
    const char *reply;    /* the remote reply or our own reason, "250 2.0.0 ..." */
    const char *tls;      /* as in struct transaction */
    const char *security; /* what was demanded of TLS ("dane", "mta-sts", ...); NULL: in clear */
    int64_t next_attempt; /* milliseconds since 1970; 0: none */
};
void audit_delivery(struct buffer *out, const struct message_id *id,
                    const struct audit_delivery *delivery);

/* `dsn` is the bounce's own message id, or NULL where none was sent. */
void audit_bounced(struct buffer *out, const struct message_id *id, uint32_t recipient,
                   const char *address, const char *reply, const struct message_id *dsn);

#endif
