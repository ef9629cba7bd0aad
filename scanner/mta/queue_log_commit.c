/* The commit thread: finds room for what was appended, writes it, and syncs it once for all who
 * wait. */
#include "scanner/mta/queue_log_private.h"

#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/crc32c.h"
#include "scanner/mta/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH_RECORDS 512
#define LAZY_SYNC_MS 50
#define FULL_RETRY_MS 200
#define PARTS_AT_ONCE 1024 /* IOV_MAX */
/* Left to changes of state alone while the disk is full. */
#define STATE_RESERVE (2u << 20)

struct commit {
    struct queue_log *log;
    struct log_record_header headers[BATCH_RECORDS];
    struct iovec parts[BATCH_RECORDS * 5];
    size_t part_count, count;
    uint64_t begin; /* where the parts go in the segment being written */

    struct queue_record_list done;    /* written or refused, not yet given back */
    struct queue_record_list waiting; /* changes of state for which there is no room */
    struct queue_segment *created, **created_end;
    int64_t sync_by, retry_by; /* milliseconds of the monotonic clock; 0: nothing to be done */
};

void queue_log_give_up(const struct queue_log *log, const char *what)
{
    log_error("queue: %s in %s: %s; stopping so that recovery can read what is on disk", what,
              log->folder, strerror(errno));
    abort();
}

unsigned queue_log_count_events(const struct buffer *events)
{
    unsigned count = 0;
    const char *at = events->data, *end = at + events->length;
    while (at && at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        count++;
        at++;
    }
    return count;
}

static uint64_t record_bytes(const struct queue_record *record)
{
    return log_align(sizeof(struct log_record_header) + record->meta.length +
                     record->events.length + record->body.length);
}

/* Writing */

static void write_parts(struct commit *commit)
{
    struct queue_log *log = commit->log;
    struct iovec *part = commit->parts;
    size_t left = commit->part_count;
    uint64_t at = commit->begin;
    if (left)
        fault_point("commit.write");
    while (left) {
        int count = left > PARTS_AT_ONCE ? PARTS_AT_ONCE : (int)left;
        ssize_t written = pwritev(log->writing->fd, part, count, (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            queue_log_give_up(log, "cannot write");
        at += (uint64_t)written;
        while (left && (size_t)written >= part->iov_len) {
            written -= (ssize_t)part->iov_len;
            part++;
            left--;
        }
        if (left) {
            part->iov_base = (char *)part->iov_base + written;
            part->iov_len -= (size_t)written;
            fault_point("commit.write-more");
        }
    }
    commit->part_count = commit->count = 0;
    commit->begin = log->writing->used;
}

static void sync_segment(struct commit *commit)
{
    struct queue_log *log = commit->log;
    write_parts(commit);
    fault_point("commit.sync");
    if (fdatasync(log->writing->fd) != 0)
        queue_log_give_up(log, "cannot sync");
    log->synced = (uint32_t)log->writing->used;
    fault_point("commit.synced");
}

static void fill_header(struct log_record_header *header, const struct queue_record *record,
                        const struct queue_log *log, unsigned events)
{
    *header = (struct log_record_header){
        .magic = LOG_RECORD_MAGIC,
        .type = (uint8_t)record->type,
        .flags = record->large ? LOG_FLAG_LARGE : 0,
        .event_count = events,
        .meta_length = (uint32_t)record->meta.length,
        .events_length = (uint32_t)record->events.length,
        .body_crc = crc32c(0, record->body.data, record->body.length),
        .synced = log->synced,
        .body_length = record->large ? record->large_length : record->body.length,
        .seq = log->next_seq,
        .key = log->writing->key,
    };
    memcpy(header->id, record->id.bytes, sizeof header->id);
    uint32_t crc = crc32c(0, (char *)header + 8, sizeof *header - 8);
    crc = crc32c(crc, record->meta.data, record->meta.length);
    header->crc = crc32c(crc, record->events.data, record->events.length);
}

static void add_part(struct commit *commit, const void *data, size_t length)
{
    if (length)
        commit->parts[commit->part_count++] =
            (struct iovec){.iov_base = (void *)data, .iov_len = length};
}

static void add_record(struct commit *commit, struct queue_record *record)
{
    static const char padding[8];
    struct queue_log *log = commit->log;
    struct queue_segment *segment = log->writing;
    if (commit->count == BATCH_RECORDS)
        write_parts(commit);
    unsigned events = queue_log_count_events(&record->events);
    struct log_record_header *header = &commit->headers[commit->count++];
    fill_header(header, record, log, events);
    log->next_seq += events;
    uint64_t length = sizeof *header + record->meta.length + record->events.length;
    record->segment = segment;
    record->offset = segment->used;
    record->body_offset = record->large ? 0 : segment->used + length;
    length += record->body.length;
    add_part(commit, header, sizeof *header);
    add_part(commit, record->meta.data, record->meta.length);
    add_part(commit, record->events.data, record->events.length);
    add_part(commit, record->body.data, record->body.length);
    add_part(commit, padding, log_align(length) - length);
    segment->used += log_align(length);
}

/* Room */

static bool fits(const struct queue_segment *segment, uint64_t bytes)
{
    uint64_t used = segment->used ? segment->used : sizeof(struct log_segment_header);
    return used + bytes <= segment->size;
}

/* Allocates the segment after the one being written, with room for a record of `bytes`. */
static void prepare_spare(struct commit *commit, uint64_t bytes)
{
    struct queue_log *log = commit->log;
    struct error error;
    queue_log_segment_discard(log, log->spare);
    log->spare = queue_log_segment_prepare(log, log->writing->id + 1, bytes, &error);
    commit->retry_by = log->spare ? 0 : timestamp_monotonic_ms() + FULL_RETRY_MS;
    pthread_mutex_lock(&log->mutex);
    bool was_full = log->full;
    log->full = !log->spare;
    pthread_mutex_unlock(&log->mutex);
    if (!log->spare && !was_full) {
        char text[700];
        log_error("queue: no further message is accepted: %s",
                  error_text(&error, text, sizeof text));
    } else if (log->spare && was_full) {
        log_info("queue: there is room again");
    }
}

/* What is written so far is synced before the next segment begins: recovery relies on it. */
static void begin_next_segment(struct commit *commit)
{
    struct queue_log *log = commit->log;
    struct queue_segment *next = log->spare;
    struct error error;
    sync_segment(commit);
    if (!queue_log_segment_begin(log, next, log->next_seq, &error))
        queue_log_give_up(log, error.message);
    log->spare = NULL;
    log->writing = next;
    log->synced = (uint32_t)next->used;
    commit->begin = next->used;
    *commit->created_end = next;
    commit->created_end = &next->next;
    prepare_spare(commit, 0);
}

static bool make_room(struct commit *commit, uint64_t bytes)
{
    struct queue_log *log = commit->log;
    if (fits(log->writing, bytes))
        return true;
    if (!log->spare || !fits(log->spare, bytes))
        prepare_spare(commit, bytes);
    if (!log->spare)
        return false;
    begin_next_segment(commit);
    return true;
}

static bool leaves_reserve(const struct commit *commit, uint64_t bytes)
{
    const struct queue_segment *segment = commit->log->writing;
    return commit->log->spare || segment->used + bytes + STATE_RESERVE <= segment->size;
}

/* Whether the record has its room now. A message is taken only while a further segment stands
 * ready; that is what changes of state live on when the disk is full. */
static bool admit(struct commit *commit, const struct queue_record *record)
{
    uint64_t bytes = record_bytes(record);
    if (commit->waiting.first)
        return false;
    if (record->type == QUEUE_RECORD_STATE)
        return make_room(commit, bytes);
    if (record->type == QUEUE_RECORD_EVENT || record->moved)
        return leaves_reserve(commit, bytes) && make_room(commit, bytes) &&
               leaves_reserve(commit, bytes);
    return commit->log->spare && make_room(commit, bytes) && commit->log->spare;
}

static void write_record(struct commit *commit, struct queue_record *record)
{
    if (record->result == ERROR_NONE && record_bytes(record) > LOG_RECORD_LIMIT)
        record->result = ERROR_LIMIT;
    if (record->result == ERROR_NONE && admit(commit, record)) {
        add_record(commit, record);
    } else if (record->type == QUEUE_RECORD_STATE) {
        queue_record_list_push(&commit->waiting, record);
        return;
    } else if (record->result == ERROR_NONE) {
        record->result = ERROR_NO_SPACE;
    }
    queue_record_list_push(&commit->done, record);
}

static void write_list(struct commit *commit, struct queue_record *list)
{
    commit->begin = commit->log->writing->used;
    for (struct queue_record *record = list, *next; record; record = next) {
        next = record->next;
        write_record(commit, record);
    }
    write_parts(commit);
}

/* Tries again for the changes that wait, in their order, and for a further segment. */
static void retry_full(struct commit *commit)
{
    struct queue_log *log = commit->log;
    uint64_t bytes = commit->waiting.first ? record_bytes(commit->waiting.first) : 0;
    if (!log->spare)
        prepare_spare(commit, bytes);
    struct queue_record *list = commit->waiting.first;
    commit->waiting = (struct queue_record_list){NULL, &commit->waiting.first};
    write_list(commit, list);
    bool again = commit->waiting.first || !log->spare;
    commit->retry_by = again ? timestamp_monotonic_ms() + FULL_RETRY_MS : 0;
}

/* Handing over */

static void hand_back(struct commit *commit)
{
    struct queue_log *log = commit->log;
    pthread_mutex_lock(&log->mutex);
    if (commit->done.first) {
        *log->finished.end = commit->done.first;
        log->finished.end = commit->done.end;
    }
    if (commit->created) {
        *log->created_end = commit->created;
        log->created_end = commit->created_end;
    }
    pthread_mutex_unlock(&log->mutex);
    commit->done = (struct queue_record_list){NULL, &commit->done.first};
    commit->created = NULL;
    commit->created_end = &commit->created;
    uint64_t one = 1;
    if (write(log->finished_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        queue_log_give_up(log, "cannot signal");
}

/* Waits for records, at most until `deadline` (0: for ever). */
static struct queue_record *take_pending(struct commit *commit, int64_t deadline, bool *urgent,
                                         bool *stop)
{
    struct queue_log *log = commit->log;
    struct timespec until = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};
    pthread_mutex_lock(&log->mutex);
    log->blocked = commit->waiting.first != NULL;
    while (!log->pending.first && !log->stopping) {
        if (deadline == 0)
            pthread_cond_wait(&log->wake, &log->mutex);
        else if (pthread_cond_timedwait(&log->wake, &log->mutex, &until) != 0)
            break;
    }
    struct queue_record *list = log->pending.first;
    log->pending = (struct queue_record_list){NULL, &log->pending.first};
    *urgent = log->urgent || log->stopping;
    log->urgent = false;
    *stop = log->stopping;
    pthread_mutex_unlock(&log->mutex);
    return list;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 ? b : b == 0 ? a : a < b ? a : b;
}

static void give_up_waiting(struct commit *commit)
{
    for (struct queue_record *record; (record = queue_record_list_take(&commit->waiting));) {
        record->result = ERROR_NO_SPACE;
        queue_record_list_push(&commit->done, record);
    }
    hand_back(commit);
}

/* Records that nobody waits for are written at once, so that they outlive this process, and synced
 * with the next ones that somebody waits for, or after LAZY_SYNC_MS. */
void *queue_log_commit_main(void *argument)
{
    struct commit *commit = calloc(1, sizeof *commit);
    if (!commit)
        abort();
    commit->log = argument;
    commit->done.end = &commit->done.first;
    commit->waiting.end = &commit->waiting.first;
    commit->created_end = &commit->created;
    prepare_spare(commit, 0);
    for (bool stop = false; !stop;) {
        bool urgent;
        struct queue_record *list =
            take_pending(commit, earlier(commit->sync_by, commit->retry_by), &urgent, &stop);
        int64_t now = timestamp_monotonic_ms();
        if (commit->retry_by && (now >= commit->retry_by || stop))
            retry_full(commit);
        write_list(commit, list);
        if (commit->done.first && (urgent || (commit->sync_by && now >= commit->sync_by))) {
            sync_segment(commit);
            hand_back(commit);
            commit->sync_by = 0;
        } else if (commit->done.first && !commit->sync_by) {
            commit->sync_by = now + LAZY_SYNC_MS;
        }
    }
    give_up_waiting(commit);
    free(commit);
    return NULL;
}
