/* How the agent takes the messages that are the Control Center's (docs/architecture.md,
 * handover_list, handover_content and handover_done). Private to control.c. */
#ifndef GATEHOUSE_SCANNER_MTA_CONTROL_HANDOVER_H
#define GATEHOUSE_SCANNER_MTA_CONTROL_HANDOVER_H

#include "common/buffer.h"
#include "common/error.h"
#include "scanner/mta/mta.h"
#include "scanner/mta/queue.h"

#include <jansson.h>

#define CONTROL_HANDOVER_MOST 1000
#define CONTROL_HANDOVER_LIST_BYTES (4u << 20)
#define CONTROL_HANDOVER_CONTENT_BYTES (1u << 20)

/* Who waits for messages. */
struct control_handover {
    struct message_id after; /* only those behind it, where it still waits */
    size_t limit;
    int64_t until; /* monotonic milliseconds: the answer is due, with messages or without */
};

/* Reads {"limit","wait_ms","after"}; all may be missing. */
bool control_handover_read(const json_t *request, struct control_handover *wanted,
                           struct error *error);
/* False where there is none yet and the time has not come. */
bool control_handover_due(const struct mta *mta, const struct control_handover *wanted);
/* Each writes the reply's JSON text to `out`, or returns false with *error. */
bool control_handover_write(const struct mta *mta, const struct control_handover *wanted,
                            struct buffer *out, struct error *error);
/* ERROR_NOT_FOUND: it does not wait (any more). */
bool control_handover_content(const struct mta *mta, const json_t *request, struct buffer *out,
                              struct error *error);
/* One that does not wait any more is no error: the answer before may have been lost. */
bool control_handover_done(const struct mta *mta, const json_t *request, struct buffer *out,
                           struct error *error);

#endif
