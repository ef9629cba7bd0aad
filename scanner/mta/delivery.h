/* Delivery of queued messages to the next hop (RFC 5321), retries, and bounces (RFC 3464). */
#ifndef GATEHOUSE_SCANNER_MTA_DELIVERY_H
#define GATEHOUSE_SCANNER_MTA_DELIVERY_H

#include "common/buffer.h"
#include "common/error.h"
#include "scanner/mta/mta.h"
#include "scanner/mta/queue.h"

struct delivery;

struct delivery *delivery_new(struct mta *mta, struct error *error);
/* A due message in state TO_BE_DELIVERED: every queued recipient whose next attempt has come is
 * tried. Holds the message busy (queue_hold_busy) until each attempt is on record. */
void delivery_take(struct delivery *delivery, struct queue_message *message);
/* Refuses a message that was accepted already: its sender gets a bounce with `reply` for every
 * queued recipient, and they are recorded as bounced together with `events` (taken over). */
void delivery_refuse(struct delivery *delivery, struct queue_message *message, const char *reply,
                     struct buffer *events);
/* mta->config was replaced: routes, limits and DNS servers of attempts from now on. */
void delivery_configured(struct delivery *delivery);
/* Ends connections; messages in delivery stay queued as they are on disk. */
void delivery_free(struct delivery *delivery);

#endif
