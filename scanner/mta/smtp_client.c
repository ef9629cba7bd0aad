#include "scanner/mta/smtp_client_private.h"

#include "common/timestamp.h"
#include "scanner/mta/smtp_client_tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define QUIT_MS 5000 /* for the peer's answer to QUIT */

/* --- time --- */

static void arm_timer(struct smtp_client *client, int64_t now)
{
    int64_t wait = client->deadline > now ? client->deadline - now : 0;
    struct timeval time = timestamp_interval(wait);
    client->timer_at = client->deadline;
    evtimer_add(client->timer, &time);
}

/* Deadlines move on with every reply; the timer is left where it fires early enough, and moved on
 * when it fires, which saves most of its work. */
void smtp_client_set_deadline(struct smtp_client *client, int64_t milliseconds)
{
    int64_t now = timestamp_monotonic_ms();
    client->deadline = now + milliseconds;
    if (client->timer_at == 0 || client->timer_at > client->deadline)
        arm_timer(client, now);
}

/* --- ends --- */

static void destroy(struct smtp_client *client)
{
    smtp_stream_close(&client->stream);
    if (client->timer)
        event_free(client->timer);
    SSL_CTX_free(client->security.context);
    free(client);
}

void smtp_client_free(struct smtp_client *client)
{
    if (!client)
        return;
    client->stage = STAGE_CLOSED;
    client->dead = true;
    if (!client->in_event)
        destroy(client);
}

void smtp_client_end(struct smtp_client *client, enum smtp_client_end end, int code,
                     const char *reason)
{
    struct smtp_transaction *transaction = client->transaction;
    if (client->stage == STAGE_CLOSED)
        return;
    client->stage = STAGE_CLOSED;
    client->transaction = NULL;
    client->deadline = 0;
    event_del(client->timer);
    if (transaction && smtp_stream_waiting(&client->stream) > 0)
        transaction->content_sent = false;
    smtp_stream_close(&client->stream);
    if (transaction) {
        transaction->lost = true;
        transaction->lost_end = end;
        transaction->lost_reason = reason;
        client->handler.done(client->handler.argument, transaction);
    }
    if (!client->dead)
        client->handler.closed(
            client->handler.argument,
            &(struct smtp_client_result){.end = end,
                                         .was_ready = client->was_ready,
                                         .code = code,
                                         .reason = reason,
                                         .tls_failure =
                                             end == SMTP_CLIENT_UNSAFE || end == SMTP_CLIENT_TLS
                                                 ? client->tls_failure
                                                 : NULL});
}

static void end_lost(struct smtp_client *client)
{
    if (client->stage == STAGE_QUIT || client->stage == STAGE_READY)
        smtp_client_end(client, SMTP_CLIENT_QUIT, 0, "the connection was closed");
    else if (client->stage == STAGE_CONNECT)
        smtp_client_end(client, SMTP_CLIENT_NOT_REACHED, 0, "the connection was refused");
    else
        smtp_client_end(client, SMTP_CLIENT_LOST, 0, "the server closed the connection");
}

static void end_refused(struct smtp_client *client)
{
    smtp_client_end(client, SMTP_CLIENT_REFUSED, client->reply.code, client->reply.text);
}

static const char *timeout_reason(enum smtp_client_stage stage)
{
    if (stage == STAGE_CONNECT)
        return "the connection was not made in time";
    return stage == STAGE_GREETING ? "no greeting came in time" : "no answer came in time";
}

/* --- greeting --- */

void smtp_client_say(struct smtp_client *client, enum smtp_client_stage stage, const char *verb,
                     const char *argument)
{
    buffer_add_format(&client->stream.output, "%s%s%s\r\n", verb, *verb && *argument ? " " : "",
                      argument);
    client->stage = stage;
    smtp_client_set_deadline(client, client->reply_ms);
}

static void say_ehlo(struct smtp_client *client)
{
    memset(&client->extensions, 0, sizeof(client->extensions));
    smtp_client_say(client, STAGE_EHLO, "EHLO", client->helo_name);
}

static bool is_keyword(const char *line, size_t length, const char *keyword)
{
    size_t size = strlen(keyword);
    return length >= size && strncasecmp(line, keyword, size) == 0 &&
           (length == size || line[size] == ' ');
}

static uint64_t number_at(const char *text, size_t length)
{
    uint64_t number = 0;
    for (size_t i = 0; i < length && text[i] >= '0' && text[i] <= '9' && i < 18; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    return number;
}

static void note_mechanisms(struct smtp_extensions *extensions, const char *line, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t end = at;
        while (end < length && line[end] != ' ')
            end++;
        if (end - at == 5 && strncasecmp(line + at, "PLAIN", 5) == 0)
            extensions->auth_plain = true;
        if (end - at == 5 && strncasecmp(line + at, "LOGIN", 5) == 0)
            extensions->auth_login = true;
        at = end + 1;
    }
}

static void note_extension(struct smtp_extensions *extensions, const char *line, size_t length)
{
    if (is_keyword(line, length, "PIPELINING"))
        extensions->pipelining = true;
    else if (is_keyword(line, length, "8BITMIME"))
        extensions->eight_bit = true;
    else if (is_keyword(line, length, "SMTPUTF8"))
        extensions->utf8 = true;
    else if (is_keyword(line, length, "DSN"))
        extensions->dsn = true;
    else if (is_keyword(line, length, "STARTTLS"))
        extensions->starttls = true;
    else if (is_keyword(line, length, "CHUNKING"))
        extensions->chunking = true;
    else if (is_keyword(line, length, "AUTH"))
        note_mechanisms(extensions, line, length);
    else if (is_keyword(line, length, "SIZE")) {
        extensions->size = true;
        extensions->size_limit = length > 5 ? number_at(line + 5, length - 5) : 0;
    }
}

void smtp_client_idle(struct smtp_client *client)
{
    client->stage = STAGE_READY;
    client->deadline = 0;
}

void smtp_client_become_ready(struct smtp_client *client)
{
    client->was_ready = true;
    smtp_client_idle(client);
    client->handler.ready(client->handler.argument);
}

/* The demanded TLS cannot be had: nothing is sent. */
static void end_unsafe(struct smtp_client *client, const char *failure, const char *status,
                       const char *before, const char *after)
{
    client->tls_failure = failure;
    snprintf(client->problem, sizeof(client->problem), "451 %s [internal] %s%s%s", status, before,
             client->host, after);
    smtp_client_end(client, SMTP_CLIENT_UNSAFE, 451, client->problem);
}

static void go_on_in_clear(struct smtp_client *client, const char *failure, const char *problem)
{
    if (client->security.demand >= SMTP_TLS_REQUIRED) {
        end_unsafe(client, failure, "4.7.4", "", problem);
        return;
    }
    if (client->security.demand == SMTP_TLS_TRIED)
        client->tls_failure = failure;
    if (client->user)
        smtp_client_auth_start(client);
    else
        smtp_client_become_ready(client);
}

static void on_greeted(struct smtp_client *client)
{
    if (client->stream.ssl && client->user)
        smtp_client_auth_start(client);
    else if (client->stream.ssl)
        smtp_client_become_ready(client);
    else if (client->extensions.starttls && client->security.demand != SMTP_TLS_NEVER)
        smtp_client_say(client, STAGE_STARTTLS, "STARTTLS", "");
    else
        go_on_in_clear(client, "starttls-not-supported", " does not offer TLS (STARTTLS)");
}

static void on_ehlo(struct smtp_client *client)
{
    bool accepted = client->reply.code / 100 == 2;
    if (!accepted && client->reply.code / 100 == 5 && client->stage == STAGE_EHLO)
        smtp_client_say(client, STAGE_HELO, "HELO", client->helo_name);
    else if (!accepted)
        end_refused(client);
    else
        on_greeted(client);
}

/* With SMTP_TLS_TRIED the caller may come again and speak in clear. */
static void end_without_tls(struct smtp_client *client)
{
    char reason[SMTP_REPLY_SIZE] = "", after[SMTP_REPLY_SIZE + 24];
    const char *failure = client->stream.ssl ? smtp_tls_failure(client->stream.ssl, reason) : NULL;
    bool distrusted = failure && client->security.demand >= SMTP_TLS_VERIFIED;
    client->tls_failure = distrusted ? failure : "validation-failure";
    snprintf(after, sizeof(after), " is not trusted: %s", reason);
    if (client->security.demand == SMTP_TLS_TRIED)
        smtp_client_end(client, SMTP_CLIENT_TLS, 0, "the TLS handshake failed");
    else if (distrusted)
        end_unsafe(client, failure, "4.7.5", "the certificate of ", after);
    else
        end_unsafe(client, client->tls_failure, "4.7.5", "the TLS handshake with ", " failed");
}

static void on_starttls(struct smtp_client *client)
{
    if (client->reply.code != 220) {
        go_on_in_clear(client, "starttls-not-supported", " refuses TLS (STARTTLS) at this time");
        return;
    }
    /* Whatever came in clear behind this reply is somebody else's. */
    if (client->stream.input_start != client->stream.input_end) {
        smtp_client_end(client, SMTP_CLIENT_PROTOCOL, 0, "text in clear after STARTTLS");
        return;
    }
    SSL *ssl = smtp_tls_new(&client->security, client->host);
    if (!ssl || !smtp_stream_start_tls(&client->stream, ssl)) {
        end_without_tls(client);
        return;
    }
    client->stage = STAGE_HANDSHAKE;
    smtp_client_set_deadline(client, client->reply_ms);
}

static void on_reply(struct smtp_client *client)
{
    switch (client->stage) {
    case STAGE_GREETING:
        if (client->reply.code / 100 == 2)
            say_ehlo(client);
        else
            end_refused(client);
        break;
    case STAGE_EHLO:
    case STAGE_HELO:
        on_ehlo(client);
        break;
    case STAGE_STARTTLS:
        on_starttls(client);
        break;
    case STAGE_AUTH:
    case STAGE_AUTH_USER:
    case STAGE_AUTH_PASSWORD:
        smtp_client_auth_reply(client);
        break;
    case STAGE_TRANSACTION:
        smtp_transaction_reply(client);
        break;
    default: /* idle (421 says good bye) or after QUIT */
        smtp_client_end(client, SMTP_CLIENT_QUIT, client->reply.code, client->reply.text);
    }
}

/* --- events --- */

/* A reply to a command of which nothing has left yet: it was said too early, or is one too many of
 * an earlier command. Taken for an answer, it would tell of the wrong recipient. A 421 may come at
 * any time (RFC 5321 section 3.8), and content may be refused in its midst. */
static bool is_early(const struct smtp_client *client)
{
    bool unsent = client->stream.output_sent == 0 && smtp_stream_waiting(&client->stream) > 0;
    bool in_content = client->stage == STAGE_TRANSACTION &&
                      (client->replied.step == STEP_CONTENT || client->replied.step == STEP_CHUNKS);
    return unsent && !in_content && client->stage != STAGE_QUIT && client->reply.code != 421;
}

static void take_reply(struct smtp_client *client)
{
    if (is_early(client))
        smtp_client_end(client, SMTP_CLIENT_PROTOCOL, 0, "an answer came before its command");
    else
        on_reply(client);
    smtp_reply_clear(&client->reply);
}

static void take_lines(struct smtp_client *client)
{
    const char *line;
    size_t length;
    bool full = false;
    while (client->stage != STAGE_CLOSED && client->stage != STAGE_HANDSHAKE &&
           (line = smtp_stream_line(&client->stream, &length, &full)) != NULL) {
        enum smtp_reply_state state = smtp_reply_add(&client->reply, line, length);
        if (state == SMTP_REPLY_MALFORMED) {
            smtp_client_end(client, SMTP_CLIENT_PROTOCOL, 0, "the answer is not SMTP");
            return;
        }
        if (client->stage == STAGE_EHLO && client->reply.lines > 1 && length > 4)
            note_extension(&client->extensions, line + 4, length - 4);
        if (state == SMTP_REPLY_COMPLETE)
            take_reply(client);
    }
    if (full && client->stage != STAGE_CLOSED)
        smtp_client_end(client, SMTP_CLIENT_PROTOCOL, 0, "a line of the answer is too long");
}

static void note_own_address(struct smtp_client *client)
{
    struct sockaddr_storage own;
    socklen_t length = sizeof(own);
    client->has_own_address =
        getsockname(client->stream.fd, (struct sockaddr *)&own, &length) == 0 &&
        ip_from_sockaddr((struct sockaddr *)&own, &client->own_address, NULL);
}

static void on_connected(struct smtp_client *client)
{
    switch (smtp_stream_connected(&client->stream)) {
    case SMTP_STREAM_DONE:
        note_own_address(client);
        client->stage = STAGE_GREETING;
        smtp_client_set_deadline(client, client->reply_ms);
        break;
    case SMTP_STREAM_WAIT:
        break;
    default:
        smtp_client_end(client, SMTP_CLIENT_NOT_REACHED, 0, strerror(errno));
    }
}

static void on_handshake(struct smtp_client *client)
{
    char reason[SMTP_REPLY_SIZE];
    switch (smtp_stream_handshake(&client->stream)) {
    case SMTP_STREAM_DONE:
        snprintf(client->tls_name, sizeof(client->tls_name), "%s %s",
                 SSL_get_version(client->stream.ssl), SSL_get_cipher_name(client->stream.ssl));
        client->tls_failure = smtp_tls_failure(client->stream.ssl, reason);
        say_ehlo(client);
        break;
    case SMTP_STREAM_WAIT:
        break;
    default:
        end_without_tls(client);
    }
}

/* Writes what there is, and content as long as the peer takes it. */
static void flush(struct smtp_client *client)
{
    if (smtp_transaction_has_content(client)) /* a chunk that goes with its commands */
        smtp_transaction_feed(client);
    while (client->stage != STAGE_CLOSED && client->stage > STAGE_CONNECT) {
        size_t before = smtp_stream_waiting(&client->stream);
        enum smtp_stream_result result = smtp_stream_flush(&client->stream);
        if (result == SMTP_STREAM_CLOSED || result == SMTP_STREAM_FAILED) {
            end_lost(client);
            return;
        }
        if (!smtp_transaction_has_content(client))
            return;
        if (smtp_stream_waiting(&client->stream) < before)
            smtp_client_set_deadline(client, client->reply_ms);
        if (result == SMTP_STREAM_WAIT)
            return;
        smtp_transaction_feed(client);
        if (smtp_stream_waiting(&client->stream) == 0)
            return;
    }
}

static void take_input(struct smtp_client *client)
{
    bool more = true;
    while (more && client->stage != STAGE_CLOSED && client->stage != STAGE_HANDSHAKE) {
        enum smtp_stream_result result = smtp_stream_read(&client->stream);
        take_lines(client);
        if (client->stage == STAGE_CLOSED)
            return;
        if (result == SMTP_STREAM_CLOSED || result == SMTP_STREAM_FAILED) {
            end_lost(client);
            return;
        }
        /* TLS may hold more that no event will announce. */
        more =
            client->stream.ssl && result == SMTP_STREAM_DONE && SSL_pending(client->stream.ssl) > 0;
    }
}

static void run(struct smtp_client *client)
{
    if (client->stage == STAGE_CONNECT)
        on_connected(client);
    if (client->stage == STAGE_HANDSHAKE)
        on_handshake(client);
    else if (client->stage != STAGE_CONNECT && client->stage != STAGE_CLOSED)
        take_input(client);
    if (client->stage == STAGE_HANDSHAKE)
        on_handshake(client);
    smtp_transaction_end_unsent(client);
    flush(client);
}

static void leave_event(struct smtp_client *client)
{
    client->in_event = false;
    if (client->dead)
        destroy(client);
}

static void on_event(evutil_socket_t fd, short events, void *argument)
{
    struct smtp_client *client = argument;
    (void)fd;
    (void)events;
    client->in_event = true;
    run(client);
    leave_event(client);
}

static void on_timer(evutil_socket_t fd, short events, void *argument)
{
    struct smtp_client *client = argument;
    int64_t now = timestamp_monotonic_ms();
    (void)fd;
    (void)events;
    client->timer_at = 0;
    if (client->deadline == 0)
        return;
    if (client->deadline > now) {
        arm_timer(client, now);
        return;
    }
    client->in_event = true;
    if (client->stage == STAGE_QUIT)
        smtp_client_end(client, SMTP_CLIENT_QUIT, 0, "the connection was closed");
    else
        smtp_client_end(client, SMTP_CLIENT_TIMEOUT, 0, timeout_reason(client->stage));
    leave_event(client);
}

/* --- what the caller does --- */

static void copy_name(char *to, const char *name)
{
    snprintf(to, DOMAIN_SIZE, "%s", name);
}

static bool is_loopback(const struct ip_address *address)
{
    static const uint8_t v6[16] = {[15] = 1};
    return ip_is_v4(address) ? address->bytes[12] == 127 : memcmp(address->bytes, v6, 16) == 0;
}

struct smtp_client *smtp_client_new(struct event_base *base,
                                    const struct smtp_client_options *options,
                                    const struct smtp_client_handler *handler, struct error *error)
{
    struct smtp_client *client = calloc(1, sizeof(*client));
    if (!client) {
        error_set(error, ERROR_INTERNAL, "connect", "no memory for a delivery");
        return NULL;
    }
    client->handler = *handler;
    client->reply_ms = options->reply_ms;
    client->stream.fd = -1;
    copy_name(client->host, options->host);
    copy_name(client->helo_name, options->helo_name);
    client->security = options->security;
    if (client->security.demand != SMTP_TLS_NEVER)
        SSL_CTX_up_ref(client->security.context);
    else
        client->security.context = NULL;
    client->user = options->user;
    client->password = options->password ? options->password : "";
    client->is_loopback = is_loopback(&options->address);
    client->timer = evtimer_new(base, on_timer, client);
    if (!client->timer || !smtp_stream_open(&client->stream, base, &options->address, options->port,
                                            on_event, client, error)) {
        destroy(client);
        return NULL;
    }
    smtp_client_set_deadline(client, options->connect_ms);
    return client;
}

/* Outside an event nothing may be called back, so the writing is left to the loop. */
static void flush_soon(struct smtp_client *client)
{
    if (!client->in_event)
        smtp_stream_wake(&client->stream);
}

void smtp_client_send(struct smtp_client *client, struct smtp_transaction *transaction)
{
    client->stage = STAGE_TRANSACTION;
    client->transaction = transaction;
    client->transactions++;
    smtp_transaction_start(client);
    flush_soon(client);
}

void smtp_client_quit(struct smtp_client *client)
{
    smtp_client_say(client, STAGE_QUIT, "QUIT", "");
    smtp_client_set_deadline(client, QUIT_MS);
    flush_soon(client);
}

const char *smtp_client_tls(const struct smtp_client *client)
{
    return client->tls_name[0] ? client->tls_name : NULL;
}

const char *smtp_client_tls_failure(const struct smtp_client *client)
{
    return client->tls_failure;
}

bool smtp_client_own_address(const struct smtp_client *client, struct ip_address *address)
{
    *address = client->own_address;
    return client->has_own_address;
}

unsigned smtp_client_transactions(const struct smtp_client *client)
{
    return client->transactions;
}
