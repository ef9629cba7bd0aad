/* Connections that a load balancer passes on: their first bytes say who the client is. No byte
 * behind the header is read here, since TLS may begin with it. */
#include "scanner/mta/smtp_server_private.h"

#include "common/log.h"
#include "scanner/mta/proxy_protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_SECONDS 5 /* from the connection to the whole header */
#define READ_BYTES 512u

struct proxied {
    struct proxied *next, **link;
    struct smtp_connection connection;
    struct proxy_header header;
    struct event *event, *timer; /* two: a header that drips in must not move the time */
};

static void unlink_proxied(struct proxied *proxied)
{
    *proxied->link = proxied->next;
    if (proxied->next)
        proxied->next->link = proxied->link;
    proxied->connection.server->proxied_count--;
    event_free(proxied->event);
    event_free(proxied->timer);
}

/* Balancers that look whether we are there connect and say nothing: that is nothing to tell. */
static void refuse(struct proxied *proxied, const char *reason)
{
    char peer[IP_TEXT_SIZE];
    if (proxied->header.received > 0)
        log_warning("closed a connection of %s, which %s", ip_text(&proxied->connection.peer, peer),
                    reason);
    unlink_proxied(proxied);
    close(proxied->connection.fd);
    free(proxied);
}

static void begin(struct proxied *proxied)
{
    struct smtp_connection connection = proxied->connection;
    enum proxy_source source;
    if (!proxy_header_read(&proxied->header, &source, &connection.peer, &connection.peer_port)) {
        refuse(proxied, "sent a PROXY header for something else than TCP");
        return;
    }
    unlink_proxied(proxied);
    free(proxied);
    smtp_server_begin(&connection);
}

static void on_header(evutil_socket_t fd, short what, void *argument)
{
    struct proxied *proxied = argument;
    unsigned char bytes[READ_BYTES];
    size_t wants = 0;
    (void)what;
    while (proxy_header_wants(&proxied->header, &wants) && wants > 0) {
        ssize_t count = recv(fd, bytes, wants < sizeof(bytes) ? wants : sizeof(bytes), 0);
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            return;
        if (count <= 0) {
            refuse(proxied, "ended before its PROXY header");
            return;
        }
        proxy_header_add(&proxied->header, bytes, (size_t)count);
    }
    if (!proxy_header_wants(&proxied->header, &wants))
        refuse(proxied, "did not begin with a PROXY header of version 2");
    else
        begin(proxied);
}

static void on_time(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    refuse(argument, "sent no whole PROXY header in time");
}

static bool may_proxy(const struct smtp_connection *connection)
{
    return smtp_networks_contain(
        &smtp_server_limits(connection->server, connection->direction)->proxies, &connection->peer);
}

void smtp_server_await_proxy(const struct smtp_connection *connection)
{
    struct smtp_server *server = connection->server;
    struct timeval wait = {.tv_sec = HEADER_SECONDS};
    char peer[IP_TEXT_SIZE];
    if (!may_proxy(connection)) {
        log_warning("closed a connection of %s, which is no proxy that may connect",
                    ip_text(&connection->peer, peer));
        close(connection->fd);
        return;
    }
    if (server->proxied_count >=
        (size_t)smtp_server_limits(server, connection->direction)->max_sessions) {
        log_warning("too many connections wait for their PROXY header");
        close(connection->fd);
        return;
    }
    struct proxied *proxied = calloc(1, sizeof(*proxied));
    if (!proxied)
        abort();
    *proxied = (struct proxied){
        .next = server->proxied, .link = &server->proxied, .connection = *connection};
    proxied->event =
        event_new(server->mta->base, connection->fd, EV_READ | EV_PERSIST, on_header, proxied);
    proxied->timer = evtimer_new(server->mta->base, on_time, proxied);
    if (!proxied->event || !proxied->timer || event_add(proxied->event, NULL) != 0 ||
        event_add(proxied->timer, &wait) != 0)
        abort();
    if (proxied->next)
        proxied->next->link = &proxied->next;
    server->proxied = proxied;
    server->proxied_count++;
}

void smtp_server_end_proxied(struct smtp_server *server)
{
    while (server->proxied) {
        struct proxied *proxied = server->proxied;
        unlink_proxied(proxied);
        close(proxied->connection.fd);
        free(proxied);
    }
}
