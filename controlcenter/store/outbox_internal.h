/* The outbox inside the transaction of who decides that a mail goes. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_OUTBOX_INTERNAL_H
#define GATEHOUSE_CONTROLCENTER_STORE_OUTBOX_INTERNAL_H

#include "controlcenter/store/outbox.h"
#include "controlcenter/store/store_internal.h"

/* As store_outbox_add, within the transaction of `connection`. */
bool store_outbox_insert(PGconn *connection, const struct store_outbox_new *mail, char id[37],
                         struct error *error);

#endif
