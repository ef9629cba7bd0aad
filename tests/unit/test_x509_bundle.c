/* Certificates that people bring, in PEM and PKCS#12 files: what is found in them, and why some are
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/x509_bundle.h"

#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <string.h>

static const char *const names[] = {"mail.example.com", "2001:db8::1"};

/* An authority and a server that it signed. */
struct world {
    char *ca_key, *ca, *key, *request, *certificate;
};

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct error error = {0};
    world->ca_key = x509_new_key(&error);
    world->ca = x509_new_ca(world->ca_key, "Test CA", 30, &error);
    world->key = x509_new_key(&error);
    world->request = x509_new_server_request(world->key, names[0], names, 2, &error);
    world->certificate = x509_sign_request(world->request, world->ca_key, world->ca, names[0],
                                           X509_USE_SERVER, names, 2, 20, &error);
    assert_non_null(world->certificate);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    free(world->ca_key);
    free(world->ca);
    free(world->key);
    free(world->request);
    free(world->certificate);
    free(world);
    return 0;
}

#define world_test(function) cmocka_unit_test_setup_teardown(function, open_world, close_world)

static char *joined(const char *first, const char *second, const char *third)
{
    char *text = NULL;
    assert_true(asprintf(&text, "%s%s%s", first, second, third) > 0);
    return text;
}

static void assert_refused(const char *text, const char *key, const char *reason)
{
    struct x509_bundle bundle = {0};
    struct error error = {0};
    assert_false(x509_bundle_from_pem(text, key, "", &bundle, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    if (!strstr(error.message, reason))
        fail_msg("\"%s\" is not why: %s", reason, error.message);
    assert_null(bundle.certificate);
    assert_null(bundle.key);
}

static void a_file_in_any_order_becomes_a_chain_with_its_key(void **state)
{
    struct world *world = *state;
    struct x509_bundle bundle = {0};
    struct error error = {0};
    cleanup_free char *text = joined(world->ca, world->key, world->certificate);
    assert_true(x509_bundle_from_pem(text, NULL, NULL, &bundle, &error));
    assert_string_equal(bundle.certificate, world->certificate); /* without the root */
    assert_string_equal(bundle.key, world->key);
    x509_bundle_clear(&bundle);
}

static void what_does_not_belong_together_is_refused_with_the_reason(void **state)
{
    struct world *world = *state;
    struct error error = {0};
    cleanup_free char *other_key = x509_new_key(&error);
    cleanup_free char *other = x509_new_ca(other_key, "Another CA", 30, &error);
    cleanup_free char *broken = joined(world->certificate, other, "");
    cleanup_free char *cut = joined(world->certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n", "");
    assert_refused(world->certificate, other_key, "belongs to none of the certificates");
    assert_refused(broken, world->key, "CN = Another CA has signed none of the others");
    assert_refused("nothing", world->key, "there is no certificate in it");
    assert_refused("", NULL, "there is no certificate in it");
    assert_refused(cut, world->key, "cannot be read");
    assert_refused(world->certificate, "-----BEGIN PRIVATE KEY-----\nAAAA\n", "key cannot be read");
    assert_refused(world->ca, world->ca_key, "is not one for servers");
}

static void an_encrypted_key_needs_its_password(void **state)
{
    struct world *world = *state;
    struct x509_bundle bundle = {0};
    struct error error = {0};
    char *data;
    BIO *in = BIO_new_mem_buf(world->key, -1), *out = BIO_new(BIO_s_mem());
    EVP_PKEY *pair = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
    PEM_write_bio_PKCS8PrivateKey(out, pair, EVP_aes_256_cbc(), "sesame", 6, NULL, NULL);
    long length = BIO_get_mem_data(out, &data);
    cleanup_free char *locked = strndup(data, (size_t)length);
    EVP_PKEY_free(pair);
    BIO_free(in);
    BIO_free(out);
    assert_refused(world->certificate, locked, "is needed");
    assert_false(x509_bundle_from_pem(world->certificate, locked, "wrong", &bundle, &error));
    assert_string_equal(error.where, "password");
    assert_true(x509_bundle_from_pem(world->certificate, locked, "sesame", &bundle, &error));
    assert_string_equal(bundle.key, world->key);
    x509_bundle_clear(&bundle);
}

/* A PKCS#12 file of the world's server with its authority. */
static size_t make_pkcs12(const struct world *world, const char *password, unsigned char *data)
{
    BIO *key = BIO_new_mem_buf(world->key, -1), *leaf = BIO_new_mem_buf(world->certificate, -1);
    BIO *root = BIO_new_mem_buf(world->ca, -1);
    EVP_PKEY *pair = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    X509 *certificate = PEM_read_bio_X509(leaf, NULL, NULL, NULL);
    STACK_OF(X509) *chain = sk_X509_new_null();
    sk_X509_push(chain, PEM_read_bio_X509(root, NULL, NULL, NULL));
    PKCS12 *file = PKCS12_create(password, "server", pair, certificate, chain, 0, 0, 0, 0, 0);
    int length = i2d_PKCS12(file, &data);
    PKCS12_free(file);
    sk_X509_pop_free(chain, X509_free);
    X509_free(certificate);
    EVP_PKEY_free(pair);
    BIO_free(key);
    BIO_free(leaf);
    BIO_free(root);
    return (size_t)length;
}

static void a_pkcs12_file_opens_with_its_password_only(void **state)
{
    struct world *world = *state;
    unsigned char data[16384];
    struct x509_bundle bundle = {0};
    struct error error = {0};
    size_t length = make_pkcs12(world, "sesame", data);
    assert_false(x509_bundle_from_pkcs12(data, length, "wrong", &bundle, &error));
    assert_string_equal(error.where, "password");
    assert_false(x509_bundle_from_pkcs12(data, length, "", &bundle, &error));
    assert_non_null(strstr(error.message, "is needed"));
    assert_true(x509_bundle_from_pkcs12(data, length, "sesame", &bundle, &error));
    assert_string_equal(bundle.certificate, world->certificate);
    assert_string_equal(bundle.key, world->key);
    x509_bundle_clear(&bundle);
}

static void a_damaged_pkcs12_file_never_opens(void **state)
{
    struct world *world = *state;
    unsigned char data[16384];
    size_t length = make_pkcs12(world, "sesame", data);
    for (size_t cut = 0; cut < length; cut += 61) {
        struct x509_bundle bundle = {0};
        struct error error = {0};
        assert_false(x509_bundle_from_pkcs12(data, cut, "sesame", &bundle, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        x509_bundle_clear(&bundle);
    }
}

static void a_certificate_is_described_with_its_names(void **state)
{
    struct world *world = *state;
    struct x509_details details;
    struct error error = {0};
    char reason[256];
    assert_true(x509_describe(world->certificate, &details, &error));
    assert_string_equal(details.subject, "CN = mail.example.com");
    assert_string_equal(details.issuer, "CN = Test CA");
    assert_non_null(strstr(details.names, "mail.example.com\n"));
    assert_non_null(strstr(details.names, "2001:db8::1\n"));
    assert_false(details.self_signed);
    assert_true(details.not_after > details.not_before);
    assert_int_equal(strlen(details.fingerprint), 95);
    x509_details_clear(&details);
    assert_true(x509_names_host(world->certificate, "MAIL.example.com"));
    assert_false(x509_names_host(world->certificate, "mx.example.com"));
    assert_false(x509_names_host("nothing", "mail.example.com"));
    assert_true(*x509_distrust(world->certificate, reason, sizeof reason));
    assert_false(x509_describe("nothing", &details, &error));
}

static void authorities_are_read_to_the_last(void **state)
{
    struct world *world = *state;
    struct error error = {0};
    cleanup_free char *two = joined(world->ca, world->ca, "");
    cleanup_free char *bad =
        joined(world->ca, "-----BEGIN CERTIFICATE-----\nAAAA\n", "-----END CERTIFICATE-----\n");
    assert_true(x509_check_authorities(two, &error));
    assert_false(x509_check_authorities(bad, &error));
    assert_false(x509_check_authorities("", &error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(a_file_in_any_order_becomes_a_chain_with_its_key),
        world_test(what_does_not_belong_together_is_refused_with_the_reason),
        world_test(an_encrypted_key_needs_its_password),
        world_test(a_pkcs12_file_opens_with_its_password_only),
        world_test(a_damaged_pkcs12_file_never_opens),
        world_test(a_certificate_is_described_with_its_names),
        world_test(authorities_are_read_to_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
