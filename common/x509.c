#include "common/x509.h"

#include "common/x509_private.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define SERIAL_BYTES 16
#define MOST_DAYS 36500
#define CLOCK_SKEW_SECONDS 3600 /* a scanner's clock may be behind ours */
#define SECONDS_PER_DAY 86400

/* --- PEM --- */

bool x509_failed(struct error *error, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    error_set(error, ERROR_INVALID, NULL, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
    ERR_clear_error();
    return false;
}

/* Encrypted keys are refused; without this OpenSSL would ask on the terminal. */
static int no_passphrase(char *text, int size, int writing, void *unused)
{
    (void)text, (void)size, (void)writing, (void)unused;
    return -1;
}

static BIO *open_text(const char *text)
{
    size_t length = strlen(text);
    return length <= X509_PEM_LIMIT ? BIO_new_mem_buf(text, (int)length) : NULL;
}

EVP_PKEY *x509_read_key(const char *text, struct error *error)
{
    BIO *bio = open_text(text);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (!key)
        x509_failed(error, "cannot read the private key");
    return key;
}

X509 *x509_read_certificate(const char *text, struct error *error)
{
    BIO *bio = open_text(text);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (!certificate)
        x509_failed(error, "cannot read the certificate");
    return certificate;
}

static X509_REQ *read_request(const char *text, struct error *error)
{
    BIO *bio = open_text(text);
    X509_REQ *request = bio ? PEM_read_bio_X509_REQ(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (!request)
        x509_failed(error, "cannot read the certificate request");
    return request;
}

static char *bio_text(BIO *bio)
{
    char *data = NULL;
    long length = BIO_get_mem_data(bio, &data);
    return length > 0 ? strndup(data, (size_t)length) : NULL;
}

static char *write_certificate(X509 *certificate, struct error *error)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = bio && PEM_write_bio_X509(bio, certificate) == 1 ? bio_text(bio) : NULL;
    BIO_free(bio);
    if (!text)
        x509_failed(error, "cannot write the certificate");
    return text;
}

/* --- keys and requests --- */

char *x509_new_key(struct error *error)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_secmem());
    char *text = key && bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                     ? bio_text(bio)
                     : NULL;
    BIO_free(bio);
    EVP_PKEY_free(key);
    if (!text)
        x509_failed(error, "cannot make a private key");
    return text;
}

bool x509_set_common_name(X509_NAME *name, const char *common_name)
{
    return name && X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                              (const unsigned char *)common_name, -1, -1, 0) == 1;
}

static char *signed_request_text(X509_REQ *request, EVP_PKEY *key, const char *common_name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = bio && X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
              x509_set_common_name(X509_REQ_get_subject_name(request), common_name) &&
              X509_REQ_set_pubkey(request, key) == 1 &&
              X509_REQ_sign(request, key, EVP_sha256()) > 0 &&
              PEM_write_bio_X509_REQ(bio, request) == 1;
    char *text = ok ? bio_text(bio) : NULL;
    BIO_free(bio);
    return text;
}

char *x509_new_request(const char *key, const char *common_name, struct error *error)
{
    EVP_PKEY *pair = x509_read_key(key, error);
    if (!pair)
        return NULL;
    X509_REQ *request = X509_REQ_new();
    char *text = request ? signed_request_text(request, pair, common_name) : NULL;
    X509_REQ_free(request);
    EVP_PKEY_free(pair);
    if (!text)
        x509_failed(error, "cannot make a certificate request");
    return text;
}

/* --- certificates --- */

static bool set_serial(X509 *certificate)
{
    unsigned char bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, always the same length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return ok;
}

static bool set_validity(X509 *certificate, int days)
{
    return X509_gmtime_adj(X509_getm_notBefore(certificate), -CLOCK_SKEW_SECONDS) &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), (long)days * SECONDS_PER_DAY);
}

/* A certificate that outlives its issuer would be refused without anybody being warned. */
static bool cut_validity(X509 *certificate, const X509 *issuer)
{
    const ASN1_TIME *end = X509_get0_notAfter(issuer);
    if (ASN1_TIME_compare(X509_get0_notAfter(certificate), end) <= 0)
        return true;
    return X509_set1_notAfter(certificate, end) == 1;
}

/* A version 3 certificate for `key` with everything but issuer, extensions and signature. */
static X509 *new_certificate(EVP_PKEY *key, const char *common_name, int days, struct error *error)
{
    if (days < 1 || days > MOST_DAYS) {
        error_set(error, ERROR_INVALID, "days", "must be from 1 to %d", MOST_DAYS);
        return NULL;
    }
    X509 *certificate = X509_new();
    if (certificate && X509_set_version(certificate, X509_VERSION_3) == 1 &&
        set_serial(certificate) && set_validity(certificate, days) &&
        x509_set_common_name(X509_get_subject_name(certificate), common_name) &&
        X509_set_pubkey(certificate, key) == 1)
        return certificate;
    X509_free(certificate);
    x509_failed(error, "cannot make a certificate");
    return NULL;
}

static char *finish(X509 *certificate, const X509 *issuer, EVP_PKEY *issuer_key,
                    const struct x509_purpose *purpose, struct error *error)
{
    if (X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) != 1) {
        x509_failed(error, "cannot name the issuer");
        return NULL;
    }
    if (!x509_add_extensions(certificate, issuer, purpose, error))
        return NULL;
    if (X509_sign(certificate, issuer_key, EVP_sha256()) <= 0) {
        x509_failed(error, "cannot sign the certificate");
        return NULL;
    }
    return write_certificate(certificate, error);
}

static char *self_signed(const char *key, const char *common_name, int days,
                         const struct x509_purpose *purpose, struct error *error)
{
    EVP_PKEY *pair = x509_read_key(key, error);
    X509 *certificate = pair ? new_certificate(pair, common_name, days, error) : NULL;
    char *text = certificate ? finish(certificate, certificate, pair, purpose, error) : NULL;
    X509_free(certificate);
    EVP_PKEY_free(pair);
    return text;
}

char *x509_new_ca(const char *key, const char *common_name, int days, struct error *error)
{
    struct x509_purpose purpose = {.is_ca = true};
    return self_signed(key, common_name, days, &purpose, error);
}

char *x509_new_self_signed(const char *key, const char *common_name, const char *const *names,
                           size_t name_count, int days, struct error *error)
{
    struct x509_purpose purpose = {
        .use = X509_USE_SERVER, .names = names, .name_count = name_count};
    return self_signed(key, common_name, days, &purpose, error);
}

/* The key of a request whose sender has the private half, P-256 as x509_new_key makes them. */
static EVP_PKEY *proven_key(const char *text, struct error *error)
{
    char group[32] = "";
    X509_REQ *request = read_request(text, error);
    if (!request)
        return NULL;
    EVP_PKEY *key = X509_REQ_get_pubkey(request);
    bool proven = key && X509_REQ_verify(request, key) == 1;
    X509_REQ_free(request);
    if (!proven)
        x509_failed(error, "the signature of the request is wrong");
    else if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
             OBJ_txt2nid(group) == NID_X9_62_prime256v1)
        return key;
    else
        error_set(error, ERROR_INVALID, NULL, "the key of the request is not on the curve P-256");
    ERR_clear_error();
    EVP_PKEY_free(key);
    return NULL;
}

static bool check_issuer(const X509 *ca, EVP_PKEY *ca_key, struct error *error)
{
    return X509_check_private_key(ca, ca_key) == 1 ||
           x509_failed(error, "the key of the CA does not belong to its certificate");
}

char *x509_sign_request(const char *request, const char *ca_key, const char *ca_certificate,
                        const char *common_name, enum x509_use use, const char *const *names,
                        size_t name_count, int days, struct error *error)
{
    struct x509_purpose purpose = {.use = use, .names = names, .name_count = name_count};
    X509 *certificate = NULL, *ca = NULL;
    EVP_PKEY *ca_pair = NULL;
    char *text = NULL;
    EVP_PKEY *key = proven_key(request, error);
    if (!key || !(ca_pair = x509_read_key(ca_key, error)) ||
        !(ca = x509_read_certificate(ca_certificate, error)) || !check_issuer(ca, ca_pair, error) ||
        !(certificate = new_certificate(key, common_name, days, error)))
        goto out;
    if (cut_validity(certificate, ca))
        text = finish(certificate, ca, ca_pair, &purpose, error);
    else
        x509_failed(error, "cannot set the validity");
out:
    X509_free(certificate);
    X509_free(ca);
    EVP_PKEY_free(ca_pair);
    EVP_PKEY_free(key);
    return text;
}

/* --- looking at certificates --- */

bool x509_fingerprint(const char *certificate, unsigned char fingerprint[32], struct error *error)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    X509 *parsed = x509_read_certificate(certificate, error);
    if (!parsed)
        return false;
    bool ok = X509_digest(parsed, EVP_sha256(), digest, &length) == 1 && length == 32;
    X509_free(parsed);
    if (!ok)
        return x509_failed(error, "cannot hash the certificate");
    memcpy(fingerprint, digest, 32);
    return true;
}

bool x509_not_after(const char *certificate, long long *seconds, struct error *error)
{
    int days, rest;
    X509 *parsed = x509_read_certificate(certificate, error);
    if (!parsed)
        return false;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool ok = epoch && ASN1_TIME_diff(&days, &rest, epoch, X509_get0_notAfter(parsed)) == 1;
    ASN1_TIME_free(epoch);
    X509_free(parsed);
    if (!ok)
        return x509_failed(error, "cannot read the end of validity");
    *seconds = (long long)days * SECONDS_PER_DAY + rest;
    return true;
}
