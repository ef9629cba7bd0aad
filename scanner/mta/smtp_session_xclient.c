/* XCLIENT: from a front server that the configuration trusts. The session begins anew, as that
 * server's client. */
#include "scanner/mta/smtp_session_private.h"

#include "common/log.h"
#include "scanner/mta/smtp_server_peers.h"

#include <stdlib.h>
#include <string.h>

/* It is the connection that is trusted, so that a further XCLIENT may follow. */
bool smtp_session_offers_xclient(const struct smtp_session *session)
{
    return smtp_networks_contain(&session->limits->xclient, &session->connected);
}

static bool move(struct smtp_session *session, const struct smtp_xclient *xclient)
{
    char reply[SMTP_REPLY_SIZE];
    uint16_t port = xclient->has_port ? xclient->port : 0;
    if (!session->options.move(session->options.argument, &xclient->address, port, reply)) {
        smtp_session_end(session, "%s", reply);
        return false;
    }
    session->options.peer = xclient->address;
    session->options.peer_port = port;
    ip_text(&session->options.peer, session->peer_text);
    return true;
}

static void take(struct smtp_session *session, const struct smtp_xclient *xclient)
{
    smtp_session_begin_anew(session);
    if (xclient->has_address && !move(session, xclient))
        return;
    if (xclient->has_port)
        session->options.peer_port = xclient->port;
    if (xclient->helo[0]) {
        session->helo = smtp_session_copy(xclient->helo);
        session->greeted = true;
        session->extended = xclient->extended;
    }
    if (xclient->login[0])
        session->user = smtp_session_copy(xclient->login);
    session->wrong_passwords = session->errors = session->idle_commands = 0;
    log_debug("XCLIENT: the client is %s", session->peer_text);
    smtp_session_reply_format(session, "220 %s ESMTP Gatehouse", session->config->host_name);
}

void smtp_session_xclient(struct smtp_session *session, char *argument)
{
    struct smtp_xclient xclient;
    char reply[SMTP_REPLY_SIZE];
    if (!smtp_session_offers_xclient(session))
        smtp_session_reply(session, "500 5.5.2 unrecognized command");
    else if (session->envelope.open)
        smtp_session_reply(session, "503 5.5.1 a transaction is open");
    else if (!smtp_xclient_parse(argument, &xclient, reply))
        smtp_session_reply(session, reply);
    else if (!smtp_session_refuse_early(session, "XCLIENT"))
        take(session, &xclient);
}
