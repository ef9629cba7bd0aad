/* How much clients, senders and recipients may do within a time, over all sessions of both servers:
 * the rates of the configuration, directory harvest, and wrong passwords. What was counted outlives
 * a change of the configuration. Each direction counts for itself. */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_RATES_H
#define GATEHOUSE_SCANNER_MTA_SMTP_RATES_H

#include "common/config_model.h"
#include "scanner/mta/queue.h"
#include "scanner/mta/smtp_command.h"

#include <stdbool.h>

struct smtp_rates;

/* Nothing counted yet; never NULL. */
struct smtp_rates *smtp_rates_new(void);
/* NULL is allowed. */
void smtp_rates_free(struct smtp_rates *rates);

/* Whose doing is counted. An IPv6 client is its /64. */
struct smtp_rates_client {
    enum queue_direction direction;
    const struct config_smtp_server *limits;
    struct ip_address address;
};

/* Each counts one more and returns true, or writes the refusal with the limit that was reached into
 * `reply`, counts nothing and returns false. */

/* The reply is the sentence alone: 421 4.7.0 and the host name are the caller's. */
bool smtp_rates_connection(struct smtp_rates *rates, const struct smtp_rates_client *client,
                           char reply[SMTP_REPLY_SIZE]);
/* `user` is who signed in, or NULL; "" is the null sender, which has no limit of its own. */
bool smtp_rates_message(struct smtp_rates *rates, const struct smtp_rates_client *client,
                        const char *user, const char *sender, char reply[SMTP_REPLY_SIZE]);
bool smtp_rates_recipient(struct smtp_rates *rates, const struct smtp_rates_client *client,
                          const char *user, const char *sender, const char *recipient,
                          char reply[SMTP_REPLY_SIZE]);

/* The client named a recipient that nobody knows. True where it is refused from now on. */
bool smtp_rates_unknown_recipient(struct smtp_rates *rates, const struct smtp_rates_client *client);

/* Whether the client may try a password; and that it was wrong. */
bool smtp_rates_may_sign_in(struct smtp_rates *rates, const struct smtp_rates_client *client);
void smtp_rates_wrong_password(struct smtp_rates *rates, const struct smtp_rates_client *client);

/* Whether a refused connection of the client is to be told of: once a minute for each. */
bool smtp_rates_tell_refusal(struct smtp_rates *rates, const struct smtp_rates_client *client);

#endif
