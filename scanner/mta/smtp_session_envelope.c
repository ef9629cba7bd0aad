/* The mail transaction: who sends, to whom, and whether we take it. */
#include "scanner/mta/smtp_session_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char *copy(const char *text)
{
    char *copied = text ? strdup(text) : NULL;
    if (text && !copied)
        abort();
    return copied;
}

/* --- the transaction's memory --- */

static void free_recipients(struct queue_draft_recipient *recipients, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)recipients[i].address);
        free((char *)recipients[i].original);
    }
    free(recipients);
}

static struct queue_draft_recipient copy_recipient(const struct smtp_recipient *recipient)
{
    return (struct queue_draft_recipient){.address = copy(recipient->address),
                                          .original = copy(recipient->original),
                                          .notify = recipient->notify};
}

static void add_recipient(struct smtp_envelope *envelope, const struct smtp_recipient *recipient)
{
    if (envelope->recipient_count == envelope->recipient_capacity) {
        size_t capacity = envelope->recipient_capacity ? envelope->recipient_capacity * 2 : 4;
        envelope->recipients =
            reallocarray(envelope->recipients, capacity, sizeof(*envelope->recipients));
        if (!envelope->recipients)
            abort();
        envelope->recipient_capacity = capacity;
    }
    envelope->recipients[envelope->recipient_count++] = copy_recipient(recipient);
}

static void keep_refused(struct smtp_envelope *envelope, const struct smtp_recipient *recipient,
                         const char *reply)
{
    free(envelope->refusal);
    envelope->refusal = copy(reply);
    if (envelope->refused_count == SMTP_REFUSED_KEPT)
        return;
    if (!envelope->refused)
        envelope->refused = calloc(SMTP_REFUSED_KEPT, sizeof(*envelope->refused));
    if (!envelope->refused)
        abort();
    envelope->refused[envelope->refused_count++] = copy_recipient(recipient);
}

void smtp_session_clear(struct smtp_session *session)
{
    struct smtp_envelope *envelope = &session->envelope;
    free(envelope->sender);
    free(envelope->envelope_id);
    free(envelope->refusal);
    free_recipients(envelope->recipients, envelope->recipient_count);
    free_recipients(envelope->refused, envelope->refused_count);
    *envelope = (struct smtp_envelope){0};
    smtp_receive_drop(&session->receive);
}

void smtp_session_reset(struct smtp_session *session)
{
    struct smtp_envelope *envelope = &session->envelope;
    if (envelope->open && envelope->recipient_count == 0 && envelope->refusal)
        smtp_session_log_refused(session, envelope->refusal);
    smtp_session_clear(session);
}

/* --- MAIL --- */

static void open_envelope(struct smtp_session *session, const struct smtp_mail *mail)
{
    session->envelope = (struct smtp_envelope){.open = true,
                                               .id = message_id_new(),
                                               .sender = copy(mail->sender),
                                               .envelope_id = copy(mail->envelope_id),
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
    if (session->envelope.open)
        return "503 5.5.1 a transaction is open already";
    return NULL;
}

void smtp_session_mail(struct smtp_session *session, char *argument)
{
    struct smtp_mail mail;
    char reply[SMTP_REPLY_SIZE];
    const char *refusal = refuse_mail_now(session);
    if (!refusal && !smtp_mail_parse(argument, session->extended, &mail, reply))
        refusal = reply;
    if (refusal) {
        smtp_session_reply(session, refusal);
        return;
    }
    open_envelope(session, &mail);
    refusal = refuse_size(session, mail.size);
    if (refusal) {
        smtp_session_log_refused(session, refusal);
        smtp_session_clear(session);
    }
    smtp_session_reply(session, refusal ? refusal : "250 2.1.0 Ok");
}

/* --- RCPT --- */

static bool may_relay(const struct smtp_session *session)
{
    for (size_t i = 0; i < session->limits->allowed_network_count; i++)
        if (ip_network_contains(&session->limits->allowed_networks[i], &session->options.peer))
            return true;
    return false;
}

static bool is_local(const struct smtp_session *session, const char *address)
{
    char normal[DOMAIN_SIZE];
    return !domain_normalise(address_domain(address), true, normal) &&
           config_find_domain(session->config, normal);
}

/* "postmaster" without a domain is the postmaster of this server (RFC 5321 section 4.5.1): of the
 * local domain that its name is in, else of the first one. */
static const struct config_domain *postmaster_domain(const struct scanner_config *config)
{
    for (const char *name = config->host_name; name; name = strchr(name, '.')) {
        name += *name == '.';
        const struct config_domain *domain = config_find_domain(config, name);
        if (domain)
            return domain;
    }
    return config->domain_count ? &config->domains[0] : NULL;
}

static bool complete_postmaster(const struct smtp_session *session,
                                struct smtp_recipient *recipient)
{
    if (strcasecmp(recipient->address, "postmaster") != 0)
        return true;
    const struct config_domain *domain = postmaster_domain(session->config);
    if (domain)
        snprintf(recipient->address, sizeof(recipient->address), "postmaster@%s", domain->name);
    return domain != NULL;
}

/* Fills `reply` with the refusal and returns false where the recipient is not for us to take. */
static bool admit(struct smtp_session *session, struct smtp_recipient *recipient,
                  char reply[SMTP_REPLY_SIZE])
{
    if (!complete_postmaster(session, recipient)) {
        snprintf(reply, SMTP_REPLY_SIZE, "550 5.1.1 there is no local domain yet");
        return false;
    }
    if (may_relay(session) ||
        (session->options.direction == QUEUE_INBOUND && is_local(session, recipient->address)))
        return true;
    snprintf(reply, SMTP_REPLY_SIZE, "550 5.7.1 <%s>: relaying denied", recipient->address);
    return false;
}

static const char *refuse_recipient_now(const struct smtp_session *session)
{
    if (!session->envelope.open)
        return "503 5.5.1 say MAIL first";
    if (session->envelope.chunked)
        return "503 5.5.1 BDAT has begun";
    if (session->envelope.recipient_count >= (size_t)session->limits->max_recipients)
        return "452 4.5.3 too many recipients in one transaction";
    return NULL;
}

void smtp_session_recipient(struct smtp_session *session, char *argument)
{
    struct smtp_envelope *envelope = &session->envelope;
    bool utf8 = (envelope->flags & QUEUE_FLAG_SMTPUTF8) != 0;
    struct smtp_recipient recipient;
    char reply[SMTP_REPLY_SIZE];
    const char *refusal = refuse_recipient_now(session);
    if (refusal) {
        smtp_session_reply(session, refusal);
        return;
    }
    if (!smtp_recipient_parse(argument, session->extended, utf8, &recipient, reply)) {
        smtp_session_reply(session, reply);
        return;
    }
    if (!admit(session, &recipient, reply)) {
        keep_refused(envelope, &recipient, reply);
        smtp_session_reply(session, reply);
        return;
    }
    add_recipient(envelope, &recipient);
    smtp_session_reply(session, "250 2.1.5 Ok");
}
