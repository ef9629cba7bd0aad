/* Ed25519 signatures over configuration documents (libsodium). */
#ifndef GATEHOUSE_COMMON_SIGNING_H
#define GATEHOUSE_COMMON_SIGNING_H

#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define SIGNING_KEY_TEXT_SIZE 45    /* base64 of the 32-byte public key, NUL */
#define SIGNING_SECRET_TEXT_SIZE 89 /* base64 of the 64-byte secret key, NUL */

/* Makes a key pair in base64. */
bool signing_new_keys(char public_key[SIGNING_KEY_TEXT_SIZE],
                      char secret_key[SIGNING_SECRET_TEXT_SIZE], struct error *error);
/* The envelope {"document","signature"} of `document` as JSON text; the caller frees it. */
char *signing_seal(const char *document, const char *secret_key, struct error *error);
/* Checks an envelope and returns its document text (caller frees). ERROR_DENIED: bad signature. */
char *signing_open(const char *envelope, size_t length, const char *public_key,
                   struct error *error);

#endif
