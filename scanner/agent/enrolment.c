#include "scanner/agent/enrolment.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "common/message_id.h"
#include "common/signing.h"
#include "common/x509.h"
#include "scanner/agent/https_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TOKEN_PREFIX "gh1."
#define TOKEN_PART 43 /* base64url of 32 bytes without padding */
#define ANSWER_SECONDS 30
#define PEM_LIMIT 16384
#define STAGE "agent.new"

struct identity { /* what enrolment brings; the texts are PEM, and owned */
    char *key;
    char *certificate;
    char *ca_certificate;
    char configuration_key[SIGNING_KEY_TEXT_SIZE];
    struct node node;
};

static void identity_clear(struct identity *identity)
{
    if (identity->key)
        sodium_memzero(identity->key, strlen(identity->key));
    free(identity->key);
    free(identity->certificate);
    free(identity->ca_certificate);
}

/* --- the exchange with the Control Center --- */

static bool read_fingerprint(const char *token, unsigned char fingerprint[32], struct error *error)
{
    size_t length = 0, prefix = strlen(TOKEN_PREFIX);
    if (strlen(token) == prefix + 2 * TOKEN_PART + 1 && strncmp(token, TOKEN_PREFIX, prefix) == 0 &&
        token[prefix + TOKEN_PART] == '.' &&
        sodium_base642bin(fingerprint, 32, token + prefix, TOKEN_PART, NULL, &length, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
        length == 32)
        return true;
    return error_set(error, ERROR_INVALID, "token",
                     "this is not an enrolment token (gh1.…): copy it whole from the Control "
                     "Center");
}

static json_t *ask(const struct enrolment_options *options, const unsigned char fingerprint[32],
                   const char *request, struct error *error)
{
    char host[256] = "unknown";
    if (gethostname(host, sizeof(host) - 1) != 0 || !host[0])
        snprintf(host, sizeof(host), "unknown");
    cleanup_json json_t *body = json_pack("{s:s,s:s,s:s,s:s}", "token", options->token, "csr",
                                          request, "host_name", host, "version", GATEHOUSE_VERSION);
    if (!body) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    struct https_client *client = https_client_new_pinned(options->url, fingerprint, error);
    if (!client)
        return NULL;
    json_t *answer = https_client_post(client, "/fleet/enroll", body, ANSWER_SECONDS, error);
    https_client_free(client);
    return answer;
}

static X509 *read_certificate(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return certificate;
}

/* The certificate must carry our key and be signed by the CA, or it would fail at every poll. */
static bool certificate_fits(const struct identity *identity)
{
    BIO *bio = BIO_new_mem_buf(identity->key, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    X509 *certificate = read_certificate(identity->certificate);
    X509 *ca = read_certificate(identity->ca_certificate);
    bool fits = key && certificate && ca && X509_check_private_key(certificate, key) == 1 &&
                X509_verify(certificate, X509_get0_pubkey(ca)) == 1;
    X509_free(ca);
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return fits;
}

static bool check_identity(const struct identity *identity, const unsigned char fingerprint[32],
                           struct error *error)
{
    unsigned char actual[32];
    struct message_id id;
    unsigned char key[32];
    size_t length = 0;
    if (!x509_fingerprint(identity->ca_certificate, actual, error))
        return false;
    if (memcmp(actual, fingerprint, 32) != 0)
        return error_set(error, ERROR_DENIED, "ca_certificate",
                         "the Control Center answered with a CA certificate that is not the "
                         "token's");
    if (!certificate_fits(identity))
        return error_set(error, ERROR_PROTOCOL, "certificate",
                         "the certificate does not belong to this host's key");
    if (!message_id_parse(identity->node.scanner_id, &id))
        return error_set(error, ERROR_PROTOCOL, "scanner_id", "must be a UUID");
    if (sodium_base642bin(key, sizeof(key), identity->configuration_key,
                          strlen(identity->configuration_key), NULL, &length, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        length != sizeof(key))
        return error_set(error, ERROR_PROTOCOL, "configuration_key", "is not a key");
    return true;
}

static bool read_answer(const json_t *answer, const struct enrolment_options *options,
                        struct identity *identity, struct error *error)
{
    const char *id, *certificate, *ca, *key;
    if (!json_get_text(answer, NULL, "scanner_id", 36, &id, error) ||
        !json_get_text(answer, NULL, "certificate", PEM_LIMIT, &certificate, error) ||
        !json_get_text(answer, NULL, "ca_certificate", PEM_LIMIT, &ca, error) ||
        !json_get_text(answer, NULL, "configuration_key", SIGNING_KEY_TEXT_SIZE - 1, &key, error))
        return false;
    identity->certificate = strdup(certificate);
    identity->ca_certificate = strdup(ca);
    if (!identity->certificate || !identity->ca_certificate)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    snprintf(identity->configuration_key, sizeof(identity->configuration_key), "%s", key);
    snprintf(identity->node.scanner_id, sizeof(identity->node.scanner_id), "%s", id);
    snprintf(identity->node.url, sizeof(identity->node.url), "%s", options->url);
    if (gethostname(identity->node.host_name, sizeof(identity->node.host_name) - 1) != 0)
        identity->node.host_name[0] = '\0';
    return true;
}

static bool obtain(const struct enrolment_options *options, struct identity *identity,
                   struct error *error)
{
    unsigned char fingerprint[32];
    if (!read_fingerprint(options->token, fingerprint, error) ||
        !node_check_url(options->url, error))
        return false;
    identity->key = x509_new_key(error);
    cleanup_free char *request =
        identity->key ? x509_new_request(identity->key, "gatehouse-scanner", error) : NULL;
    cleanup_json json_t *answer = request ? ask(options, fingerprint, request, error) : NULL;
    return answer && read_answer(answer, options, identity, error) &&
           check_identity(identity, fingerprint, error);
}

/* --- writing it down --- */

struct places {
    char agent[NODE_PATH_SIZE];
    char stage[NODE_PATH_SIZE]; /* becomes agent/ */
    char key[NODE_PATH_SIZE];   /* three files in the stage */
    char certificate[NODE_PATH_SIZE];
    char ca_certificate[NODE_PATH_SIZE];
    char public_key[NODE_PATH_SIZE];
    char public_key_new[NODE_PATH_SIZE];
    char node[NODE_PATH_SIZE];
    char node_new[NODE_PATH_SIZE];
    char current[NODE_PATH_SIZE];
    char previous[NODE_PATH_SIZE];
};

static bool find_places(const char *state, struct places *places, struct error *error)
{
    return file_join(places->agent, NODE_PATH_SIZE, state, "agent", error) &&
           file_join(places->stage, NODE_PATH_SIZE, state, STAGE, error) &&
           file_join(places->key, NODE_PATH_SIZE, state, STAGE "/key.pem", error) &&
           file_join(places->certificate, NODE_PATH_SIZE, state, STAGE "/certificate.pem", error) &&
           file_join(places->ca_certificate, NODE_PATH_SIZE, state, STAGE "/ca.pem", error) &&
           file_join(places->public_key, NODE_PATH_SIZE, state, NODE_CONFIGURATION_KEY_FILE,
                     error) &&
           file_join(places->public_key_new, NODE_PATH_SIZE, state,
                     NODE_CONFIGURATION_KEY_FILE ".new", error) &&
           file_join(places->node, NODE_PATH_SIZE, state, NODE_FILE, error) &&
           file_join(places->node_new, NODE_PATH_SIZE, state, NODE_FILE ".new", error) &&
           file_join(places->current, NODE_PATH_SIZE, state, NODE_CONFIGURATION_FILE, error) &&
           file_join(places->previous, NODE_PATH_SIZE, state, NODE_PREVIOUS_FILE, error);
}

static void remove_stage(const struct places *places)
{
    unlink(places->key);
    unlink(places->certificate);
    unlink(places->ca_certificate);
    rmdir(places->stage);
    unlink(places->public_key_new);
    unlink(places->node_new);
}

static bool write_owned(const char *path, const char *text, mode_t mode,
                        const struct enrolment_options *options, struct error *error)
{
    if (!file_write_atomic(path, text, strlen(text), mode, error))
        return false;
    if (options->owner == (uid_t)-1)
        return true;
    return lchown(path, options->owner, options->group) == 0 ||
           error_set_errno(error, path, "cannot be given to the agent's user");
}

static bool stage(const struct places *places, const struct identity *identity,
                  const struct enrolment_options *options, struct error *error)
{
    remove_stage(places); /* of an enrolment that was killed */
    if (mkdir(places->stage, 0700) != 0)
        return error_set_errno(error, places->stage, "cannot be made");
    return write_owned(places->key, identity->key, 0600, options, error) &&
           write_owned(places->certificate, identity->certificate, 0600, options, error) &&
           write_owned(places->ca_certificate, identity->ca_certificate, 0600, options, error) &&
           (options->owner == (uid_t)-1 ||
            lchown(places->stage, options->owner, options->group) == 0 ||
            error_set_errno(error, places->stage, "cannot be given to the agent's user")) &&
           write_owned(places->public_key_new, identity->configuration_key, 0644, options, error) &&
           node_save(places->node_new, &identity->node, error);
}

/* Renames only: needs no space on the disk. The old configuration is of the old enrolment and would
 * not pass the new key, so it goes. node.json comes last, because it means "enrolled". */
static bool commit(const struct places *places, struct error *error)
{
    if (renameat2(AT_FDCWD, places->stage, AT_FDCWD, places->agent, RENAME_EXCHANGE) != 0)
        return error_set_errno(error, places->agent, "cannot be replaced");
    if (rename(places->public_key_new, places->public_key) != 0)
        return error_set_errno(error, places->public_key, "cannot be replaced");
    unlink(places->current);
    unlink(places->previous);
    if (rename(places->node_new, places->node) != 0)
        return error_set_errno(error, places->node, "cannot be replaced");
    return true;
}

static bool check_not_enrolled(const struct places *places, bool force, struct error *error)
{
    if (force || (access(places->node, F_OK) != 0 && errno == ENOENT))
        return true;
    return error_set(error, ERROR_EXISTS, places->node,
                     "this scanner is enrolled already; --force enrols it anew");
}

/* A folder that cannot be written to must show before the token is used up. */
static bool check_writable(const struct enrolment_options *options, const struct places *places,
                           struct error *error)
{
    if (access(options->state, W_OK | X_OK) != 0)
        return error_set_errno(error, options->state, "cannot be written to");
    return access(places->agent, W_OK | X_OK) == 0 ||
           error_set_errno(error, places->agent, "cannot be written to");
}

bool enrolment_run(const struct enrolment_options *options, struct node *node, struct error *error)
{
    struct identity identity = {0};
    struct places places;

    if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(error, ERROR_INTERNAL, NULL, "the libraries cannot be set up");
    bool ok = find_places(options->state, &places, error) &&
              check_not_enrolled(&places, options->force, error) &&
              check_writable(options, &places, error) && obtain(options, &identity, error);
    if (ok) {
        ok = stage(&places, &identity, options, error) && commit(&places, error);
        remove_stage(&places);
    }
    if (ok)
        *node = identity.node;
    identity_clear(&identity);
    return ok;
}
