/* What the audit log hears of transactions that did not reach the intake. */
#include "scanner/mta/smtp_session_private.h"

#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/audit_event.h"

#define EVENTS_A_SECOND 200 /* of all sessions together */

/* RFC 3848 and RFC 6531 section 4.3. */
static const char *protocol_of(const struct smtp_session *session)
{
    static const char *const names[2][2][2] = {
        {{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}},
        {{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}},
    };
    bool utf8 = (session->envelope.flags & QUEUE_FLAG_SMTPUTF8) != 0;
    if (!session->extended && !utf8)
        return "SMTP";
    return names[utf8][session->stream.ssl != NULL][session->user != NULL];
}

void smtp_session_transaction(const struct smtp_session *session, struct transaction *transaction)
{
    *transaction = (struct transaction){.direction = session->options.direction,
                                        .peer = session->options.peer,
                                        .peer_port = session->options.peer_port,
                                        .helo = session->helo ? session->helo : "",
                                        .protocol = protocol_of(session),
                                        .user = session->user,
                                        .tls = session->tls_text[0] ? session->tls_text : NULL};
}

bool smtp_event_budget_take(struct smtp_event_budget *budget)
{
    int64_t second = timestamp_monotonic_ms() / 1000;
    if (second != budget->second) {
        if (budget->dropped)
            log_warning("%llu refused or aborted transactions were too many to be logged",
                        (unsigned long long)budget->dropped);
        *budget = (struct smtp_event_budget){.second = second, .left = EVENTS_A_SECOND};
    }
    if (budget->left == 0) {
        budget->dropped++;
        return false;
    }
    budget->left--;
    return true;
}

/* A session may log as often as it may err, all sessions so many in a second. */
static bool may_log(struct smtp_session *session)
{
    if (session->events_logged >= (unsigned)session->limits->max_errors ||
        !smtp_event_budget_take(session->options.budget))
        return false;
    session->events_logged++;
    return true;
}

static struct audit_envelope envelope_of(const struct smtp_session *session)
{
    const struct smtp_envelope *envelope = &session->envelope;
    const struct smtp_recipients *recipients = envelope->recipients.count ? &envelope->recipients
                                               : envelope->dropped.count  ? &envelope->dropped
                                                                          : &envelope->refused;
    return (struct audit_envelope){.sender = envelope->sender,
                                   .recipients = recipients->list,
                                   .recipient_count = recipients->count,
                                   .size = session->receive.size};
}

/* `reply` is NULL for an aborted one. */
static void log_event(struct smtp_session *session, const char *reply)
{
    struct audit_envelope envelope = envelope_of(session);
    struct buffer events = BUFFER_INIT;
    struct transaction transaction;
    if (!may_log(session))
        return;
    smtp_session_transaction(session, &transaction);
    if (reply)
        audit_refused(&events, &session->envelope.id, &transaction, &envelope, reply);
    else
        audit_aborted(&events, &session->envelope.id, &transaction, &envelope);
    queue_log_only(session->options.mta->queue, &session->envelope.id, &events, NULL, NULL);
}

void smtp_session_log_refused(struct smtp_session *session, const char *reply)
{
    if (session->envelope.open)
        log_event(session, reply);
}

void smtp_session_log_aborted(struct smtp_session *session)
{
    const struct smtp_envelope *envelope = &session->envelope;
    if (!envelope->open || (!smtp_envelope_has_recipients(envelope) && envelope->refusal))
        return;
    log_event(session, NULL);
    smtp_session_clear(session);
}
