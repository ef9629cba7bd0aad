/* Where the content goes: memory, then a file beside the queue log. */
#include "scanner/mta/smtp_receive.h"

#include "common/file.h"
#include "common/log.h"

#include <string.h>
#include <unistd.h>

#define WRITE_BYTES (256u << 10) /* of a large body, in one write */
#define HINT_LIMIT (64u << 10)   /* what a declared size may reserve before it has come */

void smtp_receive_begin(struct smtp_receive *receive, struct queue *queue, const char *trace,
                        uint64_t limit, uint64_t expected, bool dotted)
{
    size_t hint = expected < HINT_LIMIT ? (size_t)expected : HINT_LIMIT;
    *receive = (struct smtp_receive){.queue = queue,
                                     .limit = limit,
                                     .dotted = dotted,
                                     .in_header = true,
                                     .place = SMTP_RECEIVE_LINE_START,
                                     .large_fd = -1};
    buffer_reserve(&receive->body, strlen(trace) + hint);
    buffer_add_text(&receive->body, trace);
}

/* What is refused anyway need not be kept. */
static void discard(struct smtp_receive *receive)
{
    buffer_free(&receive->body);
    if (receive->large_fd >= 0)
        close(receive->large_fd);
    receive->large_fd = -1;
}

static void fail(struct smtp_receive *receive, const struct error *error)
{
    char text[700];
    log_error("a message cannot be stored: %s", error_text(error, text, sizeof(text)));
    receive->fault =
        error->code == ERROR_NO_SPACE ? SMTP_RECEIVE_NO_SPACE : SMTP_RECEIVE_NO_STORAGE;
    discard(receive);
}

static void write_out(struct smtp_receive *receive)
{
    struct error error = {0};
    if (receive->large_fd < 0)
        receive->large_fd = queue_log_large_open(queue_log_of(receive->queue), &error);
    if (receive->large_fd < 0 ||
        !file_write_all(receive->large_fd, receive->body.data, receive->body.length, &error)) {
        fail(receive, &error);
        return;
    }
    receive->large_length += receive->body.length;
    buffer_clear(&receive->body);
}

static void fail_large_header(struct smtp_receive *receive)
{
    receive->fault = SMTP_RECEIVE_LARGE_HEADER;
    discard(receive);
}

void smtp_receive_store(struct smtp_receive *receive, const char *data, size_t length)
{
    receive->size += length;
    if (receive->fault == SMTP_RECEIVE_FINE && receive->size > receive->limit)
        receive->fault = SMTP_RECEIVE_TOO_LARGE;
    if (receive->fault != SMTP_RECEIVE_FINE) {
        discard(receive);
        return;
    }
    size_t most = receive->large_fd < 0 ? QUEUE_LOG_INLINE_LIMIT : WRITE_BYTES;
    if (receive->body.length + length > most && receive->in_header && receive->header_done)
        fail_large_header(receive);
    else if (receive->body.length + length > most)
        write_out(receive);
    if (receive->fault == SMTP_RECEIVE_FINE && !buffer_add(&receive->body, data, length))
        receive->fault = SMTP_RECEIVE_NO_STORAGE;
}

void smtp_receive_on_header(struct smtp_receive *receive,
                            void (*done)(void *argument, struct buffer *body), void *argument)
{
    receive->header_done = done;
    receive->header_argument = argument;
}

void smtp_receive_end_header(struct smtp_receive *receive)
{
    receive->in_header = false;
    if (!receive->header_done || receive->fault != SMTP_RECEIVE_FINE)
        return;
    receive->header_done(receive->header_argument, &receive->body);
    if (receive->body.failed)
        receive->fault = SMTP_RECEIVE_NO_STORAGE;
}

void smtp_receive_flush(struct smtp_receive *receive)
{
    if (receive->fault != SMTP_RECEIVE_FINE)
        return;
    /* A changed header may have made a message large that has no more to come. */
    if (receive->large_fd < 0 && receive->body.length <= QUEUE_LOG_INLINE_LIMIT)
        return;
    write_out(receive);
    buffer_free(&receive->body);
}

void smtp_receive_take(struct smtp_receive *receive, struct queue_draft *draft)
{
    draft->body = receive->body;
    draft->large_fd = receive->large_fd;
    draft->large_length = receive->large_length;
    *receive = (struct smtp_receive){.large_fd = -1};
}

void smtp_receive_drop(struct smtp_receive *receive)
{
    /* Zeroed means never begun: descriptor 0 is then not ours. */
    if (!receive->queue)
        receive->large_fd = -1;
    discard(receive);
    *receive = (struct smtp_receive){.large_fd = -1};
}
