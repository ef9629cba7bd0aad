#include "scanner/directory/proven.h"

#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 1024 /* a later one takes the place of an earlier one */
#define DIGEST_SIZE 32

struct proven {
    unsigned char key[crypto_generichash_KEYBYTES];
    unsigned char slots[SLOTS][DIGEST_SIZE]; /* all zero: none */
};

struct proven *proven_new(void)
{
    struct proven *proven = calloc(1, sizeof(*proven));
    if (proven)
        crypto_generichash_keygen(proven->key);
    return proven;
}

void proven_free(struct proven *proven)
{
    if (proven)
        sodium_memzero(proven, sizeof(*proven));
    free(proven);
}

/* The slot of a pair, and its digest. */
static size_t digest_of(const struct proven *proven, const char *password_hash,
                        const char *password, unsigned char digest[DIGEST_SIZE])
{
    crypto_generichash_state state;
    uint32_t slot;
    crypto_generichash_init(&state, proven->key, sizeof(proven->key), DIGEST_SIZE);
    /* With its NUL, so that no other pair is the same text. */
    crypto_generichash_update(&state, (const unsigned char *)password_hash,
                              strlen(password_hash) + 1);
    crypto_generichash_update(&state, (const unsigned char *)password, strlen(password));
    crypto_generichash_final(&state, digest, DIGEST_SIZE);
    sodium_memzero(&state, sizeof(state));
    memcpy(&slot, digest, sizeof(slot));
    return slot % SLOTS;
}

bool proven_has(const struct proven *proven, const char *password_hash, const char *password)
{
    unsigned char digest[DIGEST_SIZE];
    size_t slot = digest_of(proven, password_hash, password, digest);
    return sodium_memcmp(proven->slots[slot], digest, DIGEST_SIZE) == 0;
}

void proven_add(struct proven *proven, const char *password_hash, const char *password)
{
    unsigned char digest[DIGEST_SIZE];
    size_t slot = digest_of(proven, password_hash, password, digest);
    memcpy(proven->slots[slot], digest, DIGEST_SIZE);
}
