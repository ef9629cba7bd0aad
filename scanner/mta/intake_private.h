/* What the files of the intake share:
 *   intake.c        messages that a session has just received
 *   intake_queue.c  messages that the queue hands out to be scanned: those that no worker had time
 *                   for, and those in quarantine
 *   intake_clean.c  the clean file of a worker as a message's body */
#ifndef GATEHOUSE_SCANNER_MTA_INTAKE_PRIVATE_H
#define GATEHOUSE_SCANNER_MTA_INTAKE_PRIVATE_H

#include "scanner/mta/intake.h"

#include <jansson.h>

#define INTAKE_REJECTED_REPLY "554 5.7.1 Message rejected: its content is not allowed here"

struct rescan {
    struct intake *intake;
    struct rescan *next, **link;   /* in one of the lists of the intake */
    struct queue_message *message; /* held busy */
    unsigned signatures;           /* intake->signature_changes when its scan began */
};

struct intake {
    struct mta *mta;
    struct rescan *waiting, **waiting_end;
    struct rescan *under_way; /* with the scan client, or about to be on stable storage */
    int rescanning;
    bool starting; /* rescans are being started: one that cannot be starts no others */
    unsigned signature_changes;
};

/* intake_queue.c: the engine has other signatures, so what is in quarantine is looked at again. */
void intake_signatures_changed(void *intake);
void intake_forget_rescans(struct intake *intake);

/* intake_clean.c: the clean file becomes the body of the draft, in place of the one that it has.
 * `size` is that of the message. False with *error, and the draft as it was: ERROR_PROTOCOL where
 * there is no such file as the engine says, else what is wrong lies with this host. */
bool intake_take_cleaned(struct queue *queue, const json_t *result, int cleaned, uint64_t size,
                         struct queue_draft *draft, struct error *error);

#endif
