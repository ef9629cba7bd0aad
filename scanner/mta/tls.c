#include "scanner/mta/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#define PEM_LIMIT (256u << 10) /* bytes of a certificate with its chain */

struct tls_context {
    SSL_CTX *ssl;
    unsigned references;
    char *certificate, *key; /* to see whether a new configuration changes them */
};

static bool failed(struct error *error, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    error_set(error, ERROR_INVALID, NULL, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
    ERR_clear_error();
    return false;
}

/* A key that is encrypted must not make OpenSSL ask at the terminal. */
static int no_password(char *buffer, int size, int writing, void *argument)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)argument;
    return 0;
}

static bool add_chain(SSL_CTX *ssl, BIO *text)
{
    X509 *issuer;
    while ((issuer = PEM_read_bio_X509(text, NULL, no_password, NULL))) {
        if (!SSL_CTX_add0_chain_cert(ssl, issuer)) {
            X509_free(issuer);
            return false;
        }
    }
    /* The loop ended at the end of the text, or at something that is no certificate. */
    bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (at_end)
        ERR_clear_error();
    return at_end;
}

static bool use_certificate(SSL_CTX *ssl, const char *certificate, struct error *error)
{
    ERR_clear_error();
    BIO *text = BIO_new_mem_buf(certificate, (int)strnlen(certificate, PEM_LIMIT));
    X509 *own = text ? PEM_read_bio_X509(text, NULL, no_password, NULL) : NULL;
    bool good = own && SSL_CTX_use_certificate(ssl, own) == 1 && add_chain(ssl, text);
    X509_free(own);
    BIO_free(text);
    return good || failed(error, "the certificate cannot be read");
}

static bool use_key(SSL_CTX *ssl, const char *key, struct error *error)
{
    BIO *text = BIO_new_mem_buf(key, (int)strnlen(key, PEM_LIMIT));
    EVP_PKEY *own = text ? PEM_read_bio_PrivateKey(text, NULL, no_password, NULL) : NULL;
    bool good = own && SSL_CTX_use_PrivateKey(ssl, own) == 1;
    EVP_PKEY_free(own);
    BIO_free(text);
    if (!good)
        return failed(error, "the private key cannot be used");
    return SSL_CTX_check_private_key(ssl) == 1 ||
           failed(error, "the private key is not the certificate's");
}

static void set_options(SSL_CTX *ssl)
{
    static const unsigned char scope[] = "gatehouse-smtp";
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(ssl, scope, sizeof(scope) - 1);
}

struct tls_context *tls_context_new(const char *certificate, const char *key, struct error *error)
{
    struct tls_context *context = calloc(1, sizeof(*context));
    if (!context)
        abort();
    context->references = 1;
    context->certificate = strdup(certificate);
    context->key = strdup(key);
    context->ssl = SSL_CTX_new(TLS_server_method());
    if (!context->certificate || !context->key || !context->ssl)
        abort();
    set_options(context->ssl);
    if (!use_certificate(context->ssl, certificate, error) || !use_key(context->ssl, key, error)) {
        tls_context_drop(context);
        return NULL;
    }
    return context;
}

struct tls_context *tls_context_take(struct tls_context *context)
{
    context->references++;
    return context;
}

void tls_context_drop(struct tls_context *context)
{
    if (!context || --context->references > 0)
        return;
    SSL_CTX_free(context->ssl);
    free(context->certificate);
    OPENSSL_cleanse(context->key, strlen(context->key));
    free(context->key);
    free(context);
}

bool tls_context_is(const struct tls_context *context, const char *certificate, const char *key)
{
    return strcmp(context->certificate, certificate) == 0 && strcmp(context->key, key) == 0;
}

bool tls_stream_start(struct tls_stream *stream, struct tls_context *context)
{
    SSL *ssl = SSL_new(context->ssl);
    if (!ssl || SSL_set_fd(ssl, stream->fd) != 1) {
        SSL_free(ssl);
        ERR_clear_error();
        return false;
    }
    SSL_set_accept_state(ssl);
    stream->ssl = ssl;
    return true;
}
