/* Sends the notifications that filters asked for (store/notifications.h): writes the mail from its
 * template, one for each person with links of its own, and puts it into the outbox. Any number of
 * Control Centers may do so on one database. */
#ifndef GATEHOUSE_CONTROLCENTER_MAIL_NOTIFICATIONS_H
#define GATEHOUSE_CONTROLCENTER_MAIL_NOTIFICATIONS_H

#include "controlcenter/store/store.h"

/* The setting: {"url":S (of the console, as mail names it),"from":S (address),"days":N (that links
 * hold)}; members may be missing. */
#define NOTIFICATION_SETTING "notifications"
#define NOTIFICATION_DAYS 14

struct notifications;

/* Starts the thread. `url` is the console's where the setting names none; copied. */
struct notifications *notifications_start(struct store *store, const char *url,
                                          struct error *error);
void notifications_stop(struct notifications *notifications);

#endif
