/* The life of a session: greeting, the socket's events, time limits, the end. */
#include "scanner/mta/smtp_session_private.h"

#include "common/log.h"
#include "common/timestamp.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A whole TLS record: one read leaves nothing in OpenSSL, where the loop would not see it. */
#define READ_BYTES (16u << 10)
#define LARGE_READ_BYTES (128u << 10) /* once a message has shown to be large */
#define INPUT_LIMIT (256u << 10)
#define PAUSE_INPUT (64u << 10) /* waiting bytes at which reading stops */
#define LINGER_MS 2000
#define LINGER_BYTES (1u << 20)
#define LEAST_BYTES_A_SECOND 500 /* of content, over a whole idle time */

/* --- replies --- */

size_t smtp_session_waiting(const struct smtp_session *session)
{
    return session->input.length - session->input_at;
}

/* Replies quote addresses; nothing in them may look like another line. */
static void add_line(struct smtp_session *session, const char *line)
{
    size_t start = session->output.length;
    if (!buffer_add_text(&session->output, line) || !buffer_add_text(&session->output, "\r\n")) {
        session->closing = session->broken = true;
        return;
    }
    for (char *c = session->output.data + start; c[0] != '\r' || c[1] != '\n' || c[2]; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

void smtp_session_end(struct smtp_session *session, const char *format, ...)
{
    char reply[SMTP_REPLY_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reply, sizeof(reply), format, arguments);
    va_end(arguments);
    add_line(session, reply);
    session->closing = true;
}

void smtp_session_reply(struct smtp_session *session, const char *reply)
{
    if (reply[0] == '5' && ++session->errors > (unsigned)session->limits->max_errors)
        smtp_session_end(session, "421 4.7.0 %s too many errors", session->config->host_name);
    else
        add_line(session, reply);
}

void smtp_session_reply_format(struct smtp_session *session, const char *format, ...)
{
    char reply[SMTP_REPLY_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reply, sizeof(reply), format, arguments);
    va_end(arguments);
    smtp_session_reply(session, reply);
}

/* --- time --- */

void smtp_session_set_timer(struct smtp_session *session, int64_t milliseconds)
{
    struct timeval wait = timestamp_interval(milliseconds);
    event_add(session->timer, &wait);
}

/* The timer is not moved for each command; when it fires it looks how much of the time is left. */
void smtp_session_progress(struct smtp_session *session)
{
    session->progress_at = timestamp_monotonic_ms();
}

/* Content must not only come, it must come at some speed: else a few clients that send a byte a
 * minute hold every session. */
static bool content_came(struct smtp_session *session)
{
    uint64_t least = (uint64_t)session->limits->idle_seconds * LEAST_BYTES_A_SECOND;
    uint64_t size = session->receive.size;
    bool receiving = session->phase == SMTP_PHASE_DATA || session->phase == SMTP_PHASE_CHUNK;
    bool enough = receiving && size - session->window_start >= least;
    session->window_start = size;
    return enough;
}

static void time_out(struct smtp_session *session)
{
    if (session->phase == SMTP_PHASE_HANDSHAKE || session->phase == SMTP_PHASE_LINGER ||
        session->closing) {
        session->broken = session->closing = true;
        return;
    }
    smtp_session_end(session, "421 4.4.2 %s timed out waiting for the client",
                     session->config->host_name);
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
    struct smtp_session *session = argument;
    int64_t idle = (int64_t)session->limits->idle_seconds * 1000;
    int64_t left = idle - (timestamp_monotonic_ms() - session->progress_at);
    (void)fd;
    (void)what;
    if (smtp_session_resume(session, left))
        return;
    if (session->phase == SMTP_PHASE_LINGER) {
        left = 0;
    } else if (session->phase == SMTP_PHASE_INTAKE || (left <= 0 && content_came(session))) {
        smtp_session_progress(session);
        left = idle;
    }
    if (left <= 0)
        time_out(session);
    smtp_session_set_timer(session, left > 0 ? left : idle);
    smtp_session_settle(session);
}

struct smtp_rates_client smtp_session_client(const struct smtp_session *session)
{
    return (struct smtp_rates_client){session->options.direction, session->limits,
                                      session->options.peer};
}

/* --- the socket --- */

static void lose(struct smtp_session *session)
{
    session->broken = session->closing = session->input_ended = true;
}

static size_t read_size(const struct smtp_session *session)
{
    return session->receive.size > LARGE_READ_BYTES ? LARGE_READ_BYTES : READ_BYTES;
}

/* One read. False where nothing came. */
static bool read_input(struct smtp_session *session)
{
    size_t size = read_size(session);
    if (session->input_at > 0) {
        buffer_consume(&session->input, session->input_at);
        session->input_at = 0;
    }
    /* Room for a line that came in part: growing would leave a copy of a password behind. */
    char *room =
        buffer_reserve(&session->input, session->input.data ? size : size + 2 * SMTP_COMMAND_LIMIT);
    if (!room) {
        lose(session);
        return false;
    }
    ssize_t count = tls_stream_read(&session->stream, room, size);
    if (count > 0)
        session->input.length += (size_t)count;
    else if (count == TLS_STREAM_END)
        session->input_ended = true;
    else if (count == TLS_STREAM_BROKEN)
        lose(session);
    else if (session->stream.wants_write)
        event_add(session->write_event, NULL);
    return count > 0;
}

/* STARTTLS was answered and the answer is not out yet. */
static bool starts_tls(const struct smtp_session *session)
{
    return session->phase == SMTP_PHASE_HANDSHAKE && !session->stream.ssl;
}

static bool wants_input(const struct smtp_session *session)
{
    return !session->input_ended && !starts_tls(session) &&
           smtp_session_waiting(session) < PAUSE_INPUT &&
           (!session->closing || session->phase == SMTP_PHASE_LINGER) &&
           session->output.length - session->output_at < SMTP_OUTPUT_PAUSE;
}

static void linger(struct smtp_session *session)
{
    session->skipped += smtp_session_waiting(session);
    session->input_at = session->input.length;
    if (session->skipped > LINGER_BYTES)
        session->broken = true;
}

static void handshake(struct smtp_session *session)
{
    int result = tls_stream_handshake(&session->stream);
    if (result == TLS_STREAM_BROKEN) {
        log_debug("the TLS handshake with %s failed", session->peer_text);
        lose(session);
    } else if (result == TLS_STREAM_WAIT) {
        if (session->stream.wants_write)
            event_add(session->write_event, NULL);
    } else {
        tls_stream_describe(&session->stream, session->tls_text, sizeof(session->tls_text));
        session->phase = SMTP_PHASE_COMMAND;
        smtp_session_progress(session);
        if (session->options.implicit_tls)
            smtp_session_greet(session);
    }
}

static void take_input(struct smtp_session *session)
{
    if (session->phase == SMTP_PHASE_HANDSHAKE)
        handshake(session);
    else if (read_input(session) && session->phase == SMTP_PHASE_LINGER)
        linger(session);
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    take_input(argument);
    smtp_session_settle(argument);
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
    struct smtp_session *session = argument;
    (void)fd;
    (void)what;
    if (session->stream.ssl && wants_input(session))
        take_input(session);
    smtp_session_settle(session);
}

static void send_output(struct smtp_session *session)
{
    while (session->output_at < session->output.length) {
        ssize_t count =
            tls_stream_write(&session->stream, session->output.data + session->output_at,
                             session->output.length - session->output_at);
        if (count == TLS_STREAM_WAIT) {
            /* TLS that waits for the peer goes on when there is something to read. */
            if (session->stream.wants_write)
                event_add(session->write_event, NULL);
            return;
        }
        if (count <= 0) {
            lose(session);
            return;
        }
        session->output_at += (size_t)count;
    }
    buffer_clear(&session->output);
    session->output_at = 0;
}

/* --- the end --- */

static void free_input(struct smtp_session *session)
{
    if (session->had_secrets && session->input.data)
        OPENSSL_cleanse(session->input.data, session->input.capacity);
    session->had_secrets = false;
    buffer_free(&session->input);
    session->input_at = 0;
}

void smtp_session_free(struct smtp_session *session)
{
    void (*gone)(void *argument) = session->options.gone;
    void *argument = session->options.argument;
    if (session->job)
        intake_forget(session->job);
    smtp_session_stop_awaiting(session);
    smtp_session_log_aborted(session);
    smtp_session_reset(session);
    smtp_session_auth_forget(session);
    event_free(session->read_event);
    event_free(session->write_event);
    event_free(session->timer);
    tls_stream_close(&session->stream);
    tls_context_drop(session->tls);
    free_input(session);
    buffer_free(&session->output);
    config_ref_drop(session->reference);
    free(session->helo);
    free(session->user);
    free(session);
    gone(argument);
}

/* Closing a socket with unread input resets the connection, and the client may lose the last reply
 * over it. So our side is closed first, and what comes is read for a moment. */
static void begin_linger(struct smtp_session *session)
{
    tls_stream_end(&session->stream);
    session->phase = SMTP_PHASE_LINGER;
    session->skipped = 0;
    linger(session);
    smtp_session_set_timer(session, LINGER_MS);
}

static bool is_over(struct smtp_session *session)
{
    if (session->broken)
        return true;
    if (!session->closing || session->output_at < session->output.length)
        return false;
    if (session->phase != SMTP_PHASE_LINGER && !session->input_ended)
        begin_linger(session);
    return session->input_ended;
}

static void start_tls(struct smtp_session *session)
{
    if (!tls_stream_start(&session->stream, session->tls))
        lose(session);
}

/* Replies are sent when there is no more to say for now, so that those to pipelined commands go out
 * together. */
static void answer(struct smtp_session *session)
{
    bool more;
    do {
        more = smtp_session_process(session);
        if (!session->broken)
            send_output(session);
    } while (more && !session->broken && session->output.length == 0);
    if (starts_tls(session) && !session->closing && session->output.length == 0)
        start_tls(session);
}

static void set_reading(struct smtp_session *session)
{
    bool reading = wants_input(session);
    if (reading && !session->reading)
        event_add(session->read_event, NULL);
    else if (!reading && session->reading)
        event_del(session->read_event);
    session->reading = reading;
}

void smtp_session_settle(struct smtp_session *session)
{
    if (session->phase != SMTP_PHASE_LINGER)
        answer(session);
    /* What it sent before its end is answered; with nothing of that left there is nobody to tell
     * who a recipient is. */
    if (session->input_ended && session->phase != SMTP_PHASE_INTAKE &&
        (!smtp_session_is_awaiting(session) || smtp_session_waiting(session) == 0))
        session->closing = true;
    if (is_over(session)) {
        smtp_session_free(session);
        return;
    }
    if (!session->envelope.open && smtp_session_waiting(session) == 0) {
        /* A session that waits for its next message needs no memory for it. */
        free_input(session);
    }
    set_reading(session);
}

void smtp_session_stop(struct smtp_session *session)
{
    if (session->phase == SMTP_PHASE_INTAKE) {
        session->stopping = true;
        return;
    }
    smtp_session_stop_awaiting(session);
    if (session->phase == SMTP_PHASE_LINGER || session->phase == SMTP_PHASE_HANDSHAKE)
        session->broken = session->closing = true;
    else
        smtp_session_end(session, "421 4.3.2 %s is shutting down", session->config->host_name);
    smtp_session_settle(session);
}

/* --- the beginning --- */

/* A client that talks before it is greeted does not listen to replies either: it is a robot, or
 * somebody uses one to talk to us. */
static bool talks_first(const struct smtp_session *session)
{
    char byte;
    return recv(session->stream.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void smtp_session_greet(struct smtp_session *session)
{
    if (talks_first(session))
        smtp_session_end(session, "554 5.5.1 protocol error: you spoke before the greeting");
    else
        smtp_session_reply_format(session, "220 %s ESMTP Gatehouse", session->config->host_name);
}

static struct event *new_event(struct smtp_session *session, short what, event_callback_fn callback)
{
    evutil_socket_t fd = what ? session->stream.fd : -1;
    struct event *event = event_new(session->options.mta->base, fd, what, callback, session);
    if (!event)
        abort();
    return event;
}

static void make_events(struct smtp_session *session)
{
    session->read_event = new_event(session, EV_READ | EV_PERSIST, on_readable);
    session->write_event = new_event(session, EV_WRITE, on_writable);
    session->timer = new_event(session, 0, on_timer);
}

struct smtp_session *smtp_session_new(const struct smtp_session_options *options)
{
    struct smtp_session *session = calloc(1, sizeof(*session));
    if (!session)
        abort();
    session->options = *options;
    session->connected = options->peer;
    session->options.tls = NULL;
    session->reference = config_ref_take(options->mta->config);
    session->config = session->reference->config;
    session->limits = options->direction == QUEUE_INBOUND ? &session->config->inbound
                                                          : &session->config->outbound;
    session->tls = options->tls ? tls_context_take(options->tls) : NULL;
    session->stream = (struct tls_stream){.fd = options->fd};
    session->phase = SMTP_PHASE_COMMAND;
    session->receive.large_fd = -1;
    buffer_init(&session->input, INPUT_LIMIT);
    buffer_init(&session->output, SMTP_OUTPUT_LIMIT);
    ip_text(&options->peer, session->peer_text);
    make_events(session);
    smtp_session_progress(session);
    smtp_session_set_timer(session, (int64_t)session->limits->idle_seconds * 1000);
    if (options->implicit_tls)
        session->phase = SMTP_PHASE_HANDSHAKE;
    else
        smtp_session_greet(session);
    /* The greeting goes out, or the handshake begins, in the loop's next turn, when the caller
     * knows the session. */
    event_active(session->write_event, EV_WRITE, 0);
    return session;
}
