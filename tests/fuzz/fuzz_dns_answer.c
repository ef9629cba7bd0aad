/* libFuzzer: answers of name servers. Whatever they hold, names are host names and counts bounded.
 */
#include "scanner/mta/resolver_parse.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int types[] = {15, 1, 28}; /* MX, A, AAAA */
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
    }
    resolver_parse_absence(data, size, 60);
    return 0;
}
