#include "common/x509_bundle.h"
#include "common/x509_private.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 256
#define RSA_LEAST_BITS 2048
#define EC_LEAST_BITS 224

/* What a file held, as it was found. */
struct found {
    STACK_OF(X509) * certificates;
    EVP_PKEY *key;
};

void x509_bundle_clear(struct x509_bundle *bundle)
{
    if (bundle->key)
        explicit_bzero(bundle->key, strlen(bundle->key));
    free(bundle->key);
    free(bundle->certificate);
    *bundle = (struct x509_bundle){0};
}

static void clear_found(struct found *found)
{
    sk_X509_pop_free(found->certificates, X509_free);
    EVP_PKEY_free(found->key);
}

static bool refuse(struct error *error, const char *where, const char *text)
{
    ERR_clear_error();
    return error_set(error, ERROR_INVALID, where, "%s", text);
}

/* "CN = mx.example.com, O = Example". */
static const char *name_text(const X509_NAME *name, char text[NAME_SIZE])
{
    BIO *bio = BIO_new(BIO_s_mem());
    int length = 0;
    text[0] = '\0';
    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        length = BIO_read(bio, text, NAME_SIZE - 1);
    text[length > 0 ? length : 0] = '\0';
    BIO_free(bio);
    return *text ? text : "(without a name)";
}

/* --- reading files --- */

struct password {
    const char *text;
    bool asked;
};

static int give_password(char *to, int size, int writing, void *context)
{
    struct password *password = context;
    size_t length = password->text ? strlen(password->text) : 0;
    (void)writing;
    password->asked = true;
    if (length == 0 || length > (size_t)size)
        return -1;
    memcpy(to, password->text, length);
    return (int)length;
}

static bool read_certificates(const char *text, struct found *found, struct error *error)
{
    BIO *bio = BIO_new_mem_buf(text, (int)strlen(text));
    X509 *certificate;
    bool ok = bio && (found->certificates = sk_X509_new_null()) != NULL;
    while (ok && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (sk_X509_push(found->certificates, certificate) <= 0) {
            X509_free(certificate);
            ok = false;
        }
        ok = ok && sk_X509_num(found->certificates) <= X509_CHAIN_MOST;
    }
    unsigned long last = ERR_peek_last_error();
    bool ended = ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    if (!ok)
        return refuse(error, NULL, "there are more certificates than a chain has");
    if (!ended)
        return x509_failed(error, "a certificate in it cannot be read");
    ERR_clear_error();
    return sk_X509_num(found->certificates) > 0 ||
           refuse(error, NULL, "there is no certificate in it (-----BEGIN CERTIFICATE-----)");
}

/* NULL without an error where there is none. */
static bool read_key(const char *text, const char *password_text, EVP_PKEY **key,
                     struct error *error)
{
    struct password password = {.text = password_text};
    if (!strstr(text, "PRIVATE KEY-----"))
        return true;
    BIO *bio = BIO_new_mem_buf(text, (int)strlen(text));
    *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password, &password) : NULL;
    BIO_free(bio);
    if (*key)
        return true;
    if (!password.asked)
        return x509_failed(error, "the private key cannot be read");
    return refuse(error, "password",
                  password_text && *password_text ? "does not open the private key"
                                                  : "is needed: the private key is encrypted");
}

/* --- the checks --- */

static bool refuse_named(X509 *certificate, struct error *error, const char *what)
{
    char name[NAME_SIZE];
    ERR_clear_error();
    return error_set(error, ERROR_INVALID, NULL, "the certificate %s %s",
                     name_text(X509_get_subject_name(certificate), name), what);
}

static bool check_dates(X509 *certificate, struct error *error)
{
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
        return refuse_named(certificate, error, "has expired");
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
        return refuse_named(certificate, error, "is not valid yet");
    return true;
}

static bool check_strength(X509 *certificate, struct error *error)
{
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    if (!key)
        return refuse_named(certificate, error, "has a key of an unknown kind");
    int least = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ? RSA_LEAST_BITS : EC_LEAST_BITS;
    return EVP_PKEY_get_bits(key) >= least ||
           refuse_named(certificate, error, "has a key that is too short");
}

static bool check_one(X509 *certificate, bool is_server, struct error *error)
{
    if (!check_dates(certificate, error) || !check_strength(certificate, error))
        return false;
    if (is_server)
        return X509_check_purpose(certificate, X509_PURPOSE_SSL_SERVER, 0) == 1 ||
               refuse_named(certificate, error, "is not one for servers");
    return X509_check_ca(certificate) > 0 ||
           refuse_named(certificate, error, "may not sign others (it is not of an authority)");
}

static X509 *take_at(STACK_OF(X509) * certificates, int index)
{
    return sk_X509_delete(certificates, index);
}

/* Takes the certificate that the key belongs to, or the first one. */
static X509 *take_server(struct found *found, struct error *error)
{
    if (!found->key)
        return take_at(found->certificates, 0);
    for (int i = 0; i < sk_X509_num(found->certificates); i++)
        if (X509_check_private_key(sk_X509_value(found->certificates, i), found->key) == 1)
            return take_at(found->certificates, i);
    refuse(error, NULL, "the private key belongs to none of the certificates");
    return NULL;
}

static bool has_signed(X509 *issuer, X509 *certificate)
{
    return X509_check_issued(issuer, certificate) == X509_V_OK &&
           X509_verify(certificate, X509_get0_pubkey(issuer)) == 1;
}

static X509 *take_issuer(STACK_OF(X509) * certificates, X509 *of)
{
    for (int i = 0; i < sk_X509_num(certificates); i++)
        if (has_signed(sk_X509_value(certificates, i), of))
            return take_at(certificates, i);
    return NULL;
}

static bool is_self_signed(X509 *certificate)
{
    return X509_self_signed(certificate, 1) == 1;
}

/* Writes the server's certificate and those that signed it, one after the other. A root is left
 * out: whoever trusts it has it. */
static bool write_chain(struct found *found, X509 *server, BIO *bio, struct error *error)
{
    X509 *last = server;
    bool ok = check_one(server, true, error) && PEM_write_bio_X509(bio, server) == 1;
    while (ok && !is_self_signed(last)) {
        X509 *issuer = take_issuer(found->certificates, last);
        if (!issuer)
            break;
        ok = check_one(issuer, false, error) &&
             (is_self_signed(issuer) || PEM_write_bio_X509(bio, issuer) == 1);
        if (last != server)
            X509_free(last);
        last = issuer;
    }
    if (last != server)
        X509_free(last);
    if (!ok || sk_X509_num(found->certificates) == 0)
        return ok;
    return refuse_named(sk_X509_value(found->certificates, 0), error,
                        "has signed none of the others, so the chain is broken before it");
}

static char *take_text(BIO *bio)
{
    char *data = NULL;
    long length = bio ? BIO_get_mem_data(bio, &data) : 0;
    return length > 0 ? strndup(data, (size_t)length) : NULL;
}

static bool make_bundle(struct found *found, struct x509_bundle *bundle, struct error *error)
{
    X509 *server = take_server(found, error);
    if (!server)
        return false;
    BIO *chain = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_secmem());
    bool ok = chain && key ? write_chain(found, server, chain, error)
                           : x509_failed(error, "out of memory");
    if (ok && found->key)
        ok = PEM_write_bio_PKCS8PrivateKey(key, found->key, NULL, NULL, 0, NULL, NULL) == 1 ||
             x509_failed(error, "cannot write the private key");
    if (ok) {
        bundle->certificate = take_text(chain);
        bundle->key = found->key ? take_text(key) : NULL;
        ok = (bundle->certificate && (bundle->key || !found->key)) ||
             error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    }
    BIO_free(chain);
    BIO_free(key);
    X509_free(server);
    if (!ok)
        x509_bundle_clear(bundle);
    return ok;
}

/* --- what is offered --- */

bool x509_bundle_from_pem(const char *text, const char *key, const char *password,
                          struct x509_bundle *bundle, struct error *error)
{
    struct found found = {0};
    bool ok = (strlen(text) <= X509_PEM_LIMIT && (!key || strlen(key) <= X509_PEM_LIMIT))
                  ? read_certificates(text, &found, error) &&
                        read_key(key && *key ? key : text, password, &found.key, error) &&
                        make_bundle(&found, bundle, error)
                  : refuse(error, NULL, "it is too large");
    clear_found(&found);
    return ok;
}

static bool open_pkcs12(PKCS12 *file, const char *password, struct found *found,
                        struct error *error)
{
    X509 *server = NULL;
    if (PKCS12_verify_mac(file, password, -1) != 1 &&
        !(*password == '\0' && PKCS12_verify_mac(file, NULL, 0) == 1))
        return refuse(error, "password",
                      *password ? "does not open the file" : "is needed: the file is encrypted");
    if (PKCS12_parse(file, password, &found->key, &server, &found->certificates) != 1) {
        bool old = ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_UNSUPPORTED ||
                   ERR_GET_REASON(ERR_peek_error()) == ERR_R_UNSUPPORTED;
        return old ? refuse(error, NULL,
                            "it is encrypted in a way that is no longer safe (such as RC2): "
                            "export it again with AES")
                   : x509_failed(error, "the file cannot be read");
    }
    if (!found->certificates)
        found->certificates = sk_X509_new_null();
    if (server && sk_X509_unshift(found->certificates, server) <= 0)
        X509_free(server);
    if (!server)
        return refuse(error, NULL, "there is no certificate with its key in it");
    return sk_X509_num(found->certificates) <= X509_CHAIN_MOST ||
           refuse(error, NULL, "there are more certificates than a chain has");
}

bool x509_bundle_from_pkcs12(const void *data, size_t length, const char *password,
                             struct x509_bundle *bundle, struct error *error)
{
    struct found found = {0};
    const unsigned char *at = data;
    PKCS12 *file = length <= X509_PEM_LIMIT ? d2i_PKCS12(NULL, &at, (long)length) : NULL;
    bool ok = file ? open_pkcs12(file, password ? password : "", &found, error) &&
                         make_bundle(&found, bundle, error)
                   : refuse(error, NULL, "it is no PKCS#12 file");
    PKCS12_free(file);
    clear_found(&found);
    return ok;
}

bool x509_check_authorities(const char *text, struct error *error)
{
    BIO *bio = BIO_new_mem_buf(text, (int)strlen(text));
    X509 *certificate;
    int count = 0;
    while (bio && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        X509_free(certificate);
        count++;
    }
    bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    if (!ended)
        return x509_failed(error, "one of the certificates cannot be read");
    ERR_clear_error();
    return count > 0 || refuse(error, NULL, "there is no certificate in it");
}
