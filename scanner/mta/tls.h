/* TLS of the SMTP servers: the certificate that clients see, and a socket that goes over from clear
 * text to TLS (RFC 3207, RFC 8314). */
#ifndef GATEHOUSE_SCANNER_MTA_TLS_H
#define GATEHOUSE_SCANNER_MTA_TLS_H

#include "common/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* --- the certificate --- */

struct tls_context;

/* From PEM text: the certificate with its chain after it, and its private key. TLS 1.2 and later.
 * NULL with *error (ERROR_INVALID; never with a part of the key) where they do not fit together.
 * The caller has the first reference. */
struct tls_context *tls_context_new(const char *certificate, const char *key, struct error *error);
struct tls_context *tls_context_take(struct tls_context *context);
/* The last one frees it; sessions in TLS go on. NULL is allowed. */
void tls_context_drop(struct tls_context *context);
/* Whether it was made from exactly these texts. */
bool tls_context_is(const struct tls_context *context, const char *certificate, const char *key);

/* --- a non-blocking socket, in clear or in TLS --- */

struct tls_stream {
    int fd;
    SSL *ssl; /* NULL: in clear */
    /* What the last call that returned TLS_STREAM_WAIT waits for. */
    bool wants_write;
};

#define TLS_STREAM_END 0     /* the peer sends nothing more */
#define TLS_STREAM_WAIT (-1) /* the socket is not ready */
#define TLS_STREAM_BROKEN (-2)

/* Each returns the count of bytes, or one of the above. */
ssize_t tls_stream_read(struct tls_stream *stream, void *data, size_t length);
ssize_t tls_stream_write(struct tls_stream *stream, const void *data, size_t length);

/* Begins TLS as a server; what comes from now on is the handshake. False where memory ran out. */
bool tls_stream_start(struct tls_stream *stream, struct tls_context *context);
/* Goes on with the handshake: 1 when it is done, TLS_STREAM_WAIT or TLS_STREAM_BROKEN. */
int tls_stream_handshake(struct tls_stream *stream);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384" into text; returns text, NULL in clear. */
const char *tls_stream_describe(const struct tls_stream *stream, char *text, size_t size);

/* Tells the peer that nothing more will be sent. */
void tls_stream_end(struct tls_stream *stream);
void tls_stream_close(struct tls_stream *stream);

#endif
