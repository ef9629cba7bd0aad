/* One message over a ready connection: MAIL, RCPT, DATA, content (RFC 5321 section 3.3). */
#include "scanner/mta/smtp_client_private.h"

#include "common/timestamp.h"
#include "scanner/mta/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTENT_PIECE (64u << 10)     /* bytes of a body read at once */
#define CONTENT_WAITING (64u << 10)   /* most bytes that wait for the peer before more is read */
#define CONTENT_BYTES_PER_SECOND 1024 /* a peer that takes less is hostile or as good as dead */

/* --- results --- */

static void set_reply(struct smtp_transaction_recipient *recipient, int code, const char *text)
{
    if (recipient->code != 0)
        return;
    recipient->code = code;
    recipient->reply = strdup(text);
}

static void set_all(struct smtp_transaction *transaction, int code, const char *text)
{
    for (size_t i = 0; i < transaction->recipient_count; i++)
        set_reply(&transaction->recipients[i], code, text);
}

void smtp_transaction_set_accepted(struct smtp_transaction *transaction, int code, const char *text)
{
    for (size_t i = 0; i < transaction->recipient_count; i++)
        if (transaction->recipients[i].accepted)
            set_reply(&transaction->recipients[i], code, text);
}

bool smtp_transaction_any_accepted(const struct smtp_transaction *transaction)
{
    for (size_t i = 0; i < transaction->recipient_count; i++)
        if (transaction->recipients[i].accepted)
            return true;
    return false;
}

static void finish(struct smtp_client *client)
{
    struct smtp_transaction *transaction = client->transaction;
    client->transaction = NULL;
    transaction->peer_has_dsn = client->extensions.dsn;
    smtp_client_idle(client);
    client->handler.done(client->handler.argument, transaction);
}

void smtp_transaction_finish(struct smtp_client *client, bool needs_reset)
{
    client->needs_reset = needs_reset;
    finish(client);
}

/* --- checks before anything is sent --- */

static bool refuse(struct smtp_client *client, int code, const char *text)
{
    set_all(client->transaction, code, text);
    return false;
}

static bool check_peer(struct smtp_client *client)
{
    const struct smtp_transaction *transaction = client->transaction;
    const struct smtp_extensions *extensions = &client->extensions;
    char text[256];
    if (transaction->utf8_needed && !extensions->utf8)
        return refuse(client, 553,
                      "553 5.6.7 [internal] the server does not take internationalised mail "
                      "(SMTPUTF8)");
    if (transaction->require_tls && !client->stream.ssl)
        return refuse(client, 450,
                      "450 4.7.4 [internal] the message requires TLS, which the server does not "
                      "offer");
    if (extensions->size_limit > 0 && transaction->size > extensions->size_limit) {
        snprintf(text, sizeof(text),
                 "552 5.3.4 [internal] the message has %llu bytes, the server takes %llu",
                 (unsigned long long)transaction->size, (unsigned long long)extensions->size_limit);
        return refuse(client, 552, text);
    }
    return true;
}

/* --- commands --- */

static void write_mail(struct smtp_client *client)
{
    const struct smtp_transaction *transaction = client->transaction;
    const struct smtp_extensions *extensions = &client->extensions;
    struct buffer *output = &client->stream.output;
    buffer_add_format(output, "MAIL FROM:<%s>", transaction->sender);
    if (extensions->size)
        buffer_add_format(output, " SIZE=%llu", (unsigned long long)transaction->size);
    if (transaction->eight_bit && extensions->eight_bit)
        buffer_add_text(output, " BODY=8BITMIME");
    if (transaction->utf8 && extensions->utf8)
        buffer_add_text(output, " SMTPUTF8");
    if (extensions->dsn && (transaction->return_full || transaction->return_headers))
        buffer_add_text(output, transaction->return_full ? " RET=FULL" : " RET=HDRS");
    if (extensions->dsn && transaction->envelope_id)
        buffer_add_format(output, " ENVID=%s", transaction->envelope_id);
    buffer_add_text(output, "\r\n");
}

static void write_notify(struct buffer *output, uint8_t notify)
{
    static const struct {
        uint8_t bit;
        const char *name;
    } names[] = {{QUEUE_NOTIFY_SUCCESS, "SUCCESS"},
                 {QUEUE_NOTIFY_FAILURE, "FAILURE"},
                 {QUEUE_NOTIFY_DELAY, "DELAY"}};
    const char *separator = " NOTIFY=";
    if (notify & QUEUE_NOTIFY_NEVER) {
        buffer_add_text(output, " NOTIFY=NEVER");
        return;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!(notify & names[i].bit))
            continue;
        buffer_add_format(output, "%s%s", separator, names[i].name);
        separator = ",";
    }
}

static void write_recipient(struct smtp_client *client, size_t index)
{
    const struct smtp_transaction_recipient *recipient = &client->transaction->recipients[index];
    struct buffer *output = &client->stream.output;
    buffer_add_format(output, "RCPT TO:<%s>", recipient->address);
    if (client->extensions.dsn) {
        write_notify(output, recipient->notify);
        if (recipient->original)
            buffer_add_format(output, " ORCPT=%s", recipient->original);
    }
    buffer_add_text(output, "\r\n");
}

static void write_command(struct smtp_client *client)
{
    switch (client->sent.step) {
    case STEP_RESET:
        buffer_add_text(&client->stream.output, "RSET\r\n");
        break;
    case STEP_MAIL:
        write_mail(client);
        break;
    case STEP_RECIPIENT:
        write_recipient(client, client->sent.recipient);
        break;
    default:
        buffer_add_text(&client->stream.output, "DATA\r\n");
    }
}

static void advance(const struct smtp_client *client, struct smtp_cursor *cursor)
{
    bool more = cursor->step == STEP_RECIPIENT &&
                cursor->recipient + 1 < client->transaction->recipient_count;
    if (more)
        cursor->recipient++;
    else if (cursor->step == STEP_RECIPIENT && client->extensions.chunking)
        cursor->step = STEP_CHUNKS;
    else
        cursor->step++;
}

static void write_commands(struct smtp_client *client)
{
    do {
        write_command(client);
        advance(client, &client->sent);
    } while (client->extensions.pipelining && client->sent.step <= STEP_DATA);
    smtp_client_set_deadline(client, client->reply_ms);
}

static void set_content_deadline(struct smtp_client *client)
{
    int64_t seconds = (int64_t)(client->transaction->size / CONTENT_BYTES_PER_SECOND);
    client->content_deadline = timestamp_monotonic_ms() + client->reply_ms + 1000 * seconds;
}

void smtp_transaction_start(struct smtp_client *client)
{
    struct smtp_transaction *transaction = client->transaction;
    client->mail_refusal.code = 0;
    client->content = (struct smtp_content){0};
    client->body_offset = 0;
    client->prefix_sent = false;
    client->sent.step = client->needs_reset ? STEP_RESET : STEP_MAIL;
    client->sent.recipient = 0;
    client->replied = client->sent;
    transaction->lost = transaction->content_sent = transaction->answered = false;
    if (!check_peer(client)) {
        client->sent.step = client->replied.step = STEP_END;
        smtp_stream_wake(&client->stream); /* nobody is called back from inside a send */
        return;
    }
    client->needs_reset = false;
    if (client->extensions.chunking)
        smtp_chunks_start(client);
    set_content_deadline(client);
    write_commands(client);
}

void smtp_transaction_end_unsent(struct smtp_client *client)
{
    if (client->stage == STAGE_TRANSACTION && client->replied.step == STEP_END)
        finish(client);
}

/* --- replies --- */

static bool is_good(const struct smtp_reply *reply)
{
    return reply->code / 100 == 2;
}

void smtp_transaction_end_unexpected(struct smtp_client *client)
{
    smtp_client_end(client, SMTP_CLIENT_PROTOCOL, 0, "an answer out of place");
}

/* No content follows: every recipient that has no reply yet gets this one. */
static void finish_without_content(struct smtp_client *client, const struct smtp_reply *reply)
{
    client->needs_reset = client->mail_refusal.code == 0;
    set_all(client->transaction, reply->code, reply->text);
    finish(client);
}

void smtp_transaction_end_refused(struct smtp_client *client, bool wanted)
{
    if (!wanted) {
        finish_without_content(client,
                               client->mail_refusal.code ? &client->mail_refusal : &client->reply);
        return;
    }
    /* It refused the sender and wants content: whatever is sent now might be taken. */
    if (client->mail_refusal.code != 0)
        set_all(client->transaction, client->mail_refusal.code, client->mail_refusal.text);
    smtp_transaction_end_unexpected(client);
}

static void on_mail(struct smtp_client *client)
{
    if (is_good(&client->reply))
        return;
    client->mail_refusal = client->reply;
    if (!client->extensions.pipelining)
        finish_without_content(client, &client->reply);
}

static void on_recipient(struct smtp_client *client, size_t index)
{
    struct smtp_transaction *transaction = client->transaction;
    struct smtp_transaction_recipient *recipient = &transaction->recipients[index];
    bool last = index + 1 == transaction->recipient_count;
    if (client->mail_refusal.code == 0 && is_good(&client->reply))
        recipient->accepted = true;
    else if (client->mail_refusal.code == 0) /* 552 to RCPT is an older 452: too many at once */
        set_reply(recipient, client->reply.code == 552 ? 452 : client->reply.code,
                  client->reply.text);
    if (!last)
        return;
    set_content_deadline(client);
    bool more_under_way =
        client->extensions.chunking ? client->chunks_sent > 0 : client->extensions.pipelining;
    if (!more_under_way && !smtp_transaction_any_accepted(transaction))
        finish_without_content(client,
                               client->mail_refusal.code ? &client->mail_refusal : &client->reply);
}

static void on_data(struct smtp_client *client)
{
    struct smtp_transaction *transaction = client->transaction;
    bool wanted = smtp_transaction_any_accepted(transaction);
    if (client->reply.code == 354 && wanted) {
        set_content_deadline(client);
        smtp_transaction_feed(client);
    } else {
        smtp_transaction_end_refused(client, client->reply.code / 100 < 4);
    }
}

static void on_content(struct smtp_client *client)
{
    bool sent = client->transaction->content_sent && smtp_stream_waiting(&client->stream) == 0;
    if (client->reply.code / 100 == 3 || (is_good(&client->reply) && !sent)) {
        smtp_transaction_end_unexpected(client);
        return;
    }
    smtp_transaction_set_accepted(client->transaction, client->reply.code, client->reply.text);
    if (sent)
        finish(client);
    else /* refused in the middle: what was not sent cannot be taken back */
        smtp_client_end(client, SMTP_CLIENT_REFUSED, client->reply.code, client->reply.text);
}

static bool is_out_of_place(const struct smtp_client *client)
{
    bool no_chunk =
        client->replied.step == STEP_CHUNKS && client->chunks_sent == client->chunks_replied;
    bool none_sent = client->sent.step == client->replied.step &&
                     client->sent.recipient == client->replied.recipient &&
                     client->sent.step != STEP_CONTENT && client->sent.step != STEP_CHUNKS;
    bool not_final = client->reply.code / 100 == 3 && client->replied.step < STEP_DATA;
    return none_sent || no_chunk || not_final;
}

void smtp_transaction_reply(struct smtp_client *client)
{
    struct smtp_cursor step = client->replied;
    if (is_out_of_place(client)) {
        smtp_transaction_end_unexpected(client);
        return;
    }
    if (client->reply.code == 421) {
        if (step.step == STEP_CONTENT || step.step == STEP_CHUNKS)
            smtp_transaction_set_accepted(client->transaction, client->reply.code,
                                          client->reply.text);
        smtp_client_end(client, SMTP_CLIENT_REFUSED, 421, client->reply.text);
        return;
    }
    client->transaction->answered = true;
    smtp_client_set_deadline(client, client->reply_ms);
    if (step.step == STEP_CHUNKS) {
        smtp_chunks_reply(client);
        return;
    }
    advance(client, &client->replied);
    if (step.step == STEP_MAIL)
        on_mail(client);
    else if (step.step == STEP_RECIPIENT)
        on_recipient(client, step.recipient);
    else if (step.step == STEP_DATA)
        on_data(client);
    else if (step.step == STEP_CONTENT)
        on_content(client);
    /* After a command of its own comes the next one, unless the transaction is over. */
    if (client->stage == STAGE_TRANSACTION && client->replied.step == client->sent.step &&
        client->replied.recipient == client->sent.recipient && client->sent.step <= STEP_DATA)
        write_commands(client);
}

/* --- content --- */

bool smtp_transaction_has_content(const struct smtp_client *client)
{
    if (client->stage != STAGE_TRANSACTION)
        return false;
    return smtp_chunks_has_content(client) ||
           (client->sent.step == STEP_CONTENT && client->replied.step == STEP_CONTENT);
}

static void feed_prefix(struct smtp_client *client)
{
    const char *prefix = client->transaction->prefix;
    client->prefix_sent = true;
    if (prefix)
        smtp_content_add(&client->content, prefix, strlen(prefix), &client->stream.output);
}

static void feed_end(struct smtp_client *client)
{
    smtp_content_end(&client->content, &client->stream.output);
    client->transaction->content_sent = true;
    client->sent.step = STEP_END;
}

static void feed_body(struct smtp_client *client)
{
    char piece[CONTENT_PIECE];
    struct error error = {0};
    struct smtp_transaction *transaction = client->transaction;
    long count =
        transaction->read(transaction->source, client->body_offset, piece, sizeof(piece), &error);
    if (count < 0) {
        smtp_client_end(client, SMTP_CLIENT_LOCAL, 0, error.message);
        return;
    }
    smtp_content_add(&client->content, piece, (size_t)count, &client->stream.output);
    client->body_offset += (uint64_t)count;
    if (count == 0 || client->body_offset >= transaction->body_length)
        feed_end(client);
}

void smtp_transaction_feed(struct smtp_client *client)
{
    if (timestamp_monotonic_ms() > client->content_deadline) {
        smtp_client_end(client, SMTP_CLIENT_TIMEOUT, 0, "the content was taken too slowly");
        return;
    }
    if (!client->content.chunked && !client->prefix_sent)
        feed_prefix(client);
    while (smtp_transaction_has_content(client) &&
           smtp_stream_waiting(&client->stream) < CONTENT_WAITING) {
        if (client->content.chunked)
            smtp_chunks_feed(client);
        else
            feed_body(client);
    }
    if (client->stage == STAGE_TRANSACTION && client->stream.output.failed)
        smtp_client_end(client, SMTP_CLIENT_LOCAL, 0, "no memory for a delivery");
}
