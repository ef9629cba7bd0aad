#include "scanner/mta/delivery_security.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

static void set(struct delivery_security *security, enum smtp_tls_demand demand, const char *name)
{
    security->tls.demand = demand;
    security->name = name;
}

static void set_configured(struct delivery_security *security, enum config_delivery_tls tls)
{
    switch (tls) {
    case CONFIG_DELIVERY_TLS_OFF:
        set(security, SMTP_TLS_NEVER, "off");
        break;
    case CONFIG_DELIVERY_TLS_REQUIRED:
        set(security, SMTP_TLS_REQUIRED, "required");
        break;
    case CONFIG_DELIVERY_TLS_VERIFIED:
        set(security, SMTP_TLS_VERIFIED, "verified");
        break;
    default:
        set(security, SMTP_TLS_TRIED, "opportunistic");
    }
}

static void set_dane(struct delivery_security *security, const struct destination_route *route,
                     const struct tlsa_set *tlsa)
{
    security->policy = TLS_REPORT_TLSA;
    security->tls.tlsa = tlsa;
    security->tls.domain = route->kind == CONFIG_ROUTE_MX ? route->domain : NULL;
    if (tlsa->usable > 0)
        set(security, SMTP_TLS_DANE, "dane");
    else
        set(security, SMTP_TLS_REQUIRED, "required");
}

static void set_sts(struct delivery_security *security, const struct destination_route *route,
                    const struct destination_host *host, const struct mta_sts_policy *policy)
{
    security->policy = TLS_REPORT_STS;
    if (mta_sts_mode(policy) != MTA_STS_ENFORCE) {
        if (!mta_sts_has_mx(policy, host->name))
            security->failure = "validation-failure";
        return;
    }
    set(security, SMTP_TLS_VERIFIED, "mta-sts");
    if (mta_sts_has_mx(policy, host->name))
        return;
    security->failure = "validation-failure";
    snprintf(security->refusal, sizeof(security->refusal),
             "451 4.7.5 [internal] %s is not among the mail servers of the MTA-STS policy of %s",
             host->name, route->domain);
}

void delivery_security_choose(const struct destination_route *route,
                              const struct destination_hosts *hosts,
                              const struct destination_host *host,
                              const struct mta_sts_policy *policy, SSL_CTX *context,
                              struct delivery_security *security)
{
    enum destination_dane dane = hosts->dane[host->group];
    memset(security, 0, sizeof(*security));
    security->tls.context = context;
    security->policy = TLS_REPORT_NO_POLICY;
    set_configured(security, route->tls);
    if (dane == DESTINATION_DANE_FAILED) {
        security->policy = TLS_REPORT_TLSA;
        security->name = "dane";
        security->failure = "dnssec-invalid";
        snprintf(security->refusal, sizeof(security->refusal),
                 "451 4.7.5 [internal] the TLSA records of %s cannot be looked up at this time",
                 host->name);
    } else if (dane == DESTINATION_DANE_FOUND) {
        set_dane(security, route, hosts->tlsa[host->group]);
    } else if (policy && mta_sts_mode(policy) != MTA_STS_NONE) {
        set_sts(security, route, host, policy);
    }
}

bool delivery_security_wants_sts(const struct scanner_config *config,
                                 const struct destination_route *route)
{
    return config->delivery.mta_sts && route->kind == CONFIG_ROUTE_MX && !route->unpoliced &&
           (route->tls == CONFIG_DELIVERY_TLS_OPPORTUNISTIC ||
            route->tls == CONFIG_DELIVERY_TLS_REQUIRED);
}

/* --- trust --- */

static bool add_trusted(SSL_CTX *context, const char *pem)
{
    BIO *input = BIO_new_mem_buf(pem, -1);
    X509 *certificate;
    size_t count = 0;
    while (input && (certificate = PEM_read_bio_X509(input, NULL, NULL, NULL)) != NULL) {
        count += X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1;
        X509_free(certificate);
    }
    BIO_free(input);
    ERR_clear_error();
    return count > 0;
}

SSL_CTX *delivery_security_context(const struct config_delivery *config, struct error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_dane_enable(context) <= 0) {
        SSL_CTX_free(context);
        error_set(error, ERROR_INTERNAL, "delivery", "TLS cannot be set up");
        return NULL;
    }
    SSL_CTX_set_default_verify_paths(context);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    ERR_clear_error();
    if (config->trusted_certificates && !add_trusted(context, config->trusted_certificates)) {
        SSL_CTX_free(context);
        error_set(error, ERROR_INVALID, "smtp.delivery.trusted_certificates",
                  "holds no certificate");
        return NULL;
    }
    return context;
}
