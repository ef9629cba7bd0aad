/* Reading and writing of a socket in clear or in TLS. */
#include "scanner/mta/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t result_in_clear(ssize_t count, bool writing, struct tls_stream *stream)
{
    if (count >= 0)
        return count;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return TLS_STREAM_BROKEN;
    stream->wants_write = writing;
    return TLS_STREAM_WAIT;
}

static ssize_t result_in_tls(struct tls_stream *stream, int result)
{
    if (result > 0)
        return result;
    int reason = SSL_get_error(stream->ssl, result);
    ERR_clear_error();
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        stream->wants_write = reason == SSL_ERROR_WANT_WRITE;
        return TLS_STREAM_WAIT;
    }
    return reason == SSL_ERROR_ZERO_RETURN ? TLS_STREAM_END : TLS_STREAM_BROKEN;
}

static int tls_length(size_t length)
{
    return length > INT_MAX ? INT_MAX : (int)length;
}

ssize_t tls_stream_read(struct tls_stream *stream, void *data, size_t length)
{
    if (stream->ssl)
        return result_in_tls(stream, SSL_read(stream->ssl, data, tls_length(length)));
    ssize_t count;
    do {
        count = recv(stream->fd, data, length, 0);
    } while (count < 0 && errno == EINTR);
    return result_in_clear(count, false, stream);
}

ssize_t tls_stream_write(struct tls_stream *stream, const void *data, size_t length)
{
    if (stream->ssl)
        return result_in_tls(stream, SSL_write(stream->ssl, data, tls_length(length)));
    ssize_t count;
    do {
        count = send(stream->fd, data, length, MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    return result_in_clear(count, true, stream);
}

int tls_stream_handshake(struct tls_stream *stream)
{
    ssize_t result = result_in_tls(stream, SSL_do_handshake(stream->ssl));
    return result == TLS_STREAM_END ? TLS_STREAM_BROKEN : (int)result;
}

const char *tls_stream_describe(const struct tls_stream *stream, char *text, size_t size)
{
    if (!stream->ssl)
        return NULL;
    snprintf(text, size, "%s %s", SSL_get_version(stream->ssl), SSL_get_cipher_name(stream->ssl));
    return text;
}

void tls_stream_end(struct tls_stream *stream)
{
    if (stream->ssl && SSL_is_init_finished(stream->ssl)) {
        SSL_shutdown(stream->ssl);
        ERR_clear_error();
    }
    shutdown(stream->fd, SHUT_WR);
}

void tls_stream_close(struct tls_stream *stream)
{
    SSL_free(stream->ssl);
    if (stream->fd >= 0)
        close(stream->fd);
    *stream = (struct tls_stream){.fd = -1};
}
