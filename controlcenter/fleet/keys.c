/* Key material of the fleet and the console: made once, kept in the settings.
 *
 * Several Control Centers may start on one empty database at the same time. Each step therefore
 * offers its own proposal and then goes on with what the database has, whoever was first. */
#include "controlcenter/fleet/fleet_private.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/x509.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CA_DAYS 7300
#define SERVER_DAYS 3650 /* made anew at each start, but a process may run for years */
#define CONSOLE_DAYS 3650
#define SERVER_NAME "Gatehouse Control Center" /* the host names are alternative names */
#define TEXT_LIMIT 65536

/* The text kept under `key`, or NULL (ERROR_NOT_FOUND where there is none yet). */
static char *setting_text(struct store *store, const char *key, struct error *error)
{
    cleanup_json json_t *value = store_setting_get(store, key, error);
    if (!value)
        return NULL;
    if (!json_is_string(value) || json_string_length(value) > TEXT_LIMIT) {
        error_set(error, ERROR_INVALID, key, "the setting is not a text");
        return NULL;
    }
    char *text = strdup(json_string_value(value));
    if (!text)
        error_set(error, ERROR_INTERNAL, key, "out of memory");
    return text;
}

/* Keeps `proposal` (which it takes over) unless another was first; returns what is kept. */
static char *setting_settle(struct store *store, const char *key, char *proposal,
                            struct error *error)
{
    bool created = false;
    cleanup_json json_t *value = proposal ? json_string(proposal) : NULL;
    if (proposal)
        explicit_bzero(proposal, strlen(proposal));
    free(proposal);
    if (!value) {
        if (error && error->code == ERROR_NONE)
            error_set(error, ERROR_INTERNAL, key, "out of memory");
        return NULL;
    }
    if (!store_setting_create(store, key, value, &created, error))
        return NULL;
    if (created)
        log_info("made %s", key);
    return setting_text(store, key, error);
}

static bool is_missing(struct error *error)
{
    bool missing = error->code == ERROR_NOT_FOUND;
    if (missing)
        *error = (struct error){0};
    return missing;
}

static char *settle_key(struct store *store, const char *name, struct error *error)
{
    char *key = setting_text(store, name, error);
    if (key || !is_missing(error))
        return key;
    return setting_settle(store, name, x509_new_key(error), error);
}

static char *settle_ca_certificate(struct store *store, const char *ca_key, struct error *error)
{
    char *certificate = setting_text(store, "ca_certificate", error);
    if (certificate || !is_missing(error))
        return certificate;
    return setting_settle(store, "ca_certificate",
                          x509_new_ca(ca_key, "Gatehouse fleet CA", CA_DAYS, error), error);
}

/* The public half is part of the secret one, so that the two can never differ. */
static bool derive_public(struct fleet *fleet, struct error *error)
{
    unsigned char secret[crypto_sign_SECRETKEYBYTES], public[crypto_sign_PUBLICKEYBYTES];
    size_t length = 0;
    bool ok = sodium_base642bin(secret, sizeof(secret), fleet->configuration_secret,
                                strlen(fleet->configuration_secret), NULL, &length, NULL,
                                sodium_base64_VARIANT_ORIGINAL) == 0 &&
              length == sizeof(secret);
    if (ok) {
        crypto_sign_ed25519_sk_to_pk(public, secret);
        sodium_bin2base64(fleet->configuration_key, sizeof(fleet->configuration_key), public,
                          sizeof(public), sodium_base64_VARIANT_ORIGINAL);
    }
    sodium_memzero(secret, sizeof(secret));
    return ok || error_set(error, ERROR_INVALID, "secret.configuration_key",
                           "the setting is not a signing key");
}

static bool settle_configuration_key(struct fleet *fleet, struct error *error)
{
    static const char name[] = "secret.configuration_key";
    char *secret = setting_text(fleet->store, name, error);
    if (!secret && is_missing(error)) {
        char public[SIGNING_KEY_TEXT_SIZE], fresh[SIGNING_SECRET_TEXT_SIZE];
        if (!signing_new_keys(public, fresh, error))
            return false;
        secret = setting_settle(fleet->store, name, strdup(fresh), error);
        explicit_bzero(fresh, sizeof(fresh));
    }
    if (!secret)
        return false;
    snprintf(fleet->configuration_secret, sizeof(fleet->configuration_secret), "%s", secret);
    explicit_bzero(secret, strlen(secret));
    free(secret);
    if (!derive_public(fleet, error))
        return false;
    /* Kept for people and tools; the secret key is what counts. */
    char *kept =
        setting_settle(fleet->store, "configuration_key", strdup(fleet->configuration_key), error);
    free(kept);
    return kept != NULL;
}

static bool prepare_locked(struct fleet *fleet, struct error *error)
{
    cleanup_free char *key = settle_key(fleet->store, "secret.ca_key", error);
    if (!key)
        return false;
    cleanup_free char *certificate = settle_ca_certificate(fleet->store, key, error);
    if (!certificate || !x509_fingerprint(certificate, fleet->ca_fingerprint, error) ||
        !settle_configuration_key(fleet, error))
        return false;
    fleet->ca_key = key;
    fleet->ca_certificate = certificate;
    key = certificate = NULL;
    atomic_store(&fleet->ready, true);
    return true;
}

bool fleet_prepare(struct fleet *fleet, struct error *error)
{
    struct error local = {0};
    if (atomic_load(&fleet->ready))
        return true;
    if (sodium_init() < 0)
        return error_set(error, ERROR_INTERNAL, NULL, "libsodium does not start");
    pthread_mutex_lock(&fleet->lock);
    bool ok = atomic_load(&fleet->ready) || prepare_locked(fleet, &local);
    pthread_mutex_unlock(&fleet->lock);
    if (!ok && error)
        *error = local;
    return ok;
}

const char *fleet_ca_certificate(const struct fleet *fleet)
{
    return fleet->ca_certificate;
}

bool fleet_server_certificate(struct fleet *fleet, const char *const *names, size_t name_count,
                              char **key, char **certificate, struct error *error)
{
    if (name_count == 0)
        return error_set(error, ERROR_INVALID, "fleet.names", "needs at least one name");
    if (!fleet_prepare(fleet, error))
        return false;
    cleanup_free char *server_key = x509_new_key(error);
    cleanup_free char *request =
        server_key ? x509_new_request(server_key, SERVER_NAME, error) : NULL;
    cleanup_free char *leaf =
        request ? x509_sign_request(request, fleet->ca_key, fleet->ca_certificate, SERVER_NAME,
                                    X509_USE_SERVER, names, name_count, SERVER_DAYS, error)
                : NULL;
    if (!leaf)
        return false;
    if (asprintf(certificate, "%s%s", leaf, fleet->ca_certificate) < 0)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    *key = server_key;
    server_key = NULL;
    return true;
}

bool fleet_console_certificate(struct store *store, const char *const *names, size_t name_count,
                               char **key, char **certificate, struct error *error)
{
    struct error local = {0};
    cleanup_free char *console_key = settle_key(store, "secret.https_key", &local);
    char *kept = console_key ? setting_text(store, "https_certificate", &local) : NULL;
    if (console_key && !kept && is_missing(&local))
        kept = setting_settle(
            store, "https_certificate",
            x509_new_self_signed(console_key, SERVER_NAME, names, name_count, CONSOLE_DAYS, &local),
            &local);
    if (!kept) {
        if (error)
            *error = local;
        return false;
    }
    *certificate = kept;
    *key = console_key;
    console_key = NULL;
    return true;
}
