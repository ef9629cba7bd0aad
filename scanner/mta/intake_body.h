/* The text of a message on its way from one place to the next: what came, or what an engine worker
 * wrote. */
#ifndef GATEHOUSE_SCANNER_MTA_INTAKE_BODY_H
#define GATEHOUSE_SCANNER_MTA_INTAKE_BODY_H

#include "common/buffer.h"
#include "common/error.h"
#include "scanner/mta/queue.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* In memory up to QUEUE_LOG_INLINE_LIMIT bytes, else an unnamed file beside the queue log. */
struct intake_body {
    struct buffer memory;
    int large_fd; /* -1: in memory */
    uint64_t length;
    bool is_borrowed; /* it is not freed with this */
};
#define INTAKE_BODY_INIT                                                                           \
    {                                                                                              \
        .large_fd = -1                                                                             \
    }

/* Reads the whole of a file that a worker wrote: what was read once is what counts. `most` bytes
 * are likely. False with *error: ERROR_PROTOCOL where there is no such file, else what is wrong
 * lies with this host. */
bool intake_body_read(struct queue *queue, int fd, uint64_t most, struct intake_body *body,
                      struct error *error);
/* The same for the clean file of a message of `size` bytes, which has the size that the result
 * says. */
bool intake_body_read_cleaned(struct queue *queue, const json_t *result, int cleaned, uint64_t size,
                              struct intake_body *body, struct error *error);
/* Gives the draft the body for its own, which is empty afterwards. */
void intake_body_move(struct intake_body *body, struct queue_draft *draft);
/* Gives the draft a copy with text before and behind it (NULL: none). */
bool intake_body_copy(struct queue *queue, const struct intake_body *body,
                      const struct buffer *before, const char *behind, struct queue_draft *draft,
                      struct error *error);
/* Reads up to `length` bytes from the start; the count. */
size_t intake_body_start(const struct intake_body *body, char *to, size_t length);
void intake_body_free(struct intake_body *body);

#endif
