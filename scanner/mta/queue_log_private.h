/* Shared by queue_log*.c; nobody else.
 *
 *   queue_log.c          opening, and the loop's side: append, what is finished, trimming
 *   queue_log_commit.c   the commit thread: room, writing, syncing
 *   queue_log_segment.c  making segments
 *   queue_log_large.c    large bodies, and the thread that syncs them
 *   queue_log_recover.c  reading the log when it is opened
 *   queue_log_events.c   reading events back */
#ifndef GATEHOUSE_SCANNER_MTA_QUEUE_LOG_PRIVATE_H
#define GATEHOUSE_SCANNER_MTA_QUEUE_LOG_PRIVATE_H

#include "scanner/mta/queue_log.h"
#include "scanner/mta/queue_log_format.h"

#include <pthread.h>

struct queue_record_list {
    struct queue_record *first, **end;
};

struct queue_log {
    char folder[4000];
    int folder_fd, large_fd;
    size_t segment_bytes;
    uint8_t stream[16];
    char stream_text[MESSAGE_ID_TEXT_SIZE];

    /* The loop's own. */
    struct queue_segment *oldest, *current;
    uint64_t acked;
    bool finishing, trim_wanted; /* no segment goes while finished records still point to it */
    uint64_t refused_events;     /* not yet told of */
    int64_t refused_told_at;

    /* Shared by the threads, under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t wake, large_wake;
    struct queue_record_list pending, large_pending, finished;
    struct queue_segment *created, **created_end; /* segments that the loop does not know yet */
    bool urgent, stopping, large_stopping;
    bool full;    /* no further segment can be allocated */
    bool blocked; /* not even a change of state can be written */

    /* The commit thread's own. */
    struct queue_segment *writing;
    struct queue_segment *spare; /* the next one, allocated already; NULL while the disk is full */
    uint64_t next_seq;
    uint32_t synced; /* bytes of `writing` */

    pthread_t thread, large_thread;
    bool thread_runs, large_thread_runs;
    int finished_fd;
    struct event *finished_event;
    void (*watcher)(void *argument);
    void *watcher_argument;

    /* Where the last reader of events stopped. */
    struct queue_segment *reader_segment;
    uint64_t reader_offset, reader_seq;
};

void queue_record_list_push(struct queue_record_list *list, struct queue_record *record);
struct queue_record *queue_record_list_take(struct queue_record_list *list);

void queue_log_segment_name(char name[32], uint64_t id);
/* Allocates segment `id` with at least `least` bytes under a name that recovery ignores. On a full
 * disk it may be smaller than others. NULL with *error. */
struct queue_segment *queue_log_segment_prepare(struct queue_log *log, uint64_t id, uint64_t least,
                                                struct error *error);
/* Makes a prepared segment part of the log: its first event will be first_seq. */
bool queue_log_segment_begin(struct queue_log *log, struct queue_segment *segment,
                             uint64_t first_seq, struct error *error);
/* Closes and frees; a prepared one is removed from the disk, too. */
void queue_log_segment_free(struct queue_segment *segment);
void queue_log_segment_discard(struct queue_log *log, struct queue_segment *segment);

unsigned queue_log_count_events(const struct buffer *events);
/* Logs why and ends the process: a failed write or sync leaves what the disk holds unknown, and
 * recovery reads what is there. Nothing unsynced was ever acknowledged. */
void queue_log_give_up(const struct queue_log *log, const char *what) __attribute__((noreturn));

void *queue_log_commit_main(void *argument);
void *queue_log_large_main(void *argument);
void queue_log_append_pending(struct queue_log *log, struct queue_record *record);

bool queue_log_recover(struct queue_log *log,
                       void (*visit)(void *argument, const struct queue_record_view *),
                       void *argument, struct error *error);

/* Checks the header of the record at `offset` and, through pread into `scratch`, meta and events.
 * True where they are whole. */
bool queue_log_record_read(const struct queue_segment *segment, uint64_t offset,
                           struct log_record_header *header, struct buffer *scratch);
/* The first whole record at or behind `offset`, 0 where there is none. */
uint64_t queue_log_record_find(struct queue_log *log, struct queue_segment *segment,
                               uint64_t offset);

#endif
