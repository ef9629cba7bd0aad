/* The "meta" part of queue log records: envelopes and changes as bytes. */
#ifndef GATEHOUSE_SCANNER_MTA_QUEUE_RECORD_H
#define GATEHOUSE_SCANNER_MTA_QUEUE_RECORD_H

#include "scanner/mta/queue.h"

/* The envelope of a draft, or of a message with its present state (for moving it forward). */
void queue_record_put_draft(struct buffer *meta, const struct queue_draft *draft);
void queue_record_put_message(struct buffer *meta, const struct queue_message *message);
/* A new message from such bytes, without its place on disk; NULL where they are malformed. */
struct queue_message *queue_record_get_message(const char *meta, size_t length);
void queue_message_free(struct queue_message *message);

void queue_record_put_changes(struct buffer *meta, const struct queue_change *changes,
                              size_t count);
void queue_record_put_scanned(struct buffer *meta, const char *extra_header);
void queue_record_put_flags(struct buffer *meta, uint8_t flags);
/* Applies the changes of a state record; false where they are malformed. */
bool queue_record_apply(struct queue_message *message, const char *meta, size_t length);

#endif
