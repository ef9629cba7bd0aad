#include "scanner/mta/queue_log_private.h"

#include "common/file.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Kept free at a segment's end for states and events while no further segment can be allocated. */
#define STATE_RESERVE (512u << 10)
#define SEGMENT_LEAST (4u << 20)
#define BATCH_RECORDS 512
#define LAZY_SYNC_MS 50
#define FULL_RETRY_MS 200

struct queue_record *queue_record_new(enum queue_record_type type, const struct message_id *id)
{
    struct queue_record *record = calloc(1, sizeof *record);
    if (!record)
        abort();
    record->type = type;
    record->id = *id;
    record->large_fd = -1;
    return record;
}

void queue_record_free(struct queue_record *record)
{
    if (!record)
        return;
    buffer_free(&record->meta);
    buffer_free(&record->events);
    buffer_free(&record->body);
    if (record->large_fd >= 0)
        close(record->large_fd);
    free(record);
}

void queue_log_segment_name(char name[32], uint64_t id)
{
    snprintf(name, 32, "log-%016" PRIx64, id);
}

static bool segment_allocate(int fd, size_t wanted, uint64_t *size)
{
    for (size_t bytes = wanted; bytes >= SEGMENT_LEAST || bytes == wanted; bytes /= 4) {
        int problem = posix_fallocate(fd, 0, (off_t)bytes);
        if (problem == 0) {
            *size = bytes;
            return true;
        }
        if (ftruncate(fd, 0) != 0)
            problem = errno;
        errno = problem;
        if (problem != ENOSPC && problem != EDQUOT)
            return false;
    }
    return false;
}

struct queue_segment *queue_log_segment_create(struct queue_log *log, uint64_t id,
                                               uint64_t first_seq, struct error *error)
{
    char name[32], temporary[40];
    queue_log_segment_name(name, id);
    snprintf(temporary, sizeof temporary, "%s.new", name);
    int fd = openat(log->folder_fd, temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        error_set_errno(error, log->folder, "cannot create a queue segment");
        return NULL;
    }
    struct log_segment_header header = {
        .magic = LOG_SEGMENT_MAGIC, .id = id, .first_seq = first_seq};
    memcpy(header.stream, log->stream, sizeof header.stream);
    if (!segment_allocate(fd, log->segment_bytes, &header.size))
        goto fail;
    header.crc = crc32c(0, &header, offsetof(struct log_segment_header, crc));
    if (pwrite(fd, &header, sizeof header, 0) != (ssize_t)sizeof header || fsync(fd) != 0 ||
        renameat(log->folder_fd, temporary, log->folder_fd, name) != 0 ||
        fsync(log->folder_fd) != 0)
        goto fail;
    struct queue_segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        goto fail;
    segment->id = id;
    segment->fd = fd;
    segment->first_seq = first_seq;
    segment->last_seq = first_seq - 1;
    segment->size = header.size;
    segment->used = sizeof header;
    return segment;
fail:
    error_set_errno(error, log->folder, "cannot allocate a queue segment");
    unlinkat(log->folder_fd, temporary, 0);
    close(fd);
    return NULL;
}

static uint64_t record_bytes(const struct queue_record *record)
{
    return log_align(sizeof(struct log_record_header) + record->meta.length +
                     record->events.length + record->body.length);
}

static unsigned count_events(const struct buffer *events)
{
    unsigned count = 0;
    const char *at = events->data, *end = at + events->length;
    while (at && at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        count++;
        at++;
    }
    return count;
}

static enum error_code large_store(struct queue_log *log, struct queue_record *record)
{
    char from[64], name[MESSAGE_ID_TEXT_SIZE];
    if (fsync(record->large_fd) != 0)
        return errno == ENOSPC || errno == EDQUOT ? ERROR_NO_SPACE : ERROR_IO;
    snprintf(from, sizeof from, "/proc/self/fd/%d", record->large_fd);
    message_id_text(&record->id, name);
    if (linkat(AT_FDCWD, from, log->large_fd, name, AT_SYMLINK_FOLLOW) != 0 && errno != EEXIST)
        return errno == ENOSPC || errno == EDQUOT ? ERROR_NO_SPACE : ERROR_IO;
    return fsync(log->large_fd) == 0 ? ERROR_NONE : ERROR_IO;
}

/* Makes sure that `bytes` fit into the segment being written, opening the next one as needed. */
static bool make_room(struct queue_log *log, uint64_t bytes, bool may_use_reserve)
{
    struct queue_segment *segment = log->writing;
    if (segment->used + bytes + STATE_RESERVE <= segment->size)
        return true;
    struct error error;
    struct queue_segment *next =
        queue_log_segment_create(log, segment->id + 1, log->next_seq, &error);
    pthread_mutex_lock(&log->mutex);
    bool was_full = log->full;
    log->full = !next;
    if (next) {
        *log->created_end = next;
        log->created_end = &next->next;
    }
    pthread_mutex_unlock(&log->mutex);
    if (next) {
        log->writing = next;
        return next->used + bytes + STATE_RESERVE <= next->size;
    }
    if (!was_full) {
        char text[700];
        log_error("queue: no further message is accepted: %s",
                  error_text(&error, text, sizeof text));
    }
    return may_use_reserve && segment->used + bytes <= segment->size;
}

static void header_fill(struct log_record_header *header, const struct queue_record *record,
                        const struct queue_segment *segment, uint64_t seq, unsigned events)
{
    *header = (struct log_record_header){
        .magic = LOG_RECORD_MAGIC,
        .type = (uint8_t)record->type,
        .flags = record->large_fd >= 0 ? LOG_FLAG_LARGE : 0,
        .event_count = (uint16_t)events,
        .meta_length = (uint32_t)record->meta.length,
        .events_length = (uint32_t)record->events.length,
        .body_crc = crc32c(0, record->body.data, record->body.length),
        .body_length = record->large_fd >= 0 ? record->large_length : record->body.length,
        .seq = seq,
        .segment = segment->id,
    };
    memcpy(header->id, record->id.bytes, sizeof header->id);
    uint32_t crc = crc32c(0, (char *)header + 8, sizeof *header - 8);
    crc = crc32c(crc, record->meta.data, record->meta.length);
    header->crc = crc32c(crc, record->events.data, record->events.length);
}

struct batch {
    struct log_record_header headers[BATCH_RECORDS];
    struct iovec parts[BATCH_RECORDS * 5];
    size_t part_count, count;
    uint64_t begin, end; /* in the segment */
};

static void batch_add_part(struct batch *batch, const void *data, size_t length)
{
    if (length)
        batch->parts[batch->part_count++] =
            (struct iovec){.iov_base = (void *)data, .iov_len = length};
}

static void batch_add(struct queue_log *log, struct batch *batch, struct queue_record *record)
{
    static const char padding[8];
    struct queue_segment *segment = log->writing;
    unsigned events = count_events(&record->events);
    struct log_record_header *header = &batch->headers[batch->count++];
    header_fill(header, record, segment, log->next_seq, events);
    log->next_seq += events;
    uint64_t length = sizeof *header + record->meta.length + record->events.length;
    record->segment = segment;
    record->offset = segment->used;
    record->body_offset = record->large_fd >= 0 ? 0 : segment->used + length;
    length += record->body.length;
    batch_add_part(batch, header, sizeof *header);
    batch_add_part(batch, record->meta.data, record->meta.length);
    batch_add_part(batch, record->events.data, record->events.length);
    batch_add_part(batch, record->body.data, record->body.length);
    batch_add_part(batch, padding, log_align(length) - length);
    segment->used += log_align(length);
    batch->end = segment->used;
}

/* A failed write or sync leaves what the disk holds unknown, so the process ends and recovery reads
 * what is there: nothing unsynced was ever acknowledged. */
static void give_up(const struct queue_log *log, const char *what)
{
    log_error("queue: %s in %s: %s; stopping so that recovery can read what is on disk", what,
              log->folder, strerror(errno));
    abort();
}

static void batch_write(struct queue_log *log, struct batch *batch)
{
    struct iovec *part = batch->parts;
    size_t left = batch->part_count;
    uint64_t at = batch->begin;
    while (left) {
        int count = left > 1024 ? 1024 : (int)left;
        ssize_t written = pwritev(log->writing->fd, part, count, (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            give_up(log, "cannot write");
        at += (uint64_t)written;
        while (left && (size_t)written >= part->iov_len) {
            written -= (ssize_t)part->iov_len;
            part++;
            left--;
        }
        if (left) {
            part->iov_base = (char *)part->iov_base + written;
            part->iov_len -= (size_t)written;
        }
    }
    batch->part_count = batch->count = 0;
    batch->begin = batch->end;
}

static void finish(struct queue_log *log, struct queue_record *list)
{
    if (!list)
        return;
    pthread_mutex_lock(&log->mutex);
    *log->finished_end = list;
    while (*log->finished_end)
        log->finished_end = &(*log->finished_end)->next;
    pthread_mutex_unlock(&log->mutex);
    uint64_t one = 1;
    if (write(log->finished_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        give_up(log, "cannot signal");
}

struct split {
    struct queue_record *done, **done_end;       /* written */
    struct queue_record *waiting, **waiting_end; /* states for which there is no room now */
};

static void split_push(struct queue_record ***end, struct queue_record *record)
{
    record->next = NULL;
    **end = record;
    *end = &record->next;
}

/* Only a message can be refused for want of space; states and events wait until there is room. */
static bool refuse(struct queue_record *record, enum error_code result, struct split *split)
{
    if (record->type != QUEUE_RECORD_MESSAGE || !record->done) {
        split_push(&split->waiting_end, record);
        return false;
    }
    record->segment = NULL;
    record->offset = (uint64_t)result;
    split_push(&split->done_end, record);
    return true;
}

/* Writes a list of records; those that could not be written stay in split->waiting. */
static void write_list(struct queue_log *log, struct batch *batch, struct queue_record *list,
                       struct split *split)
{
    batch->part_count = batch->count = 0;
    batch->begin = batch->end = log->writing->used;
    for (struct queue_record *record = list, *next; record; record = next) {
        next = record->next;
        if (split->waiting && record->type != QUEUE_RECORD_MESSAGE) {
            split_push(&split->waiting_end, record);
            continue;
        }
        enum error_code large = record->large_fd >= 0 ? large_store(log, record) : ERROR_NONE;
        if (large == ERROR_IO)
            give_up(log, "cannot keep a large body");
        struct queue_segment *before = log->writing;
        uint64_t bytes = record_bytes(record);
        if (before->used + bytes + STATE_RESERVE > before->size || batch->count == BATCH_RECORDS) {
            batch_write(log, batch);
            if (fdatasync(before->fd) != 0)
                give_up(log, "cannot sync");
        }
        if (large != ERROR_NONE || !make_room(log, bytes, record->type != QUEUE_RECORD_MESSAGE)) {
            refuse(record, ERROR_NO_SPACE, split);
            continue;
        }
        if (log->writing != before)
            batch->begin = log->writing->used;
        batch_add(log, batch, record);
        split_push(&split->done_end, record);
    }
    batch_write(log, batch);
}

/* Waits for records, at most until `deadline` (0: for ever; milliseconds of the monotonic clock).
 */
static struct queue_record *take_pending(struct queue_log *log, int64_t deadline, bool *urgent,
                                         bool *stop)
{
    struct timespec until = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};
    pthread_mutex_lock(&log->mutex);
    while (!log->pending && !log->stopping) {
        if (deadline == 0)
            pthread_cond_wait(&log->wake, &log->mutex);
        else if (pthread_cond_timedwait(&log->wake, &log->mutex, &until) != 0)
            break;
    }
    struct queue_record *list = log->pending;
    log->pending = NULL;
    log->pending_end = &log->pending;
    *urgent = log->urgent || log->stopping;
    log->urgent = false;
    *stop = log->stopping;
    pthread_mutex_unlock(&log->mutex);
    return list;
}

static void put_back(struct queue_log *log, struct split *split)
{
    pthread_mutex_lock(&log->mutex);
    *split->waiting_end = log->pending;
    if (!log->pending)
        log->pending_end = split->waiting_end;
    log->pending = split->waiting;
    pthread_mutex_unlock(&log->mutex);
    split->waiting = NULL;
    split->waiting_end = &split->waiting;
}

static void sync_written(struct queue_log *log, struct split *split)
{
    if (fdatasync(log->writing->fd) != 0)
        give_up(log, "cannot sync");
    pthread_mutex_lock(&log->mutex);
    log->synced_seq = log->next_seq - 1;
    pthread_mutex_unlock(&log->mutex);
    finish(log, split->done);
    split->done = NULL;
    split->done_end = &split->done;
}

/* Records that nobody waits for are written at once, so that they outlive this process, and synced
 * with the next ones that somebody waits for, or after LAZY_SYNC_MS. */
static void *commit_main(void *argument)
{
    struct queue_log *log = argument;
    struct batch *batch = malloc(sizeof *batch);
    if (!batch)
        abort();
    struct split split = {.done_end = &split.done, .waiting_end = &split.waiting};
    int64_t sync_by = 0;
    for (bool stop = false; !stop;) {
        bool urgent, full = !queue_log_has_space(log);
        int64_t retry_by = full ? timestamp_monotonic_ms() + FULL_RETRY_MS : 0;
        struct queue_record *list = take_pending(log, sync_by ? sync_by : retry_by, &urgent, &stop);
        if (full)
            make_room(log, log->writing->size, false);
        write_list(log, batch, list, &split);
        int64_t now = timestamp_monotonic_ms();
        if (split.done && (urgent || (sync_by && now >= sync_by))) {
            sync_written(log, &split);
            sync_by = 0;
        } else if (split.done && !sync_by) {
            sync_by = now + LAZY_SYNC_MS;
        }
        if (split.waiting) {
            put_back(log, &split);
            if (!stop)
                usleep(FULL_RETRY_MS * 1000);
        }
    }
    free(batch);
    return NULL;
}

static void adopt_created(struct queue_log *log, struct queue_segment *created)
{
    while (created) {
        struct queue_segment *next = created->next;
        created->next = NULL;
        log->current->next = created;
        log->current = created;
        created = next;
    }
}

static void note_events(struct queue_record *record)
{
    if (record->segment)
        record->segment->last_seq += count_events(&record->events);
}

static void on_finished(evutil_socket_t fd, short what, void *argument)
{
    (void)what;
    struct queue_log *log = argument;
    uint64_t count;
    if (read((int)fd, &count, sizeof count) < 0 && errno != EAGAIN)
        log_error("queue: eventfd: %s", strerror(errno));
    pthread_mutex_lock(&log->mutex);
    struct queue_record *list = log->finished;
    log->finished = NULL;
    log->finished_end = &log->finished;
    struct queue_segment *created = log->created;
    log->created = NULL;
    log->created_end = &log->created;
    pthread_mutex_unlock(&log->mutex);
    adopt_created(log, created);
    while (list) {
        struct queue_record *record = list;
        list = record->next;
        note_events(record);
        if (record->done)
            record->done(record->argument, record,
                         record->segment ? ERROR_NONE : (enum error_code)record->offset);
        queue_record_free(record);
    }
}

void queue_log_append(struct queue_log *log, struct queue_record *record)
{
    record->next = NULL;
    pthread_mutex_lock(&log->mutex);
    *log->pending_end = record;
    log->pending_end = &record->next;
    log->urgent |= record->urgent;
    pthread_cond_signal(&log->wake);
    pthread_mutex_unlock(&log->mutex);
}

static bool open_folders(struct queue_log *log, const char *folder, struct error *error)
{
    char large[4096];
    if (!file_make_folder(folder, 0700, error) ||
        !file_join(large, sizeof large, folder, "large", error) ||
        !file_make_folder(large, 0700, error))
        return false;
    snprintf(log->folder, sizeof log->folder, "%s", folder);
    log->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    log->large_fd = open(large, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (log->folder_fd < 0 || log->large_fd < 0)
        return error_set_errno(error, folder, "cannot open the queue folder");
    return true;
}

static bool open_stream(struct queue_log *log, struct error *error)
{
    char path[4096];
    if (!file_join(path, sizeof path, log->folder, "stream", error))
        return false;
    struct error missing;
    size_t length;
    struct message_id id;
    char *text = file_read(path, 64, &length, &missing);
    if (text) {
        text[strcspn(text, "\n")] = 0;
        bool good = message_id_parse(text, &id);
        free(text);
        if (!good)
            return error_set(error, ERROR_IO, path, "is not the identifier of an event stream");
    } else if (missing.code == ERROR_NOT_FOUND) {
        id = message_id_new();
        if (!file_write_atomic(path, message_id_text(&id, log->stream_text),
                               MESSAGE_ID_TEXT_SIZE - 1, 0600, error))
            return false;
    } else {
        *error = missing;
        return false;
    }
    memcpy(log->stream, id.bytes, sizeof log->stream);
    message_id_text(&id, log->stream_text);
    return true;
}

static bool start_thread(struct queue_log *log, struct event_base *base, struct error *error)
{
    log->finished_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    log->finished_event = log->finished_fd < 0 ? NULL
                                               : event_new(base, log->finished_fd,
                                                           EV_READ | EV_PERSIST, on_finished, log);
    if (!log->finished_event || event_add(log->finished_event, NULL) != 0)
        return error_set_errno(error, log->folder, "cannot watch the commit thread");
    if (pthread_create(&log->thread, NULL, commit_main, log) != 0)
        return error_set(error, ERROR_INTERNAL, log->folder, "cannot start the commit thread");
    log->thread_runs = true;
    return true;
}

struct queue_log *queue_log_open(const char *folder, struct event_base *base, size_t segment_bytes,
                                 void (*visit)(void *argument, const struct queue_record_view *),
                                 void *argument, struct error *error)
{
    struct queue_log *log = calloc(1, sizeof *log);
    if (!log) {
        error_set(error, ERROR_INTERNAL, folder, "out of memory");
        return NULL;
    }
    log->folder_fd = log->large_fd = log->finished_fd = -1;
    log->segment_bytes = segment_bytes;
    log->pending_end = &log->pending;
    log->finished_end = &log->finished;
    log->created_end = &log->created;
    pthread_mutex_init(&log->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&log->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!open_folders(log, folder, error) || !open_stream(log, error) ||
        !queue_log_recover(log, visit, argument, error))
        goto fail;
    log->writing = log->current;
    log->synced_seq = log->next_seq - 1;
    if (!start_thread(log, base, error))
        goto fail;
    return log;
fail:
    queue_log_close(log);
    return NULL;
}

void queue_log_close(struct queue_log *log)
{
    if (!log)
        return;
    if (log->thread_runs) {
        pthread_mutex_lock(&log->mutex);
        log->stopping = true;
        pthread_cond_signal(&log->wake);
        pthread_mutex_unlock(&log->mutex);
        pthread_join(log->thread, NULL);
        on_finished(log->finished_fd, 0, log);
    }
    while (log->pending) {
        struct queue_record *record = log->pending;
        log->pending = record->next;
        queue_record_free(record);
    }
    if (log->finished_event)
        event_free(log->finished_event);
    while (log->oldest) {
        struct queue_segment *segment = log->oldest;
        log->oldest = segment->next;
        close(segment->fd);
        free(segment);
    }
    int fds[] = {log->folder_fd, log->large_fd, log->finished_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pthread_mutex_destroy(&log->mutex);
    pthread_cond_destroy(&log->wake);
    free(log);
}

int queue_log_large_open(struct queue_log *log, struct error *error)
{
    int fd = openat(log->large_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        error_set_errno(error, log->folder, "cannot open a file for a large body");
    return fd;
}

int queue_log_large_read(struct queue_log *log, const struct message_id *id)
{
    char name[MESSAGE_ID_TEXT_SIZE];
    return openat(log->large_fd, message_id_text(id, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

void queue_log_large_remove(struct queue_log *log, const struct message_id *id)
{
    char name[MESSAGE_ID_TEXT_SIZE];
    if (unlinkat(log->large_fd, message_id_text(id, name), 0) != 0 && errno != ENOENT)
        log_warning("queue: cannot remove large/%s: %s", name, strerror(errno));
}

const char *queue_log_stream(const struct queue_log *log)
{
    return log->stream_text;
}

uint64_t queue_log_last_seq(const struct queue_log *log)
{
    return log->current->last_seq;
}

uint64_t queue_log_acked(const struct queue_log *log)
{
    return log->acked;
}

void queue_log_ack(struct queue_log *log, uint64_t seq)
{
    if (seq > log->acked && seq <= log->current->last_seq)
        log->acked = seq;
}

struct queue_segment *queue_log_segments(struct queue_log *log)
{
    return log->oldest;
}

uint64_t queue_log_bytes(const struct queue_log *log)
{
    uint64_t bytes = 0;
    for (const struct queue_segment *segment = log->oldest; segment; segment = segment->next)
        bytes += segment->size;
    return bytes;
}

void queue_log_trim(struct queue_log *log)
{
    while (log->oldest != log->current && log->oldest->live_messages == 0 &&
           log->oldest->last_seq <= log->acked) {
        struct queue_segment *segment = log->oldest;
        char name[32];
        queue_log_segment_name(name, segment->id);
        if (unlinkat(log->folder_fd, name, 0) != 0) {
            log_warning("queue: cannot remove %s: %s", name, strerror(errno));
            return;
        }
        log->oldest = segment->next;
        if (log->reader_segment == segment)
            log->reader_segment = NULL;
        close(segment->fd);
        free(segment);
    }
}

bool queue_log_has_space(struct queue_log *log)
{
    pthread_mutex_lock(&log->mutex);
    bool full = log->full;
    pthread_mutex_unlock(&log->mutex);
    return !full;
}
