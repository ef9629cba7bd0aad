/* The content of one message on its way in, after DATA or in chunks of BDAT.
 *
 * End of data is CRLF "." CRLF and nothing else. A line feed or carriage return that stands alone
 * is content that other software reads as a line end: a message within a message ("SMTP
 * smuggling"). Such content is swallowed to its real end and then refused; it is never repaired,
 * since a repaired message has lost its DKIM signature and its sender's meaning.
 *
 * Lines may have 64 KiB: more than RFC 5321's 1000 bytes, which much real mail breaks. NUL is
 * refused: RFC 5322 forbids to make it, and readers of C strings end there.
 *
 * Up to QUEUE_LOG_INLINE_LIMIT bytes stay in memory, a larger body is an unnamed file beside the
 * queue log. */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_RECEIVE_H
#define GATEHOUSE_SCANNER_MTA_SMTP_RECEIVE_H

#include "common/buffer.h"
#include "scanner/mta/queue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMTP_RECEIVE_LINE_LIMIT 65536
#define SMTP_RECEIVE_HOPS                                                                          \
    50 /* more Received fields than this are a loop (RFC 5321 section 6.3)                         \
        */

/* Why the message cannot be taken; the first fault counts. */
enum smtp_receive_fault {
    SMTP_RECEIVE_FINE,
    SMTP_RECEIVE_BARE_LF,
    SMTP_RECEIVE_BARE_CR,
    SMTP_RECEIVE_NUL,
    SMTP_RECEIVE_LONG_LINE,
    SMTP_RECEIVE_TOO_LARGE,
    SMTP_RECEIVE_LOOP,
    SMTP_RECEIVE_LARGE_HEADER, /* of which something is to be changed */
    SMTP_RECEIVE_NO_SPACE,
    SMTP_RECEIVE_NO_STORAGE, /* the file beside the queue log failed */
};

enum smtp_receive_place {
    SMTP_RECEIVE_LINE_START,
    SMTP_RECEIVE_IN_LINE,
    SMTP_RECEIVE_CR,     /* after a carriage return */
    SMTP_RECEIVE_DOT,    /* after a dot that begins a line */
    SMTP_RECEIVE_DOT_CR, /* and a carriage return after it */
};

struct smtp_receive {
    struct queue *queue;
    uint64_t limit;
    uint64_t size; /* bytes of content so far, what was refused included */
    enum smtp_receive_fault fault;
    enum smtp_receive_place place;
    bool dotted; /* DATA, not BDAT */
    bool in_header;
    size_t line_length;
    char line_head[12]; /* the first bytes of the line, for the names of header fields */
    unsigned hops;
    struct buffer body; /* where it became large: bytes that wait to be written */
    int large_fd;
    uint64_t large_length;
    void (*header_done)(void *argument, struct buffer *body);
    void *header_argument;
};

/* Begins a message: `trace` goes before the content and does not count as such. `limit` is in bytes
 * of content, `expected` a hint (0: none). `dotted` for DATA. */
void smtp_receive_begin(struct smtp_receive *receive, struct queue *queue, const char *trace,
                        uint64_t limit, uint64_t expected, bool dotted);

/* `done` may change the header of the message: it is called once, when the header is complete (the
 * trace before it included) and stands in `body`, maybe with the empty line behind it. A header of
 * more than QUEUE_LOG_INLINE_LIMIT bytes is then a fault. Call it after smtp_receive_begin. */
void smtp_receive_on_header(struct smtp_receive *receive,
                            void (*done)(void *argument, struct buffer *body), void *argument);

/* Takes content off the start of `data` and returns how many bytes were used: all of them, or for a
 * dotted message those up to its end, which sets *ended. */
size_t smtp_receive_data(struct smtp_receive *receive, const char *data, size_t length,
                         bool *ended);

/* Call at the end; gives the content its last CRLF where a BDAT client left it out. Afterwards
 * `fault` says whether the message may be handed on. */
void smtp_receive_finish(struct smtp_receive *receive);

/* Moves the body into the draft; the receiver is empty afterwards. */
void smtp_receive_take(struct smtp_receive *receive, struct queue_draft *draft);

/* Gives the memory and the file back; allowed at any time on a zeroed or begun receiver. */
void smtp_receive_drop(struct smtp_receive *receive);

/* The reply for a fault, "552 5.3.4 ...". */
const char *smtp_receive_reply(enum smtp_receive_fault fault);

/* Private to smtp_receive*.c: stores bytes of content; tells that the header is complete; writes
 * what waits for the file. Each may set `fault`. */
void smtp_receive_store(struct smtp_receive *receive, const char *data, size_t length);
void smtp_receive_end_header(struct smtp_receive *receive);
void smtp_receive_flush(struct smtp_receive *receive);

#endif
