#include "scanner/mta/queue_log_private.h"

#include "scanner/mta/crc32c.h"
#include "scanner/mta/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SEGMENT_LEAST (4u << 20)

void queue_log_segment_name(char name[32], uint64_t id)
{
    snprintf(name, 32, "log-%016" PRIx64, id);
}

static void prepared_name(char name[40], uint64_t id)
{
    snprintf(name, 40, "log-%016" PRIx64 ".new", id);
}

/* Whether there is room is asked before it is taken: an attempt that fails would fill the disk for
 * a moment, which others would feel. */
static int allocate_bytes(int fd, uint64_t bytes)
{
    struct statvfs status;
    if (fstatvfs(fd, &status) == 0 && bytes > (uint64_t)status.f_bavail * status.f_frsize)
        return ENOSPC;
    int problem = posix_fallocate(fd, 0, (off_t)bytes);
    if (problem != 0 && ftruncate(fd, 0) != 0)
        return errno;
    return problem;
}

/* As many bytes as wanted, or a quarter of them, and so on, down to `least`. */
static bool allocate(int fd, uint64_t wanted, uint64_t least, uint64_t *size)
{
    for (uint64_t bytes = wanted;; bytes = bytes / 4 > least ? bytes / 4 : least) {
        errno = allocate_bytes(fd, bytes);
        if (errno == 0) {
            *size = bytes;
            return true;
        }
        if ((errno != ENOSPC && errno != EDQUOT) || bytes <= least)
            return false;
    }
}

struct queue_segment *queue_log_segment_prepare(struct queue_log *log, uint64_t id, uint64_t least,
                                                struct error *error)
{
    char name[40];
    prepared_name(name, id);
    int fd = openat(log->folder_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct queue_segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        abort();
    segment->id = id;
    segment->fd = fd;
    least += sizeof(struct log_segment_header);
    uint64_t usual_least = SEGMENT_LEAST < log->segment_bytes ? SEGMENT_LEAST : log->segment_bytes;
    if (least < usual_least)
        least = usual_least;
    uint64_t wanted = least > log->segment_bytes ? least : log->segment_bytes;
    fault_point("segment.allocate");
    if (fd >= 0 && allocate(fd, log_align(wanted), log_align(least), &segment->size))
        return segment;
    error_set_errno(error, log->folder, "cannot allocate a queue segment");
    queue_log_segment_discard(log, segment);
    return NULL;
}

bool queue_log_segment_begin(struct queue_log *log, struct queue_segment *segment,
                             uint64_t first_seq, struct error *error)
{
    char from[40], name[32];
    struct log_segment_header header = {.magic = LOG_SEGMENT_MAGIC,
                                        .id = segment->id,
                                        .first_seq = first_seq,
                                        .size = segment->size};
    if (getrandom(&header.key, sizeof header.key, 0) != (ssize_t)sizeof header.key)
        return error_set_errno(error, log->folder, "no random numbers");
    memcpy(header.stream, log->stream, sizeof header.stream);
    header.crc = crc32c(0, &header, offsetof(struct log_segment_header, crc));
    prepared_name(from, segment->id);
    queue_log_segment_name(name, segment->id);
    fault_point("segment.header");
    if (pwrite(segment->fd, &header, sizeof header, 0) != (ssize_t)sizeof header ||
        fsync(segment->fd) != 0)
        return error_set_errno(error, log->folder, "cannot write a queue segment");
    fault_point("segment.rename");
    if (renameat(log->folder_fd, from, log->folder_fd, name) != 0 || fsync(log->folder_fd) != 0)
        return error_set_errno(error, log->folder, "cannot name a queue segment");
    fault_point("segment.begun");
    segment->key = header.key;
    segment->first_seq = first_seq;
    segment->last_seq = first_seq - 1;
    segment->used = sizeof header;
    return true;
}

void queue_log_segment_free(struct queue_segment *segment)
{
    if (!segment)
        return;
    if (segment->fd >= 0)
        close(segment->fd);
    free(segment);
}

void queue_log_segment_discard(struct queue_log *log, struct queue_segment *segment)
{
    char name[40];
    if (!segment)
        return;
    prepared_name(name, segment->id);
    unlinkat(log->folder_fd, name, 0);
    queue_log_segment_free(segment);
}
