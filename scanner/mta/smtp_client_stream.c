#include "scanner/mta/smtp_client_stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUTPUT_KEPT (64u << 10) /* memory that an idle connection may keep */

bool smtp_stream_open(struct smtp_stream *stream, struct event_base *base,
                      const struct ip_address *address, uint16_t port, event_callback_fn event,
                      void *argument, struct error *error)
{
    struct sockaddr_storage peer;
    socklen_t length = ip_to_sockaddr(address, port, &peer);
    memset(stream, 0, sizeof(*stream));
    stream->fd = socket(peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (stream->fd < 0)
        return error_set(error, ERROR_LIMIT, "socket", "no socket for a delivery: %s",
                         strerror(errno));
    /* Commands are gathered here, so that Nagle's algorithm could only delay them. */
    setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    stream->read_event = event_new(base, stream->fd, EV_READ | EV_PERSIST, event, argument);
    stream->write_event = event_new(base, stream->fd, EV_WRITE, event, argument);
    if (!stream->read_event || !stream->write_event) {
        smtp_stream_close(stream);
        return error_set(error, ERROR_INTERNAL, "socket", "no memory for a delivery");
    }
    if (connect(stream->fd, (struct sockaddr *)&peer, length) != 0 && errno != EINPROGRESS) {
        error_set_errno(error, "connect", "the connection was not made");
        smtp_stream_close(stream);
        return false;
    }
    event_add(stream->write_event, NULL);
    return true;
}

void smtp_stream_close(struct smtp_stream *stream)
{
    if (stream->read_event)
        event_free(stream->read_event);
    if (stream->write_event)
        event_free(stream->write_event);
    SSL_free(stream->ssl);
    if (stream->fd >= 0)
        close(stream->fd);
    buffer_free(&stream->output);
    stream->read_event = stream->write_event = NULL;
    stream->ssl = NULL;
    stream->fd = -1;
}

enum smtp_stream_result smtp_stream_connected(struct smtp_stream *stream)
{
    int result = 0;
    socklen_t length = sizeof(result);
    struct sockaddr_storage peer;
    socklen_t peer_length = sizeof(peer);
    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &result, &length) != 0)
        return SMTP_STREAM_FAILED;
    if (result != 0) {
        errno = result;
        return SMTP_STREAM_FAILED;
    }
    if (getpeername(stream->fd, (struct sockaddr *)&peer, &peer_length) != 0) {
        event_add(stream->write_event, NULL);
        return SMTP_STREAM_WAIT;
    }
    event_add(stream->read_event, NULL);
    return SMTP_STREAM_DONE;
}

/* What a TLS call that did not succeed means; a wish to write is seen to here. */
static enum smtp_stream_result tls_result(struct smtp_stream *stream, int returned)
{
    int saved = errno;
    switch (SSL_get_error(stream->ssl, returned)) {
    case SSL_ERROR_WANT_WRITE:
        event_add(stream->write_event, NULL);
        return SMTP_STREAM_WAIT;
    case SSL_ERROR_WANT_READ:
        return SMTP_STREAM_WAIT;
    case SSL_ERROR_ZERO_RETURN:
        return SMTP_STREAM_CLOSED;
    case SSL_ERROR_SYSCALL:
        errno = saved;
        return SMTP_STREAM_FAILED;
    default:
        ERR_clear_error();
        errno = 0;
        return SMTP_STREAM_FAILED;
    }
}

static enum smtp_stream_result read_clear(struct smtp_stream *stream, size_t room, size_t *count)
{
    ssize_t got = recv(stream->fd, stream->input + stream->input_end, room, 0);
    if (got == 0)
        return SMTP_STREAM_CLOSED;
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? SMTP_STREAM_WAIT : SMTP_STREAM_FAILED;
    *count = (size_t)got;
    return SMTP_STREAM_DONE;
}

static enum smtp_stream_result read_tls(struct smtp_stream *stream, size_t room, size_t *count)
{
    ERR_clear_error();
    int result = SSL_read_ex(stream->ssl, stream->input + stream->input_end, room, count);
    return result == 1 ? SMTP_STREAM_DONE : tls_result(stream, result);
}

enum smtp_stream_result smtp_stream_read(struct smtp_stream *stream)
{
    size_t count = 0;
    if (stream->input_start > 0) {
        memmove(stream->input, stream->input + stream->input_start,
                stream->input_end - stream->input_start);
        stream->input_end -= stream->input_start;
        stream->input_start = 0;
    }
    size_t room = sizeof(stream->input) - stream->input_end;
    if (room == 0)
        return SMTP_STREAM_DONE;
    enum smtp_stream_result result =
        stream->ssl ? read_tls(stream, room, &count) : read_clear(stream, room, &count);
    stream->input_end += count;
    return result;
}

static enum smtp_stream_result write_some(struct smtp_stream *stream, const char *data,
                                          size_t length, size_t *count)
{
    if (stream->ssl) {
        ERR_clear_error();
        int result = SSL_write_ex(stream->ssl, data, length, count);
        return result == 1 ? SMTP_STREAM_DONE : tls_result(stream, result);
    }
    ssize_t sent = send(stream->fd, data, length, MSG_NOSIGNAL);
    if (sent >= 0) {
        *count = (size_t)sent;
        return SMTP_STREAM_DONE;
    }
    if (errno != EAGAIN && errno != EINTR)
        return SMTP_STREAM_FAILED;
    event_add(stream->write_event, NULL);
    return SMTP_STREAM_WAIT;
}

enum smtp_stream_result smtp_stream_flush(struct smtp_stream *stream)
{
    while (stream->output_sent < stream->output.length) {
        size_t count = 0;
        enum smtp_stream_result result =
            write_some(stream, stream->output.data + stream->output_sent,
                       stream->output.length - stream->output_sent, &count);
        if (result != SMTP_STREAM_DONE)
            return result;
        stream->output_sent += count;
    }
    stream->output_sent = 0;
    if (stream->output.capacity > OUTPUT_KEPT)
        buffer_free(&stream->output);
    else
        buffer_clear(&stream->output);
    return SMTP_STREAM_DONE;
}

const char *smtp_stream_line(struct smtp_stream *stream, size_t *length, bool *full)
{
    const char *start = stream->input + stream->input_start;
    size_t there = stream->input_end - stream->input_start;
    const char *end = memchr(start, '\n', there);
    *full = !end && there == sizeof(stream->input);
    if (!end)
        return NULL;
    *length = (size_t)(end - start);
    stream->input_start += *length + 1;
    if (*length > 0 && start[*length - 1] == '\r')
        (*length)--;
    return start;
}

size_t smtp_stream_waiting(const struct smtp_stream *stream)
{
    return stream->output.length - stream->output_sent;
}

void smtp_stream_wake(struct smtp_stream *stream)
{
    event_active(stream->write_event, EV_WRITE, 0);
}

bool smtp_stream_start_tls(struct smtp_stream *stream, SSL *ssl)
{
    stream->ssl = ssl;
    if (SSL_set_fd(stream->ssl, stream->fd) != 1) {
        ERR_clear_error();
        return false;
    }
    SSL_set_mode(stream->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_connect_state(stream->ssl);
    return true;
}

enum smtp_stream_result smtp_stream_handshake(struct smtp_stream *stream)
{
    ERR_clear_error();
    int result = SSL_do_handshake(stream->ssl);
    return result == 1 ? SMTP_STREAM_DONE : tls_result(stream, result);
}
