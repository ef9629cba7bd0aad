/* The queue: every accepted message, its state, and the changes of it.
 *
 * A message is in one state, each recipient in one state:
 *
 *   message                recipient
 *   TO_BE_SCANNED  ------> QUEUED        nothing is sent while the message is unscanned
 *   TO_BE_DELIVERED        QUEUED --> DELIVERED | BOUNCED | DELETED     (final)
 *   TO_BE_HANDED_OVER      QUEUED --> HANDED_OVER | DELETED             (final)
 *                                        the Control Center's: never scanned, never delivered, and
 *                                        no timer's; the agent carries it there, however long that
 *                                        takes
 *   HELD (a flag)          QUEUED        waits for an administrator
 *   SUSPECT (a flag)       QUEUED        a message TO_BE_SCANNED again by newer signatures: it is
 *                                        in quarantine until a scan, the time or an administrator
 *                                        lets it go
 *
 * HELD goes with the first two states of the message. Delivery of a direction may be paused
 * (queue_pause): that is no state of the message.
 *
 * A message whose recipients are all final leaves the queue. A refused, rejected or deleted message
 * never enters it: its events alone are logged. Every change is one record of the queue log with
 * its audit events (queue_log.h), so state and audit trail cannot differ. Memory holds envelope and
 * state of each message (under 1 KiB with one recipient), never the body.
 *
 * Order on disk: the message record is synced before 250 is answered; state records are written at
 * once (behind a sync that is under way, so within milliseconds) and synced within 50 ms or with
 * the next message. Neither a crash of the process nor a power failure loses a message; the one may
 * repeat a delivery whose result came in the last milliseconds before, the other one of the last
 * 50 ms. Nothing that follows from a final state (a large body or a segment goes) happens before
 * that state is on stable storage.
 *
 * A full disk and a Control Center that is away: see queue_log.h.
 *
 * All functions are for the event loop's thread. */
#ifndef GATEHOUSE_SCANNER_MTA_QUEUE_H
#define GATEHOUSE_SCANNER_MTA_QUEUE_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/message_id.h"
#include "scanner/mta/queue_log.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum queue_direction { QUEUE_INBOUND, QUEUE_OUTBOUND, QUEUE_INTERNAL };

/* The values are those of the records on disk. A message TO_BE_HANDED_OVER has what the Control
 * Center is told (the `info` of docs/architecture.md, a JSON object of at most
 * QUEUE_HANDOVER_INFO_LIMIT bytes) as its extra_header; its recipients are those that it is about.
 */
enum queue_message_state {
    QUEUE_TO_BE_SCANNED,
    QUEUE_TO_BE_DELIVERED,
    QUEUE_TO_BE_HANDED_OVER,
};

#define QUEUE_HANDOVER_INFO_LIMIT (256u << 10)

enum queue_recipient_state {
    QUEUE_RECIPIENT_QUEUED,
    QUEUE_RECIPIENT_DELIVERED,
    QUEUE_RECIPIENT_BOUNCED,     /* failed for good; the sender was told, or there is none */
    QUEUE_RECIPIENT_DELETED,     /* by a policy or an administrator that the audit log names */
    QUEUE_RECIPIENT_HANDED_OVER, /* the Control Center has it on stable storage */
};

enum queue_notify { /* RFC 3461 section 4.1 */
                    QUEUE_NOTIFY_NEVER = 1,
                    QUEUE_NOTIFY_SUCCESS = 2,
                    QUEUE_NOTIFY_FAILURE = 4,
                    QUEUE_NOTIFY_DELAY = 8,
};

enum queue_message_flags {
    QUEUE_FLAG_HELD = 1,
    QUEUE_FLAG_8BITMIME = 2,
    QUEUE_FLAG_SMTPUTF8 = 4,
    QUEUE_FLAG_RET_FULL = 8, /* RFC 3461 section 4.3 */
    QUEUE_FLAG_RET_HDRS = 16,
    QUEUE_FLAG_DELAY_WARNED = 32,
    QUEUE_FLAG_REQUIRE_TLS = 64,
    QUEUE_FLAG_SUSPECT = 128, /* in quarantine: TO_BE_SCANNED again, with newer signatures */
};

struct queue_recipient {
    const char *address;
    const char *original; /* ORCPT as given (xtext), or NULL */
    char *reply;          /* of the last attempt, or NULL */
    char *route; /* its own one, by an administrator or the directory ("host:port"), or NULL */
    int64_t next_attempt; /* milliseconds since 1970 */
    uint32_t attempts;
    uint8_t state;
    uint8_t notify; /* enum queue_notify bits, 0: not given */
    bool in_delivery;
};

struct queue_message {
    struct message_id id;
    struct queue_message *hash_next;
    struct queue_message *lower, *higher; /* the tree by ids (queue_order.c) */
    struct queue_message *segment_next, **segment_link;
    struct queue_message *handover_next, **handover_link; /* of those TO_BE_HANDED_OVER */
    struct queue_segment *segment;
    uint64_t body_offset;
    uint64_t body_length;      /* bytes, trace header fields included */
    int64_t received_at;       /* milliseconds since 1970 */
    const char *sender;        /* "" for the null sender */
    const char *envelope_id;   /* RFC 3461 ENVID (xtext), or NULL */
    char *extra_header;        /* fields put before the body at delivery, or NULL; or the info */
    size_t heap_index;         /* 0: not waiting for a time */
    struct delivery_job *jobs; /* the delivery's: its transactions, waiting or under way */
    uint32_t recipient_count;
    uint32_t open_recipients; /* QUEUED ones */
    uint32_t scan_attempts;
    uint16_t busy; /* users (scan, deliveries) at work on it */
    uint8_t direction, state, flags;
    bool large;
    bool removed;   /* the last user frees it */
    bool submitted; /* as in its draft */
    struct queue_recipient recipients[];
};

/* What a session or a bounce hands over. */
struct queue_draft_recipient {
    const char *address, *original;
    uint8_t notify;
    const char *route; /* its own one, as queue_recipient.route, or NULL */
};

struct queue_draft {
    struct message_id id;
    enum queue_direction direction;
    enum queue_message_state state;
    uint8_t flags;
    int64_t received_at;
    const char *sender, *envelope_id;
    const char *extra_header; /* fields put before the body at delivery, or NULL; or the info */
    const struct queue_draft_recipient *recipients;
    size_t recipient_count;
    struct buffer body; /* taken over; empty where large_fd >= 0 */
    int large_fd;       /* taken over; -1 where the body is in memory */
    uint64_t large_length;
    struct buffer events; /* taken over */
    bool submitted;       /* its id is remembered (queue_was_submitted) */
};

struct queue;

struct queue_hooks {
    /* A message is due: to be scanned or with recipients to be delivered now. Called from the loop,
     * never from within a queue_ function. A message that the hook neither holds busy nor puts off
     * comes again a second later. */
    void (*due)(void *argument, struct queue_message *message);
    void *argument;
};

/* Opens the folder, recovers, and starts handing out due messages on the loop. */
struct queue *queue_open(const char *folder, struct event_base *base,
                         const struct queue_hooks *hooks, struct error *error);
void queue_close(struct queue *queue);

/* Appends the message; `done` is called from the loop once it is on stable storage (ERROR_NONE) or
 * was refused: ERROR_NO_SPACE, or ERROR_LIMIT for one with no recipient, with over 100,000, with a
 * body in memory over QUEUE_LOG_INLINE_LIMIT, or TO_BE_HANDED_OVER with no info or one over
 * QUEUE_HANDOVER_INFO_LIMIT. The draft's borrowed text is copied before the call
 * returns. */
void queue_accept(struct queue *queue, struct queue_draft *draft,
                  void (*done)(void *argument, enum error_code result), void *argument);

/* Logs events that change no queued message (refused, rejected, deleted, aborted). `done` may be
 * NULL: nobody waits. `events` is taken over. */
void queue_log_only(struct queue *queue, const struct message_id *id, struct buffer *events,
                    void (*done)(void *argument, enum error_code result), void *argument);

/* One recipient's new state; `reply` is copied. */
struct queue_change {
    uint32_t recipient;
    enum queue_recipient_state state;
    uint32_t attempts;
    int64_t next_attempt;
    const char *reply;
    const char *route; /* "" removes it, NULL leaves it */
};

/* Applies changes to recipients, and logs them with the events (taken over; may be NULL). When none
 * is left QUEUED the message is gone: queue_find does not know it any more, its body cannot be
 * read, and its memory stays until the last user has released it and the loop has come round.
 * Changes of one that is gone are not applied, but their events are logged. Of a reply 500 bytes
 * are kept. */
void queue_change_recipients(struct queue *queue, struct queue_message *message,
                             const struct queue_change *changes, size_t count,
                             struct buffer *events);

/* Message-wide changes: the result of a scan (`extra_header` may be NULL), flags, time of the next
 * scan. A NULL events is allowed. */
void queue_change_scanned(struct queue *queue, struct queue_message *message,
                          const char *extra_header, struct buffer *events);
void queue_change_flags(struct queue *queue, struct queue_message *message, uint8_t flags,
                        struct buffer *events);

/* Marks a user of the message; while busy it is neither due nor freed. */
void queue_hold_busy(struct queue *queue, struct queue_message *message);
/* The user is done; the message becomes due again at its recipients' earliest next attempt, or is
 * gone when nothing is open. */
void queue_release_busy(struct queue *queue, struct queue_message *message);
/* Makes an idle message due at `when` (milliseconds), whatever its recipients say; a held one or
 * one that is gone stays as it is. Within the due hook a time less than a second ahead means a
 * second. */
void queue_due_at(struct queue *queue, struct queue_message *message, int64_t when);

/* While a direction is paused its messages that are to be delivered are not handed out, and take no
 * timer's work; scanning goes on. Those that are due when it goes on again are handed out in order
 * of their next attempts, a few at a time. Not kept on disk: it is a matter of the configuration.
 */
void queue_pause(struct queue *queue, enum queue_direction direction, bool paused);
bool queue_is_paused(const struct queue *queue, enum queue_direction direction);

/* Borrowed, until the message is removed; NULL where none has that id. */
struct queue_message *queue_find(struct queue *queue, const struct message_id *id);
/* Finds the messages with the lowest ids above `after` (NULL: the lowest of all), in order, up to
 * `most`. Returns how many, 0 only where there are none; there may be more behind them. A walk by
 * the last id of each call loses no message, whatever comes and goes between the calls. */
size_t queue_next(struct queue *queue, const struct message_id *after,
                  struct queue_message **messages, size_t most);
/* Calls visit for each message until it returns false; it may change the one it is given. */
void queue_each(struct queue *queue, bool (*visit)(void *argument, struct queue_message *message),
                void *argument);

/* The messages TO_BE_HANDED_OVER in the order in which they came: the first one where `after` is
 * NULL, else the one behind it. NULL at the end. Costs the same however long the queue is. */
struct queue_message *queue_handover_next(const struct queue *queue,
                                          const struct queue_message *after);
/* Whether a message of that id was accepted as `submitted`: for a day, of the last 65,536 of them,
 * and after a restart those whose records the log still holds. So a message that is submitted again
 * because an answer was lost is known even where it is delivered already. */
bool queue_was_submitted(const struct queue *queue, const struct message_id *id);

/* Reads up to `length` bytes of the stored body from `offset`. Returns the count, 0 at the end, -1
 * with *error. */
long queue_read_body(struct queue *queue, const struct queue_message *message, uint64_t offset,
                     void *data, size_t length, struct error *error);
/* A descriptor of the whole body alone (an own file), for a scanner process. -1 with *error. */
int queue_body_descriptor(struct queue *queue, const struct queue_message *message,
                          struct error *error);

struct queue_counts {
    uint64_t inbound, outbound; /* to be scanned */
    uint64_t delivery;          /* to be delivered, or to be handed over */
};
struct queue_counts queue_count(const struct queue *queue);

/* The log that the queue is kept in; borrowed. */
struct queue_log *queue_log_of(struct queue *queue);
/* False while the disk has no room for a message of `bytes` (a margin is kept). */
bool queue_has_space(struct queue *queue, uint64_t bytes);

#endif
