/* One SMTP connection to a next hop (RFC 5321), for any number of transactions one after the other.
 *
 * It connects, greets (EHLO, else HELO), takes up STARTTLS as demanded, signs in (AUTH), and sends
 * each transaction as one group of commands where the peer has PIPELINING (RFC 2920), its content
 * in chunks where the peer has CHUNKING (RFC 3030). Everything that the peer sends is bounded in
 * length and time.
 *
 * A body with bytes above 127 goes to a peer without 8BITMIME as it is (without BODY=): every such
 * peer in use passes them on, while a conversion would break signatures (DKIM, S/MIME) and a bounce
 * would lose the mail.
 *
 * Single-threaded. The process must ignore SIGPIPE. */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_CLIENT_H
#define GATEHOUSE_SCANNER_MTA_SMTP_CLIENT_H

#include "common/address.h"
#include "common/error.h"
#include "common/ip.h"
#include "scanner/mta/tlsa.h"

#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct smtp_client;

/* Longest reply that is kept, "550 5.1.1 text" with the NUL; further lines are joined by spaces. */
#define SMTP_REPLY_SIZE 1024
#define SMTP_TLS_NAME_SIZE 96

struct smtp_transaction_recipient {
    const char *address;
    const char *original; /* RFC 3461 ORCPT as given (xtext), or NULL */
    uint8_t notify;       /* enum queue_notify bits, 0: not given */
    bool accepted;        /* by RCPT */
    int code;             /* of the final reply: 200 to 599; 0: there is none */
    char *reply; /* the final reply, UTF-8 without control characters; NULL: there is none */
};

enum smtp_client_end {
    SMTP_CLIENT_QUIT,        /* by smtp_client_quit, or idle when the peer closed */
    SMTP_CLIENT_NOT_REACHED, /* refused, no route */
    SMTP_CLIENT_TIMEOUT,
    SMTP_CLIENT_LOST,     /* closed by the peer in the middle */
    SMTP_CLIENT_REFUSED,  /* the greeting, EHLO and HELO, or a 421 */
    SMTP_CLIENT_PROTOCOL, /* not SMTP, or beyond its bounds */
    SMTP_CLIENT_TLS,      /* the handshake failed */
    SMTP_CLIENT_UNSAFE,   /* the TLS that is demanded cannot be had; the reason is a whole reply */
    SMTP_CLIENT_AUTH,     /* signing in failed; the reason is a whole reply, without secrets */
    SMTP_CLIENT_LOCAL,    /* the message could not be read, or another fault of this side */
};

/* The caller's; it must stay until `done` was called. */
struct smtp_transaction {
    const char *sender;
    const char *envelope_id; /* RFC 3461 ENVID (xtext), or NULL */
    bool return_full, return_headers;
    bool eight_bit;     /* declared BODY=8BITMIME */
    bool utf8;          /* declared SMTPUTF8 */
    bool utf8_needed;   /* fails with 5.6.7 where the peer has no SMTPUTF8 */
    bool require_tls;   /* is not sent in clear */
    uint64_t size;      /* bytes of prefix and body */
    const char *prefix; /* header fields before the body, or NULL */
    uint64_t body_length;
    /* Reads a piece of the body; returns the count, 0 at the end, -1 with *error. */
    long (*read)(void *source, uint64_t offset, void *data, size_t length, struct error *error);
    void *source;
    struct smtp_transaction_recipient *recipients;
    size_t recipient_count;

    /* The result. Where `lost`, the connection ended before all was answered: recipients with
     * code 0 have no reply. `content_sent`: the peer may have the message although it did not say
     * so. `answered`: some reply to this transaction came. */
    bool lost, content_sent, answered;
    enum smtp_client_end lost_end;
    const char *lost_reason; /* a sentence or the refusing reply; valid inside `done` */
    bool peer_has_dsn;       /* the peer took over the duties of RFC 3461 */
};

struct smtp_client_result {
    enum smtp_client_end end;
    bool was_ready;
    int code;                /* of the refusing reply, or 0 */
    const char *reason;      /* that reply, or one sentence */
    const char *tls_failure; /* a result type of RFC 8460 section 4.3 (UNSAFE, TLS), else NULL */
};

/* What must be had before mail goes to the peer. */
enum smtp_tls_demand {
    SMTP_TLS_NEVER,
    SMTP_TLS_TRIED,    /* in clear where the peer does not offer it; any certificate */
    SMTP_TLS_REQUIRED, /* any certificate */
    SMTP_TLS_VERIFIED, /* one that a trusted authority gave to `host` */
    SMTP_TLS_DANE,     /* one that fits the TLSA records (RFC 7672) */
};

struct smtp_client_security {
    enum smtp_tls_demand demand;
    SSL_CTX *context;            /* with the trusted authorities, and DANE enabled */
    const struct tlsa_set *tlsa; /* SMTP_TLS_DANE: borrowed until `ready` or `closed` */
    const char *domain;          /* SMTP_TLS_DANE: that of the mail, or NULL; borrowed likewise */
};

struct smtp_client_options {
    struct ip_address address;
    uint16_t port;
    const char *host;      /* the peer's name, for texts and TLS; copied */
    const char *helo_name; /* copied */
    int connect_ms, reply_ms;
    struct smtp_client_security security;
    const char *user, *password; /* NULL: no AUTH; borrowed until `ready` or `closed` */
};

/* Called from the event loop only, never from inside a function of this header. Each may call
 * any of them. */
struct smtp_client_handler {
    /* A transaction may be sent: after the greeting. */
    void (*ready)(void *argument);
    /* The transaction has its replies, or is `lost` (then `closed` follows). Where it is not, a
     * further one may be sent at once. */
    void (*done)(void *argument, struct smtp_transaction *transaction);
    /* The connection is gone; only smtp_client_free is left to do. */
    void (*closed)(void *argument, const struct smtp_client_result *result);
    void *argument;
};

/* Begins to connect. NULL with *error: ERROR_LIMIT where this host has no more sockets, which says
 * nothing about the peer. */
struct smtp_client *smtp_client_new(struct event_base *base,
                                    const struct smtp_client_options *options,
                                    const struct smtp_client_handler *handler, struct error *error);
/* Ends at once; no further call of the handler. NULL is allowed. */
void smtp_client_free(struct smtp_client *client);
/* Sends one; only while the client is ready and has none. */
void smtp_client_send(struct smtp_client *client, struct smtp_transaction *transaction);
/* Says QUIT and closes; only while the client has no transaction. `closed` follows. */
void smtp_client_quit(struct smtp_client *client);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384", or NULL in clear. */
const char *smtp_client_tls(const struct smtp_client *client);
/* What is wrong with the peer's certificate (a result type of RFC 8460) although it was good enough
 * for the demand; NULL where nothing is, or in clear. */
const char *smtp_client_tls_failure(const struct smtp_client *client);
/* This side's address of the connection; false where there was none yet. */
bool smtp_client_own_address(const struct smtp_client *client, struct ip_address *address);
/* Transactions that were begun. */
unsigned smtp_client_transactions(const struct smtp_client *client);

#endif
