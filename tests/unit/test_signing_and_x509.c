/* Signed envelopes, keys and certificates. */
#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/file.h"
#include "common/json.h"
#include "common/signing.h"
#include "common/x509.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* --- envelopes --- */

struct keys {
    char public_key[SIGNING_KEY_TEXT_SIZE];
    char secret_key[SIGNING_SECRET_TEXT_SIZE];
};

static struct keys new_keys(void)
{
    struct keys keys;
    assert_true(signing_new_keys(keys.public_key, keys.secret_key, NULL));
    assert_int_equal(strlen(keys.public_key), SIGNING_KEY_TEXT_SIZE - 1);
    assert_int_equal(strlen(keys.secret_key), SIGNING_SECRET_TEXT_SIZE - 1);
    return keys;
}

static void a_sealed_document_comes_back_byte_for_byte(void **state)
{
    static const char document[] = "{\"a\" : \"\\u00fc \xc3\xbc \\n\",\r\n\t\"b\":[1,  2]}";
    (void)state;
    struct keys keys = new_keys();
    cleanup_free char *envelope = signing_seal(document, keys.secret_key, NULL);
    cleanup_free char *back = signing_open(envelope, strlen(envelope), keys.public_key, NULL);
    assert_string_equal(back, document);
    cleanup_free char *empty = signing_seal("", keys.secret_key, NULL);
    cleanup_free char *empty_back = signing_open(empty, strlen(empty), keys.public_key, NULL);
    assert_string_equal(empty_back, "");
}

static void a_changed_byte_anywhere_is_refused(void **state)
{
    (void)state;
    struct keys keys = new_keys();
    cleanup_free char *envelope = signing_seal("{\"version\":1}", keys.secret_key, NULL);
    size_t length = strlen(envelope);
    for (size_t i = 0; i < length; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct error error = {0};
            envelope[i] = (char)(envelope[i] ^ (1 << bit));
            char *opened = signing_open(envelope, length, keys.public_key, &error);
            if (opened)
                fail_msg("byte %zu, bit %d: %s", i, bit, envelope);
            assert_true(error.code == ERROR_DENIED || error.code == ERROR_INVALID);
            envelope[i] = (char)(envelope[i] ^ (1 << bit));
        }
    }
}

static void the_signature_of_another_key_is_denied(void **state)
{
    struct error error = {0};
    (void)state;
    struct keys keys = new_keys(), others = new_keys();
    cleanup_free char *envelope = signing_seal("{}", others.secret_key, NULL);
    assert_null(signing_open(envelope, strlen(envelope), keys.public_key, &error));
    assert_int_equal(error.code, ERROR_DENIED);
}

static void an_envelope_of_another_shape_is_invalid(void **state)
{
    static const char *const bad[] = {"",
                                      "{}",
                                      "[]",
                                      "{\"document\":\"{}\"}",
                                      "{\"document\":{},\"signature\":\"\"}",
                                      "{\"document\":\"{}\",\"signature\":7}",
                                      "{\"document\":\"{}\",\"signature\":\"\",\"x\":1}"};
    (void)state;
    struct keys keys = new_keys();
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct error error = {0};
        assert_null(signing_open(bad[i], strlen(bad[i]), keys.public_key, &error));
        assert_int_equal(error.code, ERROR_INVALID);
    }
}

static void keys_that_are_none_are_refused(void **state)
{
    static const char *const bad[] = {"", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ",
                                      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    struct error error = {0};
    (void)state;
    struct keys keys = new_keys();
    cleanup_free char *envelope = signing_seal("{}", keys.secret_key, NULL);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_null(signing_open(envelope, strlen(envelope), bad[i], &error));
        assert_int_equal(error.code, ERROR_INVALID);
        assert_null(signing_seal("{}", bad[i], &error));
        assert_int_equal(error.code, ERROR_INVALID);
    }
    assert_null(signing_seal("\xff", keys.secret_key, &error));
    assert_int_equal(error.code, ERROR_INVALID);
}

static const char document[] =
    "{\"format\":1,\"version\":3,\"scanner_id\":\"0190163d-8694-739b-aea5-966c26f8ad91\","
    "\"issued_at\":\"2026-01-31T12:00:00Z\",\"host_name\":\"mx.example.com\","
    "\"smtp\":{\"inbound\":{\"listeners\":[]},\"outbound\":{\"listeners\":[]}},\"domains\":[]}";

static void a_configuration_is_loaded_only_with_the_right_key(void **state)
{
    char envelope_path[] = "/tmp/gatehouse-envelope-XXXXXX",
         key_path[] = "/tmp/gatehouse-key-XXXXXX";
    struct error error = {0};
    (void)state;
    struct keys keys = new_keys(), others = new_keys();
    close(mkstemp(envelope_path));
    close(mkstemp(key_path));
    cleanup_free char *envelope = signing_seal(document, keys.secret_key, NULL);
    assert_true(file_write_atomic(envelope_path, envelope, strlen(envelope), 0600, NULL));
    char line[SIGNING_KEY_TEXT_SIZE + 2];
    snprintf(line, sizeof(line), "%s\n", keys.public_key);
    assert_true(file_write_atomic(key_path, line, strlen(line), 0600, NULL));
    struct scanner_config *config = config_load(envelope_path, key_path, &error);
    assert_non_null(config);
    assert_int_equal(config->version, 3);
    config_free(config);
    assert_true(
        file_write_atomic(key_path, others.public_key, SIGNING_KEY_TEXT_SIZE - 1, 0600, NULL));
    assert_null(config_load(envelope_path, key_path, &error));
    assert_int_equal(error.code, ERROR_DENIED);
    unlink(key_path);
    assert_null(config_load(envelope_path, key_path, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    unlink(envelope_path);
}

/* --- certificates --- */

static X509 *parsed(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(certificate);
    return certificate;
}

/* What OpenSSL's own verifier says about `leaf` under `ca`, used for `purpose` and (may be NULL)
 * reached as `host` or `ip`. */
static bool verifies(const char *leaf, const char *ca, int purpose, const char *host,
                     const char *ip)
{
    X509 *certificate = parsed(leaf), *root = parsed(ca);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, root);
    X509_STORE_CTX_init(context, store, certificate, NULL);
    X509_STORE_CTX_set_purpose(context, purpose);
    X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
    if (host)
        X509_VERIFY_PARAM_set1_host(parameters, host, 0);
    if (ip)
        X509_VERIFY_PARAM_set1_ip_asc(parameters, ip);
    bool ok = X509_verify_cert(context) == 1;
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(certificate);
    X509_free(root);
    return ok;
}

static char *new_ca(char **key)
{
    *key = x509_new_key(NULL);
    assert_non_null(*key);
    char *ca = x509_new_ca(*key, "Test CA", 100, NULL);
    assert_non_null(ca);
    return ca;
}

static const char *const server_names[] = {"localhost", "127.0.0.1", "::1", "MX.Example.com"};

static void a_signed_server_is_trusted_for_its_names_and_use_only(void **state)
{
    (void)state;
    cleanup_free char *ca_key = NULL, *other_key = NULL;
    cleanup_free char *ca = new_ca(&ca_key);
    cleanup_free char *other = new_ca(&other_key);
    cleanup_free char *key = x509_new_key(NULL);
    cleanup_free char *request = x509_new_request(key, "claimed", NULL);
    cleanup_free char *leaf = x509_sign_request(request, ca_key, ca, "given", X509_USE_SERVER,
                                                server_names, COUNT_OF(server_names), 30, NULL);
    assert_non_null(leaf);
    assert_true(verifies(leaf, ca, X509_PURPOSE_SSL_SERVER, "localhost", NULL));
    assert_true(verifies(leaf, ca, X509_PURPOSE_SSL_SERVER, "mx.example.com", NULL));
    assert_true(verifies(leaf, ca, X509_PURPOSE_SSL_SERVER, NULL, "127.0.0.1"));
    assert_true(verifies(leaf, ca, X509_PURPOSE_SSL_SERVER, NULL, "::1"));
    assert_false(verifies(leaf, ca, X509_PURPOSE_SSL_SERVER, "example.com", NULL));
    assert_false(verifies(leaf, ca, X509_PURPOSE_SSL_SERVER, "claimed", NULL));
    assert_false(verifies(leaf, ca, X509_PURPOSE_SSL_SERVER, NULL, "127.0.0.2"));
    assert_false(verifies(leaf, ca, X509_PURPOSE_SSL_CLIENT, NULL, NULL));
    assert_false(verifies(leaf, other, X509_PURPOSE_SSL_SERVER, NULL, NULL));
}

static void a_signed_client_has_the_name_it_is_given_not_the_one_it_claims(void **state)
{
    char name[64];
    (void)state;
    cleanup_free char *ca_key = NULL;
    cleanup_free char *ca = new_ca(&ca_key);
    cleanup_free char *key = x509_new_key(NULL);
    cleanup_free char *request = x509_new_request(key, "claimed", NULL);
    cleanup_free char *leaf =
        x509_sign_request(request, ca_key, ca, "scanner-7", X509_USE_CLIENT, NULL, 0, 30, NULL);
    assert_true(verifies(leaf, ca, X509_PURPOSE_SSL_CLIENT, NULL, NULL));
    assert_false(verifies(leaf, ca, X509_PURPOSE_SSL_SERVER, NULL, NULL));
    X509 *certificate = parsed(leaf);
    assert_int_equal(X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                               name, sizeof(name)),
                     9);
    assert_string_equal(name, "scanner-7");
    X509_free(certificate);
}

static void a_leaf_cannot_sign_further_certificates(void **state)
{
    (void)state;
    cleanup_free char *ca_key = NULL;
    cleanup_free char *ca = new_ca(&ca_key);
    cleanup_free char *key = x509_new_key(NULL), *key2 = x509_new_key(NULL);
    cleanup_free char *request = x509_new_request(key, "a", NULL);
    cleanup_free char *request2 = x509_new_request(key2, "b", NULL);
    cleanup_free char *leaf =
        x509_sign_request(request, ca_key, ca, "a", X509_USE_CLIENT, NULL, 0, 30, NULL);
    cleanup_free char *forged =
        x509_sign_request(request2, key, leaf, "b", X509_USE_CLIENT, NULL, 0, 30, NULL);
    assert_non_null(forged);
    assert_false(verifies(forged, leaf, X509_PURPOSE_SSL_CLIENT, NULL, NULL));
}

static void a_self_signed_server_is_trusted_under_itself(void **state)
{
    (void)state;
    cleanup_free char *key = x509_new_key(NULL);
    cleanup_free char *certificate =
        x509_new_self_signed(key, "console", server_names, COUNT_OF(server_names), 30, NULL);
    assert_true(verifies(certificate, certificate, X509_PURPOSE_SSL_SERVER, "localhost", "::1"));
    assert_false(verifies(certificate, certificate, X509_PURPOSE_SSL_SERVER, "console", NULL));
    X509 *own = parsed(certificate);
    assert_int_equal(X509_check_ca(own), 0);
    assert_false(X509_get_extension_flags(own) & EXFLAG_CA);
    X509_free(own);
}

static void the_end_of_validity_is_what_was_asked_for_but_not_after_the_issuers(void **state)
{
    long long ca_end = 0, short_end = 0, long_end = 0, now = time(NULL);
    (void)state;
    cleanup_free char *ca_key = NULL;
    cleanup_free char *ca = new_ca(&ca_key);
    cleanup_free char *key = x509_new_key(NULL);
    cleanup_free char *request = x509_new_request(key, "a", NULL);
    cleanup_free char *short_leaf =
        x509_sign_request(request, ca_key, ca, "a", X509_USE_CLIENT, NULL, 0, 30, NULL);
    cleanup_free char *long_leaf =
        x509_sign_request(request, ca_key, ca, "a", X509_USE_CLIENT, NULL, 0, 3000, NULL);
    assert_true(x509_not_after(ca, &ca_end, NULL));
    assert_true(x509_not_after(short_leaf, &short_end, NULL));
    assert_true(x509_not_after(long_leaf, &long_end, NULL));
    assert_in_range(ca_end, now + 100 * 86400 - 10, now + 100 * 86400 + 10);
    assert_in_range(short_end, now + 30 * 86400 - 10, now + 30 * 86400 + 10);
    assert_int_equal(long_end, ca_end);
}

static void fingerprints_are_those_of_the_der_form(void **state)
{
    unsigned char mine[32], expected[32];
    unsigned length;
    (void)state;
    cleanup_free char *ca_key = NULL;
    cleanup_free char *ca = new_ca(&ca_key);
    X509 *certificate = parsed(ca);
    unsigned char *der = NULL;
    int size = i2d_X509(certificate, &der);
    EVP_Digest(der, (size_t)size, expected, &length, EVP_sha256(), NULL);
    OPENSSL_free(der);
    X509_free(certificate);
    assert_true(x509_fingerprint(ca, mine, NULL));
    assert_memory_equal(mine, expected, 32);
}

static char *request_with(EVP_PKEY *key, bool break_signature)
{
    char *text = NULL, *data;
    X509_REQ *request = X509_REQ_new();
    X509_REQ_set_pubkey(request, key);
    X509_REQ_sign(request, key, EVP_sha256());
    if (break_signature)
        X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(request), NID_commonName,
                                   MBSTRING_UTF8, (const unsigned char *)"x", 1, -1, 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509_REQ(bio, request);
    text =
        strndup(BIO_get_mem_data(bio, &data) > 0 ? data : "", (size_t)BIO_get_mem_data(bio, &data));
    BIO_free(bio);
    X509_REQ_free(request);
    return text;
}

static void expect_refused_request(EVP_PKEY *key, bool break_signature)
{
    struct error error = {0};
    cleanup_free char *ca_key = NULL;
    cleanup_free char *ca = new_ca(&ca_key);
    cleanup_free char *request = request_with(key, break_signature);
    assert_null(x509_sign_request(request, ca_key, ca, "a", X509_USE_CLIENT, NULL, 0, 30, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_true(error.message[0]);
    EVP_PKEY_free(key);
}

static void requests_without_proof_or_on_other_curves_are_refused(void **state)
{
    (void)state;
    expect_refused_request(EVP_EC_gen("P-256"), true);
    expect_refused_request(EVP_EC_gen("P-384"), false);
    expect_refused_request(EVP_RSA_gen(2048), false);
}

static void broken_pem_names_and_days_are_refused(void **state)
{
    struct error error = {0};
    unsigned char print[32];
    long long seconds;
    static const char *const bad_names[] = {"good.example", "bad name"};
    static const char *const bad_pem[] = {"", "x",
                                          "-----BEGIN CERTIFICATE-----\nAAAA\n-----END "
                                          "CERTIFICATE-----\n"};
    (void)state;
    cleanup_free char *ca_key = NULL, *other_key = x509_new_key(NULL);
    cleanup_free char *ca = new_ca(&ca_key);
    cleanup_free char *request = x509_new_request(other_key, "a", NULL);
    for (size_t i = 0; i < COUNT_OF(bad_pem); i++) {
        assert_false(x509_fingerprint(bad_pem[i], print, &error));
        assert_false(x509_not_after(bad_pem[i], &seconds, &error));
        assert_null(x509_new_request(bad_pem[i], "a", &error));
        assert_null(x509_new_ca(bad_pem[i], "a", 1, &error));
        assert_null(
            x509_sign_request(bad_pem[i], ca_key, ca, "a", X509_USE_CLIENT, NULL, 0, 30, &error));
        assert_null(x509_sign_request(request, ca_key, bad_pem[i], "a", X509_USE_CLIENT, NULL, 0,
                                      30, &error));
    }
    assert_null(
        x509_sign_request(request, other_key, ca, "a", X509_USE_CLIENT, NULL, 0, 30, &error));
    assert_null(x509_new_self_signed(ca_key, "a", bad_names, 2, 30, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_string_equal(error.where, "bad name");
    assert_null(x509_new_ca(ca_key, "a", 0, &error));
    assert_string_equal(error.where, "days");
    assert_null(x509_new_ca(ca_key, "", 1, &error));
    assert_null(x509_new_ca(
        ca_key, "a name that is far longer than the sixty-four characters of a common name", 1,
        &error));
    assert_null(x509_new_request(ca_key, "\xff\xfe", &error));
}

/* Without a passphrase callback OpenSSL would stop and ask on the terminal. */
static void an_encrypted_key_is_refused_without_asking(void **state)
{
    struct error error = {0};
    char *data;
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(), "secret", 6, NULL, NULL);
    long length = BIO_get_mem_data(bio, &data);
    cleanup_free char *text = strndup(data, (size_t)length);
    BIO_free(bio);
    EVP_PKEY_free(key);
    assert_non_null(strstr(text, "ENCRYPTED"));
    assert_null(x509_new_request(text, "a", &error));
    assert_int_equal(error.code, ERROR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_document_comes_back_byte_for_byte),
        cmocka_unit_test(a_changed_byte_anywhere_is_refused),
        cmocka_unit_test(the_signature_of_another_key_is_denied),
        cmocka_unit_test(an_envelope_of_another_shape_is_invalid),
        cmocka_unit_test(keys_that_are_none_are_refused),
        cmocka_unit_test(a_configuration_is_loaded_only_with_the_right_key),
        cmocka_unit_test(a_signed_server_is_trusted_for_its_names_and_use_only),
        cmocka_unit_test(a_signed_client_has_the_name_it_is_given_not_the_one_it_claims),
        cmocka_unit_test(a_leaf_cannot_sign_further_certificates),
        cmocka_unit_test(a_self_signed_server_is_trusted_under_itself),
        cmocka_unit_test(the_end_of_validity_is_what_was_asked_for_but_not_after_the_issuers),
        cmocka_unit_test(fingerprints_are_those_of_the_der_form),
        cmocka_unit_test(requests_without_proof_or_on_other_curves_are_refused),
        cmocka_unit_test(broken_pem_names_and_days_are_refused),
        cmocka_unit_test(an_encrypted_key_is_refused_without_asking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
