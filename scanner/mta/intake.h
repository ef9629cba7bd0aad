/* What happens to a message between the end of its data and its 250: scan, policy, stable storage.
 * Where no verdict comes within smtp.scan_wait_seconds it is stored unscanned and scanned from the
 * queue; nothing is delivered before. */
#ifndef GATEHOUSE_SCANNER_MTA_INTAKE_H
#define GATEHOUSE_SCANNER_MTA_INTAKE_H

#include "scanner/mta/mta.h"
#include "scanner/mta/queue.h"
#include "scanner/mta/transaction.h"

struct intake;
struct intake_job;

struct intake *intake_new(struct mta *mta);
void intake_free(struct intake *intake);

/* Takes a whole message. `draft` has id, flags, envelope, received_at and body (taken over; its
 * state, extra_header and events are filled in here); everything else is borrowed for the call.
 * Behind the draft's recipients stand `dropped` more that nobody knows: they are accepted and
 * deleted, as the audit log tells.
 * `done` gets the reply for the client, such as "250 2.0.0 Ok: queued as ID", once and never before
 * this function returned. */
struct intake_job *intake_submit(struct intake *intake, const struct transaction *transaction,
                                 struct queue_draft *draft, size_t dropped,
                                 void (*done)(void *argument, const char *reply), void *argument);
/* The client is gone: `done` will not be called. The message takes its way all the same. */
void intake_forget(struct intake_job *job);

/* Another configuration runs: where its policies are others than those of `before`, what is in
 * quarantine is decided over again. */
void intake_configured(struct intake *intake, const struct scanner_config *before);

/* A due message of the queue that is still to be scanned. */
void intake_rescan(struct intake *intake, struct queue_message *message);

#endif
