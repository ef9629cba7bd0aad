/* The commands that are no part of a mail transaction, and the table of all. */
#include "scanner/mta/smtp_session_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_COMMANDS 100 /* commands in a row that serve no message */

/* --- greeting --- */

bool smtp_session_refuse_early(struct smtp_session *session, const char *name)
{
    if (smtp_session_waiting(session) == 0)
        return false;
    smtp_session_end(session, "554 5.5.1 protocol error: you went on before the reply to %s", name);
    return true;
}

static bool take_name(struct smtp_session *session, const char *name)
{
    const char *reason = smtp_helo_check(name);
    if (reason) {
        smtp_session_reply_format(session, "501 5.5.4 %s", reason);
        return false;
    }
    smtp_session_reset(session);
    free(session->helo);
    session->helo = strdup(name);
    if (!session->helo)
        abort();
    session->greeted = true;
    return true;
}

static const char *peer_place(const struct smtp_session *session, char *text, size_t size)
{
    bool v6 = !ip_is_v4(&session->options.peer);
    snprintf(text, size, "%s%s%s:%u", v6 ? "[" : "", session->peer_text, v6 ? "]" : "",
             (unsigned)session->options.peer_port);
    return text;
}

static void list_extensions(struct smtp_session *session)
{
    smtp_session_reply_format(session, "250-SIZE %lld",
                              (long long)session->limits->max_message_bytes);
    smtp_session_reply(session, "250-8BITMIME");
    smtp_session_reply(session, "250-ENHANCEDSTATUSCODES");
    smtp_session_reply(session, "250-SMTPUTF8");
    smtp_session_reply(session, "250-CHUNKING");
    smtp_session_reply(session, "250-DSN");
    if (session->tls && !session->stream.ssl)
        smtp_session_reply(session, "250-STARTTLS");
    if (smtp_session_offers_auth(session) && session->stream.ssl)
        smtp_session_reply(session, "250-AUTH PLAIN LOGIN");
    if (smtp_session_offers_xclient(session))
        smtp_session_reply(session, "250-XCLIENT ADDR PORT NAME HELO PROTO LOGIN");
    smtp_session_reply(session, "250 PIPELINING");
}

static void run_ehlo(struct smtp_session *session, char *argument)
{
    char place[IP_TEXT_SIZE + 16];
    if (!*argument) {
        smtp_session_reply(session, "500 5.5.2 unrecognized command");
        return;
    }
    if (smtp_session_refuse_early(session, "EHLO") || !take_name(session, argument))
        return;
    session->extended = true;
    smtp_session_reply_format(session, "250-%s says EHLO to %s", session->config->host_name,
                              peer_place(session, place, sizeof(place)));
    list_extensions(session);
}

static void run_helo(struct smtp_session *session, char *argument)
{
    char place[IP_TEXT_SIZE + 16];
    if (!*argument) {
        smtp_session_reply(session, "501 5.5.4 syntax: HELO name");
        return;
    }
    if (smtp_session_refuse_early(session, "HELO") || !take_name(session, argument))
        return;
    session->extended = false;
    smtp_session_reply_format(session, "250 %s says HELO to %s", session->config->host_name,
                              peer_place(session, place, sizeof(place)));
}

void smtp_session_begin_anew(struct smtp_session *session)
{
    smtp_session_reset(session);
    free(session->helo);
    free(session->user);
    session->helo = session->user = NULL;
    session->greeted = session->extended = false;
}

/* --- TLS --- */

/* Nothing that was said before counts afterwards (RFC 3207 section 4.2): an attacker on the wire
 * may have said it. */
static void run_starttls(struct smtp_session *session, char *argument)
{
    (void)argument;
    if (!session->tls) {
        smtp_session_reply(session, "502 5.5.1 STARTTLS is not offered here");
        return;
    }
    if (session->stream.ssl) {
        smtp_session_reply(session, "503 5.5.1 TLS is active already");
        return;
    }
    if (!session->extended) {
        smtp_session_reply(session, "503 5.5.1 say EHLO first");
        return;
    }
    if (smtp_session_refuse_early(session, "STARTTLS"))
        return;
    smtp_session_begin_anew(session);
    smtp_session_reply(session, "220 2.0.0 ready to start TLS");
    session->phase = SMTP_PHASE_HANDSHAKE;
}

/* --- small ones --- */

static void run_rset(struct smtp_session *session, char *argument)
{
    (void)argument;
    smtp_session_reset(session);
    smtp_session_reply(session, "250 2.0.0 Ok");
}

static void run_noop(struct smtp_session *session, char *argument)
{
    (void)argument;
    smtp_session_reply(session, "250 2.0.0 Ok");
}

static void run_quit(struct smtp_session *session, char *argument)
{
    (void)argument;
    smtp_session_end(session, "221 2.0.0 %s closing the session", session->config->host_name);
}

static void run_vrfy(struct smtp_session *session, char *argument)
{
    if (*argument)
        smtp_session_reply(session, "252 2.5.0 cannot verify the user; send mail to find out");
    else
        smtp_session_reply(session, "501 5.5.4 syntax: VRFY address");
}

static void run_expn(struct smtp_session *session, char *argument)
{
    (void)argument;
    smtp_session_reply(session, "502 5.5.1 EXPN is not offered here");
}

static void run_help(struct smtp_session *session, char *argument)
{
    (void)argument;
    smtp_session_reply(session, "214 2.0.0 see RFC 5321");
}

static void run_unknown(struct smtp_session *session, char *argument)
{
    (void)argument;
    smtp_session_reply(session, "500 5.5.2 unrecognized command");
}

/* --- all --- */

static const struct {
    void (*run)(struct smtp_session *session, char *argument);
    bool bare;           /* takes no argument */
    bool serves_message; /* a session may have any number of them */
} commands[] = {
    [SMTP_EHLO] = {run_ehlo, false, false},
    [SMTP_HELO] = {run_helo, false, false},
    [SMTP_STARTTLS] = {run_starttls, true, false},
    [SMTP_AUTH] = {smtp_session_auth, false, false},
    [SMTP_XCLIENT] = {smtp_session_xclient, false, false},
    [SMTP_MAIL] = {smtp_session_mail, false, false},
    [SMTP_RCPT] = {smtp_session_recipient, false, true},
    [SMTP_DATA] = {smtp_session_data, true, true},
    [SMTP_BDAT] = {smtp_session_chunk, false, true},
    [SMTP_RSET] = {run_rset, true, false},
    [SMTP_NOOP] = {run_noop, false, false},
    [SMTP_QUIT] = {run_quit, true, false},
    [SMTP_VRFY] = {run_vrfy, false, false},
    [SMTP_EXPN] = {run_expn, false, false},
    [SMTP_HELP] = {run_help, false, false},
    [SMTP_UNKNOWN] = {run_unknown, false, false},
};

void smtp_session_command(struct smtp_session *session, char *line)
{
    struct smtp_command command;
    smtp_command_parse(line, &command);
    if (!commands[command.verb].serves_message && command.verb != SMTP_QUIT &&
        ++session->idle_commands > IDLE_COMMANDS)
        smtp_session_end(session, "421 4.7.0 %s too many commands without a message",
                         session->config->host_name);
    else if (commands[command.verb].bare && *command.argument)
        smtp_session_reply(session, "501 5.5.4 the command takes no argument");
    else
        commands[command.verb].run(session, command.argument);
}
