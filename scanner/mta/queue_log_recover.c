#include "scanner/mta/queue_log_private.h"

#include "common/file.h"
#include "common/log.h"
#include "scanner/mta/crc32c.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define META_LIMIT (8u << 20)

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The ids of the segments on disk in order; unfinished ones (".new") are removed. */
static bool list_segments(struct queue_log *log, uint64_t **ids, size_t *count, struct error *error)
{
    DIR *folder = fdopendir(openat(log->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder)
        return error_set_errno(error, log->folder, "cannot list the queue folder");
    size_t capacity = 0;
    *ids = NULL;
    *count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        uint64_t id;
        int end = 0;
        if (sscanf(entry->d_name, "log-%16" SCNx64 "%n", &id, &end) != 1 || end != 20)
            continue;
        if (entry->d_name[end]) {
            unlinkat(log->folder_fd, entry->d_name, 0);
            continue;
        }
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            uint64_t *more = realloc(*ids, capacity * sizeof **ids);
            if (!more)
                abort();
            *ids = more;
        }
        (*ids)[(*count)++] = id;
    }
    closedir(folder);
    if (*count)
        qsort(*ids, *count, sizeof **ids, compare_ids);
    return true;
}

static bool header_plausible(const struct log_record_header *header,
                             const struct queue_segment *segment, uint64_t offset)
{
    if (header->magic != LOG_RECORD_MAGIC || header->segment != segment->id)
        return false;
    uint64_t inline_body = header->flags & LOG_FLAG_LARGE ? 0 : header->body_length;
    return header->meta_length <= META_LIMIT && header->events_length <= META_LIMIT &&
           inline_body <= segment->size &&
           offset + sizeof *header + header->meta_length + header->events_length + inline_body <=
               segment->size;
}

static uint32_t header_crc(const struct log_record_header *header, const void *meta,
                           const void *events)
{
    uint32_t crc = crc32c(0, (const char *)header + 8, sizeof *header - 8);
    crc = crc32c(crc, meta, header->meta_length);
    return crc32c(crc, events, header->events_length);
}

bool queue_log_record_read(const struct queue_segment *segment, uint64_t offset,
                           struct log_record_header *header, struct buffer *scratch)
{
    if (offset + sizeof *header > segment->size ||
        pread(segment->fd, header, sizeof *header, (off_t)offset) != (ssize_t)sizeof *header ||
        !header_plausible(header, segment, offset))
        return false;
    size_t length = (size_t)header->meta_length + header->events_length;
    buffer_clear(scratch);
    char *into = buffer_reserve(scratch, length + 1);
    if (!into ||
        pread(segment->fd, into, length, (off_t)(offset + sizeof *header)) != (ssize_t)length)
        return false;
    scratch->length = length;
    return header->crc == header_crc(header, into, into + header->meta_length);
}

struct walk {
    struct queue_log *log;
    struct queue_segment *segment;
    const char *map;
    bool is_last;
    void (*visit)(void *argument, const struct queue_record_view *);
    void *argument;
};

/* The bodies of the last segment only are checked: the others were synced before the next began. */
static bool record_whole(const struct walk *walk, const struct log_record_header *header,
                         uint64_t offset)
{
    if (!header_plausible(header, walk->segment, offset))
        return false;
    const char *meta = walk->map + offset + sizeof *header;
    if (header->crc != header_crc(header, meta, meta + header->meta_length))
        return false;
    return !walk->is_last || header->flags & LOG_FLAG_LARGE ||
           header->body_crc ==
               crc32c(0, meta + header->meta_length + header->events_length, header->body_length);
}

static uint64_t record_visit(struct walk *walk, uint64_t offset)
{
    const struct log_record_header *header = (const void *)(walk->map + offset);
    const char *meta = walk->map + offset + sizeof *header;
    bool large = header->flags & LOG_FLAG_LARGE;
    uint64_t body = offset + sizeof *header + header->meta_length + header->events_length;
    struct queue_record_view view = {
        .type = header->type,
        .seq = header->seq,
        .event_count = header->event_count,
        .meta = meta,
        .meta_length = header->meta_length,
        .events = meta + header->meta_length,
        .events_length = header->events_length,
        .large = large,
        .segment = walk->segment,
        .offset = offset,
        .body_offset = large ? 0 : body,
        .body_length = header->body_length,
    };
    memcpy(view.id.bytes, header->id, sizeof view.id.bytes);
    if (header->event_count)
        walk->segment->last_seq = header->seq + header->event_count - 1;
    walk->visit(walk->argument, &view);
    return log_align(body + (large ? 0 : header->body_length));
}

/* The next record behind a damaged place, or 0. */
static uint64_t next_whole(const struct walk *walk, uint64_t offset)
{
    for (; offset + sizeof(struct log_record_header) <= walk->segment->size; offset += 8) {
        const struct log_record_header *header = (const void *)(walk->map + offset);
        if (header->magic == LOG_RECORD_MAGIC && record_whole(walk, header, offset))
            return offset;
    }
    return 0;
}

static bool segment_walk(struct walk *walk, struct error *error)
{
    struct queue_segment *segment = walk->segment;
    walk->map = mmap(NULL, segment->size, PROT_READ, MAP_PRIVATE, segment->fd, 0);
    if (walk->map == MAP_FAILED)
        return error_set_errno(error, walk->log->folder, "cannot map a queue segment");
    uint64_t offset = sizeof(struct log_segment_header), end = offset;
    while (offset + sizeof(struct log_record_header) <= segment->size) {
        const struct log_record_header *header = (const void *)(walk->map + offset);
        if (record_whole(walk, header, offset)) {
            offset = record_visit(walk, offset);
            end = offset;
            continue;
        }
        if (walk->is_last || !(offset = next_whole(walk, offset + 8)))
            break;
        log_error("queue: %s/log-%016" PRIx64 " is damaged from byte %" PRIu64 " to %" PRIu64
                  "; what stood there is lost",
                  walk->log->folder, segment->id, end, offset);
    }
    segment->used = end;
    munmap((void *)walk->map, segment->size);
    return true;
}

static bool header_read(struct queue_log *log, int fd, uint64_t id,
                        struct log_segment_header *header, struct error *error)
{
    struct stat status;
    char name[32];
    queue_log_segment_name(name, id);
    if (pread(fd, header, sizeof *header, 0) != (ssize_t)sizeof *header || fstat(fd, &status) != 0)
        return error_set(error, ERROR_IO, log->folder, "%s is too short for a queue segment", name);
    if (header->magic != LOG_SEGMENT_MAGIC || header->id != id ||
        header->crc != crc32c(0, header, offsetof(struct log_segment_header, crc)))
        return error_set(error, ERROR_IO, log->folder, "%s has no valid segment header", name);
    if (memcmp(header->stream, log->stream, sizeof log->stream) != 0)
        return error_set(error, ERROR_IO, log->folder, "%s belongs to another queue", name);
    if ((uint64_t)status.st_size < header->size)
        return error_set(error, ERROR_IO, log->folder, "%s was cut: %lld of %llu bytes", name,
                         (long long)status.st_size, (unsigned long long)header->size);
    return true;
}

static struct queue_segment *segment_open(struct queue_log *log, uint64_t id, struct error *error)
{
    char name[32];
    queue_log_segment_name(name, id);
    int fd = openat(log->folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        error_set_errno(error, log->folder, "cannot open a queue segment");
        return NULL;
    }
    struct log_segment_header header;
    struct queue_segment *segment = NULL;
    if (header_read(log, fd, id, &header, error))
        segment = calloc(1, sizeof *segment);
    if (!segment) {
        close(fd);
        return NULL;
    }
    segment->id = id;
    segment->fd = fd;
    segment->size = header.size;
    segment->first_seq = header.first_seq;
    segment->last_seq = header.first_seq - 1;
    return segment;
}

/* What stands behind the last whole record was never synced; it is overwritten with zeros so that
 * no part of it can follow a shorter record that is written over its beginning. */
static bool clear_tail(struct queue_log *log, struct queue_segment *segment, struct error *error)
{
    uint64_t length = segment->size - segment->used;
    if (length &&
        fallocate(segment->fd, FALLOC_FL_ZERO_RANGE, (off_t)segment->used, (off_t)length) != 0) {
        static const char zeros[65536];
        for (uint64_t at = segment->used; at < segment->size; at += sizeof zeros) {
            uint64_t part = segment->size - at < sizeof zeros ? segment->size - at : sizeof zeros;
            if (pwrite(segment->fd, zeros, part, (off_t)at) != (ssize_t)part)
                return error_set_errno(error, log->folder, "cannot clear a queue segment's end");
        }
    }
    return fdatasync(segment->fd) == 0 ||
           error_set_errno(error, log->folder, "cannot sync a queue segment");
}

bool queue_log_recover(struct queue_log *log,
                       void (*visit)(void *argument, const struct queue_record_view *),
                       void *argument, struct error *error)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    bool good = list_segments(log, &ids, &count, error);
    for (size_t i = 0; good && i < count; i++) {
        struct queue_segment *segment = segment_open(log, ids[i], error);
        if (!segment) {
            good = false;
            break;
        }
        if (log->current)
            log->current->next = segment;
        else
            log->oldest = segment;
        log->current = segment;
        struct walk walk = {log, segment, NULL, i + 1 == count, visit, argument};
        good = segment_walk(&walk, error);
        if (good && i + 1 == count)
            good = clear_tail(log, segment, error);
    }
    free(ids);
    if (!good)
        return false;
    if (!log->current) {
        log->oldest = log->current = queue_log_segment_create(log, 1, 1, error);
        if (!log->current)
            return false;
    }
    log->next_seq = log->current->last_seq + 1;
    return true;
}
