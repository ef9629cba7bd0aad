/* What each request on run/mta.sock does. Private to control.c and what carries requests out. */
#ifndef GATEHOUSE_SCANNER_MTA_CONTROL_REQUESTS_H
#define GATEHOUSE_SCANNER_MTA_CONTROL_REQUESTS_H

#include "common/buffer.h"
#include "common/message_id.h"
#include "scanner/mta/control.h"

#define CONTROL_EVENTS_MOST 10000
#define CONTROL_EVENTS_BYTES (8u << 20)
#define CONTROL_WAIT_MOST_MS 60000

struct control_events {
    uint64_t after;
    size_t most;
    int64_t until; /* monotonic milliseconds: the answer is due, with events or without */
};

/* Reads "id", which must be that of a message. */
bool control_read_id(const json_t *request, struct message_id *id, struct error *error);

/* Each writes the reply's JSON text to `out`, or returns false with *error. */
bool control_status(const struct mta *mta, struct buffer *out, struct error *error);
bool control_ack(const struct mta *mta, const json_t *request, struct error *error);
bool control_read_events(const json_t *request, struct control_events *events, struct error *error);
/* False where there is none yet and the time has not come. */
bool control_events_due(const struct mta *mta, const struct control_events *events);
bool control_write_events(const struct mta *mta, const struct control_events *events,
                          struct buffer *out, struct error *error);

#endif
