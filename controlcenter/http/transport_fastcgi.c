/* FastCGI by libfcgi, for a web server in front. This file accepts the connections, so that it can
 * set time limits and stop; libfcgi speaks the protocol on each. */
#include "controlcenter/http/listen.h"
#include "controlcenter/http/request.h"

#include "common/ip.h"
#include "common/ipc.h"
#include "common/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define IDLE_SECONDS 60
#define STOP_SECONDS 5
#define SOCKET_MODE 0660
#define THREAD_LIMIT 1024u
#define CHUNK 65536

struct worker {
    struct http_fastcgi *fastcgi;
    pthread_t thread;
    int connection; /* a duplicate of the one being served, to cut it off by; -1 while idle */
};

struct http_fastcgi {
    struct http_router *router;
    size_t body_limit;
    int listen_fd;
    int stop_fd;
    char *path; /* of the unix socket, or NULL */
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    unsigned running; /* workers with a connection */
    struct worker *workers;
    unsigned worker_count;
};

/* "HTTP_X_CSRF_TOKEN" is how CGI names X-CSRF-Token (RFC 3875 section 4.1.18). */
static int add_cgi_header(struct http_request *request, const char *name, size_t name_length,
                          const char *value)
{
    char header[256];
    if (name_length >= sizeof header)
        return 431;
    for (size_t i = 0; i < name_length; i++)
        header[i] = name[i] == '_' ? '-' : (char)tolower((unsigned char)name[i]);
    return http_request_add_header(request, header, name_length, value, strlen(value));
}

/* The header field that a CGI variable stands for, or NULL. What frames the body is CONTENT_LENGTH
 * alone, whatever header the client sent. */
static const char *header_of(const char *name, size_t length)
{
    static const char *const framing[] = {"HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE",
                                          "HTTP_TRANSFER_ENCODING"};
    if ((length == 12 && memcmp(name, "CONTENT_TYPE", 12) == 0) ||
        (length == 14 && memcmp(name, "CONTENT_LENGTH", 14) == 0))
        return name[length + 1] == '\0' ? NULL : name; /* empty where the request had none */
    if (length <= 5 || memcmp(name, "HTTP_", 5) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof framing / sizeof *framing; i++)
        if (length == strlen(framing[i]) && memcmp(name, framing[i], length) == 0)
            return NULL;
    return name + 5;
}

static int read_headers(struct http_request *request, char **variables)
{
    int status = 0;
    for (char **at = variables; *at && status == 0; at++) {
        const char *equals = strchr(*at, '=');
        const char *header = equals ? header_of(*at, (size_t)(equals - *at)) : NULL;
        if (header)
            status = add_cgi_header(request, header, (size_t)(equals - header), equals + 1);
    }
    return status;
}

static void read_peer(struct http_request *request, char **variables)
{
    const char *address = FCGX_GetParam("REMOTE_ADDR", variables);
    struct ip_address ip;
    char text[IP_TEXT_SIZE];
    if (address && ip_parse(address, &ip))
        snprintf(request->peer, sizeof request->peer, "%s", ip_text(&ip, text));
}

/* The body: its whole length or none of it. */
static int read_body(struct http_fastcgi *fastcgi, struct http_request *request, FCGX_Stream *in)
{
    size_t length, limit = fastcgi->body_limit;
    bool present;
    int status = http_request_content_length(request, &length, &present);
    if (status == 0 && length > HTTP_STRANGER_LIMIT)
        limit = http_router_body_limit(fastcgi->router, request, limit);
    if (status == 0 && length > limit)
        status = 413;
    if (status)
        return status;
    struct buffer body;
    buffer_init(&body, limit ? limit : 1);
    while (body.length < length && !body.failed) {
        size_t wanted = length - body.length < CHUNK ? length - body.length : CHUNK;
        char *to = buffer_reserve(&body, wanted);
        int got = to ? FCGX_GetStr(to, (int)wanted, in) : 0;
        if (got <= 0)
            break;
        body.length += (size_t)got;
        body.data[body.length] = '\0';
    }
    if (body.length < length) {
        status = body.failed ? 503 : 400;
        buffer_free(&body);
        return status;
    }
    request->body_length = body.length;
    request->body = buffer_take(&body);
    return request->body ? 0 : 503;
}

static int read_request(struct http_fastcgi *fastcgi, FCGX_Request *cgi,
                        struct http_request *request)
{
    const char *method = FCGX_GetParam("REQUEST_METHOD", cgi->envp);
    const char *target = FCGX_GetParam("REQUEST_URI", cgi->envp);
    if (!method || !target) {
        log_error("the web server sends no REQUEST_METHOD or REQUEST_URI by FastCGI");
        return 500;
    }
    request->method = http_method_parse(method);
    int status = http_request_set_target(request, target);
    if (status == 0)
        status = read_headers(request, cgi->envp);
    read_peer(request, cgi->envp);
    if (status == 0)
        status = http_request_read_cookies(request);
    if (status == 0)
        status = read_body(fastcgi, request, cgi->in);
    return status ? status : http_request_finish(request);
}

static bool put(FCGX_Stream *out, const char *data, size_t length)
{
    while (length > 0) {
        int step = length < (1u << 30) ? (int)length : 1 << 30;
        if (FCGX_PutStr(data, step, out) != step)
            return false;
        data += step;
        length -= (size_t)step;
    }
    return true;
}

static void send_response(FCGX_Stream *out, bool head, const struct http_response *response)
{
    bool bare = response->status == 204 || response->status == 304;
    FCGX_FPrintF(out, "Status: %d %s\r\n", response->status, http_status_text(response->status));
    if (!bare)
        FCGX_FPrintF(out, "Content-Type: %s\r\nContent-Length: %lu\r\n", response->content_type,
                     (unsigned long)response->body.length);
    for (size_t i = 0; i < response->headers.count; i++) {
        const struct http_field *header = &response->headers.items[i];
        put(out, header->name, strlen(header->name));
        put(out, ": ", 2);
        put(out, header->value, strlen(header->value));
        put(out, "\r\n", 2);
    }
    put(out, "\r\n", 2);
    if (!bare && !head)
        put(out, buffer_text(&response->body), response->body.length);
}

static void serve(struct http_fastcgi *fastcgi, FCGX_Request *cgi)
{
    struct http_request request = {0};
    struct http_response response;
    http_response_init(&response);
    int refusal = read_request(fastcgi, cgi, &request);
    if (refusal)
        http_router_refuse(fastcgi->router, &request, &response, refusal, NULL);
    else
        http_router_serve(fastcgi->router, &request, &response);
    send_response(cgi->out, request.method == HTTP_HEAD, &response);
    http_request_clear(&request);
    http_response_clear(&response);
}

static bool mark_busy(struct worker *worker, int connection)
{
    struct http_fastcgi *fastcgi = worker->fastcgi;
    int duplicate = fcntl(connection, F_DUPFD_CLOEXEC, 0);
    if (duplicate < 0)
        return false;
    pthread_mutex_lock(&fastcgi->mutex);
    worker->connection = duplicate;
    fastcgi->running++;
    pthread_mutex_unlock(&fastcgi->mutex);
    return true;
}

static void mark_idle(struct worker *worker)
{
    struct http_fastcgi *fastcgi = worker->fastcgi;
    pthread_mutex_lock(&fastcgi->mutex);
    close(worker->connection);
    worker->connection = -1;
    if (--fastcgi->running == 0)
        pthread_cond_broadcast(&fastcgi->idle);
    pthread_mutex_unlock(&fastcgi->mutex);
}

/* One request of one connection; takes over the descriptor. */
static void serve_connection(struct worker *worker, int connection)
{
    FCGX_Request cgi;
    struct timeval limit = {.tv_sec = IDLE_SECONDS};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (!mark_busy(worker, connection)) {
        close(connection);
        return;
    }
    /* With a connection kept at hand and no socket to accept from, libfcgi reads a request from the
     * one and gives up where it would wait for another. Its header asks to leave these two members
     * alone, but its own accept knows neither time limits nor a stop of one server. */
    FCGX_InitRequest(&cgi, -1, 0);
    cgi.ipcFd = connection;
    cgi.keepConnection = 1;
    if (FCGX_Accept_r(&cgi) == 0) {
        /* libfcgi takes a connection that ended amid the parameters for the end of them. */
        if (FCGX_GetError(cgi.in) == 0)
            serve(worker->fastcgi, &cgi);
        FCGX_Finish_r(&cgi);
    }
    /* Closed also where the web server would keep it: idle connections must not hold threads. */
    FCGX_Free(&cgi, 1);
    mark_idle(worker);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct http_fastcgi *fastcgi = worker->fastcgi;
    struct pollfd waits[2] = {{fastcgi->listen_fd, POLLIN, 0}, {fastcgi->stop_fd, POLLIN, 0}};
    for (;;) {
        if (poll(waits, 2, -1) < 0 && errno != EINTR)
            break;
        if (waits[1].revents)
            break;
        int connection = accept4(fastcgi->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (connection >= 0)
            serve_connection(worker, connection);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            poll(&waits[1], 1, 100); /* until another thread gives something back */
    }
    return NULL;
}

static bool split_address(const char *socket, char *address, size_t size, unsigned *port)
{
    const char *colon = strrchr(socket, ':');
    if (!colon || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strlen(colon + 1) > 5)
        return false;
    size_t length = (size_t)(colon - socket);
    if (length >= 2 && socket[0] == '[' && colon[-1] == ']') {
        socket++;
        length -= 2;
    }
    if (length >= size)
        return false;
    memcpy(address, socket, length);
    address[length] = '\0';
    *port = (unsigned)strtoul(colon + 1, NULL, 10);
    return true;
}

static bool open_socket(struct http_fastcgi *fastcgi, const char *socket, struct error *error)
{
    char address[IP_TEXT_SIZE];
    unsigned port;
    if (socket[0] != '/') {
        if (!split_address(socket, address, sizeof address, &port))
            return error_set(error, ERROR_INVALID, socket,
                             "neither the absolute path of a socket nor ADDRESS:PORT");
        fastcgi->listen_fd = http_listen(address, port, &port, error);
        return fastcgi->listen_fd >= 0;
    }
    fastcgi->path = strdup(socket);
    if (!fastcgi->path)
        return error_set(error, ERROR_INTERNAL, socket, "memory ran out");
    fastcgi->listen_fd = ipc_listen(socket, SOCK_STREAM, SOCKET_MODE, error);
    if (fastcgi->listen_fd < 0) {
        free(fastcgi->path); /* it may be another's */
        fastcgi->path = NULL;
        return false;
    }
    /* Several threads wait for each connection and one gets it. */
    int flags = fcntl(fastcgi->listen_fd, F_GETFL);
    if (flags < 0 || fcntl(fastcgi->listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return error_set_errno(error, socket, "cannot listen");
    return true;
}

static void free_fastcgi(struct http_fastcgi *fastcgi)
{
    if (fastcgi->listen_fd >= 0)
        close(fastcgi->listen_fd);
    if (fastcgi->stop_fd >= 0)
        close(fastcgi->stop_fd);
    if (fastcgi->path)
        unlink(fastcgi->path);
    free(fastcgi->path);
    free(fastcgi->workers);
    pthread_cond_destroy(&fastcgi->idle);
    pthread_mutex_destroy(&fastcgi->mutex);
    free(fastcgi);
}

static struct http_fastcgi *new_fastcgi(unsigned threads)
{
    struct http_fastcgi *fastcgi = calloc(1, sizeof *fastcgi);
    pthread_condattr_t monotonic;
    if (!fastcgi)
        return NULL;
    fastcgi->listen_fd = -1;
    fastcgi->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&fastcgi->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&fastcgi->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    fastcgi->workers = calloc(threads, sizeof *fastcgi->workers);
    if (!fastcgi->workers || fastcgi->stop_fd < 0) {
        free_fastcgi(fastcgi);
        return NULL;
    }
    return fastcgi;
}

static bool start_workers(struct http_fastcgi *fastcgi, unsigned threads)
{
    sigset_t all, before;
    sigfillset(&all);
    /* Signals are the program's business; a web server that went away must not be one. */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (fastcgi->worker_count < threads) {
        struct worker *worker = &fastcgi->workers[fastcgi->worker_count];
        *worker = (struct worker){.fastcgi = fastcgi, .connection = -1};
        if (pthread_create(&worker->thread, NULL, work, worker) != 0)
            break;
        fastcgi->worker_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return fastcgi->worker_count == threads;
}

struct http_fastcgi *http_fastcgi_start(const char *socket, unsigned threads, size_t body_limit,
                                        struct http_router *router, struct error *error)
{
    if (threads == 0 || threads > THREAD_LIMIT) {
        error_set(error, ERROR_INVALID, "FastCGI threads", "not between 1 and %u", THREAD_LIMIT);
        return NULL;
    }
    struct http_fastcgi *fastcgi = FCGX_Init() == 0 ? new_fastcgi(threads) : NULL;
    if (!fastcgi) {
        error_set(error, ERROR_INTERNAL, "FastCGI", "memory or descriptors ran out");
        return NULL;
    }
    fastcgi->router = router;
    fastcgi->body_limit = body_limit;
    if (!open_socket(fastcgi, socket, error)) {
        free_fastcgi(fastcgi);
        return NULL;
    }
    if (!start_workers(fastcgi, threads)) {
        error_set(error, ERROR_INTERNAL, "FastCGI", "the threads could not be started");
        http_fastcgi_stop(fastcgi);
        return NULL;
    }
    return fastcgi;
}

/* Gives running requests their time, and ends the connections of those that take longer. */
static void wait_for_requests(struct http_fastcgi *fastcgi)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += STOP_SECONDS;
    pthread_mutex_lock(&fastcgi->mutex);
    while (fastcgi->running > 0 &&
           pthread_cond_timedwait(&fastcgi->idle, &fastcgi->mutex, &end) == 0)
        continue;
    for (unsigned i = 0; i < fastcgi->worker_count; i++)
        if (fastcgi->workers[i].connection >= 0)
            shutdown(fastcgi->workers[i].connection, SHUT_RDWR);
    pthread_mutex_unlock(&fastcgi->mutex);
}

void http_fastcgi_stop(struct http_fastcgi *fastcgi)
{
    if (!fastcgi)
        return;
    eventfd_write(fastcgi->stop_fd, 1);
    wait_for_requests(fastcgi);
    for (unsigned i = 0; i < fastcgi->worker_count; i++)
        pthread_join(fastcgi->workers[i].thread, NULL);
    free_fastcgi(fastcgi);
}
