#include "controlcenter/mail/mailed_link.h"

#include "common/cleanup.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>

#define RANDOM_BYTES 24
#define SIGNATURE_BYTES 16
#define MARK_RANDOM_BYTES 12
#define MARK_SIGNATURE_BYTES 8
#define KEY_SETTING "secret.mailed_links"
#define KEY_TEXT_SIZE (2 * MAILED_LINK_KEY_BYTES + 1)

static bool offer_new_key(struct store *store, struct error *error)
{
    bool created;
    unsigned char bytes[MAILED_LINK_KEY_BYTES];
    char text[KEY_TEXT_SIZE];
    randombytes_buf(bytes, sizeof(bytes));
    sodium_bin2hex(text, sizeof(text), bytes, sizeof(bytes));
    explicit_bzero(bytes, sizeof(bytes));
    cleanup_json json_t *proposal = json_string(text);
    explicit_bzero(text, sizeof(text));
    return proposal ? store_setting_create(store, KEY_SETTING, proposal, &created, error)
                    : error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

/* Another Control Center may be first to make it. NULL with *error. */
static json_t *find_key(struct store *store, struct error *error)
{
    struct error missing = {0};
    json_t *kept = store_setting_get(store, KEY_SETTING, &missing);
    if (kept)
        return kept;
    if (missing.code != ERROR_NOT_FOUND) {
        *error = missing;
        return NULL;
    }
    return offer_new_key(store, error) ? store_setting_get(store, KEY_SETTING, error) : NULL;
}

bool mailed_link_key_read(struct store *store, struct mailed_link_key *key, struct error *error)
{
    cleanup_json json_t *kept = find_key(store, error);
    size_t length = 0;
    if (!kept)
        return false;
    return (json_is_string(kept) &&
            sodium_hex2bin(key->bytes, sizeof(key->bytes), json_string_value(kept),
                           json_string_length(kept), NULL, &length, NULL) == 0 &&
            length == sizeof(key->bytes)) ||
           error_set(error, ERROR_INVALID, KEY_SETTING, "the setting is not a key");
}

static void sign(const struct mailed_link_key *key, const unsigned char *random,
                 unsigned char signature[SIGNATURE_BYTES])
{
    unsigned char whole[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256(whole, random, RANDOM_BYTES, key->bytes);
    memcpy(signature, whole, SIGNATURE_BYTES);
}

void mailed_link_make(const struct mailed_link_key *key, char token[MAILED_LINK_SIZE])
{
    unsigned char bytes[RANDOM_BYTES + SIGNATURE_BYTES];
    randombytes_buf(bytes, RANDOM_BYTES);
    sign(key, bytes, bytes + RANDOM_BYTES);
    sodium_bin2base64(token, MAILED_LINK_SIZE, bytes, sizeof(bytes),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool mailed_link_verify(const struct mailed_link_key *key, const char *token)
{
    unsigned char bytes[RANDOM_BYTES + SIGNATURE_BYTES], signature[SIGNATURE_BYTES];
    size_t length = 0;
    const char *end;
    if (strlen(token) >= MAILED_LINK_SIZE ||
        sodium_base642bin(bytes, sizeof(bytes), token, strlen(token), NULL, &length, &end,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        *end || length != sizeof(bytes))
        return false;
    sign(key, bytes, signature);
    return sodium_memcmp(signature, bytes + RANDOM_BYTES, SIGNATURE_BYTES) == 0;
}

void mailed_link_hash(const char *token, char hash[MAILED_LINK_HASH_SIZE])
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, (const unsigned char *)token, strlen(token));
    sodium_bin2hex(hash, MAILED_LINK_HASH_SIZE, digest, sizeof(digest));
}

static void sign_mark(const struct mailed_link_key *key, const unsigned char *random,
                      const char *address, unsigned char signature[MARK_SIGNATURE_BYTES])
{
    static const unsigned char purpose[] = "notification";
    unsigned char whole[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key->bytes, sizeof(key->bytes));
    crypto_auth_hmacsha256_update(&state, purpose, sizeof(purpose));
    crypto_auth_hmacsha256_update(&state, random, MARK_RANDOM_BYTES);
    for (; *address; address++) {
        unsigned char small = (unsigned char)tolower((unsigned char)*address);
        crypto_auth_hmacsha256_update(&state, &small, 1);
    }
    crypto_auth_hmacsha256_final(&state, whole);
    memcpy(signature, whole, MARK_SIGNATURE_BYTES);
}

void mail_mark_make(const struct mailed_link_key *key, const char *address,
                    char mark[MAIL_MARK_SIZE])
{
    unsigned char bytes[MARK_RANDOM_BYTES + MARK_SIGNATURE_BYTES];
    randombytes_buf(bytes, MARK_RANDOM_BYTES);
    sign_mark(key, bytes, address, bytes + MARK_RANDOM_BYTES);
    sodium_bin2hex(mark, MAIL_MARK_SIZE, bytes, sizeof(bytes));
}

bool mail_mark_verify(const struct mailed_link_key *key, const char *address,
                      const char *message_id)
{
    unsigned char bytes[MARK_RANDOM_BYTES + MARK_SIGNATURE_BYTES];
    unsigned char signature[MARK_SIGNATURE_BYTES];
    size_t length = 0;
    message_id += strspn(message_id, " \t<");
    if (strcspn(message_id, "@") != MAIL_MARK_SIZE - 1 || !message_id[MAIL_MARK_SIZE - 1] ||
        sodium_hex2bin(bytes, sizeof(bytes), message_id, MAIL_MARK_SIZE - 1, NULL, &length, NULL) !=
            0 ||
        length != sizeof(bytes))
        return false;
    sign_mark(key, bytes, address, signature);
    return sodium_memcmp(signature, bytes + MARK_RANDOM_BYTES, sizeof(signature)) == 0;
}
