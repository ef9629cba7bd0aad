/* What the files of the audit trail share. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_AUDIT_INTERNAL_H
#define GATEHOUSE_CONTROLCENTER_STORE_AUDIT_INTERNAL_H

#include "common/buffer.h"
#include "common/timestamp.h"
#include "controlcenter/store/store_internal.h"

#define AUDIT_TYPE_LIMIT 32 /* bytes of an event's type */

/* States of a recipient. The first is that of a recipient of whom nothing more is known. */
#define AUDIT_TO_BE_SCANNED "to be scanned"
#define AUDIT_QUARANTINED "quarantined"
#define AUDIT_QUEUED "queued"
#define AUDIT_HELD "held"   /* in a quarantine folder of incidents */
#define AUDIT_MOVED "moved" /* goes on in another message */
#define AUDIT_DELIVERED "delivered"
#define AUDIT_DEFERRED "deferred"
#define AUDIT_FAILED "failed"
#define AUDIT_BOUNCED "bounced"
#define AUDIT_DELETED "deleted"
#define AUDIT_REJECTED "rejected"
#define AUDIT_REFUSED "refused"
#define AUDIT_ABORTED "aborted"

/* --- audit_form.c: one event, checked and turned into columns --- */

struct audit_event {
    int64_t seq;
    const json_t *value; /* borrowed */
    char *reason;        /* why it breaks the form; the rest is not set then */

    char id[37];
    int64_t message_at; /* what the id says */
    int64_t at;
    const char *type;   /* borrowed */
    json_t *message;    /* columns of audit_message that it tells; NULL: none */
    json_t *recipients; /* array of objects: idx and columns of audit_recipient; NULL: none */
    const char *figure; /* column of audit_hour that it counts in, or NULL */

    bool foreign; /* its message is another scanner's; audit_rows_write sets it */
};

/* Reads one event (seq is set by the caller). Never fails: see `reason`; false only when memory ran
 * out. `now` bounds the times. Clear with audit_event_clear. */
bool audit_event_read(struct audit_event *event, const json_t *value, int64_t now,
                      struct error *error);
void audit_event_clear(struct audit_event *event);

/* --- audit_rows.c: what a run of events makes of the tables --- */

struct audit_source {
    const char *scanner_id; /* canonical */
    const char *stream;
};

/* Writes the events, all of which keep to the form, inside the transaction. An event whose message
 * another scanner wrote first is marked `foreign` and leaves no trace in the tables. *is_data tells
 * on failure that one of the events is at fault rather than the database. */
bool audit_rows_write(PGconn *connection, const struct audit_source *source,
                      struct audit_event *events, size_t count, bool *is_data, struct error *error);

#endif
