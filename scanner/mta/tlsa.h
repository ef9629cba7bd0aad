/* TLSA records as RFC 7672 uses them for SMTP (DANE). */
#ifndef GATEHOUSE_SCANNER_MTA_TLSA_H
#define GATEHOUSE_SCANNER_MTA_TLSA_H

#include "common/address.h"
#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLSA_RECORDS 16 /* most that are kept of one name */

struct tlsa_record {
    uint8_t usage, selector, matching;
    size_t length;
    const unsigned char *data; /* of a set: inside the set */
};

/* All records of one name. Where `usable` is 0 TLS is needed, but no certificate can be checked
 * (RFC 7672 section 2.2). One block: free with free(). */
struct tlsa_set {
    char base[DOMAIN_SIZE]; /* the TLSA base domain: the name before which _25._tcp stands */
    size_t count, usable;
    struct tlsa_record records[TLSA_RECORDS];
};

/* Reads the data of one record; `record->data` points into it. False where it is malformed. */
bool tlsa_read(const unsigned char *data, size_t length, struct tlsa_record *record);
/* Usage 2 or 3, selector 0 or 1, matching type 0 to 2 with data of its length. */
bool tlsa_is_usable(const struct tlsa_record *record);
/* A set with copies of the records. */
struct tlsa_set *tlsa_set_new(const char *base, const struct tlsa_record *records, size_t count);
/* "3 1 1 0123..." */
void tlsa_write(const struct tlsa_record *record, struct buffer *out);

#endif
