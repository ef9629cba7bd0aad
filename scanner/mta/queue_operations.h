/* What administrators do to queued messages (docs/architecture.md, queue_act and queue_job).
 *
 * A job goes over its messages in slices from the event loop, so that mail does not wait. Each
 * message is changed by one record of the queue log with the audit events that tell of it: after a
 * crash it is in its old state or in the new one, and what the job had not reached is as it was.
 *
 *   flush     the next attempt is now; attempts are kept; one that is held stays so
 *   hold      no attempt until it is released; one that is under way is not broken off
 *   release   as before it was held
 *   delete    its queued recipients become DELETED
 *   bounce    its queued recipients become BOUNCED and the sender is told
 *   reroute   its queued recipients get a route of their own, or lose it (""), and are due now
 *
 * A message that waits for the Control Center to take it can be deleted; every other action counts
 * as failed.
 *
 * delete, bounce and reroute need a message that no attempt is under way for. One that is on the
 * wire is looked at again until it is not, for up to QUEUE_JOB_BUSY_MS, and counts as failed then.
 * So none is both deleted and delivered, or sent by two routes. */
#ifndef GATEHOUSE_SCANNER_MTA_QUEUE_OPERATIONS_H
#define GATEHOUSE_SCANNER_MTA_QUEUE_OPERATIONS_H

#include "scanner/mta/mta.h"
#include "scanner/mta/queue_filter.h"

#define QUEUE_JOBS_RUNNING 4
#define QUEUE_JOBS_KEPT 256
#define QUEUE_JOB_KEPT_MS (600 * 1000) /* how long a finished one can be asked for */
#define QUEUE_JOB_BUSY_MS (30 * 1000)
#define QUEUE_JOB_BUSY_MOST 10000 /* messages that one job waits for */
#define QUEUE_JOB_IDS_MOST 1000   /* that a request may name */

struct queue_operations;

/* Borrows `mta`. */
struct queue_operations *queue_operations_new(struct mta *mta);
/* Ends the jobs where they are. */
void queue_operations_free(struct queue_operations *operations);

/* Starts the job of {"action","ids" or "filter","route","administrator"}; everything is checked
 * before anything is changed. Writes the reply {"ok":true,"job":ID}. ERROR_LIMIT: too many jobs run
 * already. */
bool queue_operations_act(struct queue_operations *operations, const json_t *request,
                          struct buffer *out, struct error *error);
/* The reply to {"job"}: how far it is. ERROR_NOT_FOUND: there is none, or not any more. */
bool queue_operations_job(struct queue_operations *operations, const json_t *request,
                          struct buffer *out, struct error *error);

#endif
