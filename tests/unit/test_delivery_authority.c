/* Certificates of the test's servers. */
#include "test_delivery_peers.h"

#include <assert.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

SSL_CTX *peer_tls_new(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    assert(context && key && certificate);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)"peer", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    assert(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert(SSL_CTX_use_certificate(context, certificate) == 1);
    assert(SSL_CTX_use_PrivateKey(context, key) == 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

static X509 *new_certificate(EVP_PKEY *key, const char *name, int days)
{
    static long serial;
    X509 *certificate = X509_new();
    assert(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -86400L * (days < 0 ? 30 : 1));
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400L * days);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    return certificate;
}

static void add_extension(X509 *certificate, int kind, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, value);
    assert(extension && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

void authority_open(struct authority *authority)
{
    static unsigned number;
    char name[64];
    snprintf(name, sizeof(name), "private authority %u", ++number);
    authority->key = EVP_EC_gen("P-256");
    assert(authority->key);
    authority->certificate = new_certificate(authority->key, name, 10);
    X509_set_issuer_name(authority->certificate, X509_get_subject_name(authority->certificate));
    add_extension(authority->certificate, NID_basic_constraints, "critical,CA:TRUE");
    assert(X509_sign(authority->certificate, authority->key, EVP_sha256()) > 0);
}

void authority_close(struct authority *authority)
{
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
}

SSL_CTX *authority_issue(const struct authority *authority, const char *host, int days)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char names[300];
    assert(context && key);
    X509 *certificate = new_certificate(key, host, days);
    X509_set_issuer_name(certificate, X509_get_subject_name(authority->certificate));
    snprintf(names, sizeof(names), "DNS:%s", host);
    add_extension(certificate, NID_subject_alt_name, names);
    assert(X509_sign(certificate, authority->key, EVP_sha256()) > 0);
    assert(SSL_CTX_use_certificate(context, certificate) == 1);
    assert(SSL_CTX_use_PrivateKey(context, key) == 1);
    assert(SSL_CTX_add1_chain_cert(context, authority->certificate) == 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

char *authority_pem(const struct authority *authority)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *data;
    assert(memory && PEM_write_bio_X509(memory, authority->certificate) == 1);
    long length = BIO_get_mem_data(memory, &data);
    char *text = strndup(data, (size_t)length);
    BIO_free(memory);
    return text;
}

const char *tlsa_text(const X509 *certificate, int usage, int selector, char text[TLSA_TEXT_SIZE])
{
    unsigned char digest[32], *der = NULL;
    int length = selector == 0 ? i2d_X509((X509 *)certificate, &der)
                               : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    assert(length > 0);
    EVP_Q_digest(NULL, "SHA256", NULL, der, (size_t)length, digest, NULL);
    OPENSSL_free(der);
    int at = snprintf(text, TLSA_TEXT_SIZE, "%d %d 1 ", usage, selector);
    for (size_t i = 0; i < sizeof(digest); i++)
        at += snprintf(text + at, TLSA_TEXT_SIZE - (size_t)at, "%02x", digest[i]);
    return text;
}
