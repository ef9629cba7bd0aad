/* What a connection to a host must show before mail goes over it: from the route's TLS policy, the
 * host's TLSA records (RFC 7672) and the domain's MTA-STS policy (RFC 8461). DANE goes before
 * MTA-STS; a policy of "off" or "verified" by the administrator goes before both. */
#ifndef GATEHOUSE_SCANNER_MTA_DELIVERY_SECURITY_H
#define GATEHOUSE_SCANNER_MTA_DELIVERY_SECURITY_H

#include "common/config_model.h"
#include "common/error.h"
#include "scanner/mta/destination.h"
#include "scanner/mta/mta_sts.h"
#include "scanner/mta/smtp_client.h"
#include "scanner/mta/tls_report.h"

struct delivery_security {
    struct smtp_client_security tls; /* borrows from hosts and route */
    const char *name; /* "dane", "mta-sts", "verified", "required", "opportunistic" or "off" */
    enum tls_report_policy policy;
    /* Not "": nothing may be sent to the host. A whole reply, and the type for reports. */
    char refusal[SMTP_REPLY_SIZE];
    const char *failure;
};

/* `policy` NULL: the domain has none. */
void delivery_security_choose(const struct destination_route *route,
                              const struct destination_hosts *hosts,
                              const struct destination_host *host,
                              const struct mta_sts_policy *policy, SSL_CTX *context,
                              struct delivery_security *security);

/* Whether the MTA-STS policy of the route's domain counts. */
bool delivery_security_wants_sts(const struct scanner_config *config,
                                 const struct destination_route *route);

/* A client context that trusts the system's authorities and the configured ones. NULL with *error.
 */
SSL_CTX *delivery_security_context(const struct config_delivery *config, struct error *error);

#endif
