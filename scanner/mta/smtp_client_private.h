/* What the files of the client share:
 *   smtp_client.c              life of a connection, greeting, STARTTLS
 *   smtp_client_auth.c         signing in
 *   smtp_client_transaction.c  one message: commands, replies, content after DATA
 *   smtp_client_chunks.c       content with BDAT */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_CLIENT_PRIVATE_H
#define GATEHOUSE_SCANNER_MTA_SMTP_CLIENT_PRIVATE_H

#include "scanner/mta/smtp_client.h"
#include "scanner/mta/smtp_client_content.h"
#include "scanner/mta/smtp_client_reply.h"
#include "scanner/mta/smtp_client_stream.h"

enum smtp_client_stage {
    STAGE_CONNECT,
    STAGE_GREETING,
    STAGE_EHLO,
    STAGE_HELO,
    STAGE_STARTTLS,
    STAGE_HANDSHAKE,
    STAGE_AUTH,
    STAGE_AUTH_USER,     /* AUTH LOGIN was said */
    STAGE_AUTH_PASSWORD, /* the user name was said */
    STAGE_READY,
    STAGE_TRANSACTION,
    STAGE_QUIT,
    STAGE_CLOSED,
};

/* What a transaction goes through; the commands up to STEP_DATA may stand in one group. */
enum smtp_step {
    STEP_RESET,
    STEP_MAIL,
    STEP_RECIPIENT,
    STEP_DATA,
    STEP_CONTENT,
    STEP_CHUNKS, /* in place of DATA and content */
    STEP_END
};

struct smtp_cursor {
    enum smtp_step step;
    size_t recipient;
};

struct smtp_extensions {
    bool pipelining, eight_bit, utf8, dsn, starttls, size, chunking, auth_plain, auth_login;
    uint64_t size_limit; /* 0: none */
};

struct smtp_client {
    struct smtp_stream stream;
    struct smtp_client_handler handler;
    enum smtp_client_stage stage;
    char host[DOMAIN_SIZE];
    char helo_name[DOMAIN_SIZE];
    char tls_name[SMTP_TLS_NAME_SIZE]; /* "" in clear */
    struct smtp_client_security security;
    const char *user, *password;
    bool has_own_address;
    struct ip_address own_address;
    bool is_loopback; /* the peer is this host */
    const char *tls_failure;
    char problem[SMTP_REPLY_SIZE]; /* why it ended, where that is no reply of the peer */
    int64_t reply_ms;
    struct smtp_extensions extensions;
    struct smtp_reply reply;

    struct event *timer;
    int64_t deadline, timer_at; /* monotonic milliseconds; 0: none */

    struct smtp_transaction *transaction;
    struct smtp_cursor sent, replied;
    struct smtp_reply mail_refusal; /* code 0: MAIL was not refused */
    struct smtp_content content;
    uint64_t body_offset;
    bool prefix_sent;
    unsigned chunks_sent, chunks_replied;
    int64_t content_deadline;
    bool needs_reset;
    unsigned transactions;

    bool was_ready;
    bool in_event, dead; /* smtp_client_free was called inside an event */
};

/* The deadline for the next answer. */
void smtp_client_set_deadline(struct smtp_client *client, int64_t milliseconds);
/* Ends the connection: a transaction under way is lost, then `closed` is called. `reason` may be
 * in client->reply. */
void smtp_client_end(struct smtp_client *client, enum smtp_client_end end, int code,
                     const char *reason);
/* Back to STAGE_READY. */
void smtp_client_idle(struct smtp_client *client);
/* Sends a command, or a line of AUTH where `verb` is "". */
void smtp_client_say(struct smtp_client *client, enum smtp_client_stage stage, const char *verb,
                     const char *argument);
/* After the last step of the greeting. */
void smtp_client_become_ready(struct smtp_client *client);

/* smtp_client_auth.c */
void smtp_client_auth_start(struct smtp_client *client);
/* client->reply is complete. */
void smtp_client_auth_reply(struct smtp_client *client);

/* smtp_client_chunks.c */
void smtp_chunks_start(struct smtp_client *client);
bool smtp_chunks_has_content(const struct smtp_client *client);
/* Puts the next chunk into the output. */
void smtp_chunks_feed(struct smtp_client *client);
/* client->reply answers a chunk. */
void smtp_chunks_reply(struct smtp_client *client);

/* smtp_client_transaction.c */
bool smtp_transaction_any_accepted(const struct smtp_transaction *transaction);
void smtp_transaction_set_accepted(struct smtp_transaction *transaction, int code,
                                   const char *text);
/* The transaction has all its replies. */
void smtp_transaction_finish(struct smtp_client *client, bool needs_reset);
/* No recipient was taken; `wanted`: the peer took the content all the same. */
void smtp_transaction_end_refused(struct smtp_client *client, bool wanted);
void smtp_transaction_end_unexpected(struct smtp_client *client);

void smtp_transaction_start(struct smtp_client *client);
/* Ends a transaction that was over before anything of it was sent. */
void smtp_transaction_end_unsent(struct smtp_client *client);
/* client->reply is complete. */
void smtp_transaction_reply(struct smtp_client *client);
/* The peer waits for content that was not all put into the output. */
bool smtp_transaction_has_content(const struct smtp_client *client);
/* Puts more of the content into the output where it has room. */
void smtp_transaction_feed(struct smtp_client *client);

#endif
