/* POST /fleet/enroll: a token and a certificate request become a scanner. */
#include "controlcenter/fleet/fleet_private.h"

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/x509.h"

#include <sodium.h>
#include <string.h>

#define SCANNER_DAYS 3650
#define REQUEST_LIMIT 16384 /* bytes of the PEM text */

struct enrolment {
    char hash[65];
    const char *request; /* borrowed from the body */
    const char *host_name;
};

static bool read_token(struct fleet *fleet, const char *token, char hash[65], struct error *error)
{
    unsigned char fingerprint[32], secret[FLEET_TOKEN_SECRET_BYTES];
    if (!fleet_token_parse(token, fingerprint, secret))
        return error_set(error, ERROR_INVALID, "token", "this is not an enrolment token");
    if (sodium_memcmp(fingerprint, fleet->ca_fingerprint, sizeof(fingerprint)) != 0)
        return error_set(error, ERROR_DENIED, "token",
                         "the token was made by another Control Center");
    fleet_token_hash(secret, hash);
    sodium_memzero(secret, sizeof(secret));
    return true;
}

static bool read_body(struct fleet *fleet, const json_t *body, struct enrolment *enrolment,
                      struct error *error)
{
    const char *token, *version;
    return json_get_text(body, NULL, "token", FLEET_TOKEN_SIZE, &token, error) &&
           json_get_text(body, NULL, "csr", REQUEST_LIMIT, &enrolment->request, error) &&
           json_get_text(body, NULL, "host_name", 255, &enrolment->host_name, error) &&
           json_get_text(body, NULL, "version", 32, &version, error) &&
           fleet_prepare(fleet, error) && read_token(fleet, token, enrolment->hash, error);
}

static char *sign(struct fleet *fleet, const char *request, const char *name, struct error *error)
{
    return x509_sign_request(request, fleet->ca_key, fleet->ca_certificate, name, X509_USE_CLIENT,
                             NULL, 0, SCANNER_DAYS, error);
}

/* A token must not be used up by a request that cannot be signed: this tries it first. */
static bool check_request(struct fleet *fleet, const char *request, struct error *error)
{
    struct error local = {0};
    char text[512];
    cleanup_free char *certificate = sign(fleet, request, "check", &local);
    if (certificate)
        return true;
    return error_set(error, ERROR_INVALID, "csr", "%s", error_text(&local, text, sizeof(text)));
}

/* Where this fails the first configuration document tries again. */
static void make_certificate(struct fleet *fleet, const char *id, const char *host_name)
{
    struct fleet_key_pair pair = {0};
    struct error error = {0};
    char text[640];
    if (!fleet_scanner_certificate(fleet, id, host_name, &pair, &error))
        log_warning("no SMTP certificate for %s yet: %s", host_name,
                    error_text(&error, text, sizeof(text)));
    fleet_clear_key_pair(&pair);
}

static json_t *enrol(struct fleet *fleet, const struct enrolment *enrolment, const char *peer,
                     struct error *error)
{
    char id[37], host_name[256];
    if (!check_request(fleet, enrolment->request, error))
        return NULL;
    cleanup_json json_t *smtp = fleet_token_settings(fleet, enrolment->hash, error);
    if (!smtp || !store_enrolment_use(fleet->store, enrolment->hash, smtp, id, host_name, error))
        return NULL;
    cleanup_free char *certificate = sign(fleet, enrolment->request, id, error);
    if (!certificate)
        return NULL;
    make_certificate(fleet, id, host_name);
    log_info("scanner %s enrolled as %s from %s, which calls itself %s", id, host_name, peer,
             enrolment->host_name);
    json_t *answer = json_pack("{s:s,s:s,s:s,s:s}", "scanner_id", id, "certificate", certificate,
                               "ca_certificate", fleet->ca_certificate, "configuration_key",
                               fleet->configuration_key);
    if (!answer)
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    return answer;
}

void fleet_enroll(struct http_request *request, struct http_response *response)
{
    struct fleet *fleet = request->context;
    struct enrolment enrolment = {0};
    struct error error = {0};
    char text[640];

    cleanup_json json_t *body = fleet_request_body(request, response);
    if (!body)
        return;
    json_t *answer = read_body(fleet, body, &enrolment, &error)
                         ? enrol(fleet, &enrolment, request->peer, &error)
                         : NULL;
    if (answer) {
        fleet_answer(response, answer);
        return;
    }
    log_warning("enrolment from %s refused: %s", request->peer,
                error_text(&error, text, sizeof(text)));
    fleet_answer_error(response, &error);
}
