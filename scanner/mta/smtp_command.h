/* What an SMTP client says, as typed values (RFC 5321 section 4.1 with the extensions SIZE,
 * 8BITMIME, SMTPUTF8, DSN, CHUNKING and XCLIENT). Pure text work: nothing here knows a session or a
 * policy.
 *
 * Lines come without their CRLF, NUL-terminated, and hold neither NUL, CR nor LF. They are cut in
 * place; pointers in the results point into them. Where a function returns false `reply` holds the
 * whole refusal, "501 5.5.4 ...", without CRLF, in printable ASCII. */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_COMMAND_H
#define GATEHOUSE_SCANNER_MTA_SMTP_COMMAND_H

#include "common/address.h"
#include "common/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMTP_REPLY_SIZE 512
/* RFC 5321 gives a command 512 bytes; the parameters of the extensions that we offer may add 1100
 * (RFC 3461 alone 600). */
#define SMTP_COMMAND_LIMIT 2048

enum smtp_verb {
    SMTP_EHLO,
    SMTP_HELO,
    SMTP_STARTTLS,
    SMTP_AUTH,
    SMTP_XCLIENT,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA,
    SMTP_BDAT,
    SMTP_RSET,
    SMTP_NOOP,
    SMTP_QUIT,
    SMTP_VRFY,
    SMTP_EXPN,
    SMTP_HELP,
    SMTP_UNKNOWN,
};

struct smtp_command {
    enum smtp_verb verb;
    char *argument; /* without blanks around it; "" for none */
};

/* Any line is a command; what we do not know is SMTP_UNKNOWN. */
void smtp_command_parse(char *line, struct smtp_command *command);

/* Checks the name that a client gives itself: letters, digits, ".-_:[]", at most 255 bytes. More
 * than RFC 5321 allows, since many clients do not know their name, and nothing that could forge a
 * trace header field. Returns NULL or the reason. */
const char *smtp_helo_check(const char *name);

struct smtp_mail {
    char sender[ADDRESS_SIZE]; /* "" for the null sender */
    uint64_t size;             /* as declared; 0: not given */
    uint8_t flags;             /* QUEUE_FLAG_8BITMIME, _SMTPUTF8, _RET_FULL, _RET_HDRS */
    const char *envelope_id;   /* xtext, or NULL */
};

/* The argument of MAIL: "FROM:<path> parameters". `extended` is false after HELO: no parameters. */
bool smtp_mail_parse(char *argument, bool extended, struct smtp_mail *mail,
                     char reply[SMTP_REPLY_SIZE]);

struct smtp_recipient {
    char address[ADDRESS_SIZE]; /* "postmaster" may stand without a domain */
    const char *original;       /* ORCPT, "type;xtext", or NULL */
    uint8_t notify;             /* enum queue_notify bits, 0: not given */
};

/* The argument of RCPT: "TO:<path> parameters". `utf8` where MAIL said SMTPUTF8. */
bool smtp_recipient_parse(char *argument, bool extended, bool utf8,
                          struct smtp_recipient *recipient, char reply[SMTP_REPLY_SIZE]);

/* What a front server says of its client; an empty text was not given. */
struct smtp_xclient {
    bool has_address, has_port, has_login;
    struct ip_address address; /* "::" where it is not known */
    uint16_t port;             /* 0 where it is not known */
    char helo[DOMAIN_SIZE];
    char login[ADDRESS_SIZE]; /* "" with has_login: nobody signed in */
    bool extended;            /* PROTO=ESMTP */
};

/* The argument of XCLIENT: "NAME=value ..." with xtext values. */
bool smtp_xclient_parse(char *argument, struct smtp_xclient *xclient, char reply[SMTP_REPLY_SIZE]);

/* The argument of BDAT: "size" or "size LAST" (RFC 3030). */
bool smtp_chunk_parse(char *argument, uint64_t *size, bool *last, char reply[SMTP_REPLY_SIZE]);

#endif
