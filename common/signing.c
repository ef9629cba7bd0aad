#include "common/signing.h"

#include "common/cleanup.h"
#include "common/json.h"

#include <sodium.h>
#include <string.h>

#define SIGNATURE_TEXT_SIZE 89 /* base64 of 64 bytes, NUL */

_Static_assert(sodium_base64_ENCODED_LEN(crypto_sign_PUBLICKEYBYTES,
                                         sodium_base64_VARIANT_ORIGINAL) == SIGNING_KEY_TEXT_SIZE,
               "the public key fits");
_Static_assert(sodium_base64_ENCODED_LEN(crypto_sign_SECRETKEYBYTES,
                                         sodium_base64_VARIANT_ORIGINAL) ==
                   SIGNING_SECRET_TEXT_SIZE,
               "the secret key fits");
_Static_assert(sodium_base64_ENCODED_LEN(crypto_sign_BYTES, sodium_base64_VARIANT_ORIGINAL) ==
                   SIGNATURE_TEXT_SIZE,
               "the signature fits");

static bool start(struct error *error)
{
    return sodium_init() >= 0 ||
           error_set(error, ERROR_INTERNAL, NULL, "the cryptographic library does not start");
}

static void encode(char *text, size_t text_size, const unsigned char *bytes, size_t size)
{
    sodium_bin2base64(text, text_size, bytes, size, sodium_base64_VARIANT_ORIGINAL);
}

/* Exactly `size` bytes, nothing before, between or after. */
static bool decode(const char *text, unsigned char *bytes, size_t size)
{
    size_t length;
    const char *end;
    size_t text_length = strlen(text);
    return sodium_base642bin(bytes, size, text, text_length, NULL, &length, &end,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           length == size && end == text + text_length;
}

bool signing_new_keys(char public_key[SIGNING_KEY_TEXT_SIZE],
                      char secret_key[SIGNING_SECRET_TEXT_SIZE], struct error *error)
{
    unsigned char public_bytes[crypto_sign_PUBLICKEYBYTES];
    unsigned char secret_bytes[crypto_sign_SECRETKEYBYTES];
    if (!start(error))
        return false;
    crypto_sign_keypair(public_bytes, secret_bytes);
    encode(public_key, SIGNING_KEY_TEXT_SIZE, public_bytes, sizeof(public_bytes));
    encode(secret_key, SIGNING_SECRET_TEXT_SIZE, secret_bytes, sizeof(secret_bytes));
    sodium_memzero(secret_bytes, sizeof(secret_bytes));
    return true;
}

char *signing_seal(const char *document, const char *secret_key, struct error *error)
{
    unsigned char secret_bytes[crypto_sign_SECRETKEYBYTES], signature[crypto_sign_BYTES];
    char signature_text[SIGNATURE_TEXT_SIZE];
    if (!start(error))
        return NULL;
    if (!decode(secret_key, secret_bytes, sizeof(secret_bytes))) {
        sodium_memzero(secret_bytes, sizeof(secret_bytes));
        error_set(error, ERROR_INVALID, "secret key", "is not the base64 of a secret key");
        return NULL;
    }
    crypto_sign_detached(signature, NULL, (const unsigned char *)document, strlen(document),
                         secret_bytes);
    sodium_memzero(secret_bytes, sizeof(secret_bytes));
    encode(signature_text, sizeof(signature_text), signature, sizeof(signature));
    cleanup_json json_t *envelope =
        json_pack("{s:s,s:s}", "document", document, "signature", signature_text);
    char *text = envelope ? json_text(envelope) : NULL;
    if (!text)
        error_set(error, ERROR_INVALID, "document", "is not UTF-8 text, or memory ran out");
    return text;
}

static bool verify(const char *document, size_t length, const char *signature_text,
                   const char *public_key, struct error *error)
{
    unsigned char public_bytes[crypto_sign_PUBLICKEYBYTES], signature[crypto_sign_BYTES];
    if (!decode(public_key, public_bytes, sizeof(public_bytes)))
        return error_set(error, ERROR_INVALID, "public key", "is not the base64 of a public key");
    if (!decode(signature_text, signature, sizeof(signature)) ||
        crypto_sign_verify_detached(signature, (const unsigned char *)document, length,
                                    public_bytes) != 0)
        return error_set(error, ERROR_DENIED, "signature",
                         "the document was not signed by this Control Center");
    return true;
}

char *signing_open(const char *envelope, size_t length, const char *public_key, struct error *error)
{
    if (!start(error))
        return NULL;
    cleanup_json json_t *value = json_parse(envelope, length, "envelope", error);
    if (!value)
        return NULL;
    const json_t *document = json_object_get(value, "document");
    const json_t *signature = json_object_get(value, "signature");
    if (json_object_size(value) != 2 || !json_is_string(document) || !json_is_string(signature)) {
        error_set(error, ERROR_INVALID, "envelope", "must have a document and a signature");
        return NULL;
    }
    const char *text = json_string_value(document);
    if (!verify(text, json_string_length(document), json_string_value(signature), public_key,
                error))
        return NULL;
    char *copy = strdup(text);
    if (!copy)
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    return copy;
}
