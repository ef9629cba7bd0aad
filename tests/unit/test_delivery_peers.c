#include "test_delivery_peers.h"

#include <arpa/inet.h>
#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct peer_connection {
    struct peer_connection *next, **link;
    struct peer *peer;
    struct bufferevent *stream;
    bool in_content, closing, start_tls, secure, last_chunk;
    unsigned messages, recipients, auth_lines;
    size_t chunk_left;
};

static void connection_free(struct peer_connection *connection)
{
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    connection->peer->open--;
    bufferevent_free(connection->stream);
    free(connection);
}

static void on_written(struct bufferevent *stream, void *argument);
static void on_input(struct bufferevent *stream, void *argument);
static void on_stream_event(struct bufferevent *stream, short events, void *argument);

static void finish(struct peer_connection *connection)
{
    connection->closing = true;
    bufferevent_disable(connection->stream, EV_READ);
    if (evbuffer_get_length(bufferevent_get_output(connection->stream)) == 0)
        connection_free(connection);
}

/* False where the connection is over (or says nothing any more). */
static bool reply(struct peer_connection *connection, const char *text, const char *usual)
{
    if (!text)
        text = usual;
    if (strcmp(text, PEER_CLOSE) == 0) {
        finish(connection);
        return false;
    }
    if (strcmp(text, PEER_SILENT) == 0) {
        bufferevent_disable(connection->stream, EV_READ);
        return false;
    }
    if (strcmp(text, PEER_ENDLESS) == 0) {
        for (int i = 0; i < 2000; i++)
            evbuffer_add_printf(bufferevent_get_output(connection->stream), "250-on and on\r\n");
        return true;
    }
    bufferevent_write(connection->stream, text, strlen(text));
    return true;
}

static bool begins(const char *line, const char *verb)
{
    return strncasecmp(line, verb, strlen(verb)) == 0;
}

static bool take_recipient(struct peer_connection *connection, const char *line)
{
    struct peer *peer = connection->peer;
    if (peer->bad_recipient && strstr(line, peer->bad_recipient))
        return reply(connection, peer->bad_reply, "550 5.1.1 nobody\r\n");
    if (peer->recipients_a_message && connection->recipients >= peer->recipients_a_message)
        return reply(connection, "452 4.5.3 too many recipients\r\n", "");
    connection->recipients++;
    return reply(connection, peer->rcpt, "250 2.1.5 ok\r\n");
}

static bool take_data(struct peer_connection *connection)
{
    const char *text = connection->peer->data ? connection->peer->data : "354 go on\r\n";
    connection->in_content = begins(text, "354");
    buffer_clear(&connection->peer->message);
    return reply(connection, text, "");
}

/* AUTH PLAIN comes in one line, AUTH LOGIN in three. */
static bool take_auth(struct peer_connection *connection, const char *line)
{
    if (begins(line, "AUTH LOGIN"))
        connection->auth_lines = 3;
    if (connection->auth_lines > 0 && --connection->auth_lines > 0)
        return reply(connection, "334 \r\n", "");
    return reply(connection, connection->peer->auth, "235 2.7.0 signed in\r\n");
}

static bool take_bdat(struct peer_connection *connection, const char *line)
{
    char last[8] = "";
    if (sscanf(line, "%*s %zu %7s", &connection->chunk_left, last) < 1)
        return reply(connection, "501 5.5.4 what\r\n", "");
    connection->last_chunk = last[0] != '\0';
    if (connection->recipients > 0 && connection->peer->chunks++ == 0)
        buffer_clear(&connection->peer->message);
    return true;
}

static bool take_starttls(struct peer_connection *connection)
{
    reply(connection, connection->peer->starttls, "220 go on\r\n");
    connection->start_tls = true;
    return false;
}

static bool take_command(struct peer_connection *connection, const char *line)
{
    struct peer *peer = connection->peer;
    buffer_add_format(&peer->commands, "%s\n", line);
    if (begins(line, "EHLO")) {
        const char *usual = peer->tls && !connection->secure
                                ? "250-peer\r\n250-STARTTLS\r\n250 PIPELINING\r\n"
                                : PEER_EHLO_ALL;
        return reply(connection, peer->ehlo, usual);
    }
    if (begins(line, "HELO"))
        return reply(connection, peer->helo, "250 peer\r\n");
    if (begins(line, "STARTTLS"))
        return take_starttls(connection);
    if (begins(line, "AUTH") || connection->auth_lines > 0)
        return take_auth(connection, line);
    if (begins(line, "BDAT"))
        return take_bdat(connection, line);
    connection->recipients = begins(line, "RCPT") ? connection->recipients : 0;
    if (begins(line, "MAIL"))
        return reply(connection, peer->mail, "250 2.1.0 ok\r\n");
    if (begins(line, "RCPT"))
        return take_recipient(connection, line);
    if (begins(line, "DATA"))
        return take_data(connection);
    if (begins(line, "RSET"))
        return reply(connection, peer->rset, "250 2.0.0 ok\r\n");
    if (begins(line, "QUIT")) {
        reply(connection, peer->quit, "221 2.0.0 bye\r\n");
        finish(connection);
        return false;
    }
    return reply(connection, NULL, "500 5.5.2 what\r\n");
}

static bool take_message(struct peer_connection *connection)
{
    struct peer *peer = connection->peer;
    peer->messages++;
    connection->messages++;
    if (!reply(connection, peer->content, "250 2.0.0 taken\r\n"))
        return false;
    if (peer->messages_a_connection && connection->messages >= peer->messages_a_connection) {
        if (peer->announce_close)
            reply(connection, "421 4.3.2 enough\r\n", "");
        finish(connection);
        return false;
    }
    return true;
}

/* As much of a chunk as is there. */
static bool take_chunk(struct peer_connection *connection, struct evbuffer *input)
{
    struct peer *peer = connection->peer;
    char piece[16384];
    while (connection->chunk_left > 0) {
        size_t most =
            connection->chunk_left < sizeof(piece) ? connection->chunk_left : sizeof(piece);
        int count = evbuffer_remove(input, piece, most);
        if (count <= 0)
            return false;
        connection->chunk_left -= (size_t)count;
        if (connection->recipients > 0)
            buffer_add(&peer->message, piece, (size_t)count);
    }
    if (connection->recipients == 0)
        return reply(connection, "503 5.5.1 no recipients\r\n", "");
    return connection->last_chunk ? take_message(connection)
                                  : reply(connection, peer->chunk, "250 2.0.0 go on\r\n");
}

static bool take_content_line(struct peer_connection *connection, const char *line, size_t length)
{
    struct peer *peer = connection->peer;
    if (strcmp(line, ".") != 0) {
        buffer_add(&peer->message, line, length);
        buffer_add_text(&peer->message, "\n");
        return true;
    }
    connection->in_content = false;
    return take_message(connection);
}

static void secure_stream(struct peer_connection *connection)
{
    struct peer *peer = connection->peer;
    connection->start_tls = false;
    if (peer->break_tls) {
        bufferevent_write(connection->stream, "no TLS here\r\n", 13);
        finish(connection);
        return;
    }
    connection->secure = true;
    connection->stream =
        bufferevent_openssl_filter_new(peer->base, connection->stream, SSL_new(peer->tls),
                                       BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    assert(connection->stream);
    bufferevent_setcb(connection->stream, on_input, on_written, on_stream_event, connection);
    bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
}

static void on_written(struct bufferevent *stream, void *argument)
{
    struct peer_connection *connection = argument;
    (void)stream;
    if (connection->closing)
        connection_free(connection);
    else if (connection->start_tls)
        secure_stream(connection);
}

static void on_input(struct bufferevent *stream, void *argument)
{
    struct peer_connection *connection = argument;
    struct evbuffer *input = bufferevent_get_input(stream);
    size_t length;
    char *line;
    bool more = connection->chunk_left == 0 || take_chunk(connection, input);
    while (more && (line = evbuffer_readln(input, &length, EVBUFFER_EOL_CRLF_STRICT)) != NULL) {
        bool chunk = !connection->in_content && begins(line, "BDAT");
        more = connection->in_content ? take_content_line(connection, line, length)
                                      : take_command(connection, line);
        free(line);
        if (more && chunk)
            more = take_chunk(connection, input);
    }
}

static void on_stream_event(struct bufferevent *stream, short events, void *argument)
{
    (void)stream;
    if (events & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        connection_free(argument);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int length, void *argument)
{
    struct peer *peer = argument;
    struct peer_connection *connection = calloc(1, sizeof(*connection));
    (void)listener;
    (void)address;
    (void)length;
    assert(connection);
    connection->peer = peer;
    connection->stream = bufferevent_socket_new(peer->base, fd, BEV_OPT_CLOSE_ON_FREE);
    connection->next = peer->list;
    connection->link = &peer->list;
    if (connection->next)
        connection->next->link = &connection->next;
    peer->list = connection;
    peer->connections++;
    peer->open++;
    if (peer->open > peer->most_open)
        peer->most_open = peer->open;
    bufferevent_setcb(connection->stream, on_input, on_written, on_stream_event, connection);
    bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
    if (peer->sessions_at_once > 0 && peer->open > peer->sessions_at_once) {
        reply(connection, "421 4.7.0 too many sessions\r\n", "");
        finish(connection);
        return;
    }
    reply(connection, peer->greeting, "220 peer ESMTP\r\n");
}

void peer_open(struct peer *peer, struct event_base *base, const char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char host[64];
    unsigned port = 0;
    memset(peer, 0, sizeof(*peer));
    if (address && sscanf(address, "%63[0-9.]:%u", host, &port) == 2)
        inet_pton(AF_INET, host, &at.sin_addr);
    at.sin_port = htons((uint16_t)port);
    peer->base = base;
    peer->listener =
        evconnlistener_new_bind(base, on_accept, peer, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
                                512, (struct sockaddr *)&at, sizeof(at));
    assert(peer->listener);
    socklen_t length = sizeof(at);
    getsockname(evconnlistener_get_fd(peer->listener), (struct sockaddr *)&at, &length);
    peer->port = ntohs(at.sin_port);
}

void peer_close(struct peer *peer)
{
    if (peer->listener)
        evconnlistener_free(peer->listener);
    while (peer->list)
        connection_free(peer->list);
    buffer_free(&peer->commands);
    buffer_free(&peer->message);
}
