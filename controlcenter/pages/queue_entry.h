/* Queued messages as scanners tell of them (docs/architecture.md, queue_list and queue_message),
 * read with suspicion: types, ranges and lengths are checked here once. Whatever is missing,
 * malformed or out of range is unknown. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_QUEUE_ENTRY_H
#define GATEHOUSE_CONTROLCENTER_PAGES_QUEUE_ENTRY_H

#include "common/address.h"
#include "common/message_id.h"
#include "controlcenter/pages/host_status.h"

#define QUEUE_REPLY_SIZE 513
#define QUEUE_ROUTE_SIZE (DOMAIN_SIZE + 16)
#define QUEUE_HEADER_MOST (16u << 10) /* bytes that are kept of a message's header */
#define QUEUE_RECIPIENTS_MOST 1000    /* that are kept of one message */

struct queue_entry_recipient {
    char address[ADDRESS_SIZE];   /* "": unknown */
    char reply[QUEUE_REPLY_SIZE]; /* of the last attempt; "": none */
    char route[QUEUE_ROUTE_SIZE]; /* its own one; "": none */
    const char *state;            /* one of page_states; NULL: unknown */
    int64_t attempts;             /* -1: unknown */
    int64_t next_attempt;         /* milliseconds since 1970; 0: unknown or none */
};

struct queue_entry {
    char id[MESSAGE_ID_TEXT_SIZE];
    const char *queue, *direction, *state; /* of the lists below; NULL: unknown */
    bool has_sender;
    char sender[ADDRESS_SIZE]; /* "" for the null sender */
    int64_t size, received_at; /* -1 and 0: unknown */
    int64_t recipient_count;   /* -1: unknown; may be more than are kept */
    struct queue_entry_recipient *recipients;
    size_t kept;
};

/* The words of queues, each list ends with NULL. */
extern const char *const queue_names[];      /* inbound, outbound, delivery */
extern const char *const queue_states[];     /* waiting, active, held, ... */
extern const char *const queue_directions[]; /* inbound, outbound, internal */

/* One message; false for what is none (no id), or where memory ran out. `recipients_most` of its
 * recipients are kept. */
bool queue_entry_read(const json_t *from, size_t recipients_most, struct queue_entry *entry);
void queue_entry_clear(struct queue_entry *entry);

/* The messages of a reply to queue_list, ascending, those above `after` ("" for all) alone, at most
 * `most`. NULL where memory ran out; free with queue_entries_free. */
struct queue_entry *queue_entries_read(const json_t *reply, const char *after, size_t most,
                                       size_t *count);
void queue_entries_free(struct queue_entry *entries, size_t count);

/* A member that counts something, 0 to 2^53; -1 for anything else. */
int64_t queue_number(const json_t *object, const char *name);

#endif
