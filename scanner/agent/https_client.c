#include "scanner/agent/https_client.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "scanner/agent/node.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

#define ANSWER_LIMIT (160u << 20) /* a configuration document, escaped as a JSON string */
#define CONNECT_SECONDS 10L

struct https_client {
    CURL *curl;
    struct curl_slist *headers;
    const struct stop *stop; /* NULL: never */
    char url[512];
    char curl_text[CURL_ERROR_SIZE];
    struct buffer answer;
    unsigned char fingerprint[32];
    bool wrong_ca; /* the server showed no certificate with the fingerprint */
};

/* --- trust by fingerprint --- */

static X509 *find_pinned(STACK_OF(X509) * chain, const unsigned char fingerprint[32])
{
    unsigned char digest[32];
    unsigned length;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *certificate = sk_X509_value(chain, i);
        if (X509_digest(certificate, EVP_sha256(), digest, &length) == 1 && length == 32 &&
            memcmp(digest, fingerprint, 32) == 0)
            return certificate;
    }
    return NULL;
}

/* OpenSSL's own verification, with the pinned certificate as the only one that is trusted. */
static int verify_pinned(X509_STORE_CTX *context, void *argument)
{
    struct https_client *client = argument;
    STACK_OF(X509) *trusted = sk_X509_new_null();
    X509 *pinned = find_pinned(X509_STORE_CTX_get0_untrusted(context), client->fingerprint);
    int ok = 0;

    client->wrong_ca = !pinned;
    if (!pinned || !trusted || sk_X509_push(trusted, pinned) <= 0) {
        X509_STORE_CTX_set_error(context, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN);
    } else {
        X509_STORE_CTX_set0_trusted_stack(context, trusted);
        ok = X509_verify_cert(context) == 1;
    }
    sk_X509_free(trusted);
    return ok;
}

static CURLcode pin_context(CURL *curl, void *ssl_context, void *argument)
{
    (void)curl;
    SSL_CTX_set_cert_verify_callback(ssl_context, verify_pinned, argument);
    return CURLE_OK;
}

/* --- making a client --- */

static size_t on_answer(char *data, size_t size, size_t count, void *argument)
{
    struct https_client *client = argument;
    return buffer_add(&client->answer, data, size * count) ? size * count : 0;
}

static int on_progress(void *argument, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct https_client *client = argument;
    (void)a, (void)b, (void)c, (void)d;
    return client->stop && stop_requested(client->stop);
}

static bool set_common(struct https_client *client)
{
    CURL *curl = client->curl;
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (!headers)
        return false;
    /* Without this libcurl waits for "100 Continue" before a large body. */
    client->headers = curl_slist_append(headers, "Expect:");
    if (!client->headers) {
        curl_slist_free_all(headers);
        return false;
    }
    return curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->curl_text) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "gatehouse/" GATEHOUSE_VERSION) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, client) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client) == CURLE_OK;
}

static struct https_client *client_new(const char *url, struct error *error)
{
    struct https_client *client;
    size_t length = strlen(url);
    if (!node_check_url(url, error))
        return NULL;
    client = calloc(1, sizeof(*client));
    if (client) {
        buffer_init(&client->answer, ANSWER_LIMIT);
        client->curl = curl_easy_init();
        memcpy(client->url, url, length);
        if (length && client->url[length - 1] == '/')
            client->url[length - 1] = '\0';
        if (client->curl && set_common(client))
            return client;
    }
    https_client_free(client);
    error_set(error, ERROR_INTERNAL, url, "libcurl cannot be set up");
    return NULL;
}

static bool set_file(struct https_client *client, CURLoption option, const char *state,
                     const char *name, struct error *error)
{
    char path[NODE_PATH_SIZE];
    if (!file_join(path, sizeof(path), state, name, error))
        return false;
    if (access(path, R_OK) != 0)
        return error_set_errno(error, path, "cannot be read");
    return curl_easy_setopt(client->curl, option, path) == CURLE_OK ||
           error_set(error, ERROR_INTERNAL, path, "libcurl does not take the file");
}

struct https_client *https_client_new(const char *url, const char *state, const struct stop *stop,
                                      struct error *error)
{
    struct https_client *client = client_new(url, error);
    if (!client)
        return NULL;
    client->stop = stop;
    if (set_file(client, CURLOPT_CAINFO, state, NODE_CA_FILE, error) &&
        set_file(client, CURLOPT_SSLCERT, state, NODE_CERTIFICATE_FILE, error) &&
        set_file(client, CURLOPT_SSLKEY, state, NODE_KEY_FILE, error))
        return client;
    https_client_free(client);
    return NULL;
}

struct https_client *https_client_new_pinned(const char *url, const unsigned char fingerprint[32],
                                             struct error *error)
{
    struct https_client *client = client_new(url, error);
    if (!client)
        return NULL;
    memcpy(client->fingerprint, fingerprint, sizeof(client->fingerprint));
    if (curl_easy_setopt(client->curl, CURLOPT_CAINFO, NULL) == CURLE_OK &&
        curl_easy_setopt(client->curl, CURLOPT_SSL_CTX_FUNCTION, pin_context) == CURLE_OK &&
        curl_easy_setopt(client->curl, CURLOPT_SSL_CTX_DATA, client) == CURLE_OK)
        return client;
    https_client_free(client);
    error_set(error, ERROR_INTERNAL, url, "libcurl cannot check fingerprints");
    return NULL;
}

void https_client_free(struct https_client *client)
{
    if (!client)
        return;
    if (client->curl)
        curl_easy_cleanup(client->curl);
    curl_slist_free_all(client->headers);
    buffer_free(&client->answer);
    free(client);
}

/* --- a request --- */

static bool transfer_error(struct https_client *client, CURLcode code, struct error *error)
{
    const char *detail = client->curl_text[0] ? client->curl_text : curl_easy_strerror(code);
    if (client->wrong_ca)
        return error_set(error, ERROR_DENIED, client->url,
                         "the server's certificate is not of the Control Center that made the "
                         "token");
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return error_set(error, ERROR_DENIED, client->url,
                         "the server's certificate is not trusted: %s", detail);
    case CURLE_WRITE_ERROR:
        return error_set(error, ERROR_PROTOCOL, client->url, "the answer is too large");
    case CURLE_OUT_OF_MEMORY:
        return error_set(error, ERROR_INTERNAL, client->url, "out of memory");
    default:
        return error_set(error, ERROR_UNAVAILABLE, client->url, "cannot be reached: %s", detail);
    }
}

static enum error_code code_of_status(long status)
{
    if (status >= 500)
        return ERROR_UNAVAILABLE;
    switch (status) {
    case 401:
    case 403:
        return ERROR_DENIED;
    case 400:
        return ERROR_INVALID;
    case 404:
        return ERROR_NOT_FOUND;
    case 413:
        return ERROR_LIMIT;
    default:
        return ERROR_PROTOCOL;
    }
}

static json_t *read_answer(struct https_client *client, struct error *error)
{
    long status = 0;
    struct error parse_error = {0};
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    cleanup_json json_t *answer =
        json_parse(buffer_text(&client->answer), client->answer.length, client->url, &parse_error);
    if (status == 200 && json_is_object(answer))
        return json_incref(answer);
    const char *text = json_string_value(json_object_get(answer, "error"));
    if (status == 200)
        error_set(error, ERROR_PROTOCOL, client->url, "the answer is not a JSON object");
    else if (text)
        error_set(error, code_of_status(status), NULL, "%s", text);
    else
        error_set(error, code_of_status(status), client->url, "answered with status %ld", status);
    return NULL;
}

json_t *https_client_post(struct https_client *client, const char *path, const json_t *body,
                          int timeout_seconds, struct error *error)
{
    CURL *curl = client->curl;
    char url[640];
    cleanup_free char *text = json_text(body);

    snprintf(url, sizeof(url), "%s%s", client->url, path);
    buffer_clear(&client->answer);
    client->curl_text[0] = '\0';
    client->wrong_ca = false;
    if (!text || curl_easy_setopt(curl, CURLOPT_URL, url) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)timeout_seconds) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text)) != CURLE_OK) {
        error_set(error, ERROR_INTERNAL, client->url, "out of memory");
        return NULL;
    }
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
        transfer_error(client, code, error);
        return NULL;
    }
    json_t *answer = read_answer(client, error);
    /* A configuration document may be large; what a rare one needed is not kept. */
    if (client->answer.capacity > (1u << 20))
        buffer_free(&client->answer);
    return answer;
}
