/* What the files of x509.h share. */
#ifndef GATEHOUSE_COMMON_X509_PRIVATE_H
#define GATEHOUSE_COMMON_X509_PRIVATE_H

#include "common/x509.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define X509_PEM_LIMIT 65536 /* bytes of PEM text that are looked at */

/* What a certificate is for. */
struct x509_purpose {
    bool is_ca;
    enum x509_use use;
    const char *const *names; /* DNS names or IP addresses */
    size_t name_count;
};

/* Sets ERROR_INVALID with OpenSSL's reason after `what`, empties its queue, and returns false. */
bool x509_failed(struct error *error, const char *what);

/* From PEM text; NULL with *error. Free with EVP_PKEY_free, X509_free. */
EVP_PKEY *x509_read_key(const char *text, struct error *error);
X509 *x509_read_certificate(const char *text, struct error *error);

/* At most 64 characters (RFC 5280, ub-common-name). */
bool x509_set_common_name(X509_NAME *name, const char *common_name);
/* DNS names and IP addresses as alternative names. NULL with *error, whose `where` is the name that
 * cannot be one. Free with GENERAL_NAMES_free. */
GENERAL_NAMES *x509_general_names(const char *const *names, size_t count, struct error *error);

/* Adds the extensions of RFC 5280 that the purpose needs; `issuer` may be the certificate itself.
 */
bool x509_add_extensions(X509 *certificate, const X509 *issuer, const struct x509_purpose *purpose,
                         struct error *error);

#endif
