/* TLS reports (RFC 8460): what became of the TLS of our connections, counted by the recipients'
 * domains and UTC days, and sent to the domains that ask for it with a record _smtp._tls.DOMAIN.
 * Nothing is counted or sent while the configuration names no sender for the reports.
 *
 * The counts are kept in a folder, one file a day (written every few minutes and at the end); a
 * crash may lose the last minutes of statistics, never mail. */
#ifndef GATEHOUSE_SCANNER_MTA_TLS_REPORT_H
#define GATEHOUSE_SCANNER_MTA_TLS_REPORT_H

#include "common/ip.h"
#include "scanner/mta/https_client.h"
#include "scanner/mta/mta.h"
#include "scanner/mta/mta_sts_policy.h"
#include "scanner/mta/tlsa.h"

enum tls_report_policy { TLS_REPORT_NO_POLICY, TLS_REPORT_STS, TLS_REPORT_TLSA };

/* One connection whose TLS was tried; text and pointers are borrowed. */
struct tls_report_session {
    const char *domain; /* of the recipients */
    enum tls_report_policy policy;
    const struct mta_sts_policy *sts; /* NULL: the policy could not be had */
    const struct tlsa_set *tlsa;      /* NULL: its records could not be had */
    const char *failure;              /* the result type; NULL: success */
    const char *host;                 /* the MX; NULL: none took part, as the next ones */
    const struct ip_address *address, *own_address;
};

struct tls_reports;

/* Counts the results of the day (RFC 8460), going on with what an earlier process of that day left
 * in `folder`; all that is passed in outlives it. Never NULL: without the folder it warns in the
 * log that a restart loses the counts. */
struct tls_reports *tls_reports_new(struct mta *mta, struct resolver *resolver,
                                    struct https_client *https, const char *folder);
/* From now on nothing is sent. */
void tls_reports_close(struct tls_reports *reports);
/* Writes the counts down. Free resolver and client first. NULL is allowed. */
void tls_reports_free(struct tls_reports *reports);
/* `now` in milliseconds since 1970, as below. */
void tls_reports_count(struct tls_reports *reports, const struct tls_report_session *session,
                       int64_t now);
/* Once a second: writes the counts down, and sends those of days that are over, up to four hours
 * after midnight. */
void tls_reports_tick(struct tls_reports *reports, int64_t now);

#endif
