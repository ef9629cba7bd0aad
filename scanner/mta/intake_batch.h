/* The messages that go on by themselves, stored together: none of them leaves before all are on
 * stable storage and what they came from is, too.
 *
 * Where one cannot be stored, or the message that they came from cannot, those that are there are
 * deleted again: the sender repeats the message, or it is scanned again, and they come anew. What
 * remains is a crash between the first and the last record, which are written at once and as a rule
 * synced together: it leaves some of them without the 250 that the sender waits for, so that they
 * are delivered twice. None is ever lost. */
#ifndef GATEHOUSE_SCANNER_MTA_INTAKE_BATCH_H
#define GATEHOUSE_SCANNER_MTA_INTAKE_BATCH_H

#include "scanner/mta/intake_plan.h"

struct intake_batch;
struct intake_batches; /* those under way */

struct intake_batches *intake_batches_new(struct queue *queue);
/* The queue is about to close: every `done` that was not called is called with ERROR_UNAVAILABLE.
 */
void intake_batches_free(struct intake_batches *batches);

/* Stores the further messages of the plan (one at least), whose drafts are empty afterwards. `done`
 * is called once, from the loop: with ERROR_NONE the messages wait for intake_batch_release, else
 * the batch is gone. */
struct intake_batch *intake_batch_store(struct intake_batches *batches, struct intake_plan *plan,
                                        void (*done)(void *argument, enum error_code result),
                                        void *argument);
/* They take their ways (`go` is true), or are deleted again. Frees the batch, and is to be called
 * once after `done` came with ERROR_NONE. NULL is allowed. */
void intake_batch_release(struct intake_batch *batch, bool go);

#endif
