/* The queue's log: what is on disk, and the group commit.
 *
 * The folder holds segments `log-%016x` in order, each allocated whole before it is used (and the
 * next one, `log-%016x.new`, always ahead), and `large/UUID` for bodies over
 * QUEUE_LOG_INLINE_LIMIT. A segment is a header and records; a record is a fixed header, meta,
 * events and body. Records are only ever appended; a message's state is its message record and the
 * state records after it (see queue.h). A commit thread writes whatever has been appended since the
 * last write in one go and syncs it once, so that any number of sessions share one fdatasync.
 *
 * Recovery walks the segments in order. In the newest it stops at the first record that is not
 * whole: what stands behind was never acknowledged. A place that was on stable storage once and has
 * gone bad is logged and passed over; its events are read back as events of type "lost".
 *
 * A full disk: no message is taken while the next segment cannot be allocated, so that what was
 * allocated before (4 MiB or more) is left for changes of state. Events that belong to no message
 * are refused when only 2 MiB are left. Changes of state that find no room at all wait in memory,
 * and queue_log_blocked says so, so that no further ones are made.
 *
 * A Control Center that is away: events are kept, and with them the segments that hold them, until
 * they are acknowledged. None is ever dropped; the disk's limit (queue_has_space) stops acceptance
 * first. At 4 KiB a message, 100 GB of disk are some 20 million messages.
 *
 * All functions are for one thread (the event loop's); the commit thread is inside. */
#ifndef GATEHOUSE_SCANNER_MTA_QUEUE_LOG_H
#define GATEHOUSE_SCANNER_MTA_QUEUE_LOG_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/message_id.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_LOG_INLINE_LIMIT (1u << 20) /* bytes of a body that stands in the log itself */
#define QUEUE_LOG_SEGMENT_BYTES (64u << 20)

enum queue_record_type {
    QUEUE_RECORD_MESSAGE = 1, /* envelope and body; replaces an earlier one of the same id */
    QUEUE_RECORD_STATE = 2,   /* changes of a message's state */
    QUEUE_RECORD_EVENT = 3,   /* audit events alone */
};

struct queue_message;

struct queue_segment {
    struct queue_segment *next; /* newer */
    uint64_t id;
    uint64_t key;
    uint64_t first_seq; /* of the first event that it may hold */
    uint64_t last_seq;  /* of the last one that it holds; first_seq - 1 where it has none */
    uint64_t size;
    uint64_t used; /* the commit thread's */
    /* The queue's: the messages whose newest record stands here. */
    struct queue_message *messages;
    uint64_t live_bytes;
    size_t live_messages; /* those that are gone count until that is on stable storage */
    int fd;
};

/* A record to append. The log owns it from queue_log_append on. */
struct queue_record {
    struct queue_record *next;
    enum queue_record_type type;
    struct message_id id;
    struct buffer meta;
    struct buffer events; /* JSON objects, each ended by '\n', without "seq" */
    struct buffer body;
    bool large;   /* the body is large/UUID, and `body` is empty */
    int large_fd; /* >= 0: an unnamed file that becomes large/UUID */
    uint64_t large_length;
    bool moved;  /* a message that is in the log already: may be refused */
    bool urgent; /* somebody waits: sync at once */
    /* Called on the loop thread after the record is on stable storage, or could not be:
     * ERROR_NO_SPACE, or ERROR_LIMIT for one that is too long. Only messages, moved messages and
     * events can be refused, and changes of state only when the log is closed with the disk full.
     * May be NULL. */
    void (*done)(void *argument, const struct queue_record *record, enum error_code result);
    void *argument;
    /* Where it stands, once done. */
    struct queue_segment *segment;
    uint64_t offset;      /* of the record */
    uint64_t body_offset; /* in the segment; 0 for a large body */
    enum error_code result;
};

/* One record as recovery or a reader sees it; pointers are borrowed for the call. */
struct queue_record_view {
    enum queue_record_type type;
    struct message_id id;
    uint64_t seq; /* of the first event */
    unsigned event_count;
    const char *meta;
    size_t meta_length;
    const char *events;
    size_t events_length;
    bool large;
    struct queue_segment *segment;
    uint64_t offset, body_offset, body_length;
};

struct queue_log;

/* Opens or creates the folder, visits every record in order, and starts the commit thread. A
 * damaged place inside an older segment is logged and passed over. */
struct queue_log *queue_log_open(const char *folder, struct event_base *base, size_t segment_bytes,
                                 void (*visit)(void *argument, const struct queue_record_view *),
                                 void *argument, struct error *error);
/* Commits what is appended and closes. */
void queue_log_close(struct queue_log *log);

struct queue_record *queue_record_new(enum queue_record_type type, const struct message_id *id);
void queue_record_free(struct queue_record *record);
void queue_log_append(struct queue_log *log, struct queue_record *record);

/* Opens an unnamed file beside the log for a body that arrives in pieces. -1 with *error. */
int queue_log_large_open(struct queue_log *log, struct error *error);
/* Opens large/UUID for reading, or -1. */
int queue_log_large_read(struct queue_log *log, const struct message_id *id);
void queue_log_large_remove(struct queue_log *log, const struct message_id *id);

/* `synced` is called on the loop whenever records came to stable storage, so that nobody has to
 * look again and again; one watcher at most, NULL for none. */
void queue_log_watch(struct queue_log *log, void (*synced)(void *argument), void *argument);

/* The stream's identifier (made with the folder), the last event on stable storage, and what the
 * Control Center has. */
const char *queue_log_stream(const struct queue_log *log);
uint64_t queue_log_last_seq(const struct queue_log *log);
uint64_t queue_log_acked(const struct queue_log *log);
/* Takes a higher one that exists; segments that are not needed any more go. After opening, what was
 * acknowledged before is known only as far as segments are gone. */
void queue_log_ack(struct queue_log *log, uint64_t seq);

/* Appends up to `most` events after seq `after`, each a JSON object with "seq", separated by
 * commas, to `out` (stops near `bytes`). *count is how many. For one that is not there any more an
 * event of type "lost" stands in its place, so that those behind it can be taken. */
bool queue_log_events(struct queue_log *log, uint64_t after, size_t most, size_t bytes,
                      struct buffer *out, size_t *count, struct error *error);

/* Oldest first; records are written into the last one only. */
struct queue_segment *queue_log_segments(struct queue_log *log);
uint64_t queue_log_bytes(const struct queue_log *log);
/* Removes segments from the oldest on that no message and no event needs any more. */
void queue_log_trim(struct queue_log *log);
/* False while no further message can be stored: the disk is full. */
bool queue_log_has_space(struct queue_log *log);
/* True while changes of state wait for room. */
bool queue_log_blocked(struct queue_log *log);

#endif
