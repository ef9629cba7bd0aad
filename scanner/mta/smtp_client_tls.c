#include "scanner/mta/smtp_client_tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* The name is only looked for where certificates have names for programs (RFC 9525). */
static void set_name(SSL *ssl, const char *host)
{
    struct ip_address address;
    if (ip_parse(host, &address)) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
        return;
    }
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    SSL_set1_host(ssl, host);
    SSL_set_tlsext_host_name(ssl, host);
}

/* RFC 7672 section 3: names do not count for usage 3; for usage 2 those of the host and of the
 * domain do. */
static bool set_dane(SSL *ssl, const struct smtp_client_security *security, const char *host)
{
    const struct tlsa_set *set = security->tlsa;
    if (SSL_dane_enable(ssl, set->base) <= 0)
        return false;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    SSL_add1_host(ssl, host);
    if (security->domain)
        SSL_add1_host(ssl, security->domain);
    for (size_t i = 0; i < set->count; i++)
        if (tlsa_is_usable(&set->records[i]) &&
            SSL_dane_tlsa_add(ssl, set->records[i].usage, set->records[i].selector,
                              set->records[i].matching, set->records[i].data,
                              set->records[i].length) < 0)
            return false;
    return true;
}

SSL *smtp_tls_new(const struct smtp_client_security *security, const char *host)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(security->context);
    if (!ssl)
        return NULL;
    bool good = true;
    if (security->demand == SMTP_TLS_DANE)
        good = set_dane(ssl, security, host);
    else
        set_name(ssl, host);
    SSL_set_verify(ssl, security->demand >= SMTP_TLS_VERIFIED ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                   NULL);
    ERR_clear_error();
    if (good)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

const char *smtp_tls_failure(const SSL *ssl, char *reason)
{
    long result = SSL_get_verify_result(ssl);
    snprintf(reason, SMTP_REPLY_SIZE, "%s", X509_verify_cert_error_string(result));
    switch (result) {
    case X509_V_OK:
        return NULL;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "certificate-host-mismatch";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "certificate-expired";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return "certificate-not-trusted";
    default:
        return "validation-failure";
    }
}
