/* What the files of x509.h share. */
#ifndef GATEHOUSE_COMMON_X509_PRIVATE_H
#define GATEHOUSE_COMMON_X509_PRIVATE_H

#include "common/x509.h"

#include <openssl/x509.h>

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

/* From PEM text; NULL with *error. Free with EVP_PKEY_free, X509_free, X509_REQ_free. */
EVP_PKEY *x509_read_key(const char *text, struct error *error);
X509 *x509_read_certificate(const char *text, struct error *error);
X509_REQ *x509_read_request(const char *text, struct error *error);

/* Adds the extensions of RFC 5280 that the purpose needs; `issuer` may be the certificate itself.
 */
bool x509_add_extensions(X509 *certificate, const X509 *issuer, const struct x509_purpose *purpose,
                         struct error *error);

#endif
