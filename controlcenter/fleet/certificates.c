/* The certificates that scanners' SMTP servers show. Every scanner has one from the start, so that
 * STARTTLS is offered out of the box. */
#include "controlcenter/fleet/fleet_private.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "common/x509.h"

#include <stdlib.h>
#include <string.h>

#define OWN_DAYS 3650
#define COMMON_NAME_MOST                                                                           \
    64 /* RFC 5280, ub-common-name; longer names stand in the extension alone */

void fleet_clear_key_pair(struct fleet_key_pair *pair)
{
    if (pair->key)
        explicit_bzero(pair->key, strlen(pair->key));
    free(pair->key);
    free(pair->certificate);
    *pair = (struct fleet_key_pair){0};
}

static bool new_key_pair(const char *host_name, struct fleet_key_pair *pair, struct error *error)
{
    const char *common_name = strlen(host_name) <= COMMON_NAME_MOST ? host_name : "Gatehouse";
    pair->key = x509_new_key(error);
    pair->certificate =
        pair->key ? x509_new_self_signed(pair->key, common_name, &host_name, 1, OWN_DAYS, error)
                  : NULL;
    if (pair->certificate)
        return true;
    fleet_clear_key_pair(pair);
    return false;
}

static bool make_own(struct fleet *fleet, const char *scanner_id, const char *host_name,
                     struct error *error)
{
    struct fleet_key_pair pair = {0};
    long long expires = 0;
    int64_t id = 0;
    if (!new_key_pair(host_name, &pair, error))
        return false;
    struct store_new_certificate new = {.name = host_name,
                                        .certificate = pair.certificate,
                                        .key = pair.key,
                                        .scanner_id = scanner_id};
    bool ok = x509_not_after(pair.certificate, &expires, error);
    new.expires_at = expires * 1000;
    ok = ok && store_certificate_add(fleet->store, &new, "", &id, error);
    if (ok && id > 0)
        log_info("made the SMTP certificate of %s", host_name);
    fleet_clear_key_pair(&pair);
    return ok;
}

bool fleet_scanner_certificate(struct fleet *fleet, const char *scanner_id, const char *host_name,
                               struct fleet_key_pair *pair, struct error *error)
{
    struct error local = {0};
    if (store_certificate_of_scanner(fleet->store, scanner_id, &pair->certificate, &pair->key,
                                     &local))
        return true;
    if (local.code == ERROR_NOT_FOUND)
        return make_own(fleet, scanner_id, host_name, error) &&
               store_certificate_of_scanner(fleet->store, scanner_id, &pair->certificate,
                                            &pair->key, error);
    if (error)
        *error = local;
    return false;
}

/* Candidates are looked at with a pair that no scanner ever gets. */
const struct fleet_key_pair *fleet_candidate_pair(struct fleet *fleet, struct error *error)
{
    pthread_mutex_lock(&fleet->candidate_lock);
    bool ok = fleet->candidate.key || new_key_pair("candidate.invalid", &fleet->candidate, error);
    pthread_mutex_unlock(&fleet->candidate_lock);
    return ok ? &fleet->candidate : NULL;
}
