/* Replies of an SMTP server, line by line (RFC 5321 section 4.2). Private to smtp_client*.c. */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_CLIENT_REPLY_H
#define GATEHOUSE_SCANNER_MTA_SMTP_CLIENT_REPLY_H

#include "scanner/mta/smtp_client.h"

struct smtp_reply {
    int code;
    unsigned lines;
    size_t length;
    char text[SMTP_REPLY_SIZE]; /* "550 5.1.1 text", fit for logs; cut where it is longer */
};

enum smtp_reply_state { SMTP_REPLY_MORE, SMTP_REPLY_COMPLETE, SMTP_REPLY_MALFORMED };

/* All zero is the state before the first line. */
enum smtp_reply_state smtp_reply_add(struct smtp_reply *reply, const char *line, size_t length);
void smtp_reply_clear(struct smtp_reply *reply);

#endif
