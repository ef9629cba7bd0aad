/* The other side of deliveries, on the test's own event loop: SMTP servers that behave as told, and
 * a DNS server with a table of records. */
#ifndef GATEHOUSE_TESTS_UNIT_TEST_DELIVERY_PEERS_H
#define GATEHOUSE_TESTS_UNIT_TEST_DELIVERY_PEERS_H

#include "common/buffer.h"

#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

/* A reply is the text that is sent, or one of these; NULL takes the usual one. */
#define PEER_CLOSE "!close"
#define PEER_SILENT "!silent"
#define PEER_ENDLESS "!endless" /* continuation lines that do not end */

#define PEER_EHLO_ALL                                                                              \
    "250-peer\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"                  \
    "250-ENHANCEDSTATUSCODES\r\n250 PIPELINING\r\n"

struct peer_connection;

struct peer {
    /* How it behaves; may be changed at any time. */
    const char *greeting, *ehlo, *helo, *starttls, *mail, *rcpt, *data, *content, *rset, *quit;
    const char *bad_recipient;      /* is refused by ... */
    const char *bad_reply;          /* ... this */
    unsigned recipients_a_message;  /* more get 452; 0: any */
    unsigned messages_a_connection; /* after which it closes without a word; 0: any */
    bool announce_close;            /* with a 421 first */
    SSL_CTX *tls;
    bool break_tls; /* answers the handshake with garbage */

    /* What it saw. */
    unsigned connections, messages, open;
    struct buffer commands; /* one a line */
    struct buffer message;  /* the last content, dots and all, without the last dot's line */

    uint16_t port;
    struct event_base *base;
    struct evconnlistener *listener;
    struct peer_connection *list;
};

/* Listens at 127.0.0.1 and a free port, or where `address` says ("127.1.2.3:25"). */
void peer_open(struct peer *peer, struct event_base *base, const char *address);
void peer_close(struct peer *peer);
/* A TLS context with a fresh self-signed certificate. */
SSL_CTX *peer_tls_new(void);

struct dns_record {
    const char *name;
    const char *type; /* "MX", "A", "AAAA", "CNAME", or "FAIL" (SERVFAIL for the name) */
    unsigned preference;
    const char *data;
    uint32_t ttl;
};

struct dns_server {
    const struct dns_record *records; /* ends with a NULL name */
    unsigned queries;
    uint16_t port;
    int fd;
    struct event *event;
};

/* Answers at 127.0.0.1 and a free port. A name without a record does not exist. */
void dns_open(struct dns_server *server, struct event_base *base, const struct dns_record *records);
void dns_close(struct dns_server *server);

#endif
