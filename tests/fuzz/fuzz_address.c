/* Addresses and domains: whatever is accepted holds what the headers promise of it. */
#include "common/address.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_domain(const char *text)
{
    char normal[DOMAIN_SIZE], again[DOMAIN_SIZE];
    if (domain_normalise(text, true, normal))
        return;
    /* What is normal stays as it is, and is plain ASCII. */
    if (domain_normalise(normal, false, again) || strcmp(normal, again) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    for (int utf8 = 0; utf8 <= 1; utf8++)
        if (!address_check(text, size, utf8) && (size >= ADDRESS_SIZE || strlen(text) != size))
            abort();
    check_domain(text);
    free(text);
    return 0;
}
