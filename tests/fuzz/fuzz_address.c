/* libFuzzer: addresses and domains. What is accepted keeps its promises; accepting is stable. */
#include "common/address.h"
#include "common/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* What is well formed without UTF-8 is so with it, and holds no control character. */
static void try_address(const char *text, size_t size)
{
    bool plain = !address_check(text, size, false), utf8 = !address_check(text, size, true);
    check(!plain || utf8);
    if (!utf8)
        return;
    check(size <= 254 && utf8_valid(text, size));
    for (size_t i = 0; i < size; i++)
        check((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
    char *address = strndup(text, size);
    const char *domain = address_domain(address);
    check(*domain != '\0' && domain[-1] == '@');
    free(address);
}

/* The normal form is normal: lower case, ASCII, and its own normal form. */
static void try_domain(const char *text)
{
    char normal[DOMAIN_SIZE], again[DOMAIN_SIZE];
    if (domain_normalise(text, true, normal))
        return;
    for (const char *c = normal; *c; c++)
        check((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-' || *c == '.');
    check(!domain_normalise(normal, false, again) && strcmp(normal, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1024)
        return 0;
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    /* Exactly so many bytes, so that a read past them shows. */
    char *exact = malloc(size ? size : 1);
    memcpy(exact, data, size);
    try_address(exact, size);
    try_domain(text);
    free(exact);
    free(text);
    return 0;
}
