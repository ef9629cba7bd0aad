/* DNS answers (RFC 1035 section 4) as records. Private to resolver*.c. */
#ifndef GATEHOUSE_SCANNER_MTA_RESOLVER_PARSE_H
#define GATEHOUSE_SCANNER_MTA_RESOLVER_PARSE_H

#include "common/buffer.h"
#include "scanner/mta/resolver.h"

#define RESOLVER_RECORDS 64 /* most that are kept of one answer */
#define RESOLVER_TYPE_TLSA 52

struct resolver_found {
    struct resolver_record records[RESOLVER_RECORDS];
    size_t count;
    uint32_t ttl;       /* seconds; the smallest that took part */
    struct buffer data; /* of TLSA and TXT records, one after the other; their `data` is not set */
    char canonical[DOMAIN_SIZE];
};

/* Adds the records of `type` (MX, A, AAAA, TLSA or TXT) that the answer has for its question,
 * through CNAMEs. Malformed answers give those before the fault; names that are no host names are
 * left out. */
void resolver_parse(const unsigned char *answer, size_t length, int type,
                    struct resolver_found *found);
/* How long the absence may be believed (RFC 2308): `fallback` where the answer does not say. */
uint32_t resolver_parse_absence(const unsigned char *answer, size_t length, uint32_t fallback);

#endif
