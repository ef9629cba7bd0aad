/* Shared by queue_log.c (appending), queue_log_recover.c and queue_log_events.c; nobody else. */
#ifndef GATEHOUSE_SCANNER_MTA_QUEUE_LOG_PRIVATE_H
#define GATEHOUSE_SCANNER_MTA_QUEUE_LOG_PRIVATE_H

#include "scanner/mta/queue_log.h"
#include "scanner/mta/queue_log_format.h"

#include <pthread.h>

struct queue_log {
    char folder[4000];
    int folder_fd, large_fd;
    size_t segment_bytes;
    uint8_t stream[16];
    char stream_text[MESSAGE_ID_TEXT_SIZE];

    struct queue_segment *oldest, *current;
    uint64_t acked;

    /* Shared with the commit thread, under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct queue_record *pending, **pending_end;
    struct queue_record *finished, **finished_end;
    struct queue_segment *created, **created_end; /* new segments, not yet known to the loop */
    uint64_t synced_seq;
    bool urgent, stopping, full;

    /* The commit thread's own. */
    struct queue_segment *writing;
    uint64_t next_seq;

    pthread_t thread;
    bool thread_runs;
    int finished_fd;
    struct event *finished_event;

    /* Where the last reader of events stopped. */
    struct queue_segment *reader_segment;
    uint64_t reader_offset, reader_seq;
};

struct queue_segment *queue_log_segment_create(struct queue_log *log, uint64_t id,
                                               uint64_t first_seq, struct error *error);
void queue_log_segment_name(char name[32], uint64_t id);
bool queue_log_recover(struct queue_log *log,
                       void (*visit)(void *argument, const struct queue_record_view *),
                       void *argument, struct error *error);

/* Checks the header of the record at `offset` and, through pread into `scratch`, meta and events.
 * True where they are whole. */
bool queue_log_record_read(const struct queue_segment *segment, uint64_t offset,
                           struct log_record_header *header, struct buffer *scratch);

#endif
