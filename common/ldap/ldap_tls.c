#include "common/ldap/ldap_tls.h"

#include "common/timestamp.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>

/* --- the layer between libldap and the socket --- */

static int layer_setup(Sockbuf_IO_Desc *layer, void *argument)
{
    layer->sbiod_pvt = argument;
    return 0;
}

static int layer_remove(Sockbuf_IO_Desc *layer)
{
    SSL_free(layer->sbiod_pvt);
    layer->sbiod_pvt = NULL;
    return 0;
}

static int layer_control(Sockbuf_IO_Desc *layer, int option, void *argument)
{
    if (option == LBER_SB_OPT_DATA_READY && SSL_pending(layer->sbiod_pvt) > 0)
        return 1;
    return LBER_SBIOD_CTRL_NEXT(layer, option, argument);
}

/* What libldap expects of read(2) and write(2). */
static ber_slen_t layer_result(SSL *ssl, int count)
{
    if (count > 0)
        return count;
    switch (SSL_get_error(ssl, count)) {
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    default:
        errno = ECONNRESET;
        return -1;
    }
}

static ber_slen_t layer_read(Sockbuf_IO_Desc *layer, void *data, ber_len_t size)
{
    ERR_clear_error();
    return layer_result(layer->sbiod_pvt,
                        SSL_read(layer->sbiod_pvt, data, size < INT_MAX ? (int)size : INT_MAX));
}

static ber_slen_t layer_write(Sockbuf_IO_Desc *layer, void *data, ber_len_t size)
{
    ERR_clear_error();
    return layer_result(layer->sbiod_pvt,
                        SSL_write(layer->sbiod_pvt, data, size < INT_MAX ? (int)size : INT_MAX));
}

static int layer_close(Sockbuf_IO_Desc *layer)
{
    ERR_clear_error();
    SSL_shutdown(layer->sbiod_pvt);
    return 0;
}

static Sockbuf_IO layer_functions = {
    .sbi_setup = layer_setup,
    .sbi_remove = layer_remove,
    .sbi_ctrl = layer_control,
    .sbi_read = layer_read,
    .sbi_write = layer_write,
    .sbi_close = layer_close,
};

/* --- trust --- */

static bool trust(SSL_CTX *context, const char *pem)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    BIO *text = BIO_new_mem_buf(pem, -1);
    X509 *certificate;
    int count = 0;
    while (text && (certificate = PEM_read_bio_X509(text, NULL, NULL, NULL))) {
        count += X509_STORE_add_cert(store, certificate);
        X509_free(certificate);
    }
    BIO_free(text);
    ERR_clear_error(); /* the end of the text is one */
    /* An authority below the root, or a server's own certificate, may be trusted as well. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    return count > 0;
}

static SSL_CTX *new_context(const char *ca, struct error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) {
        error_set(error, ERROR_INTERNAL, NULL, "TLS cannot be set up");
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (ca ? trust(context, ca) : SSL_CTX_set_default_verify_paths(context) == 1)
        return context;
    SSL_CTX_free(context);
    error_set(error, ERROR_INVALID, NULL, "the certificates to trust cannot be used");
    return NULL;
}

static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(expected, host) == 1)
        return true;
    X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(expected, host, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, host) == 1;
}

/* --- shaking hands --- */

static bool fail(SSL *ssl, struct error *error)
{
    long verdict = SSL_get_verify_result(ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    if (verdict != X509_V_OK)
        return error_set(error, ERROR_DENIED, NULL, "the server's certificate is refused: %s",
                         X509_verify_cert_error_string(verdict));
    return error_set(error, ERROR_UNAVAILABLE, NULL, "TLS cannot be started: %s",
                     reason ? reason : "the server ended the connection");
}

static bool shake_hands(SSL *ssl, int64_t until, struct error *error)
{
    for (;;) {
        ERR_clear_error();
        int result = SSL_connect(ssl);
        if (result == 1)
            return true;
        int wanted = SSL_get_error(ssl, result);
        if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE)
            return fail(ssl, error);
        int64_t left = until - timestamp_monotonic_ms();
        struct pollfd entry = {.fd = SSL_get_fd(ssl),
                               .events = wanted == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT};
        if (left <= 0)
            return error_set(error, ERROR_TIMEOUT, NULL, "the server does not answer to TLS");
        poll(&entry, 1, left < INT_MAX ? (int)left : INT_MAX);
    }
}

bool ldap_tls_start(LDAP *ld, const char *host, const char *ca, int64_t until, struct error *error)
{
    int fd = -1;
    Sockbuf *sockbuf = NULL;
    if (ldap_get_option(ld, LDAP_OPT_DESC, &fd) != LDAP_OPT_SUCCESS || fd < 0 ||
        ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sockbuf) != LDAP_OPT_SUCCESS || !sockbuf)
        return error_set(error, ERROR_UNAVAILABLE, NULL, "the connection is gone");
    SSL_CTX *context = new_context(ca, error);
    if (!context)
        return false;
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context); /* the connection holds it */
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || !expect_host(ssl, host)) {
        SSL_free(ssl);
        return error_set(error, ERROR_INTERNAL, NULL, "TLS cannot be set up");
    }
    if (shake_hands(ssl, until, error) &&
        (ber_sockbuf_add_io(sockbuf, &layer_functions, LBER_SBIOD_LEVEL_TRANSPORT, ssl) == 0 ||
         error_set(error, ERROR_INTERNAL, NULL, "TLS cannot be set up")))
        return true;
    SSL_free(ssl);
    return false;
}
