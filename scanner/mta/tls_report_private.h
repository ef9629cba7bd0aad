/* What the files of the TLS reports share.
 *   tls_report.c           counts, days, their files
 *   tls_report_send.c      days that are over: who asks for a report, and sending it
 *   tls_report_document.c  a report as JSON and as a message
 *   tls_report_record.c    the record by which a domain asks */
#ifndef GATEHOUSE_SCANNER_MTA_TLS_REPORT_PRIVATE_H
#define GATEHOUSE_SCANNER_MTA_TLS_REPORT_PRIVATE_H

#include "common/message_id.h"
#include "scanner/mta/tls_report.h"
#include "scanner/mta/tls_report_record.h"

#include <jansson.h>

#define TLS_REPORT_PATH 1024
#define TLS_REPORT_DAY_MS (24 * 3600 * 1000LL)
#define TLS_REPORT_AT_ONCE 10 /* domains whose reports are sent at the same time */

struct tls_reports {
    struct mta *mta;
    struct resolver *resolver;
    struct https_client *https;
    char folder[TLS_REPORT_PATH]; /* "": none */
    int64_t day;                  /* since 1970; of `domains` */
    json_t *domains;              /* domain -> its policies as RFC 8460 section 4.4 has them */
    bool changed;
    int64_t saved_at;
    /* A day that is over and is being reported: */
    int64_t old_day;
    json_t *old_domains; /* those still to come; NULL: no such day */
    int64_t old_due_at;
    unsigned under_way;
    bool closing;
};

/* --- tls_report.c --- */
json_t *tls_report_load(const struct tls_reports *reports, int64_t day);
void tls_report_save(const struct tls_reports *reports, int64_t day, const json_t *domains);
void tls_report_remove(const struct tls_reports *reports, int64_t day);
/* The oldest day before `before` that has a file. */
bool tls_report_find_old(const struct tls_reports *reports, int64_t before, int64_t *day);

/* --- tls_report_send.c --- */
void tls_report_send_tick(struct tls_reports *reports, int64_t now);

/* --- tls_report_document.c --- */
struct tls_report_document {
    const struct scanner_config *config;
    const char *domain;
    const json_t *policies;
    int64_t begin, end; /* milliseconds since 1970 */
    struct message_id id;
};

/* The report as gzipped JSON; false where it cannot be made. */
bool tls_report_write(const struct tls_report_document *document, struct buffer *gzip);
/* A message with it, lines ending in CRLF. */
bool tls_report_write_mail(const struct tls_report_document *document, const char *to,
                           const struct buffer *gzip, struct buffer *out);

#endif
