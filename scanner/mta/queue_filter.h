/* Finding queued messages: what an administrator looks for, and the walk over the queue in slices
 * that the event loop bears. */
#ifndef GATEHOUSE_SCANNER_MTA_QUEUE_FILTER_H
#define GATEHOUSE_SCANNER_MTA_QUEUE_FILTER_H

#include "scanner/mta/queue.h"

#include <jansson.h>

enum queue_filter_queue {
    QUEUE_FILTER_ANY_QUEUE,
    QUEUE_FILTER_INBOUND, /* to be scanned, as queue_count counts them */
    QUEUE_FILTER_OUTBOUND,
    QUEUE_FILTER_DELIVERY, /* those to be handed over too */
};

enum queue_filter_state {
    QUEUE_FILTER_ANY_STATE,
    QUEUE_FILTER_WAITING,
    QUEUE_FILTER_ACTIVE, /* in delivery, or being scanned */
    QUEUE_FILTER_HELD,
    QUEUE_FILTER_SUSPECT,  /* in quarantine */
    QUEUE_FILTER_HANDOVER, /* waits for the Control Center to take it */
};

/* Conditions that all have to be met. Texts are parts of addresses regardless of (ASCII) case; NULL
 * for any. Only queued recipients count. */
struct queue_filter {
    enum queue_filter_queue queue;
    enum queue_filter_state state;
    bool has_id;
    struct message_id id;
    char *sender, *recipient;
    char *domain; /* of a recipient, whole */
    char *text;   /* a part of the sender or of a recipient */
};

/* Reads {"queue","sender","recipient","domain","id","state","text"}, each optional ("" counts as
 * missing); NULL finds everything. A member that is not known is an error: a condition that is
 * passed over would let an action loose on other messages. Clear with queue_filter_clear, also
 * after an error. */
bool queue_filter_read(struct queue_filter *filter, const json_t *value, struct error *error);
void queue_filter_clear(struct queue_filter *filter);

/* The names that a list shows, as the filter takes them. */
const char *queue_filter_queue_name(const struct queue_message *message);
const char *queue_filter_state_name(const struct queue_message *message);

#define QUEUE_WALK_SLICE_MS 2 /* how long one slice may keep the loop */
#define QUEUE_WALK_BATCH 64

struct queue_walk {
    struct queue *queue;
    const struct queue_filter *filter; /* borrowed */
    struct message_id after;           /* where the walk is */
    int64_t until;                     /* monotonic: the end of this slice */
    struct queue_message *batch[QUEUE_WALK_BATCH];
    size_t batch_count, batch_at;
    bool over;
};

/* Starts behind the id `after`; all zeros for the beginning. */
void queue_walk_begin(struct queue_walk *walk, struct queue *queue,
                      const struct queue_filter *filter, const struct message_id *after);
/* Begins a slice; call it whenever the loop was left in between. */
void queue_walk_slice(struct queue_walk *walk);
/* The next message that the filter finds, valid until the loop comes round; the caller may change
 * it. NULL with walk->over where there is none, and without where the slice is over. */
struct queue_message *queue_walk_next(struct queue_walk *walk);

#endif
