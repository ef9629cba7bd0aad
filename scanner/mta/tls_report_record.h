/* The record by which a domain asks for TLS reports: "v=TLSRPTv1; rua=mailto:...,https://..."
 * (RFC 8460 section 3). */
#ifndef GATEHOUSE_SCANNER_MTA_TLS_REPORT_RECORD_H
#define GATEHOUSE_SCANNER_MTA_TLS_REPORT_RECORD_H

#include "common/address.h"

#include <stdbool.h>
#include <stddef.h>

#define TLS_REPORT_TARGETS 5 /* most that are kept of one record */
#define TLS_REPORT_URL_SIZE 512

struct tls_report_target {
    bool is_mail;
    char text[TLS_REPORT_URL_SIZE]; /* an address, or a URL of HTTPS */
};

/* Returns the count; 0 where it is no such record or names nothing that is known. */
size_t tls_report_read_record(const char *text, size_t length,
                              struct tls_report_target targets[TLS_REPORT_TARGETS]);

#endif
