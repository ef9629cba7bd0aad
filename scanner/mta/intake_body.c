#include "scanner/mta/intake_body.h"

#include "common/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (1u << 20) /* bytes of a file that are read at once */

/* --- writing --- */

/* Where the pieces of a new body go. */
struct writer {
    struct intake_body *body;
    struct error *error;
};

static bool begin(struct queue *queue, uint64_t length, struct writer *writer)
{
    struct intake_body *body = writer->body;
    *body = (struct intake_body){.large_fd = -1, .length = length};
    if (!queue_has_space(queue, length))
        return error_set(writer->error, ERROR_NO_SPACE, "queue", "has no room for a message");
    if (length <= QUEUE_LOG_INLINE_LIMIT)
        return true;
    body->large_fd = queue_log_large_open(queue_log_of(queue), writer->error);
    return body->large_fd >= 0;
}

static bool add(struct writer *writer, const char *data, size_t length)
{
    if (writer->body->large_fd >= 0)
        return file_write_all(writer->body->large_fd, data, length, writer->error);
    return buffer_add(&writer->body->memory, data, length) ||
           error_set(writer->error, ERROR_INTERNAL, NULL, "out of memory");
}

static bool add_file(struct writer *writer, int from, uint64_t length)
{
    struct buffer piece = BUFFER_INIT;
    uint64_t at = 0;
    bool good = true;
    while (good && at < length) {
        size_t most = length - at < PIECE ? (size_t)(length - at) : PIECE;
        char *into = buffer_reserve(&piece, most);
        ssize_t count = into ? pread(from, into, most, (off_t)at) : -1;
        if (count < 0 && errno == EINTR)
            continue;
        if (count == 0)
            good = error_set(writer->error, ERROR_PROTOCOL, "engine", "the clean file ends early");
        else if (count < 0)
            good = error_set_errno(writer->error, "a message's file", "cannot be read");
        else
            good = add(writer, into, (size_t)count);
        at += count > 0 ? (uint64_t)count : 0;
    }
    buffer_free(&piece);
    return good;
}

/* --- what a worker wrote --- */

static bool is_likely(int fd, uint64_t most, struct stat *status, struct error *error)
{
    if (fd < 0 || fstat(fd, status) != 0 || !S_ISREG(status->st_mode))
        return error_set(error, ERROR_PROTOCOL, "engine", "there is no file of the new message");
    return (status->st_size > 0 && (uint64_t)status->st_size <= most) ||
           error_set(error, ERROR_PROTOCOL, "engine", "the new message has no likely size");
}

static bool read_whole(struct queue *queue, int fd, uint64_t length, struct intake_body *body,
                       struct error *error)
{
    struct writer writer = {body, error};
    if (begin(queue, length, &writer) && add_file(&writer, fd, length))
        return true;
    intake_body_free(body);
    return false;
}

bool intake_body_read(struct queue *queue, int fd, uint64_t most, struct intake_body *body,
                      struct error *error)
{
    struct stat status;
    return is_likely(fd, most, &status, error) &&
           read_whole(queue, fd, (uint64_t)status.st_size, body, error);
}

bool intake_body_read_cleaned(struct queue *queue, const json_t *result, int cleaned, uint64_t size,
                              struct intake_body *body, struct error *error)
{
    const json_t *told = json_object_get(json_object_get(result, "cleaned"), "size");
    struct stat status;
    /* A repacked archive may be larger than the one that came. */
    if (!is_likely(cleaned, 2 * size + PIECE, &status, error))
        return false;
    if (status.st_size != json_integer_value(told))
        return error_set(error, ERROR_PROTOCOL, "engine",
                         "the clean file has another size than was told");
    return read_whole(queue, cleaned, (uint64_t)status.st_size, body, error);
}

/* --- drafts --- */

void intake_body_move(struct intake_body *body, struct queue_draft *draft)
{
    draft->body = body->memory;
    draft->large_fd = body->large_fd;
    draft->large_length = body->large_fd >= 0 ? body->length : 0;
    *body = (struct intake_body)INTAKE_BODY_INIT;
}

bool intake_body_copy(struct queue *queue, const struct intake_body *body,
                      const struct buffer *before, const char *behind, struct queue_draft *draft,
                      struct error *error)
{
    struct intake_body copy = INTAKE_BODY_INIT;
    struct writer writer = {&copy, error};
    size_t head = before ? before->length : 0, tail = behind ? strlen(behind) : 0;
    bool good = begin(queue, body->length + head + tail, &writer) &&
                (!before || add(&writer, before->data, head)) &&
                (body->large_fd >= 0 ? add_file(&writer, body->large_fd, body->length)
                                     : add(&writer, body->memory.data, body->memory.length)) &&
                (!behind || add(&writer, behind, tail));
    if (good)
        intake_body_move(&copy, draft);
    else
        intake_body_free(&copy);
    return good;
}

size_t intake_body_start(const struct intake_body *body, char *to, size_t length)
{
    if (length > body->length)
        length = (size_t)body->length;
    if (body->large_fd < 0) {
        memcpy(to, body->memory.data, length);
        return length;
    }
    ssize_t count = pread(body->large_fd, to, length, 0);
    return count > 0 ? (size_t)count : 0;
}

void intake_body_free(struct intake_body *body)
{
    if (!body->is_borrowed)
        buffer_free(&body->memory);
    if (!body->is_borrowed && body->large_fd >= 0)
        close(body->large_fd);
    *body = (struct intake_body)INTAKE_BODY_INIT;
}
