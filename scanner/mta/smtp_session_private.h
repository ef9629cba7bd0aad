/* The inside of a session, for smtp_session*.c. The parts:
 *
 *   smtp_session.c           its life: greeting, events of the socket, time limits, end
 *   smtp_session_input.c     what came in, by phase: lines, content, chunks
 *   smtp_session_commands.c  one function a command
 *   smtp_session_envelope.c  the transaction: sender, recipients, and who may send to whom
 *   smtp_session_message.c   content: begin, trace field, end, handing over
 *   smtp_session_events.c    what the audit log hears of transactions that came to nothing
 */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_SESSION_PRIVATE_H
#define GATEHOUSE_SCANNER_MTA_SMTP_SESSION_PRIVATE_H

#include "common/buffer.h"
#include "scanner/mta/intake.h"
#include "scanner/mta/smtp_command.h"
#include "scanner/mta/smtp_receive.h"
#include "scanner/mta/smtp_session.h"

enum smtp_phase {
    SMTP_PHASE_HANDSHAKE, /* TLS */
    SMTP_PHASE_COMMAND,
    SMTP_PHASE_DATA,
    SMTP_PHASE_CHUNK,  /* within the bytes of a BDAT */
    SMTP_PHASE_INTAKE, /* the message is handed over, its reply has not come */
    SMTP_PHASE_LINGER, /* the last reply is out; what still comes is thrown away */
};

/* From MAIL to the end of data. */
struct smtp_envelope {
    bool open;
    bool chunked; /* a BDAT was taken: no DATA and no further RCPT */
    struct message_id id;
    char *sender;
    char *envelope_id;
    uint64_t declared_size;
    uint8_t flags;
    struct queue_draft_recipient *recipients;
    size_t recipient_count, recipient_capacity;
    /* Those that were refused (the first SMTP_REFUSED_KEPT), for the audit log. */
    struct queue_draft_recipient *refused;
    size_t refused_count;
    char *refusal; /* the reply to the last of them, or to the content */
};

#define SMTP_REFUSED_KEPT 20
#define SMTP_TLS_TEXT_SIZE 96

struct smtp_session {
    struct smtp_session_options options;
    struct config_ref *reference;
    const struct scanner_config *config;
    const struct config_smtp_server *limits;
    struct tls_context *tls;
    struct tls_stream stream;
    struct event *read_event, *write_event, *timer;
    enum smtp_phase phase;
    bool reading;     /* read_event is added */
    bool input_ended; /* the client sends nothing more */
    bool closing;     /* no further input is looked at; ends when `output` is out */
    bool broken;      /* nothing can be sent any more */
    bool stopping;    /* the server ends: 421 after the intake's answer */
    bool greeted;     /* EHLO or HELO was answered */
    bool extended;    /* it was EHLO */
    bool skipping;    /* within a line that is too long */
    bool last_chunk;
    const char *chunk_refusal; /* the bytes of this BDAT are thrown away, and why; or NULL */

    struct buffer input, output;
    size_t input_at, output_at; /* what was used of them */
    size_t line_scanned;        /* bytes after input_at that have no line end */
    uint64_t skipped;           /* bytes of the line that is too long, or while lingering */

    int64_t progress_at;   /* monotonic milliseconds of the last progress */
    uint64_t window_start; /* size of the content at the last look of the timer */
    uint64_t chunk_left;
    unsigned errors;
    unsigned idle_commands; /* since the last message, commands that do nothing for one */
    unsigned events_logged;

    char peer_text[IP_TEXT_SIZE];
    char tls_text[SMTP_TLS_TEXT_SIZE];
    char *helo;
    struct smtp_envelope envelope;
    struct smtp_receive receive;
    struct intake_job *job;
};

/* --- smtp_session.c --- */

#define SMTP_OUTPUT_LIMIT (256u << 10)
#define SMTP_OUTPUT_PAUSE (128u << 10) /* no more commands are taken until it is out */

/* Appends one reply line (CRLF is added). A 5xx reply counts as an error of the client; one too
 * many becomes 421 and the end. */
void smtp_session_reply(struct smtp_session *session, const char *reply);
void smtp_session_reply_format(struct smtp_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The reply, whatever the count of errors is, and the end of the session. */
void smtp_session_end(struct smtp_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Bytes that came and were not looked at yet. */
size_t smtp_session_waiting(const struct smtp_session *session);
/* The client did something useful: its time runs anew. */
void smtp_session_progress(struct smtp_session *session);
/* Does what the input says, sends the output, and frees the session where it ended. Every entry
 * from the event loop ends with it; the session may be gone afterwards. */
void smtp_session_settle(struct smtp_session *session);

/* --- smtp_session_input.c --- */

/* Does what the input says until it is used up, a reply is awaited, or much output waits. True in
 * the last case: go on when that is out. */
bool smtp_session_process(struct smtp_session *session);

/* --- smtp_session_commands.c --- */

void smtp_session_command(struct smtp_session *session, char *line);

/* --- smtp_session_envelope.c --- */

void smtp_session_mail(struct smtp_session *session, char *argument);
void smtp_session_recipient(struct smtp_session *session, char *argument);
/* Forgets the transaction; one of which every recipient was refused is logged. */
void smtp_session_reset(struct smtp_session *session);
/* The same where it is on record already, or is with the intake. */
void smtp_session_clear(struct smtp_session *session);

/* --- smtp_session_message.c --- */

void smtp_session_data(struct smtp_session *session, char *argument);
void smtp_session_chunk(struct smtp_session *session, char *argument);
/* Takes content off the input in the phases DATA and CHUNK. */
void smtp_session_receive(struct smtp_session *session);

/* --- smtp_session_events.c --- */

void smtp_session_transaction(const struct smtp_session *session, struct transaction *transaction);
/* Logs the open transaction as refused with that reply, within bounds. */
void smtp_session_log_refused(struct smtp_session *session, const char *reply);
/* The session ends: logs the transaction that is open as aborted, where not all its recipients were
 * refused, within bounds; it is not open any more then. */
void smtp_session_log_aborted(struct smtp_session *session);

#endif
