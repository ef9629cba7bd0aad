/* Certificates that people bring: PEM and PKCS#12 files, their chains, and what is in them. */
#ifndef GATEHOUSE_COMMON_X509_BUNDLE_H
#define GATEHOUSE_COMMON_X509_BUNDLE_H

#include "common/x509.h"

#define X509_CHAIN_MOST 10 /* certificates of a bundle */

struct x509_bundle {
    char *certificate; /* PEM: that of the server, then its chain in order, without the root */
    char *key;         /* PEM, not encrypted; NULL where there was none */
};
void x509_bundle_clear(struct x509_bundle *bundle); /* wipes the key */

/* Each reads the certificates in any order, and the key, and checks that they belong together: the
 * key to a certificate, each certificate to the one before it, none without need; that all are
 * valid today, may be used for what they are for, and have keys that are strong enough.
 * ERROR_INVALID with a reason that names the certificate, or, with `where` "password", that the
 * password is missing or wrong.
 *
 * `text` may hold the key too, or `key` (PEM) is that; with neither the bundle has no key. */
bool x509_bundle_from_pem(const char *text, const char *key, const char *password,
                          struct x509_bundle *bundle, struct error *error);
bool x509_bundle_from_pkcs12(const void *data, size_t length, const char *password,
                             struct x509_bundle *bundle, struct error *error);

struct x509_details {
    char subject[512], issuer[512];
    char *names; /* of the server, one a line; "" where there are none */
    long long not_before, not_after;
    char key[64];         /* "RSA, 3072 bits" */
    char fingerprint[96]; /* SHA-256 in hexadecimal, with colons */
    bool self_signed;
};
/* What the first certificate of a PEM text says. Clear it afterwards. */
bool x509_describe(const char *certificate, struct x509_details *details, struct error *error);
void x509_details_clear(struct x509_details *details);
/* Why the authorities that this system trusts do not vouch for the first certificate of a PEM text
 * with the help of the others; "" where they do. Returns reason. */
const char *x509_distrust(const char *certificate, char *reason, size_t size);

/* Whether the first certificate of a PEM text is one of that host name, by RFC 6125. */
bool x509_names_host(const char *certificate, const char *host);

/* A new RSA key of 3072 bits; the caller frees the PEM text. */
char *x509_new_rsa_key(struct error *error);
/* A certificate request for a server with these names. Caller frees. */
char *x509_new_server_request(const char *key, const char *common_name, const char *const *names,
                              size_t name_count, struct error *error);
/* Checks that every certificate of a PEM text can be read and that there is at least one. */
bool x509_check_authorities(const char *text, struct error *error);

#endif
