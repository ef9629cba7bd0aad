/* Delivery status notifications (RFC 3464, in UTF-8 RFC 6533) as messages: a part for people, one
 * for programs, and the message that they are about, or its header. */
#ifndef GATEHOUSE_SCANNER_MTA_BOUNCE_H
#define GATEHOUSE_SCANNER_MTA_BOUNCE_H

#include "common/buffer.h"
#include "common/message_id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bounce_kind {
    BOUNCE_FAILED,  /* given up */
    BOUNCE_DELAYED, /* still tried */
    BOUNCE_RELAYED, /* handed to a server that does not report itself */
};

/* Text from outside (addresses, replies, content) may be anything: no field of the report can be
 * forged by it. */
struct bounce_recipient {
    const char *address;
    const char *original; /* RFC 3461 ORCPT ("type;xtext"), or NULL */
    const char *reply;    /* "550 5.1.1 text" */
    const char *host;     /* whose reply it is; NULL: not known, or nobody's */
    bool own_reason;      /* the reply is our own, not that of a server */
    int64_t attempted_at; /* milliseconds since 1970, as all times here */
};

struct bounce_report {
    enum bounce_kind kind;
    struct message_id id; /* of the report itself */
    const char *reporting_host;
    const char *to;          /* the envelope sender of the message */
    const char *envelope_id; /* RFC 3461 ENVID (xtext), or NULL */
    int64_t arrived_at, now;
    int64_t tried_until; /* BOUNCE_DELAYED */
    bool utf8;           /* may use SMTPUTF8, else it is ASCII but for the content */
    const struct bounce_recipient *recipients;
    size_t recipient_count;
    const char *content; /* of the message: whole, or its header */
    size_t content_length;
    bool content_whole;
};

/* Appends the report as a message with CRLF line ends. False where it does not fit. */
bool bounce_write(const struct bounce_report *report, struct buffer *out);

#endif
