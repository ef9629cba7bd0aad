/* `smtp.tls` of the document: the certificate that clients of the SMTP servers see. */
#include "common/config_private.h"

#include "common/x509_private.h"

#include <string.h>

static const char *const mode_names[] = {
    [CONFIG_TLS_OFF] = "off",
    [CONFIG_TLS_OPTIONAL] = "optional",
    [CONFIG_TLS_REQUIRED] = "required",
};

static bool check_pair(const char *certificate, const char *key, const struct json_place *place,
                       struct error *error)
{
    struct error reason = {0};
    X509 *read = x509_read_certificate(certificate, &reason);
    if (!read)
        return json_place_error(place, "certificate", error, "%s", reason.message);
    EVP_PKEY *private_key = x509_read_key(key, &reason);
    if (!private_key) {
        X509_free(read);
        return json_place_error(place, "key", error, "%s", reason.message);
    }
    bool belong = X509_check_private_key(read, private_key) == 1;
    EVP_PKEY_free(private_key);
    X509_free(read);
    if (belong)
        return true;
    x509_failed(&reason, "");
    return json_place_error(place, "key", error, "is not the key of the certificate");
}

bool config_read_tls(const json_t *smtp, const struct json_place *smtp_place,
                     struct scanner_config *config, struct error *error)
{
    static const char *const known[] = {"certificate", "key", NULL};
    struct json_place place = {.parent = smtp_place, .name = "tls"};
    const json_t *object;
    const char *certificate, *key;
    if (!json_get_object(smtp, smtp_place, "tls", false, &object, error))
        return false;
    if (!object)
        return true;
    if (!config_check_members(object, &place, known, error) ||
        !json_get_text(object, &place, "certificate", X509_PEM_LIMIT, &certificate, error) ||
        !json_get_text(object, &place, "key", X509_PEM_LIMIT, &key, error) ||
        !check_pair(certificate, key, &place, error))
        return false;
    config->tls_certificate = strdup(certificate);
    config->tls_key = strdup(key);
    return (config->tls_certificate && config->tls_key) ||
           error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

bool config_read_tls_mode(const json_t *server, const struct json_place *place,
                          bool has_certificate, enum config_tls_mode *mode, struct error *error)
{
    const char *fallback = mode_names[has_certificate ? CONFIG_TLS_OPTIONAL : CONFIG_TLS_OFF];
    const char *name;
    if (!json_get_text_or(server, place, "tls", 16, fallback, &name, error))
        return false;
    for (size_t i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++) {
        if (strcmp(name, mode_names[i]) != 0)
            continue;
        *mode = (enum config_tls_mode)i;
        return *mode == CONFIG_TLS_OFF || has_certificate ||
               json_place_error(place, "tls", error, "needs the certificate in smtp.tls");
    }
    return json_place_error(place, "tls", error, "must be off, optional or required");
}
