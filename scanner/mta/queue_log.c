#include "scanner/mta/queue_log_private.h"

#include "common/file.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/mta/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define REFUSED_TOLD_EVERY_MS (60 * 1000)

/* Records */

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

void queue_record_list_push(struct queue_record_list *list, struct queue_record *record)
{
    record->next = NULL;
    *list->end = record;
    list->end = &record->next;
}

struct queue_record *queue_record_list_take(struct queue_record_list *list)
{
    struct queue_record *record = list->first;
    if (!record)
        return NULL;
    list->first = record->next;
    if (!list->first)
        list->end = &list->first;
    return record;
}

void queue_log_append_pending(struct queue_log *log, struct queue_record *record)
{
    queue_record_list_push(&log->pending, record);
    log->urgent |= record->urgent;
    pthread_cond_signal(&log->wake);
}

void queue_log_append(struct queue_log *log, struct queue_record *record)
{
    pthread_mutex_lock(&log->mutex);
    if (record->large_fd >= 0) {
        record->large = true;
        queue_record_list_push(&log->large_pending, record);
        pthread_cond_signal(&log->large_wake);
    } else {
        queue_log_append_pending(log, record);
    }
    pthread_mutex_unlock(&log->mutex);
}

/* What the commit thread gives back */

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

/* Tells of events that were refused, not of each. */
static void note_refused(struct queue_log *log, const struct queue_record *record)
{
    int64_t now = timestamp_monotonic_ms();
    log->refused_events += queue_log_count_events(&record->events);
    if (!log->refused_events || now < log->refused_told_at + REFUSED_TOLD_EVERY_MS)
        return;
    log_error("queue: %" PRIu64 " audit events were refused: the disk is full",
              log->refused_events);
    log->refused_events = 0;
    log->refused_told_at = now;
}

static void finish_record(struct queue_log *log, struct queue_record *record)
{
    if (record->result != ERROR_NONE && record->large_fd >= 0)
        queue_log_large_remove(log, &record->id);
    if (record->result != ERROR_NONE && record->type != QUEUE_RECORD_MESSAGE)
        note_refused(log, record);
    if (record->done)
        record->done(record->argument, record, record->result);
    queue_record_free(record);
}

static void on_finished(evutil_socket_t fd, short what, void *argument)
{
    (void)what;
    struct queue_log *log = argument;
    uint64_t count;
    if (read((int)fd, &count, sizeof count) < 0 && errno != EAGAIN)
        log_error("queue: eventfd: %s", strerror(errno));
    pthread_mutex_lock(&log->mutex);
    struct queue_record_list list = log->finished;
    log->finished = (struct queue_record_list){NULL, &log->finished.first};
    struct queue_segment *created = log->created;
    log->created = NULL;
    log->created_end = &log->created;
    pthread_mutex_unlock(&log->mutex);
    adopt_created(log, created);
    for (struct queue_record *record = list.first; record; record = record->next)
        if (record->segment)
            record->segment->last_seq += queue_log_count_events(&record->events);
    log->finishing = true;
    while (list.first)
        finish_record(log, queue_record_list_take(&list));
    log->finishing = false;
    if (log->trim_wanted)
        queue_log_trim(log);
    if (log->watcher)
        log->watcher(log->watcher_argument);
}

/* Opening and closing */

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

static bool start_threads(struct queue_log *log, struct event_base *base, struct error *error)
{
    log->finished_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    log->finished_event = log->finished_fd < 0 ? NULL
                                               : event_new(base, log->finished_fd,
                                                           EV_READ | EV_PERSIST, on_finished, log);
    if (!log->finished_event || event_add(log->finished_event, NULL) != 0)
        return error_set_errno(error, log->folder, "cannot watch the commit thread");
    log->thread_runs = pthread_create(&log->thread, NULL, queue_log_commit_main, log) == 0;
    log->large_thread_runs = log->thread_runs && pthread_create(&log->large_thread, NULL,
                                                                queue_log_large_main, log) == 0;
    return log->large_thread_runs ||
           error_set(error, ERROR_INTERNAL, log->folder, "cannot start the commit threads");
}

static struct queue_log *log_new(size_t segment_bytes)
{
    struct queue_log *log = calloc(1, sizeof *log);
    if (!log)
        abort();
    log->folder_fd = log->large_fd = log->finished_fd = -1;
    log->segment_bytes = segment_bytes;
    log->pending.end = &log->pending.first;
    log->large_pending.end = &log->large_pending.first;
    log->finished.end = &log->finished.first;
    log->created_end = &log->created;
    pthread_mutex_init(&log->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&log->wake, &monotonic);
    pthread_cond_init(&log->large_wake, NULL);
    pthread_condattr_destroy(&monotonic);
    return log;
}

struct queue_log *queue_log_open(const char *folder, struct event_base *base, size_t segment_bytes,
                                 void (*visit)(void *argument, const struct queue_record_view *),
                                 void *argument, struct error *error)
{
    struct queue_log *log = log_new(segment_bytes);
    if (!open_folders(log, folder, error) || !open_stream(log, error) ||
        !queue_log_recover(log, visit, argument, error)) {
        queue_log_close(log);
        return NULL;
    }
    log->writing = log->current;
    log->synced = (uint32_t)log->writing->used;
    log->acked = log->oldest->first_seq - 1;
    if (!start_threads(log, base, error)) {
        queue_log_close(log);
        return NULL;
    }
    return log;
}

static void stop_threads(struct queue_log *log)
{
    pthread_mutex_lock(&log->mutex);
    log->large_stopping = true;
    pthread_cond_signal(&log->large_wake);
    pthread_mutex_unlock(&log->mutex);
    if (log->large_thread_runs)
        pthread_join(log->large_thread, NULL);
    pthread_mutex_lock(&log->mutex);
    log->stopping = true;
    pthread_cond_signal(&log->wake);
    pthread_mutex_unlock(&log->mutex);
    if (log->thread_runs) {
        pthread_join(log->thread, NULL);
        on_finished(log->finished_fd, 0, log);
    }
}

void queue_log_close(struct queue_log *log)
{
    if (!log)
        return;
    stop_threads(log);
    for (struct queue_record *record; (record = queue_record_list_take(&log->pending));)
        finish_record(log, record);
    if (log->finished_event)
        event_free(log->finished_event);
    queue_log_segment_discard(log, log->spare);
    while (log->oldest) {
        struct queue_segment *segment = log->oldest;
        log->oldest = segment->next;
        queue_log_segment_free(segment);
    }
    int fds[] = {log->folder_fd, log->large_fd, log->finished_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pthread_mutex_destroy(&log->mutex);
    pthread_cond_destroy(&log->wake);
    pthread_cond_destroy(&log->large_wake);
    free(log);
}

void queue_log_watch(struct queue_log *log, void (*synced)(void *argument), void *argument)
{
    log->watcher = synced;
    log->watcher_argument = argument;
}

/* Figures and trimming */

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
    if (seq <= log->acked || seq > log->current->last_seq)
        return;
    log->acked = seq;
    queue_log_trim(log);
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
    log->trim_wanted = log->finishing;
    while (!log->finishing && log->oldest != log->current && log->oldest->live_messages == 0 &&
           log->oldest->last_seq <= log->acked) {
        struct queue_segment *segment = log->oldest;
        char name[32];
        queue_log_segment_name(name, segment->id);
        fault_point("log.trim");
        if (unlinkat(log->folder_fd, name, 0) != 0) {
            log_warning("queue: cannot remove %s: %s", name, strerror(errno));
            return;
        }
        log->oldest = segment->next;
        if (log->reader_segment == segment)
            log->reader_segment = NULL;
        queue_log_segment_free(segment);
    }
}

bool queue_log_has_space(struct queue_log *log)
{
    pthread_mutex_lock(&log->mutex);
    bool full = log->full;
    pthread_mutex_unlock(&log->mutex);
    return !full;
}

bool queue_log_blocked(struct queue_log *log)
{
    pthread_mutex_lock(&log->mutex);
    bool blocked = log->blocked;
    pthread_mutex_unlock(&log->mutex);
    return blocked;
}
