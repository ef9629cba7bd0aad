/* A non-blocking TCP connection with its buffers, in clear and then perhaps in TLS. Private to
 * smtp_client*.c. */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_CLIENT_STREAM_H
#define GATEHOUSE_SCANNER_MTA_SMTP_CLIENT_STREAM_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/ip.h"

#include <event2/event.h>
#include <openssl/ssl.h>
#include <stddef.h>

#define SMTP_STREAM_INPUT 4096 /* also the longest line that a peer may send */

struct smtp_stream {
    int fd;
    SSL *ssl;
    struct event *read_event, *write_event;
    struct buffer output;
    size_t output_sent;
    char input[SMTP_STREAM_INPUT];
    size_t input_start, input_end;
};

enum smtp_stream_result {
    SMTP_STREAM_DONE,   /* something was read; all was written; the handshake is over */
    SMTP_STREAM_WAIT,   /* the event comes when there is more to do */
    SMTP_STREAM_CLOSED, /* by the peer, in order */
    SMTP_STREAM_FAILED, /* errno says why; 0: TLS */
};

/* Begins to connect; `event` is called whenever the socket became readable or writable. */
bool smtp_stream_open(struct smtp_stream *stream, struct event_base *base,
                      const struct ip_address *address, uint16_t port, event_callback_fn event,
                      void *argument, struct error *error);
void smtp_stream_close(struct smtp_stream *stream);
/* Whether the connection was made, after the first event. */
enum smtp_stream_result smtp_stream_connected(struct smtp_stream *stream);
enum smtp_stream_result smtp_stream_read(struct smtp_stream *stream);
enum smtp_stream_result smtp_stream_flush(struct smtp_stream *stream);
/* The next line of the input without its line end, or NULL. Borrowed until the next read. `*full`:
 * no line end stands in a full buffer. */
const char *smtp_stream_line(struct smtp_stream *stream, size_t *length, bool *full);
/* Bytes that wait to be written. */
size_t smtp_stream_waiting(const struct smtp_stream *stream);
/* Has the loop call `event` soon. */
void smtp_stream_wake(struct smtp_stream *stream);
/* Goes over to TLS with `ssl` (taken over); then smtp_stream_handshake until it is done. */
bool smtp_stream_start_tls(struct smtp_stream *stream, SSL *ssl);
enum smtp_stream_result smtp_stream_handshake(struct smtp_stream *stream);

#endif
