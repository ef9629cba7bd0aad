/* libFuzzer: answers of name servers. Whatever they hold, names are host names and counts bounded.
 */
#include "scanner/mta/resolver_parse.h"
#include "scanner/mta/tlsa.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_data(struct resolver_found *found, int type)
{
    const unsigned char *data = (const unsigned char *)buffer_text(&found->data);
    size_t total = 0;
    for (size_t i = 0; i < found->count; i++) {
        size_t length = found->records[i].data_length;
        struct tlsa_record record;
        if (total + length > found->data.length)
            abort();
        if (type == RESOLVER_TYPE_TLSA && tlsa_read(data + total, length, &record))
            tlsa_is_usable(&record);
        total += length;
    }
    if (total != found->data.length)
        abort();
    buffer_free(&found->data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int types[] = {15, 1, 28, 16, RESOLVER_TYPE_TLSA}; /* MX, A, AAAA, TXT, TLSA */
    char normal[DOMAIN_SIZE];
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct resolver_found found = {.ttl = UINT32_MAX};
        resolver_parse(data, size, types[i], &found);
        if (found.count > RESOLVER_RECORDS)
            abort();
        for (size_t j = 0; j < found.count; j++)
            if (found.records[j].name[0] != '\0' &&
                domain_normalise(found.records[j].name, false, normal) != NULL)
                abort();
        check_data(&found, types[i]);
    }
    resolver_parse_absence(data, size, 60);
    return 0;
}
