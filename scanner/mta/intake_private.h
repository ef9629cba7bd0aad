/* What the files of the intake share:
 *   intake.c         messages that a session has just received
 *   intake_queue.c   messages that the queue hands out to be scanned: those that no worker had time
 *                    for, and those in quarantine
 *   intake_people.c  who a message is from and for, as policies see it
 *   intake_plan.c    what is to be done with a message, with its neighbours (intake_plan.h)
 *   intake_batch.c   stores the messages that go on by themselves
 *   intake_body.c    the text of a message on its way from one place to the next */
#ifndef GATEHOUSE_SCANNER_MTA_INTAKE_PRIVATE_H
#define GATEHOUSE_SCANNER_MTA_INTAKE_PRIVATE_H

#include "scanner/mta/intake.h"
#include "scanner/mta/intake_batch.h"
#include "scanner/mta/intake_people.h"

#include <stdbool.h>

struct rescan {
    struct intake *intake;
    struct rescan *next, **link;   /* in one of the lists of the intake */
    struct queue_message *message; /* held busy */
    unsigned signatures;           /* intake->signature_changes when its scan began */
    struct config_ref *config;     /* that it is decided with */
    struct intake_people *people;
    struct queue_draft_recipient *recipients; /* those that were open when it began */
    uint32_t *indices, *attempts;             /* of them in the message */
    bool *left_out;                           /* they are final meanwhile */
    size_t recipient_count;
    struct intake_plan *plan;
    struct intake_batch *batch;
    struct buffer events;
};

struct intake {
    struct mta *mta;
    struct intake_batches *batches;
    struct rescan *waiting, **waiting_end;
    struct rescan *under_way; /* with the scan client, or about to be on stable storage */
    int rescanning;
    bool starting; /* rescans are being started: one that cannot be starts no others */
    unsigned signature_changes;
};

/* intake_queue.c: the engine has other signatures, so what is in quarantine is looked at again. */
void intake_signatures_changed(void *intake);
void intake_forget_rescans(struct intake *intake);

#endif
