/* The content of a transaction: DATA, BDAT, the trace header field, and handing over. */
#include "scanner/mta/smtp_session_private.h"

#include "common/log.h"
#include "common/timestamp.h"

#include <stdlib.h>

/* --- the trace header field (RFC 5321 section 4.4) --- */

static void add_trace(struct buffer *out, const struct smtp_session *session)
{
    const struct smtp_envelope *envelope = &session->envelope;
    char id[MESSAGE_ID_TEXT_SIZE], date[TIMESTAMP_TEXT_SIZE];
    struct transaction transaction;
    smtp_session_transaction(session, &transaction);
    buffer_add_format(out, "Received: from %s ([%s%s])\r\n", transaction.helo,
                      ip_is_v4(&transaction.peer) ? "" : "IPv6:", session->peer_text);
    if (transaction.tls)
        buffer_add_format(out, "\t(using %s)\r\n", transaction.tls);
    buffer_add_format(out, "\tby %s (Gatehouse) with %s\r\n\tid %s", session->config->host_name,
                      transaction.protocol, message_id_text(&envelope->id, id));
    /* Of several recipients none is named: the others may be blind copies. */
    if (envelope->named == 1 && envelope->recipients.count == 1)
        buffer_add_format(out, "\r\n\tfor <%s>", envelope->recipients.list[0].address);
    buffer_add_format(out, ";\r\n\t%s\r\n", timestamp_rfc5322(timestamp_now_ms(), date));
}

/* The header is complete and nothing of it has left the memory. */
static void masquerade_header(void *argument, struct buffer *body)
{
    const struct smtp_session *session = argument;
    struct buffer changed = BUFFER_INIT;
    size_t header_length;
    if (!header_masquerade(session->config, body->data, body->length, &changed, &header_length))
        return;
    buffer_add(&changed, body->data + header_length, body->length - header_length);
    changed.failed |= body->failed;
    buffer_free(body);
    *body = changed;
}

static void begin(struct smtp_session *session, uint64_t expected, bool dotted)
{
    struct buffer trace = BUFFER_INIT;
    add_trace(&trace, session);
    smtp_receive_begin(&session->receive, session->options.mta->queue, buffer_text(&trace),
                       (uint64_t)session->limits->max_message_bytes, expected, dotted);
    buffer_free(&trace);
    if (session->options.direction == QUEUE_OUTBOUND && session->config->masquerade_count > 0)
        smtp_receive_on_header(&session->receive, masquerade_header, session);
    session->window_start = 0;
}

/* --- the end of the content --- */

static void on_answer(void *argument, const char *reply)
{
    struct smtp_session *session = argument;
    session->job = NULL;
    session->phase = SMTP_PHASE_COMMAND;
    smtp_session_progress(session);
    smtp_session_reply(session, reply);
    if (session->stopping && !session->closing)
        smtp_session_end(session, "421 4.3.2 %s is shutting down", session->config->host_name);
    smtp_session_settle(session);
}

/* Those to be deleted stand behind the others, so that the queue counts recipients as the audit log
 * does. */
static size_t append_dropped(struct smtp_envelope *envelope)
{
    for (size_t i = 0; i < envelope->dropped.count; i++) {
        const struct queue_draft_recipient *dropped = &envelope->dropped.list[i];
        smtp_recipients_add(&envelope->recipients, dropped->address, dropped->original,
                            dropped->notify, NULL);
    }
    return envelope->dropped.count;
}

static void submit(struct smtp_session *session)
{
    struct smtp_envelope *envelope = &session->envelope;
    size_t kept = envelope->recipients.count, dropped = append_dropped(envelope);
    const struct scanner_config *config = session->config;
    char masqueraded[ADDRESS_SIZE];
    bool changes_sender = session->options.direction == QUEUE_OUTBOUND &&
                          address_masquerade(config, envelope->sender, masqueraded);
    struct transaction transaction;
    struct queue_draft draft = {.id = envelope->id,
                                .direction = session->options.direction,
                                .flags = envelope->flags,
                                .received_at = timestamp_now_ms(),
                                .sender = changes_sender ? masqueraded : envelope->sender,
                                .envelope_id = envelope->envelope_id,
                                .recipients = envelope->recipients.list,
                                .recipient_count = kept,
                                .large_fd = -1};
    smtp_session_transaction(session, &transaction);
    smtp_receive_take(&session->receive, &draft);
    session->phase = SMTP_PHASE_INTAKE;
    session->idle_commands = 0;
    session->job = intake_submit(session->options.mta->intake, &transaction, &draft, dropped,
                                 on_answer, session);
    smtp_session_clear(session);
}

static void refuse_content(struct smtp_session *session, const char *reply)
{
    smtp_session_log_refused(session, reply);
    smtp_session_clear(session);
    session->phase = SMTP_PHASE_COMMAND;
    smtp_session_reply(session, reply);
}

static void end_of_content(struct smtp_session *session)
{
    smtp_receive_finish(&session->receive);
    smtp_session_progress(session);
    if (session->receive.fault != SMTP_RECEIVE_FINE)
        refuse_content(session, smtp_receive_reply(session->receive.fault));
    else
        submit(session);
}

/* --- DATA --- */

static const char *refuse_content_now(const struct smtp_session *session)
{
    if (!session->envelope.open)
        return "503 5.5.1 say MAIL first";
    if (!smtp_envelope_has_recipients(&session->envelope))
        return "554 5.5.1 no valid recipients";
    return NULL;
}

void smtp_session_data(struct smtp_session *session, char *argument)
{
    const char *refusal = refuse_content_now(session);
    (void)argument;
    if (!refusal && session->envelope.chunked)
        refusal = "503 5.5.1 BDAT has begun";
    if (refusal) {
        smtp_session_reply(session, refusal);
        return;
    }
    if (smtp_session_waiting(session) > 0) {
        static const char early[] =
            "554 5.5.1 protocol error: you went on before the reply to DATA";
        smtp_session_log_refused(session, early);
        smtp_session_clear(session);
        smtp_session_end(session, "%s", early);
        return;
    }
    if (!queue_has_space(session->options.mta->queue, session->envelope.declared_size)) {
        refuse_content(session, smtp_receive_reply(SMTP_RECEIVE_NO_SPACE));
        return;
    }
    begin(session, session->envelope.declared_size, true);
    session->phase = SMTP_PHASE_DATA;
    smtp_session_reply(session, "354 end the message with <CR><LF>.<CR><LF>");
}

static void receive_data(struct smtp_session *session)
{
    bool ended;
    session->input_at +=
        smtp_receive_data(&session->receive, session->input.data + session->input_at,
                          smtp_session_waiting(session), &ended);
    if (ended)
        end_of_content(session);
}

/* --- BDAT (RFC 3030) --- */

static void end_of_chunk(struct smtp_session *session)
{
    smtp_session_progress(session);
    session->phase = SMTP_PHASE_COMMAND;
    if (session->chunk_refusal)
        smtp_session_reply(session, session->chunk_refusal);
    else if (session->last_chunk)
        end_of_content(session);
    else if (session->receive.fault != SMTP_RECEIVE_FINE)
        refuse_content(session, smtp_receive_reply(session->receive.fault));
    else
        smtp_session_reply_format(session, "250 2.0.0 Ok: %llu bytes so far",
                                  (unsigned long long)session->receive.size);
}

/* The first chunk of a message. NULL, or why it is refused. */
static const char *begin_chunks(struct smtp_session *session, uint64_t size)
{
    uint64_t declared = session->envelope.declared_size;
    if (!queue_has_space(session->options.mta->queue, declared > size ? declared : size)) {
        const char *refusal = smtp_receive_reply(SMTP_RECEIVE_NO_SPACE);
        smtp_session_log_refused(session, refusal);
        smtp_session_clear(session);
        return refusal;
    }
    session->envelope.chunked = true;
    begin(session, size, false);
    return NULL;
}

/* The bytes of a chunk follow whatever we answer, so they are read in any case. */
void smtp_session_chunk(struct smtp_session *session, char *argument)
{
    char reply[SMTP_REPLY_SIZE];
    uint64_t size;
    if (!smtp_chunk_parse(argument, &size, &session->last_chunk, reply)) {
        smtp_session_end(session, "%s", reply);
        return;
    }
    if (size > (uint64_t)session->limits->max_message_bytes) {
        const char *refusal = smtp_receive_reply(SMTP_RECEIVE_TOO_LARGE);
        smtp_session_log_refused(session, refusal);
        smtp_session_clear(session);
        smtp_session_end(session, "%s", refusal);
        return;
    }
    session->chunk_refusal = refuse_content_now(session);
    if (session->chunk_refusal)
        smtp_session_reset(session); /* or a later chunk would be taken for the first one */
    else if (!session->envelope.chunked)
        session->chunk_refusal = begin_chunks(session, size);
    session->chunk_left = size;
    session->phase = SMTP_PHASE_CHUNK;
    if (size == 0)
        end_of_chunk(session);
}

static void receive_chunk(struct smtp_session *session)
{
    size_t length = smtp_session_waiting(session);
    bool ended;
    if (length > session->chunk_left)
        length = (size_t)session->chunk_left;
    if (!session->chunk_refusal)
        smtp_receive_data(&session->receive, session->input.data + session->input_at, length,
                          &ended);
    session->input_at += length;
    session->chunk_left -= length;
    if (session->chunk_left == 0)
        end_of_chunk(session);
}

void smtp_session_receive(struct smtp_session *session)
{
    if (session->phase == SMTP_PHASE_DATA)
        receive_data(session);
    else
        receive_chunk(session);
}
