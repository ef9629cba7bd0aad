/* One notification into mails, with their links. */
#ifndef GATEHOUSE_CONTROLCENTER_MAIL_NOTIFICATION_COMPOSE_H
#define GATEHOUSE_CONTROLCENTER_MAIL_NOTIFICATION_COMPOSE_H

#include "common/buffer.h"
#include "controlcenter/mail/mailed_link.h"
#include "controlcenter/mail/notification_text.h"
#include "controlcenter/store/incidents.h"
#include "controlcenter/store/notifications.h"

#define NOTIFICATION_MAILS 1000                          /* most of one notification */
#define NOTIFICATION_LINKS (3 * NOTIFICATION_TEXT_LINKS) /* most in one mail */

struct notification_context {
    const json_t *template;                /* {"subject","text","html","language"} */
    const json_t *message;                 /* as store_audit_message has it */
    const char *filter;                    /* id */
    const struct store_incident *incident; /* NULL: there is none */
    const struct mailed_link_key *key;     /* NULL: for a preview */
    const char *url, *from, *host;
    int64_t links_expire_at;
};

/* One mail to one address. */
struct notification_result {
    struct buffer mail;
    struct store_link_new links[NOTIFICATION_LINKS];
    char actions[NOTIFICATION_LINKS][65]; /* what the links' `action` points to */
    size_t link_count;
};

/* Adds one text of a template as people would see it, without making links. */
bool notification_preview(const struct notification_context *context, const char *text, bool html,
                          struct buffer *out, struct error *error);
/* Writes the mail to `address`, which must stay as long as the result. */
bool notification_compose(const struct notification_context *context, const char *address,
                          struct notification_result *result, struct error *error);
void notification_result_clear(struct notification_result *result);

#endif
