/* Enrolment tokens: gh1.FINGERPRINT.SECRET, and the first settings that go with one. */
#include "controlcenter/fleet/fleet_private.h"

#include "common/address.h"
#include "common/cleanup.h"
#include "common/timestamp.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "gh1."
#define PART_LENGTH 43 /* base64url of 32 bytes without padding */
#define SETTINGS_KEY "enrolment.smtp."

static bool decode_part(const char *text, unsigned char bytes[32])
{
    size_t length = 0;
    return sodium_base642bin(bytes, 32, text, PART_LENGTH, NULL, &length, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
           length == 32;
}

bool fleet_token_parse(const char *token, unsigned char fingerprint[32],
                       unsigned char secret[FLEET_TOKEN_SECRET_BYTES])
{
    const char *first = token + strlen(PREFIX), *second = first + PART_LENGTH + 1;
    return strlen(token) == strlen(PREFIX) + 2 * PART_LENGTH + 1 &&
           strncmp(token, PREFIX, strlen(PREFIX)) == 0 && first[PART_LENGTH] == '.' &&
           decode_part(first, fingerprint) && decode_part(second, secret);
}

void fleet_token_hash(const unsigned char secret[FLEET_TOKEN_SECRET_BYTES], char hash[65])
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, secret, FLEET_TOKEN_SECRET_BYTES);
    sodium_bin2hex(hash, 65, digest, sizeof(digest));
}

static void settings_key(const char *hash, char key[96])
{
    snprintf(key, 96, SETTINGS_KEY "%s", hash);
}

json_t *fleet_token_settings(struct fleet *fleet, const char *hash, struct error *error)
{
    char key[96];
    struct error local = {0};
    settings_key(hash, key);
    json_t *smtp = store_setting_get(fleet->store, key, &local);
    if (!smtp && local.code == ERROR_NOT_FOUND)
        return fleet_smtp_settings(NULL, NULL, error);
    if (!smtp && error)
        *error = local;
    return smtp;
}

static bool keep_settings(struct fleet *fleet, const char *hash, const json_t *smtp,
                          struct error *error)
{
    char key[96];
    bool created;
    if (!smtp)
        return true;
    settings_key(hash, key);
    return fleet_check_smtp(fleet, smtp, error) &&
           store_setting_create(fleet->store, key, smtp, &created, error);
}

bool fleet_create_token(struct fleet *fleet, const char *host_name, const json_t *smtp,
                        const char *administrator, char token[FLEET_TOKEN_SIZE],
                        struct error *error)
{
    unsigned char secret[FLEET_TOKEN_SECRET_BYTES];
    char normal[DOMAIN_SIZE], hash[65], fingerprint_text[PART_LENGTH + 1],
        secret_text[PART_LENGTH + 1];

    const char *reason = domain_normalise(host_name, true, normal);
    if (reason)
        return error_set(error, ERROR_INVALID, "host_name", "%s", reason);
    if (!fleet_prepare(fleet, error))
        return false;
    randombytes_buf(secret, sizeof(secret));
    fleet_token_hash(secret, hash);
    bool ok = keep_settings(fleet, hash, smtp, error) &&
              store_enrolment_create(fleet->store, hash, normal,
                                     timestamp_now_ms() + FLEET_TOKEN_SECONDS * INT64_C(1000),
                                     administrator, error);
    if (ok) {
        sodium_bin2base64(fingerprint_text, sizeof(fingerprint_text), fleet->ca_fingerprint, 32,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        sodium_bin2base64(secret_text, sizeof(secret_text), secret, sizeof(secret),
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        snprintf(token, FLEET_TOKEN_SIZE, PREFIX "%s.%s", fingerprint_text, secret_text);
        sodium_memzero(secret_text, sizeof(secret_text));
    }
    sodium_memzero(secret, sizeof(secret));
    return ok;
}
