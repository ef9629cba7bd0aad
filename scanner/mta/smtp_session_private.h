/* The inside of a session, for smtp_session*.c. The parts:
 *
 *   smtp_session.c           its life: greeting, events of the socket, time limits, end
 *   smtp_session_wait.c      what it waits for: the directory, or a moment to go by
 *   smtp_session_input.c     what came in, by phase: lines, content, chunks
 *   smtp_session_commands.c  one function a command
 *   smtp_session_auth.c      signing in
 *   smtp_session_xclient.c   a front server says for whom it speaks
 *   smtp_session_envelope.c  the transaction and its sender
 *   smtp_session_recipient.c its recipients: who may send to whom, and who that is
 *   smtp_session_message.c   content: begin, trace field, end, handing over
 *   smtp_session_events.c    what the audit log hears of transactions that came to nothing
 */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_SESSION_PRIVATE_H
#define GATEHOUSE_SCANNER_MTA_SMTP_SESSION_PRIVATE_H

#include "common/buffer.h"
#include "scanner/mta/address_rewrite.h"
#include "scanner/mta/directory_client.h"
#include "scanner/mta/intake.h"
#include "scanner/mta/smtp_auth.h"
#include "scanner/mta/smtp_command.h"
#include "scanner/mta/smtp_receive.h"
#include "scanner/mta/smtp_session.h"

enum smtp_phase {
    SMTP_PHASE_HANDSHAKE, /* TLS */
    SMTP_PHASE_COMMAND,
    SMTP_PHASE_DATA,
    SMTP_PHASE_CHUNK,     /* within the bytes of a BDAT */
    SMTP_PHASE_INTAKE,    /* the message is handed over, its reply has not come */
    SMTP_PHASE_RESPONSE,  /* the next line is one of an AUTH exchange */
    SMTP_PHASE_DIRECTORY, /* the directory was asked */
    SMTP_PHASE_PAUSE,     /* a reply is held back for a moment */
    SMTP_PHASE_LINGER,    /* the last reply is out; what still comes is thrown away */
};

struct smtp_recipients {
    struct queue_draft_recipient *list;
    size_t count, capacity;
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
    size_t named; /* RCPT commands that were taken; an alias may have made more recipients */
    struct smtp_recipients recipients;
    struct smtp_recipients dropped; /* unknown ones of a domain that takes and deletes those */
    struct smtp_recipients refused; /* the first SMTP_REFUSED_KEPT, for the audit log */
    char *refusal;                  /* the reply to the last of them, or to the content */
};

#define SMTP_REFUSED_KEPT 20
#define SMTP_RECIPIENTS_MOST 100000 /* of one message, after aliases: what the queue takes */
#define SMTP_TLS_TEXT_SIZE 96

/* A RCPT while it is worked on. */
struct smtp_lookup {
    struct smtp_recipient recipient; /* as the client named it */
    char *original;                  /* its ORCPT, or NULL */
    struct address_list list;        /* the addresses that it stands for */
    size_t at;                       /* the one that is worked on */
    size_t recipients_before;        /* in the envelope */
    bool is_alias, validates;
};

struct smtp_auth_step;

struct smtp_session {
    struct smtp_session_options options;
    struct ip_address connected; /* the peer, whatever XCLIENT says */
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

    char *user; /* who signed in, or NULL */
    const struct smtp_auth_step *auth_step;
    struct smtp_credentials *credentials; /* of the AUTH exchange that goes on, or NULL */
    unsigned wrong_passwords;
    bool had_secrets; /* the input held a password */
    struct directory_question *question;
    directory_callback on_answer;                 /* of the question */
    struct smtp_lookup *lookup;                   /* or NULL */
    void (*resume)(struct smtp_session *session); /* after the phase PAUSE */
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

/* "220 HOST ESMTP Gatehouse" */
void smtp_session_greet(struct smtp_session *session);
/* Whose doing the rates count. */
struct smtp_rates_client smtp_session_client(const struct smtp_session *session);

/* Calls for a look at the time after so long. */
void smtp_session_set_timer(struct smtp_session *session, int64_t milliseconds);

/* --- smtp_session_wait.c --- */

/* Asks the directory about the recipient, or about the password where it is given; `on_answer` gets
 * the session. The session's phase is DIRECTORY until then. */
void smtp_session_ask(struct smtp_session *session, const char *name, const char *password,
                      directory_callback on_answer);
/* Begin of such a callback: commands are taken again. */
void smtp_session_answered(struct smtp_session *session);
/* Takes nothing for so long, then calls `resume` in the phase COMMAND. */
void smtp_session_pause(struct smtp_session *session, int64_t milliseconds,
                        void (*resume)(struct smtp_session *session));
bool smtp_session_is_awaiting(const struct smtp_session *session);
/* Nobody is there any more to hear the answer. */
void smtp_session_stop_awaiting(struct smtp_session *session);
/* The timer fired, with so much of the idle time left: where a pause is over, or the directory did
 * not answer, what waited for it goes on. True where it did; the session may be gone then. */
bool smtp_session_resume(struct smtp_session *session, int64_t left);

/* --- smtp_session_input.c --- */

/* Does what the input says until it is used up, a reply is awaited, or much output waits. True in
 * the last case: go on when that is out. */
bool smtp_session_process(struct smtp_session *session);

/* --- smtp_session_commands.c --- */

/* One line without its end, which is changed (RFC 5321, 4.1). */
void smtp_session_command(struct smtp_session *session, char *line);
/* RFC 2920: some commands are the last ones of a group, since what follows depends on the reply.
 * Who sends more does not read replies: ends the session and returns true. */
bool smtp_session_refuse_early(struct smtp_session *session, const char *name);
/* Forgets what the client said of itself, and its transaction. */
void smtp_session_begin_anew(struct smtp_session *session);

/* --- smtp_session_auth.c --- */

/* AUTH (RFC 4954): whether EHLO offers it now, and the command. */
bool smtp_session_offers_auth(const struct smtp_session *session);
void smtp_session_auth(struct smtp_session *session, char *argument);
/* The line of the phase RESPONSE; NULL for one that is too long or has control characters. */
void smtp_session_auth_response(struct smtp_session *session, const char *line);
/* Wipes an exchange that goes on. */
void smtp_session_auth_forget(struct smtp_session *session);

/* --- smtp_session_xclient.c --- */

/* XCLIENT, for front servers that may speak for their clients: the same. */
bool smtp_session_offers_xclient(const struct smtp_session *session);
void smtp_session_xclient(struct smtp_session *session, char *argument);

/* --- smtp_session_envelope.c --- */

/* MAIL (RFC 5321, 4.1.1.2), with what stands behind the word. */
void smtp_session_mail(struct smtp_session *session, char *argument);
/* A copy, or NULL of NULL. */
char *smtp_session_copy(const char *text);
void smtp_recipients_add(struct smtp_recipients *recipients, const char *address,
                         const char *original, uint8_t notify, const char *route);
void smtp_recipients_cut(struct smtp_recipients *recipients, size_t count);
/* Whether a recipient was taken, to be deleted or not. */
bool smtp_envelope_has_recipients(const struct smtp_envelope *envelope);
/* Forgets the transaction; one of which every recipient was refused is logged. */
void smtp_session_reset(struct smtp_session *session);
/* The same where it is on record already, or is with the intake. */
void smtp_session_clear(struct smtp_session *session);

/* --- smtp_session_recipient.c --- */

/* RCPT (RFC 5321, 4.1.1.3), with what stands behind the word. */
void smtp_session_recipient(struct smtp_session *session, char *argument);
/* Forgets a RCPT that is worked on. */
void smtp_session_lookup_forget(struct smtp_session *session);

/* --- smtp_session_message.c --- */

/* DATA (RFC 5321, 4.1.1.4) and BDAT (RFC 3030), with what stands behind the word. */
void smtp_session_data(struct smtp_session *session, char *argument);
void smtp_session_chunk(struct smtp_session *session, char *argument);
/* Takes content off the input in the phases DATA and CHUNK. */
void smtp_session_receive(struct smtp_session *session);

/* --- smtp_session_events.c --- */

/* Fills in what the session knows, borrowed from it, for the audit events. */
void smtp_session_transaction(const struct smtp_session *session, struct transaction *transaction);
/* Logs the open transaction as refused with that reply, within bounds. */
void smtp_session_log_refused(struct smtp_session *session, const char *reply);
/* The session ends: logs the transaction that is open as aborted, where not all its recipients were
 * refused, within bounds; it is not open any more then. */
void smtp_session_log_aborted(struct smtp_session *session);

#endif
