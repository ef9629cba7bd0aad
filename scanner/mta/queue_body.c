/* Reading stored bodies. */
#include "scanner/mta/queue_private.h"

#include "common/file.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static ssize_t read_at(int fd, void *data, size_t length, uint64_t offset)
{
    ssize_t count;
    do
        count = pread(fd, data, length, (off_t)offset);
    while (count < 0 && errno == EINTR);
    return count;
}

static int open_large(struct queue *queue, const struct queue_message *message, struct error *error)
{
    int fd = queue_log_large_read(queue->log, &message->id);
    if (fd < 0)
        error_set_errno(error, queue->folder, "cannot open a large body");
    return fd;
}

long queue_read_body(struct queue *queue, const struct queue_message *message, uint64_t offset,
                     void *data, size_t length, struct error *error)
{
    if (message->removed) {
        error_set(error, ERROR_NOT_FOUND, queue->folder, "the message is gone");
        return -1;
    }
    if (offset >= message->body_length)
        return 0;
    if (length > message->body_length - offset)
        length = (size_t)(message->body_length - offset);
    int fd = message->large ? open_large(queue, message, error) : message->segment->fd;
    if (fd < 0)
        return -1;
    ssize_t count = read_at(fd, data, length, message->body_offset + offset);
    if (count < 0)
        error_set_errno(error, queue->folder, "cannot read a body");
    else if (count == 0)
        error_set(error, ERROR_IO, queue->folder, "a body is shorter than it was");
    if (message->large)
        close(fd);
    return count > 0 ? (long)count : -1;
}

static bool copy_body(struct queue *queue, const struct queue_message *message, int fd,
                      struct error *error)
{
    size_t length = (size_t)message->body_length;
    if (ftruncate(fd, (off_t)length) != 0)
        return error_set_errno(error, queue->folder, "no memory for a body");
    if (!length)
        return true;
    char *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return error_set_errno(error, queue->folder, "no memory for a body");
    bool good = true;
    for (size_t at = 0; good && at < length;) {
        long count = queue_read_body(queue, message, at, map + at, length - at, error);
        good = count > 0;
        at += good ? (size_t)count : 0;
    }
    munmap(map, length);
    return good;
}

int queue_body_descriptor(struct queue *queue, const struct queue_message *message,
                          struct error *error)
{
    if (message->large && !message->removed)
        return open_large(queue, message, error);
    int fd = file_memory_open("body", error);
    if (fd < 0 || (copy_body(queue, message, fd, error) && file_memory_seal(fd, error)))
        return fd;
    close(fd);
    return -1;
}
