/* Listeners, taking a configuration, and the servers' life. */
#include "scanner/mta/smtp_server_private.h"

#include "common/log.h"
#include "common/timestamp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 1024
#define ACCEPTS_A_TURN 64 /* then the sessions have their turn */
#define PAUSE_SECONDS 1   /* of accepting, where descriptors or memory ran out */
#define STOP_MS 5000      /* that sessions have to end in */
#define REASON_SIZE 700

struct listener {
    struct listener *next;
    struct smtp_server *server;
    struct config_listener place;
    enum queue_direction direction;
    int fd;
    struct event *event;
    struct event *resume;
    bool wanted; /* by the configuration that is being taken */
};

/* --- listeners --- */

static void on_resume(evutil_socket_t fd, short what, void *argument)
{
    struct listener *listener = argument;
    (void)fd;
    (void)what;
    event_add(listener->event, NULL);
}

/* Out of descriptors or memory the socket stays readable, and the loop would spin. */
static void pause_listener(struct listener *listener)
{
    struct timeval wait = {.tv_sec = PAUSE_SECONDS};
    log_warning("no further connections for a moment: %s", strerror(errno));
    event_del(listener->event);
    event_add(listener->resume, &wait);
}

static void take_connection(struct listener *listener, int fd, const struct ip_address *peer,
                            uint16_t port)
{
    struct smtp_connection connection = {.server = listener->server,
                                         .place = listener->place,
                                         .direction = listener->direction,
                                         .fd = fd,
                                         .peer = *peer,
                                         .peer_port = port};
    if (connection.place.proxy_protocol)
        smtp_server_await_proxy(&connection);
    else
        smtp_server_begin(&connection);
}

static bool is_passing(int reason)
{
    return reason == ECONNABORTED || reason == EINTR || reason == EPROTO || reason == ENETDOWN ||
           reason == EHOSTDOWN || reason == EHOSTUNREACH || reason == ENETUNREACH ||
           reason == EPERM;
}

static void on_connection(evutil_socket_t fd, short what, void *argument)
{
    struct listener *listener = argument;
    (void)what;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage from;
        socklen_t size = sizeof(from);
        struct ip_address address;
        uint16_t port;
        int one = 1;
        int client = accept4(fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0 && is_passing(errno))
            continue;
        if (client < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                pause_listener(listener);
            return;
        }
        /* Replies are whole when they are sent; none gains from waiting for more. */
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (ip_from_sockaddr((struct sockaddr *)&from, &address, &port))
            take_connection(listener, client, &address, port);
        else
            close(client);
    }
}

#define PLACE_SIZE (IP_TEXT_SIZE + 16)

/* "192.0.2.1:25" or "[2001:db8::1]:25". */
static const char *place_text(const struct config_listener *place, char text[PLACE_SIZE])
{
    char address[IP_TEXT_SIZE];
    bool v6 = !ip_is_v4(&place->address);
    ip_text(&place->address, address);
    snprintf(text, PLACE_SIZE, "%s%s%s:%u", v6 ? "[" : "", address, v6 ? "]" : "",
             (unsigned)place->port);
    return text;
}

static bool place_error(const struct config_listener *place, struct error *error)
{
    char where[PLACE_SIZE];
    int reason = errno;
    place_text(place, where);
    errno = reason;
    return error_set_errno(error, where, "cannot listen");
}

static bool listen_at(int fd, const struct config_listener *place)
{
    struct sockaddr_storage to;
    socklen_t size = ip_to_sockaddr(&place->address, place->port, &to);
    int one = 1;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
           (to.ss_family != AF_INET6 ||
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0) &&
           bind(fd, (struct sockaddr *)&to, size) == 0 && listen(fd, BACKLOG) == 0;
}

static int open_socket(const struct config_listener *place, struct error *error)
{
    int family = ip_is_v4(&place->address) ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && listen_at(fd, place))
        return fd;
    place_error(place, error);
    if (fd >= 0)
        close(fd);
    return -1;
}

static void free_listener(struct listener *listener)
{
    event_free(listener->event);
    event_free(listener->resume);
    close(listener->fd);
    free(listener);
}

static struct listener *find_listener(struct smtp_server *server,
                                      const struct config_listener *place)
{
    struct listener *listener = server->listeners;
    while (listener &&
           (listener->place.port != place->port ||
            memcmp(&listener->place.address, &place->address, sizeof(place->address)) != 0))
        listener = listener->next;
    return listener;
}

static struct listener *open_listener(struct smtp_server *server,
                                      const struct config_listener *place, struct error *error)
{
    int fd = open_socket(place, error);
    if (fd < 0)
        return NULL;
    struct listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        abort();
    *listener = (struct listener){.server = server, .fd = fd};
    listener->event =
        event_new(server->mta->base, fd, EV_READ | EV_PERSIST, on_connection, listener);
    listener->resume = evtimer_new(server->mta->base, on_resume, listener);
    if (!listener->event || !listener->resume)
        abort();
    return listener;
}

/* --- taking a configuration --- */

const struct config_smtp_server *smtp_server_limits(const struct smtp_server *server,
                                                    enum queue_direction direction)
{
    const struct scanner_config *config = server->mta->config->config;
    return direction == QUEUE_INBOUND ? &config->inbound : &config->outbound;
}

/* The listeners that are new, not yet among the server's. */
static bool open_missing(struct smtp_server *server, const struct config_smtp_server *wanted,
                         enum queue_direction direction, struct listener **opened,
                         struct error *error)
{
    for (size_t i = 0; i < wanted->listener_count; i++) {
        const struct config_listener *place = &wanted->listeners[i];
        if (find_listener(server, place))
            continue;
        struct listener *listener = open_listener(server, place, error);
        if (!listener)
            return false;
        listener->place = *place;
        listener->direction = direction;
        listener->next = *opened;
        *opened = listener;
    }
    return true;
}

static void mark_wanted(struct smtp_server *server, const struct config_smtp_server *wanted,
                        enum queue_direction direction)
{
    for (size_t i = 0; i < wanted->listener_count; i++) {
        struct listener *listener = find_listener(server, &wanted->listeners[i]);
        listener->wanted = true;
        listener->direction = direction;
        listener->place = wanted->listeners[i];
    }
}

static void close_unwanted(struct smtp_server *server)
{
    for (struct listener **link = &server->listeners; *link;) {
        struct listener *listener = *link;
        if (listener->wanted) {
            listener->wanted = false;
            link = &listener->next;
            continue;
        }
        *link = listener->next;
        free_listener(listener);
    }
}

static void free_listeners(struct listener **list)
{
    while (*list) {
        struct listener *next = (*list)->next;
        free_listener(*list);
        *list = next;
    }
}

static void keep_opened(struct smtp_server *server, struct listener *opened)
{
    char place[PLACE_SIZE];
    while (opened) {
        log_info("listening for %s mail at %s",
                 opened->direction == QUEUE_INBOUND ? "inbound" : "outbound",
                 place_text(&opened->place, place));
        struct listener *next = opened->next;
        opened->next = server->listeners;
        server->listeners = opened;
        event_add(opened->event, NULL);
        opened = next;
    }
}

/* The context of the configuration's certificate: the one that runs, where it is the same. */
static bool take_certificate(struct smtp_server *server, const struct scanner_config *config,
                             struct tls_context **tls, struct error *error)
{
    *tls = NULL;
    if (!config->tls_certificate)
        return true;
    if (server->tls && tls_context_is(server->tls, config->tls_certificate, config->tls_key))
        *tls = tls_context_take(server->tls);
    else
        *tls = tls_context_new(config->tls_certificate, config->tls_key, error);
    return *tls != NULL;
}

bool smtp_server_configure(struct smtp_server *server, struct error *error)
{
    const struct scanner_config *config = server->mta->config->config;
    struct listener *opened = NULL;
    struct tls_context *tls;
    if (!take_certificate(server, config, &tls, error))
        return false;
    if (!open_missing(server, &config->inbound, QUEUE_INBOUND, &opened, error) ||
        !open_missing(server, &config->outbound, QUEUE_OUTBOUND, &opened, error)) {
        free_listeners(&opened);
        tls_context_drop(tls);
        return false;
    }
    tls_context_drop(server->tls);
    server->tls = tls;
    keep_opened(server, opened);
    mark_wanted(server, &config->inbound, QUEUE_INBOUND);
    mark_wanted(server, &config->outbound, QUEUE_OUTBOUND);
    close_unwanted(server);
    return true;
}

/* --- life --- */

struct smtp_server *smtp_server_new(struct mta *mta)
{
    struct smtp_server *server = calloc(1, sizeof(*server));
    if (!server)
        abort();
    server->mta = mta;
    for (int i = 0; i < 2; i++)
        server->peers[i] = smtp_peers_new();
    server->rates = smtp_rates_new();
    return server;
}

size_t smtp_server_sessions(const struct smtp_server *server)
{
    return server->sessions[QUEUE_INBOUND] + server->sessions[QUEUE_OUTBOUND];
}

static void on_tick(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    (void)argument;
}

/* Messages that are with the intake get their answer: a client that hears none sends again. */
static void wait_for_sessions(struct smtp_server *server)
{
    int64_t end = timestamp_monotonic_ms() + STOP_MS;
    struct timeval wait = {.tv_usec = 50000};
    struct event *tick = event_new(server->mta->base, -1, EV_PERSIST, on_tick, NULL);
    if (!tick)
        abort();
    event_add(tick, &wait);
    while (server->entries && timestamp_monotonic_ms() < end)
        event_base_loop(server->mta->base, EVLOOP_ONCE);
    event_free(tick);
}

void smtp_server_free(struct smtp_server *server)
{
    if (!server)
        return;
    free_listeners(&server->listeners);
    smtp_server_end_proxied(server);
    smtp_server_stop_sessions(server);
    wait_for_sessions(server);
    smtp_server_end_sessions(server);
    smtp_rates_free(server->rates);
    for (int i = 0; i < 2; i++)
        smtp_peers_free(server->peers[i]);
    tls_context_drop(server->tls);
    free(server);
}
