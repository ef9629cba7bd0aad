/* The mail transaction and its sender. */
#include "scanner/mta/smtp_session_private.h"

#include <stdlib.h>
#include <string.h>

char *smtp_session_copy(const char *text)
{
    char *copied = text ? strdup(text) : NULL;
    if (text && !copied)
        abort();
    return copied;
}

/* --- the transaction's memory --- */

void smtp_recipients_add(struct smtp_recipients *recipients, const char *address,
                         const char *original, uint8_t notify, const char *route)
{
    if (recipients->count == recipients->capacity) {
        recipients->capacity = recipients->capacity ? recipients->capacity * 2 : 4;
        recipients->list =
            reallocarray(recipients->list, recipients->capacity, sizeof(*recipients->list));
        if (!recipients->list)
            abort();
    }
    recipients->list[recipients->count++] =
        (struct queue_draft_recipient){.address = smtp_session_copy(address),
                                       .original = smtp_session_copy(original),
                                       .notify = notify,
                                       .route = smtp_session_copy(route)};
}

void smtp_recipients_cut(struct smtp_recipients *recipients, size_t count)
{
    while (recipients->count > count) {
        struct queue_draft_recipient *last = &recipients->list[--recipients->count];
        free((char *)last->address);
        free((char *)last->original);
        free((char *)last->route);
    }
}

static void free_recipients(struct smtp_recipients *recipients)
{
    smtp_recipients_cut(recipients, 0);
    free(recipients->list);
}

bool smtp_envelope_has_recipients(const struct smtp_envelope *envelope)
{
    return envelope->recipients.count + envelope->dropped.count > 0;
}

void smtp_session_clear(struct smtp_session *session)
{
    struct smtp_envelope *envelope = &session->envelope;
    smtp_session_lookup_forget(session);
    free(envelope->sender);
    free(envelope->envelope_id);
    free(envelope->refusal);
    free_recipients(&envelope->recipients);
    free_recipients(&envelope->dropped);
    free_recipients(&envelope->refused);
    *envelope = (struct smtp_envelope){0};
    smtp_receive_drop(&session->receive);
}

void smtp_session_reset(struct smtp_session *session)
{
    struct smtp_envelope *envelope = &session->envelope;
    if (envelope->open && !smtp_envelope_has_recipients(envelope) && envelope->refusal)
        smtp_session_log_refused(session, envelope->refusal);
    smtp_session_clear(session);
}

/* --- MAIL --- */

static void open_envelope(struct smtp_session *session, const struct smtp_mail *mail)
{
    session->envelope = (struct smtp_envelope){.open = true,
                                               .id = message_id_new(),
                                               .sender = smtp_session_copy(mail->sender),
                                               .envelope_id = smtp_session_copy(mail->envelope_id),
                                               .declared_size = mail->size,
                                               .flags = mail->flags};
}

static const char *refuse_size(const struct smtp_session *session, uint64_t size)
{
    if (size > (uint64_t)session->limits->max_message_bytes)
        return smtp_receive_reply(SMTP_RECEIVE_TOO_LARGE);
    if (!queue_has_space(session->options.mta->queue, size))
        return smtp_receive_reply(SMTP_RECEIVE_NO_SPACE);
    return NULL;
}

static const char *refuse_mail_now(const struct smtp_session *session)
{
    if (!session->greeted)
        return "503 5.5.1 say EHLO or HELO first";
    if (session->limits->tls == CONFIG_TLS_REQUIRED && !session->stream.ssl)
        return "530 5.7.0 say STARTTLS first";
    if (session->limits->auth == CONFIG_AUTH_REQUIRED && !session->user)
        return "530 5.7.0 sign in first";
    if (session->envelope.open)
        return "503 5.5.1 a transaction is open already";
    return NULL;
}

/* The configuration may have changed since the session began. */
static bool accepts_no_more(const struct smtp_session *session)
{
    const struct scanner_config *now = session->options.mta->config->config;
    return session->options.direction == QUEUE_INBOUND ? !now->inbound.accept
                                                       : !now->outbound.accept;
}

/* Why the message that MAIL announced is not taken: NULL, or the reply. */
static const char *refuse_message(const struct smtp_session *session, const struct smtp_mail *mail,
                                  char reply[SMTP_REPLY_SIZE])
{
    struct smtp_rates_client client = smtp_session_client(session);
    const char *refusal = refuse_size(session, mail->size);
    if (!refusal &&
        !smtp_rates_message(session->options.rates, &client, session->user, mail->sender, reply))
        refusal = reply;
    return refusal;
}

void smtp_session_mail(struct smtp_session *session, char *argument)
{
    struct smtp_mail mail;
    char reply[SMTP_REPLY_SIZE];
    if (accepts_no_more(session)) {
        smtp_session_end(session, "421 4.3.2 %s does not accept messages at this time",
                         session->config->host_name);
        return;
    }
    const char *refusal = refuse_mail_now(session);
    if (!refusal && !smtp_mail_parse(argument, session->extended, &mail, reply))
        refusal = reply;
    if (refusal) {
        smtp_session_reply(session, refusal);
        return;
    }
    open_envelope(session, &mail);
    refusal = refuse_message(session, &mail, reply);
    if (refusal) {
        smtp_session_log_refused(session, refusal);
        smtp_session_clear(session);
    }
    smtp_session_reply(session, refusal ? refusal : "250 2.1.0 Ok");
}
