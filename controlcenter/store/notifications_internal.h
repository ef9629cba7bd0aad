/* What audit.c needs of notifications. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_NOTIFICATIONS_INTERNAL_H
#define GATEHOUSE_CONTROLCENTER_STORE_NOTIFICATIONS_INTERNAL_H

#include "controlcenter/store/store_internal.h"

/* Notes the notifications of a `filters` event (its member `notify`, docs/architecture.md) within
 * the transaction that writes the event. What breaks the form is passed over. Done twice it is done
 * once. */
bool store_notification_insert(PGconn *connection, const char *scanner_id, const char *message_id,
                               const json_t *notify, struct error *error);

#endif
