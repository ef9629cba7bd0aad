/* HTTPS by libmicrohttpd: turns its callbacks into requests of the core. */
#include "controlcenter/http/https_tls.h"
#include "controlcenter/http/listen.h"
#include "controlcenter/http/request.h"

#include "common/ip.h"
#include "common/log.h"
#include "common/timestamp.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define IDLE_SECONDS 60u        /* without a byte from or to the client */
#define RECEIVE_MS (300 * 1000) /* from the first line of a request to its last byte */
#define STOP_MS 5000            /* for running requests when the server stops */
#define DRAIN_LIMIT                                                                                \
    (16u << 20)                   /* bytes read of a body that is refused, so that clients see why \
                                   */
#define HEADER_MEMORY (64u << 10) /* bytes libmicrohttpd has for the header of a request */
#define THREAD_STACK (2u << 20)   /* bytes */
#define DEFAULT_CONNECTIONS 1000u

struct http_server {
    struct MHD_Daemon *daemon;
    struct http_router *router;
    size_t body_limit; /* of those who may send the most */
    bool asks_names;   /* by client certificates */
    int listen_fd;
    unsigned port;
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    unsigned running; /* requests between their first line and the end of their response */
};

/* One request and its response, while libmicrohttpd calls for them. */
struct exchange {
    struct http_request request;
    struct http_response response;
    struct buffer body;
    int refusal; /* the status to answer with instead of serving, or 0 */
    bool started;
    size_t body_limit;
    size_t received;
    int64_t begun_ms;
};

static void count_running(struct http_server *server, int step)
{
    pthread_mutex_lock(&server->mutex);
    server->running += (unsigned)step;
    if (server->running == 0)
        pthread_cond_broadcast(&server->idle);
    pthread_mutex_unlock(&server->mutex);
}

/* The first callback of a request, and the only one with its target before any decoding. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct http_server *server = cls;
    struct exchange *exchange = calloc(1, sizeof *exchange);
    (void)connection;
    if (!exchange)
        return NULL;
    http_response_init(&exchange->response);
    buffer_init(&exchange->body, server->body_limit);
    exchange->begun_ms = timestamp_monotonic_ms();
    exchange->refusal = http_request_set_target(&exchange->request, target);
    count_running(server, 1);
    return exchange;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode reason)
{
    struct exchange *exchange = *state;
    (void)connection;
    (void)reason;
    if (!exchange)
        return;
    http_request_clear(&exchange->request);
    http_response_clear(&exchange->response);
    buffer_free(&exchange->body);
    free(exchange);
    *state = NULL;
    count_running(cls, -1);
}

/* The core decodes what needs it, once. */
static size_t leave_encoded(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls;
    (void)connection;
    return strlen(text);
}

static void on_log(void *cls, const char *format, va_list arguments)
{
    char text[512];
    (void)cls;
    if (vsnprintf(text, sizeof text, format, arguments) > 0) {
        text[strcspn(text, "\n")] = '\0';
        log_debug("libmicrohttpd: %s", text);
    }
}

static void refuse(struct exchange *exchange, int status)
{
    if (exchange->refusal == 0)
        exchange->refusal = status;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 size_t name_length, const char *value, size_t value_length)
{
    struct exchange *exchange = cls;
    (void)kind;
    refuse(exchange, http_request_add_header(&exchange->request, name, name_length,
                                             value ? value : "", value_length));
    return exchange->refusal ? MHD_NO : MHD_YES;
}

static void read_peer(struct MHD_Connection *connection, struct http_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct ip_address ip;
    char text[IP_TEXT_SIZE];
    if (info && info->client_addr && ip_from_sockaddr(info->client_addr, &ip, NULL))
        snprintf(request->peer, sizeof request->peer, "%s", ip_text(&ip, text));
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info && info->tls_session)
        https_client_name(info->tls_session, request->client_name, sizeof request->client_name);
}

/* Sends the response; its body goes to libmicrohttpd without a copy. */
static enum MHD_Result send_response(struct MHD_Connection *connection, struct exchange *exchange,
                                     bool close_after)
{
    struct http_response *response = &exchange->response;
    size_t length = response->body.length;
    char *body = buffer_take(&response->body);
    if (!body)
        return MHD_NO;
    struct MHD_Response *sent =
        MHD_create_response_from_buffer_with_free_callback(length, body, free);
    if (!sent) {
        free(body);
        return MHD_NO;
    }
    bool ok = MHD_add_response_header(sent, MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type) ==
              MHD_YES;
    for (size_t i = 0; i < response->headers.count && ok; i++)
        ok = MHD_add_response_header(sent, response->headers.items[i].name,
                                     response->headers.items[i].value) == MHD_YES;
    if (ok && close_after)
        ok = MHD_add_response_header(sent, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
    enum MHD_Result result = MHD_NO;
    if (ok)
        result = MHD_queue_response(connection, (unsigned)response->status, sent);
    else
        log_error("a response header could not be sent");
    MHD_destroy_response(sent);
    return result;
}

static enum MHD_Result send_refusal(struct http_server *server, struct MHD_Connection *connection,
                                    struct exchange *exchange)
{
    http_router_refuse(server->router, &exchange->request, &exchange->response, exchange->refusal,
                       NULL);
    return send_response(connection, exchange, true);
}

/* Who need not be asked for is not: most bodies are small. */
static size_t body_limit(struct http_server *server, struct http_request *request, size_t length,
                         bool present)
{
    size_t limit = server->body_limit;
    bool small = present && length <= HTTP_STRANGER_LIMIT;
    if (small || (server->asks_names && request->client_name[0] == '\0'))
        return limit < HTTP_STRANGER_LIMIT ? limit : HTTP_STRANGER_LIMIT;
    return http_router_body_limit(server->router, request, limit);
}

/* Everything that can be refused before the body is read. */
static enum MHD_Result begin(struct http_server *server, struct MHD_Connection *connection,
                             struct exchange *exchange, const char *method, const char *version)
{
    struct http_request *request = &exchange->request;
    bool old = strcmp(version, MHD_HTTP_VERSION_1_0) == 0;
    size_t length = 0;
    bool present = false;
    request->method = http_method_parse(method);
    if (!old && strcmp(version, MHD_HTTP_VERSION_1_1) != 0)
        refuse(exchange, 505);
    if (exchange->refusal == 0)
        MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_header, exchange);
    /* RFC 9112 section 3.2 */
    if (exchange->refusal == 0 && !old && !http_header(request, "Host"))
        refuse(exchange, 400);
    /* HTTP/1.0 knows no chunks: what sent them, and where its body ends, is a guess. */
    if (exchange->refusal == 0 && old && http_header(request, "Transfer-Encoding"))
        refuse(exchange, 400);
    if (exchange->refusal == 0)
        refuse(exchange, http_request_content_length(request, &length, &present));
    if (exchange->refusal == 0)
        refuse(exchange, http_request_read_cookies(request));
    if (exchange->refusal)
        return send_refusal(server, connection, exchange);
    read_peer(connection, request);
    exchange->body_limit = body_limit(server, request, length, present);
    if (length <= exchange->body_limit)
        return MHD_YES;
    refuse(exchange, 413);
    /* A client that waits for 100 Continue, or has far too much to send, is told at once. */
    if (length > DRAIN_LIMIT || http_header(request, "Expect"))
        return send_refusal(server, connection, exchange);
    return MHD_YES;
}

static enum MHD_Result receive(struct http_server *server, struct exchange *exchange,
                               const char *data, size_t *size)
{
    exchange->received += *size;
    if (timestamp_monotonic_ms() - exchange->begun_ms > RECEIVE_MS ||
        (exchange->refusal && exchange->received > DRAIN_LIMIT + server->body_limit))
        return MHD_NO;
    if (exchange->refusal == 0 && exchange->received > exchange->body_limit)
        refuse(exchange, 413);
    if (exchange->refusal)
        buffer_free(&exchange->body);
    else if (!buffer_add(&exchange->body, data, *size))
        refuse(exchange, 503);
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result serve(struct http_server *server, struct MHD_Connection *connection,
                             struct exchange *exchange)
{
    struct http_request *request = &exchange->request;
    request->body_length = exchange->body.length;
    request->body = buffer_take(&exchange->body);
    refuse(exchange, request->body ? 0 : 503);
    if (exchange->refusal == 0)
        refuse(exchange, http_request_finish(request));
    if (exchange->refusal)
        return send_refusal(server, connection, exchange);
    /* A long poll is not an idle connection; setting the time again starts it anew. */
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    http_router_serve(server->router, request, &exchange->response);
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, IDLE_SECONDS);
    return send_response(connection, exchange, false);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct http_server *server = cls;
    struct exchange *exchange = *state;
    (void)url;
    if (!exchange)
        return MHD_NO;
    if (!exchange->started) {
        exchange->started = true;
        return begin(server, connection, exchange, method, version);
    }
    if (*size > 0)
        return receive(server, exchange, data, size);
    return serve(server, connection, exchange);
}

static struct MHD_Daemon *start_daemon(struct http_server *server,
                                       const struct http_server_options *options)
{
    unsigned flags = MHD_USE_TLS | MHD_USE_ERROR_LOG | MHD_USE_ITC |
                     (options->threads ? MHD_USE_EPOLL_INTERNAL_THREAD
                                       : MHD_USE_THREAD_PER_CONNECTION |
                                             MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL);
    unsigned connections =
        options->max_connections ? options->max_connections : DEFAULT_CONNECTIONS;
    if (connections < options->threads)
        connections = options->threads;
    const char *priorities = options->priorities ? options->priorities : HTTPS_PRIORITIES;
    struct MHD_OptionItem items[5] = {{MHD_OPTION_END, 0, NULL}};
    size_t count = 0;
    if (options->client_ca)
        items[count++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, (void *)options->client_ca};
    if (options->max_connections_per_address > 0)
        items[count++] = (struct MHD_OptionItem){MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                                                 options->max_connections_per_address, NULL};
    /* A pool of one is what the daemon is without a pool. */
    if (options->threads > 1)
        items[count++] =
            (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)options->threads, NULL};
    items[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, server->listen_fd, MHD_OPTION_HTTPS_MEM_KEY, options->key,
        MHD_OPTION_HTTPS_MEM_CERT, options->certificate, MHD_OPTION_HTTPS_PRIORITIES, priorities,
        MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_MEMORY, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)THREAD_STACK, MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_URI_LOG_CALLBACK,
        on_target, server, MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
}

static void free_server(struct http_server *server)
{
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    pthread_cond_destroy(&server->idle);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}

static struct http_server *new_server(void)
{
    struct http_server *server = calloc(1, sizeof *server);
    pthread_condattr_t monotonic;
    if (!server)
        return NULL;
    server->listen_fd = -1;
    pthread_mutex_init(&server->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&server->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return server;
}

struct http_server *http_server_start(const struct http_server_options *options,
                                      struct http_router *router, struct error *error)
{
    if (!https_tls_check(options, error))
        return NULL;
    struct http_server *server = new_server();
    if (!server) {
        error_set(error, ERROR_INTERNAL, "HTTPS", "memory ran out");
        return NULL;
    }
    server->router = router;
    server->body_limit = options->body_limit;
    server->asks_names = options->client_ca != NULL;
    server->listen_fd = http_listen(options->address, options->port, &server->port, error);
    if (server->listen_fd < 0) {
        free_server(server);
        return NULL;
    }
    server->daemon = start_daemon(server, options);
    if (!server->daemon) {
        error_set(error, ERROR_INTERNAL, "HTTPS", "libmicrohttpd did not start on %s port %u",
                  options->address, server->port);
        free_server(server);
        return NULL;
    }
    return server;
}

void http_server_stop(struct http_server *server)
{
    if (!server)
        return;
    MHD_quiesce_daemon(server->daemon);
    /* The socket is still listening; nobody shall wait in its queue for an answer. */
    shutdown(server->listen_fd, SHUT_RDWR);
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += STOP_MS / 1000;
    pthread_mutex_lock(&server->mutex);
    while (server->running > 0 && pthread_cond_timedwait(&server->idle, &server->mutex, &end) == 0)
        continue;
    if (server->running > 0)
        log_warning("%u requests were cut off by the end of the server", server->running);
    pthread_mutex_unlock(&server->mutex);
    MHD_stop_daemon(server->daemon);
    free_server(server);
}

unsigned http_server_port(const struct http_server *server)
{
    return server->port;
}
