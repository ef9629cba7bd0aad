/* What a certificate says, and requests for new ones. */
#include "common/x509_bundle.h"
#include "common/x509_private.h"

#include "common/buffer.h"
#include "common/utf8.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RSA_BITS 3072
#define NAMES_LIMIT 16384 /* bytes of the names that are shown */

void x509_details_clear(struct x509_details *details)
{
    free(details->names);
    *details = (struct x509_details){0};
}

/* --- describing --- */

/* Names come from whoever made the certificate: only clean text goes on. */
static void copy_name(const X509_NAME *name, char *text, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int length = 0;
    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        length = BIO_read(bio, text, (int)size - 1);
    text[utf8_scrub(text, length > 0 ? (size_t)length : 0)] = '\0';
    BIO_free(bio);
}

static void add_name(struct buffer *names, const GENERAL_NAME *name)
{
    char text[256];
    int kind = 0;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);
    size_t length = (size_t)ASN1_STRING_length(value);
    const unsigned char *bytes = ASN1_STRING_get0_data(value);
    if (kind == GEN_DNS && length < sizeof text) {
        memcpy(text, bytes, length);
        text[utf8_scrub(text, length)] = '\0';
        buffer_add_format(names, "%s\n", text);
    } else if (kind == GEN_IPADD && (length == 4 || length == 16) &&
               inet_ntop(length == 4 ? AF_INET : AF_INET6, bytes, text, sizeof text)) {
        buffer_add_format(names, "%s\n", text);
    }
}

static char *names_of(X509 *certificate)
{
    struct buffer text = BUFFER_INIT;
    text.limit = NAMES_LIMIT;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        add_name(&text, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    text.failed = false; /* what did not fit is not shown */
    return buffer_take(&text);
}

static void describe_key(X509 *certificate, char *text, size_t size)
{
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    const char *kind = key ? EVP_PKEY_get0_type_name(key) : NULL;
    snprintf(text, size, "%s, %d bits", kind ? kind : "unknown", key ? EVP_PKEY_get_bits(key) : 0);
}

static void describe_fingerprint(X509 *certificate, char *text, size_t size)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (X509_digest(certificate, EVP_sha256(), digest, &length) != 1)
        length = 0;
    for (unsigned i = 0; i < length && (i + 1) * 3 < size + 1; i++)
        snprintf(text + (size_t)i * 3, size - (size_t)i * 3, "%02X%s", digest[i],
                 i + 1 < length ? ":" : "");
}

static long long seconds_of(const ASN1_TIME *time)
{
    int days = 0, rest = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool ok = epoch && ASN1_TIME_diff(&days, &rest, epoch, time) == 1;
    ASN1_TIME_free(epoch);
    return ok ? (long long)days * 86400 + rest : 0;
}

/* --- trust --- */

static STACK_OF(X509) * read_chain(const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, (int)strlen(text));
    STACK_OF(X509) *chain = sk_X509_new_null();
    X509 *certificate;
    while (bio && chain && sk_X509_num(chain) < X509_CHAIN_MOST &&
           (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
        if (sk_X509_push(chain, certificate) <= 0)
            X509_free(certificate);
    BIO_free(bio);
    ERR_clear_error();
    return chain;
}

const char *x509_distrust(const char *certificate, char *reason, size_t size)
{
    STACK_OF(X509) *chain = read_chain(certificate);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    snprintf(reason, size, "it could not be checked");
    if (chain && store && context && X509_STORE_set_default_paths(store) == 1 &&
        X509_STORE_CTX_init(context, store, sk_X509_value(chain, 0), chain) == 1 &&
        X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER) == 1)
        snprintf(reason, size, "%s",
                 X509_verify_cert(context) == 1
                     ? ""
                     : X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return reason;
}

bool x509_describe(const char *certificate, struct x509_details *details, struct error *error)
{
    *details = (struct x509_details){0};
    X509 *first = x509_read_certificate(certificate, error);
    if (!first)
        return false;
    copy_name(X509_get_subject_name(first), details->subject, sizeof details->subject);
    copy_name(X509_get_issuer_name(first), details->issuer, sizeof details->issuer);
    details->names = names_of(first);
    details->not_before = seconds_of(X509_get0_notBefore(first));
    details->not_after = seconds_of(X509_get0_notAfter(first));
    details->self_signed = X509_self_signed(first, 0) == 1;
    describe_key(first, details->key, sizeof details->key);
    describe_fingerprint(first, details->fingerprint, sizeof details->fingerprint);
    X509_free(first);
    return details->names || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

bool x509_names_host(const char *certificate, const char *host)
{
    X509 *first = x509_read_certificate(certificate, NULL);
    bool named = first && X509_check_host(first, host, 0, 0, NULL) == 1;
    X509_free(first);
    return named;
}

/* --- requests --- */

char *x509_new_rsa_key(struct error *error)
{
    EVP_PKEY *key = EVP_RSA_gen(RSA_BITS);
    BIO *bio = BIO_new(BIO_s_secmem());
    char *data = NULL, *text = NULL;
    if (key && bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
        long length = BIO_get_mem_data(bio, &data);
        text = length > 0 ? strndup(data, (size_t)length) : NULL;
    }
    BIO_free(bio);
    EVP_PKEY_free(key);
    if (!text)
        x509_failed(error, "cannot make a private key");
    return text;
}

static bool add_names(X509_REQ *request, const char *const *names, size_t count,
                      struct error *error)
{
    GENERAL_NAMES *list = x509_general_names(names, count, error);
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    if (!list)
        return false;
    bool ok =
        X509V3_add1_i2d(&extensions, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1 &&
        X509_REQ_add_extensions(request, extensions) == 1;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    GENERAL_NAMES_free(list);
    return ok || x509_failed(error, "cannot add the names");
}

static char *request_text(X509_REQ *request)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL, *text = NULL;
    if (bio && PEM_write_bio_X509_REQ(bio, request) == 1) {
        long length = BIO_get_mem_data(bio, &data);
        text = length > 0 ? strndup(data, (size_t)length) : NULL;
    }
    BIO_free(bio);
    return text;
}

char *x509_new_server_request(const char *key, const char *common_name, const char *const *names,
                              size_t name_count, struct error *error)
{
    char *text = NULL;
    EVP_PKEY *pair = x509_read_key(key, error);
    X509_REQ *request = pair ? X509_REQ_new() : NULL;
    bool ok = request && X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
              x509_set_common_name(X509_REQ_get_subject_name(request), common_name) &&
              X509_REQ_set_pubkey(request, pair) == 1;
    if (pair && !ok)
        x509_failed(error, "cannot make a certificate request");
    if (ok && add_names(request, names, name_count, error)) {
        text = X509_REQ_sign(request, pair, EVP_sha256()) > 0 ? request_text(request) : NULL;
        if (!text)
            x509_failed(error, "cannot sign the certificate request");
    }
    X509_REQ_free(request);
    EVP_PKEY_free(pair);
    return text;
}
