/* Notifications that filters asked for, and the links that stand in their mail. Conventions as in
 * store.h. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_NOTIFICATIONS_H
#define GATEHOUSE_CONTROLCENTER_STORE_NOTIFICATIONS_H

#include "controlcenter/store/outbox.h"
#include "controlcenter/store/store.h"

/* --- notifications.c --- */

struct store_notification {
    int64_t id;
    char scanner_id[37], message_id[37]; /* of the audit trail */
    char template[65], filter[65];       /* ids of the policy document */
    json_t *send_to;                     /* ["sender","recipients" or ADDRESS] */
    json_t *recipients;                  /* indices of those that the filter was met for */
    int64_t created_at;
};
/* Takes at most `limit` that are due, the oldest first, for `lease_seconds`: unless they are sent,
 * put off or given up until then somebody else gets them. */
bool store_notification_take(struct store *store, int lease_seconds, size_t limit,
                             struct store_notification **notifications, size_t *count,
                             struct error *error);
void store_notification_list_free(struct store_notification *notifications, size_t count);
/* It is due again at that time; `problem` says why it is late. */
bool store_notification_put_off(struct store *store, int64_t id, int64_t until, const char *problem,
                                struct error *error);
/* It will never be sent; the administrators' log has the reason. */
bool store_notification_give_up(struct store *store, int64_t id, const char *problem,
                                struct error *error);

/* A link that is in the mail: the hash of its token, never the token. */
struct store_link_new {
    char token_hash[65];
    int64_t incident;
    const char *action;    /* "view", or the id of the folder's action */
    const char *mailed_to; /* an address */
    int64_t expires_at;
};
/* Puts the mails into the outbox and the links beside them, and ends the notification, in one
 * transaction. ERROR_EXISTS where it was sent already. */
bool store_notification_sent(struct store *store, int64_t id, const struct store_outbox_new *mails,
                             size_t mail_count, const struct store_link_new *links,
                             size_t link_count, struct error *error);
/* Removes at most `limit` that were created before that time and are not waiting any more. */
bool store_notification_expunge(struct store *store, int64_t before, size_t limit, int64_t *removed,
                                struct error *error);

/* --- links.c --- */

struct store_link {
    int64_t id, incident;
    char action[65];
    char *mailed_to;
    int64_t created_at, expires_at;
    int64_t used_at; /* 0: not yet */
};
/* ERROR_NOT_FOUND: no such link. Clear it with store_link_clear. */
bool store_link_get(struct store *store, const char *token_hash, struct store_link *link,
                    struct error *error);
void store_link_clear(struct store_link *link);
/* Notes that somebody opened it or tried to act. `what` is one word (schema/0011). */
bool store_link_log(struct store *store, int64_t id, const char *peer, const char *what,
                    struct error *error);
/* Marks it as used, once for all: ERROR_EXISTS where it was used, ERROR_DENIED where it expired. */
bool store_link_use(struct store *store, int64_t id, const char *peer, struct error *error);
/* The action could not be carried out for a reason of our own, so that the link holds again. */
bool store_link_unuse(struct store *store, int64_t id, struct error *error);
/* Removes at most `limit` links that expired before that time. */
bool store_link_expunge(struct store *store, int64_t before, size_t limit, int64_t *removed,
                        struct error *error);

#endif
