#include "controlcenter/http/https_tls.h"
#include "controlcenter/http/text.h"

#include "common/log.h"

#include <gnutls/x509.h>
#include <string.h>

static gnutls_datum_t datum(const char *text)
{
    return (gnutls_datum_t){(unsigned char *)text, (unsigned)strlen(text)};
}

static bool check_credentials(const struct http_server_options *options,
                              gnutls_certificate_credentials_t credentials, struct error *error)
{
    gnutls_datum_t key = datum(options->key), certificate = datum(options->certificate);
    int result = gnutls_certificate_set_x509_key_mem2(credentials, &certificate, &key,
                                                      GNUTLS_X509_FMT_PEM, NULL, 0);
    if (result < 0)
        return error_set(error, ERROR_INVALID, "server certificate and key", "%s",
                         gnutls_strerror(result));
    if (!options->client_ca)
        return true;
    gnutls_datum_t ca = datum(options->client_ca);
    result = gnutls_certificate_set_x509_trust_mem(credentials, &ca, GNUTLS_X509_FMT_PEM);
    if (result <= 0)
        return error_set(error, ERROR_INVALID, "CA of the client certificates", "%s",
                         result < 0 ? gnutls_strerror(result) : "there is no certificate in it");
    return true;
}

bool https_tls_check(const struct http_server_options *options, struct error *error)
{
    const char *priorities = options->priorities ? options->priorities : HTTPS_PRIORITIES;
    const char *stopped = NULL;
    gnutls_priority_t parsed;
    int result = gnutls_priority_init(&parsed, priorities, &stopped);
    if (result < 0)
        return error_set(error, ERROR_INVALID, "TLS priorities", "not understood from here on: %s",
                         stopped ? stopped : priorities);
    gnutls_priority_deinit(parsed);
    gnutls_certificate_credentials_t credentials;
    if (gnutls_certificate_allocate_credentials(&credentials) < 0)
        return error_set(error, ERROR_INTERNAL, "TLS", "memory ran out");
    bool ok = check_credentials(options, credentials, error);
    gnutls_certificate_free_credentials(credentials);
    return ok;
}

static bool verifies(gnutls_session_t session)
{
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT,
    };
    unsigned status = 0;
    return gnutls_certificate_verify_peers(session, &purpose, 1, &status) == 0 && status == 0;
}

/* Exactly one common name, without control characters; a second one could be what others read. */
static bool read_common_name(gnutls_x509_crt_t certificate, char *name, size_t size)
{
    char second[8];
    size_t length = size, second_length = sizeof second;
    if (gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name,
                                      &length) < 0)
        return false;
    if (gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 1, 0, second,
                                      &second_length) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
        return false;
    return strlen(name) == length && text_is_clean(name, length, TEXT_ONE_LINE);
}

void https_client_name(gnutls_session_t session, char *name, size_t size)
{
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t certificate;
    name[0] = '\0';
    if (!chain || count == 0)
        return;
    if (!verifies(session)) {
        log_warning("a client certificate does not verify");
        return;
    }
    if (gnutls_x509_crt_init(&certificate) < 0)
        return;
    if (gnutls_x509_crt_import(certificate, chain, GNUTLS_X509_FMT_DER) < 0 ||
        !read_common_name(certificate, name, size)) {
        log_warning("a client certificate has no usable common name");
        name[0] = '\0';
    }
    gnutls_x509_crt_deinit(certificate);
}
