/* Hands the mail of the outbox (store/outbox.h) to scanners, which deliver it. Any number of
 * Control Centers may do so on one database.
 *
 * A mail is tried until a scanner has it on stable storage, with growing pauses; what was wrong
 * last is kept beside it. Once a scanner was asked to store it no other scanner is asked (unless
 * that one is removed from the fleet), and a scanner takes an id once: an answer that was lost
 * neither loses the mail nor doubles it. */
#ifndef GATEHOUSE_CONTROLCENTER_MAIL_OUTBOX_H
#define GATEHOUSE_CONTROLCENTER_MAIL_OUTBOX_H

#include "controlcenter/fleet/fleet.h"
#include "controlcenter/store/store.h"

struct outbox;

/* Starts the threads; `fleet` is borrowed. NULL with *error. */
struct outbox *outbox_start(struct store *store, struct fleet *fleet, struct error *error);
/* Ends them; call it after fleet_stop, so that no answer is waited for. NULL is allowed. */
void outbox_stop(struct outbox *outbox);

#endif
