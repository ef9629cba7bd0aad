/* Delivery of queued messages to the next hop (RFC 5321), retries, and bounces (RFC 3464). */
#ifndef GATEHOUSE_SCANNER_MTA_DELIVERY_H
#define GATEHOUSE_SCANNER_MTA_DELIVERY_H

#include "common/buffer.h"
#include "common/error.h"
#include "scanner/mta/mta.h"
#include "scanner/mta/queue.h"

struct delivery;

/* By the configuration of `mta`, which outlives it. NULL with *error where its DNS servers or its
 * trusted certificates cannot be used. */
struct delivery *delivery_new(struct mta *mta, struct error *error);
/* A due message in state TO_BE_DELIVERED: every queued recipient whose next attempt has come is
 * tried. Holds the message busy (queue_hold_busy) until each attempt is on record. */
void delivery_take(struct delivery *delivery, struct queue_message *message);
/* Refuses a message that was accepted already: its sender gets a bounce with `reply` for every
 * queued recipient, and they are recorded as bounced together with `events` (taken over). */
void delivery_refuse(struct delivery *delivery, struct queue_message *message, const char *reply,
                     struct buffer *events);
/* Takes an idle message back from the lines of its destinations, so that it can be changed; what is
 * due goes into line again. False, and nothing is taken back, while an attempt is under way or its
 * end is being told to the sender. */
bool delivery_withdraw(struct delivery *delivery, struct queue_message *message);
/* An administrator wants what is queued to be tried now: destinations that were left alone because
 * they failed are tried again. */
void delivery_retry(struct delivery *delivery);
/* mta->config was replaced: routes, limits and DNS servers of attempts from now on. */
void delivery_configured(struct delivery *delivery);
/* Ends connections; messages in delivery stay queued as they are on disk. */
void delivery_free(struct delivery *delivery);

#endif
