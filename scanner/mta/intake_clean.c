#include "scanner/mta/intake_private.h"

#include "common/file.h"

#include <sys/stat.h>
#include <unistd.h>

#define CLEAN_PIECE (1u << 20) /* bytes of a clean file that are read at once */

/* Reads the clean file, which a worker may still write to: what was read once is what counts. */
static bool read_pieces(int from, uint64_t size, int large, struct buffer *body,
                        struct error *error)
{
    uint64_t at = 0;
    while (at < size) {
        size_t piece = size - at < CLEAN_PIECE ? (size_t)(size - at) : CLEAN_PIECE;
        char *into = buffer_reserve(body, piece);
        ssize_t count = into ? pread(from, into, piece, (off_t)at) : -1;
        if (count == 0)
            return error_set(error, ERROR_PROTOCOL, "engine", "the clean file ends early");
        if (count < 0)
            return error_set_errno(error, "clean file", "cannot be read");
        at += (uint64_t)count;
        if (large < 0)
            body->length += (size_t)count;
        else if (!file_write_all(large, into, (size_t)count, error))
            return false;
    }
    return true;
}

/* Of the size that was told; a repacked archive may be larger than the one that came. */
static bool is_likely(int cleaned, json_int_t told, uint64_t size, struct error *error)
{
    struct stat status;
    if (cleaned < 0 || fstat(cleaned, &status) != 0 || !S_ISREG(status.st_mode))
        return error_set(error, ERROR_PROTOCOL, "engine", "there is no clean file");
    if (told <= 0 || status.st_size != told || (uint64_t)told > 2 * size + CLEAN_PIECE)
        return error_set(error, ERROR_PROTOCOL, "engine", "the clean file has no likely size");
    return true;
}

bool intake_take_cleaned(struct queue *queue, const json_t *result, int cleaned, uint64_t size,
                         struct queue_draft *draft, struct error *error)
{
    struct buffer body = BUFFER_INIT;
    json_int_t told =
        json_integer_value(json_object_get(json_object_get(result, "cleaned"), "size"));
    int large = -1;
    if (!is_likely(cleaned, told, size, error))
        return false;
    if (!queue_has_space(queue, (uint64_t)told))
        return error_set(error, ERROR_NO_SPACE, "queue", "has no room for a clean message");
    if (told > QUEUE_LOG_INLINE_LIMIT &&
        (large = queue_log_large_open(queue_log_of(queue), error)) < 0)
        return false;
    bool taken = read_pieces(cleaned, (uint64_t)told, large, &body, error);
    if (large >= 0 || !taken)
        buffer_free(&body);
    if (!taken) {
        if (large >= 0)
            close(large);
        return false;
    }
    buffer_free(&draft->body);
    if (draft->large_fd >= 0)
        close(draft->large_fd);
    draft->body = body;
    draft->large_fd = large;
    draft->large_length = large >= 0 ? (uint64_t)told : 0;
    return true;
}
