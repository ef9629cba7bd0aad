/* Keys and certificates of the fleet (OpenSSL): P-256 keys, PEM text in and out. */
#ifndef GATEHOUSE_COMMON_X509_H
#define GATEHOUSE_COMMON_X509_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

/* A new private key; the caller frees the PEM text. */
char *x509_new_key(struct error *error);
/* A certificate request for `key` with the common name. Caller frees. */
char *x509_new_request(const char *key, const char *common_name, struct error *error);
/* A self-signed CA certificate valid for `days`. Caller frees. */
char *x509_new_ca(const char *key, const char *common_name, int days, struct error *error);
/* A self-signed server certificate; `names` are DNS names or IP addresses. Caller frees. */
char *x509_new_self_signed(const char *key, const char *common_name, const char *const *names,
                           size_t name_count, int days, struct error *error);
enum x509_use { X509_USE_SERVER, X509_USE_CLIENT };
/* Signs the public key of a request as `common_name` (what the request claims is ignored), for
 * `use`, with the subject alternative names. The request's own signature is checked. Caller frees.
 */
char *x509_sign_request(const char *request, const char *ca_key, const char *ca_certificate,
                        const char *common_name, enum x509_use use, const char *const *names,
                        size_t name_count, int days, struct error *error);
/* SHA-256 over the DER form. */
bool x509_fingerprint(const char *certificate, unsigned char fingerprint[32], struct error *error);
/* Seconds since 1970 of the end of validity. */
bool x509_not_after(const char *certificate, long long *seconds, struct error *error);

#endif
