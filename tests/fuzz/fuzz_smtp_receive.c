/* libFuzzer: the content of a message, cut into pieces as the network likes. It must end at the
 * same place and have the same fault and body as the content in one piece, and what is accepted
 * must hold no line end but CRLF. The first byte chooses DATA or BDAT, the second the pieces. */
#include "scanner/mta/smtp_receive.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct queue_log *queue_log_of(struct queue *queue)
{
    (void)queue;
    return NULL;
}

int queue_log_large_open(struct queue_log *log, struct error *error)
{
    (void)log;
    (void)error;
    return memfd_create("large", MFD_CLOEXEC);
}

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Feeds the content in pieces of `piece` bytes; returns how much was used. */
static size_t feed(struct smtp_receive *receive, const char *content, size_t size, size_t piece,
                   bool dotted, bool *ended)
{
    size_t used = 0;
    /* Any non-null place stands for the queue: the doubles do not look at it. */
    smtp_receive_begin(receive, (struct queue *)receive, "", 4096, 0, dotted);
    *ended = false;
    while (used < size && !*ended) {
        size_t length = size - used < piece ? size - used : piece;
        char *exact = malloc(length);
        memcpy(exact, content + used, length);
        used += smtp_receive_data(receive, exact, length, ended);
        free(exact);
    }
    smtp_receive_finish(receive);
    return used;
}

static void check_lines(const struct buffer *body)
{
    for (size_t i = 0; i < body->length; i++) {
        bool cr = i > 0 && body->data[i - 1] == '\r';
        check(body->data[i] != '\0' && (body->data[i] == '\n') == cr);
    }
    check(body->length == 0 || body->data[body->length - 1] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_receive whole, pieces;
    bool whole_ended, pieces_ended;
    if (size < 2 || size > 8192)
        return 0;
    bool dotted = data[0] & 1;
    const char *content = (const char *)data + 2;
    size_t used = feed(&whole, content, size - 2, size, dotted, &whole_ended);
    size_t again = feed(&pieces, content, size - 2, data[1] % 16 + 1u, dotted, &pieces_ended);
    check(used == again && whole_ended == pieces_ended && whole.fault == pieces.fault);
    check(whole.body.length == pieces.body.length);
    check(!whole.body.length || memcmp(whole.body.data, pieces.body.data, whole.body.length) == 0);
    if (whole.fault == SMTP_RECEIVE_FINE && (whole_ended || !dotted))
        check_lines(&whole.body);
    if (whole_ended)
        check(used >= 3 && memcmp(content + used - 3, ".\r\n", 3) == 0 &&
              (used == 3 || memcmp(content + used - 5, "\r\n", 2) == 0));
    smtp_receive_drop(&whole);
    smtp_receive_drop(&pieces);
    return 0;
}
