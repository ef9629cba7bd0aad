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
    const char *auth;               /* to the last line of AUTH */
    const char *chunk;              /* to a BDAT that is not the last */
    unsigned sessions_at_once;      /* more are greeted with 421; 0: any */
    const char *bad_recipient;      /* is refused by ... */
    const char *bad_reply;          /* ... this */
    unsigned recipients_a_message;  /* more get 452; 0: any */
    unsigned messages_a_connection; /* after which it closes without a word; 0: any */
    bool announce_close;            /* with a 421 first */
    SSL_CTX *tls;
    bool break_tls; /* answers the handshake with garbage */

    /* What it saw. */
    unsigned connections, messages, open, most_open, chunks;
    struct buffer commands; /* one a line */
    struct buffer message;  /* the last content, dots and all, without the last dot's line, or the
                               chunks as they came */

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

/* A private certificate authority. */
struct authority {
    EVP_PKEY *key;
    X509 *certificate;
};

void authority_open(struct authority *authority);
void authority_close(struct authority *authority);
/* A server's TLS context with a certificate for that host, valid for `days` from now (negative: no
 * longer), with its chain. */
SSL_CTX *authority_issue(const struct authority *authority, const char *host, int days);
/* The authority's certificate as PEM; the caller frees it. */
char *authority_pem(const struct authority *authority);
/* "USAGE SELECTOR 1 HEX" of a certificate (SHA-256 of all of it, or of its key). Returns text. */
#define TLSA_TEXT_SIZE 128
const char *tlsa_text(const X509 *certificate, int usage, int selector, char text[TLSA_TEXT_SIZE]);

#define DNS_TTL_NONE UINT32_MAX

struct dns_record {
    const char *name;
    const char *type; /* "MX", "A", "AAAA", "CNAME", "TXT", "TLSA" (data "3 1 1 HEX"), or "FAIL"
                         (SERVFAIL for the name) */
    unsigned preference;
    const char *data;
    uint32_t ttl; /* 0: a minute; DNS_TTL_NONE: 0 */
};

struct dns_server {
    const struct dns_record *records; /* ends with a NULL name */
    bool secure;                      /* answers have the AD bit, where the query asks for it ... */
    const char *insecure_name;        /* ... but those for this name; or NULL */
    unsigned queries;
    uint16_t port;
    int fd;
    struct event *event;
};

/* Answers at 127.0.0.1 and a free port. A name without a record does not exist. */
void dns_open(struct dns_server *server, struct event_base *base, const struct dns_record *records);
void dns_close(struct dns_server *server);

#endif
