#include "common/address.h"
#include "common/ip.h"
#include "common/x509_private.h"

#include <openssl/x509v3.h>
#include <string.h>

#define V4_OFFSET 12

/* Only for fixed texts: the configuration language of OpenSSL can read files and environment. */
static bool add_fixed(X509 *certificate, const X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, (X509 *)issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    bool ok = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

/* --- subject alternative names --- */

static GENERAL_NAME *octets_name(int type, ASN1_STRING *value)
{
    GENERAL_NAME *general = value ? GENERAL_NAME_new() : NULL;
    if (general)
        GENERAL_NAME_set0_value(general, type, value);
    else
        ASN1_STRING_free(value);
    return general;
}

static ASN1_STRING *string_of(ASN1_STRING *string, const void *bytes, size_t length)
{
    if (string && ASN1_STRING_set(string, bytes, (int)length) == 1)
        return string;
    ASN1_STRING_free(string);
    return NULL;
}

static GENERAL_NAME *ip_name(const struct ip_address *address)
{
    size_t skip = ip_is_v4(address) ? V4_OFFSET : 0;
    return octets_name(GEN_IPADD, string_of(ASN1_OCTET_STRING_new(), address->bytes + skip,
                                            sizeof(address->bytes) - skip));
}

static GENERAL_NAME *general_name(const char *name, struct error *error)
{
    struct ip_address address;
    char normal[DOMAIN_SIZE];
    if (ip_parse(name, &address))
        return ip_name(&address);
    const char *reason = domain_normalise(name, true, normal);
    if (reason) {
        error_set(error, ERROR_INVALID, name, "cannot be a name of a certificate: %s", reason);
        return NULL;
    }
    return octets_name(GEN_DNS, string_of(ASN1_IA5STRING_new(), normal, strlen(normal)));
}

static bool collect_names(GENERAL_NAMES *list, const char *const *names, size_t count,
                          struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct error local = {.code = ERROR_INTERNAL, .message = "out of memory"};
        GENERAL_NAME *name = general_name(names[i], &local);
        if (!name || sk_GENERAL_NAME_push(list, name) <= 0) {
            GENERAL_NAME_free(name);
            if (error)
                *error = local;
            return false;
        }
    }
    return true;
}

GENERAL_NAMES *x509_general_names(const char *const *names, size_t count, struct error *error)
{
    GENERAL_NAMES *list = sk_GENERAL_NAME_new_null();
    if (!list) {
        x509_failed(error, "out of memory");
        return NULL;
    }
    if (collect_names(list, names, count, error))
        return list;
    GENERAL_NAMES_free(list);
    return NULL;
}

static bool add_names(X509 *certificate, const struct x509_purpose *purpose, struct error *error)
{
    if (purpose->name_count == 0)
        return true;
    GENERAL_NAMES *list = x509_general_names(purpose->names, purpose->name_count, error);
    if (!list)
        return false;
    bool ok =
        X509_add1_ext_i2d(certificate, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1 ||
        x509_failed(error, "cannot add the names");
    GENERAL_NAMES_free(list);
    return ok;
}

/* --- all of them --- */

static bool add_usage(X509 *certificate, const X509 *issuer, const struct x509_purpose *purpose)
{
    if (purpose->is_ca)
        return add_fixed(certificate, issuer, NID_basic_constraints,
                         "critical,CA:TRUE,pathlen:0") &&
               add_fixed(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    return add_fixed(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_fixed(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_fixed(certificate, issuer, NID_ext_key_usage,
                     purpose->use == X509_USE_CLIENT ? "clientAuth" : "serverAuth");
}

bool x509_add_extensions(X509 *certificate, const X509 *issuer, const struct x509_purpose *purpose,
                         struct error *error)
{
    if (!add_usage(certificate, issuer, purpose) ||
        !add_fixed(certificate, issuer, NID_subject_key_identifier, "hash") ||
        !add_fixed(certificate, issuer, NID_authority_key_identifier, "keyid:always"))
        return x509_failed(error, "cannot add the extensions");
    return add_names(certificate, purpose, error);
}
