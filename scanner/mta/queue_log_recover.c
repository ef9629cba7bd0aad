#include "scanner/mta/queue_log_private.h"

#include "common/log.h"
#include "scanner/mta/crc32c.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW_BYTES (256u << 10)
#define PAGE_BYTES 4096u

/* A segment as it is read: a window of it stands in memory. */
struct walk {
    struct queue_log *log;
    struct queue_segment *segment;
    char *window;
    size_t capacity, length;
    uint64_t start;
    bool is_last;
    void (*visit)(void *argument, const struct queue_record_view *);
    void *argument;
};

/* Reads what the disk gives; a page that it does not give becomes zeros, and so a damaged place. */
static void read_pages(struct walk *walk, char *into, size_t length, uint64_t offset)
{
    while (length) {
        ssize_t count = pread(walk->segment->fd, into, length, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            size_t page = PAGE_BYTES - offset % PAGE_BYTES;
            count = (ssize_t)(page < length ? page : length);
            memset(into, 0, (size_t)count);
        }
        into += count;
        length -= (size_t)count;
        offset += (uint64_t)count;
    }
}

/* Bytes of the segment, which must hold them; valid until the next call. */
static const char *bytes_at(struct walk *walk, uint64_t offset, size_t length)
{
    if (offset >= walk->start && offset + length <= walk->start + walk->length)
        return walk->window + (offset - walk->start);
    size_t wanted = length > WINDOW_BYTES ? length : WINDOW_BYTES;
    if (wanted > walk->segment->size - offset)
        wanted = (size_t)(walk->segment->size - offset);
    if (wanted > walk->capacity) {
        free(walk->window);
        walk->window = malloc(wanted);
        if (!walk->window)
            abort();
        walk->capacity = wanted;
    }
    read_pages(walk, walk->window, wanted, offset);
    walk->start = offset;
    walk->length = wanted;
    return walk->window;
}

static uint64_t inline_body(const struct log_record_header *header)
{
    return header->flags & LOG_FLAG_LARGE ? 0 : header->body_length;
}

static uint64_t record_end(const struct log_record_header *header, uint64_t offset)
{
    return log_align(offset + sizeof *header + header->meta_length + header->events_length +
                     inline_body(header));
}

static bool header_plausible(const struct log_record_header *header,
                             const struct queue_segment *segment, uint64_t offset)
{
    return header->magic == LOG_RECORD_MAGIC && header->key == segment->key &&
           inline_body(header) <= segment->size && record_end(header, offset) <= segment->size;
}

static uint32_t header_crc(const struct log_record_header *header, const char *meta)
{
    uint32_t crc = crc32c(0, (const char *)header + 8, sizeof *header - 8);
    return crc32c(crc, meta, (size_t)header->meta_length + header->events_length);
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
    return header->crc == header_crc(header, into);
}

static uint32_t body_crc(struct walk *walk, uint64_t offset, uint64_t length)
{
    uint32_t crc = 0;
    while (length) {
        size_t part = length < WINDOW_BYTES ? (size_t)length : WINDOW_BYTES;
        crc = crc32c(crc, bytes_at(walk, offset, part), part);
        offset += part;
        length -= part;
    }
    return crc;
}

/* The bodies of the last segment only are checked: the others were synced before the next began. */
static bool record_whole(struct walk *walk, uint64_t offset, struct log_record_header *header)
{
    memcpy(header, bytes_at(walk, offset, sizeof *header), sizeof *header);
    if (!header_plausible(header, walk->segment, offset))
        return false;
    size_t length = (size_t)header->meta_length + header->events_length;
    uint64_t meta = offset + sizeof *header;
    if (header->crc != header_crc(header, bytes_at(walk, meta, length)))
        return false;
    return !walk->is_last || inline_body(header) == 0 ||
           header->body_crc == body_crc(walk, meta + length, header->body_length);
}

static void visit_record(struct walk *walk, uint64_t offset, const struct log_record_header *header)
{
    uint64_t meta_offset = offset + sizeof *header;
    size_t length = (size_t)header->meta_length + header->events_length;
    const char *meta = bytes_at(walk, meta_offset, length);
    bool large = header->flags & LOG_FLAG_LARGE;
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
        .body_offset = large ? 0 : meta_offset + length,
        .body_length = header->body_length,
    };
    memcpy(view.id.bytes, header->id, sizeof view.id.bytes);
    if (header->event_count)
        walk->segment->last_seq = header->seq + header->event_count - 1;
    walk->visit(walk->argument, &view);
}

/* The next whole record at or behind `offset`, or 0. `synced` asks for one that was written after
 * the place before it was on stable storage. */
static uint64_t find_whole(struct walk *walk, uint64_t offset, uint64_t synced)
{
    uint64_t found = 0;
    struct log_record_header header;
    for (; offset + sizeof header <= walk->segment->size; offset += 8) {
        uint32_t magic;
        memcpy(&magic, bytes_at(walk, offset, sizeof magic), sizeof magic);
        if (magic != LOG_RECORD_MAGIC || !record_whole(walk, offset, &header))
            continue;
        if (!found)
            found = offset;
        if (header.synced > synced)
            return found;
    }
    return synced ? 0 : found;
}

uint64_t queue_log_record_find(struct queue_log *log, struct queue_segment *segment,
                               uint64_t offset)
{
    struct walk walk = {.log = log, .segment = segment};
    uint64_t found = find_whole(&walk, offset, 0);
    free(walk.window);
    return found;
}

/* Where to go on behind the damaged place at `offset`; 0: nowhere. In the last segment that may be
 * the end of what was written, which a crash has cut. */
static uint64_t pass_damage(struct walk *walk, uint64_t offset)
{
    uint64_t next = find_whole(walk, offset + 8, walk->is_last ? offset : 0);
    if (next)
        log_error("queue: %s/log-%016" PRIx64 " is damaged from byte %" PRIu64 " to %" PRIu64
                  "; what stood there is lost",
                  walk->log->folder, walk->segment->id, offset, next);
    return next;
}

static void walk_segment(struct walk *walk)
{
    struct queue_segment *segment = walk->segment;
    struct log_record_header header;
    uint64_t offset = sizeof(struct log_segment_header);
    segment->used = offset;
    while (offset + sizeof header <= segment->size) {
        if (record_whole(walk, offset, &header)) {
            visit_record(walk, offset, &header);
            offset = segment->used = record_end(&header, offset);
        } else if (!(offset = pass_damage(walk, offset))) {
            return;
        }
    }
}

/* Segments */

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct id_list {
    uint64_t *ids;
    size_t count, capacity;
};

static void id_list_add(struct id_list *list, uint64_t id)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        uint64_t *more = realloc(list->ids, list->capacity * sizeof *more);
        if (!more)
            abort();
        list->ids = more;
    }
    list->ids[list->count++] = id;
}

/* The ids of the segments on disk in order; prepared ones (".new") are removed. */
static bool list_segments(struct queue_log *log, struct id_list *list, struct error *error)
{
    int fd = openat(log->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        if (fd >= 0)
            close(fd);
        return error_set_errno(error, log->folder, "cannot list the queue folder");
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        uint64_t id;
        int end = 0;
        if (sscanf(entry->d_name, "log-%16" SCNx64 "%n", &id, &end) != 1 || end != 20)
            continue;
        if (!entry->d_name[end])
            id_list_add(list, id);
        else if (strcmp(entry->d_name + end, ".new") == 0)
            unlinkat(log->folder_fd, entry->d_name, 0);
    }
    closedir(folder);
    if (list->count)
        qsort(list->ids, list->count, sizeof *list->ids, compare_ids);
    return true;
}

/* What a damaged header said can be told from its surroundings, but for the key, which every record
 * carries. */
static bool repair_header(struct queue_log *log, int fd, struct log_segment_header *header,
                          uint64_t id, uint64_t size)
{
    struct log_record_header first;
    if (pread(fd, &first, sizeof first, sizeof *header) != (ssize_t)sizeof first ||
        first.magic != LOG_RECORD_MAGIC)
        return false;
    *header = (struct log_segment_header){.id = id,
                                          .first_seq =
                                              log->current ? log->current->last_seq + 1 : first.seq,
                                          .size = size,
                                          .key = first.key};
    return true;
}

static bool read_header(struct queue_log *log, int fd, uint64_t id,
                        struct log_segment_header *header, struct error *error)
{
    struct stat status;
    char name[32];
    queue_log_segment_name(name, id);
    if (fstat(fd, &status) != 0)
        return error_set_errno(error, log->folder, "cannot look at a queue segment");
    uint64_t size = (uint64_t)status.st_size;
    if (pread(fd, header, sizeof *header, 0) != (ssize_t)sizeof *header ||
        header->magic != LOG_SEGMENT_MAGIC || header->id != id ||
        header->crc != crc32c(0, header, offsetof(struct log_segment_header, crc))) {
        log_error("queue: the header of %s/%s is damaged", log->folder, name);
        return repair_header(log, fd, header, id, size) ||
               error_set(error, ERROR_IO, log->folder, "%s is not a queue segment", name);
    }
    if (memcmp(header->stream, log->stream, sizeof log->stream) != 0)
        return error_set(error, ERROR_INVALID, log->folder, "%s belongs to another queue", name);
    if (size < header->size) {
        log_error("queue: %s/%s was cut: %" PRIu64 " of %" PRIu64 " bytes are left", log->folder,
                  name, size, header->size);
        header->size = size;
    }
    return true;
}

static struct queue_segment *open_segment(struct queue_log *log, uint64_t id, struct error *error)
{
    char name[32];
    queue_log_segment_name(name, id);
    struct log_segment_header header;
    struct queue_segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        abort();
    segment->fd = openat(log->folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    bool good =
        segment->fd >= 0 || error_set_errno(error, log->folder, "cannot open a queue segment");
    if (!good || !read_header(log, segment->fd, id, &header, error)) {
        queue_log_segment_free(segment);
        return NULL;
    }
    segment->id = id;
    segment->key = header.key;
    segment->size = header.size;
    segment->first_seq = header.first_seq;
    segment->last_seq = header.first_seq - 1;
    return segment;
}

/* Puts the segment behind the others. Events that are missing between them are in the older one, so
 * that readers find them as lost. */
static void join_segment(struct queue_log *log, struct queue_segment *segment)
{
    struct queue_segment *before = log->current;
    log->current = segment;
    if (!before) {
        log->oldest = segment;
        return;
    }
    before->next = segment;
    if (segment->id != before->id + 1)
        log_error("queue: segments between log-%016" PRIx64 " and log-%016" PRIx64
                  " are missing in %s",
                  before->id, segment->id, log->folder);
    if (segment->first_seq > before->last_seq + 1) {
        log_error("queue: audit events %" PRIu64 " to %" PRIu64 " are lost", before->last_seq + 1,
                  segment->first_seq - 1);
        before->last_seq = segment->first_seq - 1;
    }
}

/* What stands behind the last whole record was never acknowledged; it is overwritten with zeros so
 * that no part of it can follow a shorter record that is written over its beginning. */
static bool clear_tail(struct queue_log *log, struct queue_segment *segment, struct error *error)
{
    uint64_t length = segment->size - segment->used;
    if (length &&
        fallocate(segment->fd, FALLOC_FL_ZERO_RANGE, (off_t)segment->used, (off_t)length) != 0) {
        static const char zeros[65536];
        for (uint64_t at = segment->used; at < segment->size; at += sizeof zeros) {
            uint64_t left = segment->size - at;
            size_t part = left < sizeof zeros ? (size_t)left : sizeof zeros;
            if (pwrite(segment->fd, zeros, part, (off_t)at) != (ssize_t)part)
                return error_set_errno(error, log->folder, "cannot clear a queue segment's end");
        }
    }
    return fdatasync(segment->fd) == 0 ||
           error_set_errno(error, log->folder, "cannot sync a queue segment");
}

static bool first_segment(struct queue_log *log, struct error *error)
{
    struct queue_segment *segment = queue_log_segment_prepare(log, 1, 0, error);
    if (segment && !queue_log_segment_begin(log, segment, 1, error)) {
        queue_log_segment_discard(log, segment);
        segment = NULL;
    }
    log->oldest = log->current = segment;
    return segment != NULL;
}

bool queue_log_recover(struct queue_log *log,
                       void (*visit)(void *argument, const struct queue_record_view *),
                       void *argument, struct error *error)
{
    struct id_list list = {0};
    struct walk walk = {.log = log, .visit = visit, .argument = argument};
    bool good = list_segments(log, &list, error);
    for (size_t i = 0; good && i < list.count; i++) {
        walk.segment = open_segment(log, list.ids[i], error);
        good = walk.segment != NULL;
        if (!good)
            break;
        join_segment(log, walk.segment);
        walk.start = walk.length = 0;
        walk.is_last = i + 1 == list.count;
        walk_segment(&walk);
    }
    free(walk.window);
    free(list.ids);
    good =
        good && (log->current ? clear_tail(log, log->current, error) : first_segment(log, error));
    if (good)
        log->next_seq = log->current->last_seq + 1;
    return good;
}
