/* Who may see a page: sessions, forged requests, and passwords that must be changed first.
 *
 * A request that changes something carries a secret in its form (or X-CSRF-Token) that another site
 * cannot know: that of the session, or before the sign-in that of a cookie which, by its __Host-
 * prefix, no other host can have set. */
#include "controlcenter/pages/pages.h"

#include "common/log.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SIGN_IN_PATH "/sign-in"
#define PASSWORD_PATH "/account/password"

void page_secret(char text[SECRET_TEXT_SIZE])
{
    unsigned char bits[32];
    randombytes_buf(bits, sizeof bits);
    sodium_bin2hex(text, SECRET_TEXT_SIZE, bits, sizeof bits);
    sodium_memzero(bits, sizeof bits);
}

/* The SHA-256 of a text, as text: what the store keeps of a session's token. */
static void secret_hash(const char *text, char hash[SECRET_TEXT_SIZE])
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, (const unsigned char *)text, strlen(text));
    sodium_bin2hex(hash, SECRET_TEXT_SIZE, digest, sizeof digest);
}

bool page_start_session(struct http_request *request, struct http_response *response,
                        int64_t administrator_id, char token_hash[SECRET_TEXT_SIZE],
                        struct error *error)
{
    const struct application *application = request->context;
    const char *old = http_cookie(request, SESSION_COOKIE);
    char token[SECRET_TEXT_SIZE], hash[SECRET_TEXT_SIZE], csrf[SECRET_TEXT_SIZE];
    page_secret(token);
    page_secret(csrf);
    secret_hash(token, hash);
    if (!store_session_create(application->store, hash, csrf, administrator_id, request->peer,
                              error))
        return false;
    http_set_cookie(response, SESSION_COOKIE, token, 0);
    sodium_memzero(token, sizeof token);
    if (token_hash)
        memcpy(token_hash, hash, SECRET_TEXT_SIZE);
    if (!old)
        return true;
    secret_hash(old, hash);
    return store_session_end(application->store, hash, error);
}

/* --- forged requests --- */

static bool changes_something(const struct http_request *request)
{
    return request->method != HTTP_GET && request->method != HTTP_HEAD;
}

static bool is_secret(const char *text)
{
    return text && strlen(text) == SECRET_TEXT_SIZE - 1;
}

static bool carries_secret(const struct http_request *request, const char *secret)
{
    const char *sent = http_form(request, "csrf");
    if (!sent)
        sent = http_header(request, "X-CSRF-Token");
    return is_secret(sent) && is_secret(secret) &&
           sodium_memcmp(sent, secret, SECRET_TEXT_SIZE - 1) == 0;
}

/* True where the request may go on. */
static bool check_secret(struct http_request *request, struct http_response *response,
                         const char *secret)
{
    if (!changes_something(request) || carries_secret(request, secret))
        return true;
    log_warning("refused a form from %s for %s: its secret is missing or wrong", request->peer,
                request->path);
    http_fail(request, response, 403, NULL);
    return false;
}

/* --- sessions --- */

/* NULL with *away where that cannot be told because the database does not answer. */
static struct page_session *find_session(const struct http_request *request, bool *away)
{
    const struct application *application = request->context;
    const char *token = http_cookie(request, SESSION_COOKIE);
    struct error error = {0};
    *away = false;
    if (!is_secret(token))
        return NULL;
    struct page_session *session = calloc(1, sizeof *session);
    if (!session) {
        *away = true;
        return NULL;
    }
    secret_hash(token, session->token_hash);
    if (store_session_get(application->store, session->token_hash, &session->account, &error))
        return session;
    free(session);
    *away = error.code != ERROR_NOT_FOUND;
    if (*away) {
        char text[700];
        log_error("sessions: %s", error_text(&error, text, sizeof text));
    }
    return NULL;
}

/* After the sign-in the page that was asked for opens; a form that was sent is lost. */
static void send_to_sign_in(const struct http_request *request, struct http_response *response)
{
    struct buffer target = BUFFER_INIT, here = BUFFER_INIT;
    buffer_add_text(&here, request->path);
    if (*request->query)
        buffer_add_format(&here, "?%s", request->query);
    buffer_add_text(&target, SIGN_IN_PATH);
    if (!changes_something(request) && strcmp(buffer_text(&here), "/") != 0) {
        buffer_add_text(&target, "?next=");
        http_encode(&target, buffer_text(&here));
    }
    http_redirect(response, here.failed || target.failed ? SIGN_IN_PATH : buffer_text(&target));
    buffer_free(&here);
    buffer_free(&target);
}

static bool check_session(struct http_request *request, struct http_response *response,
                          enum http_access access)
{
    bool away;
    struct page_session *session = find_session(request, &away);
    request->session = session;
    if (away) {
        http_fail(request, response, 503, NULL);
        return false;
    }
    if (!session) {
        send_to_sign_in(request, response);
        return false;
    }
    if (!check_secret(request, response, session->account.csrf))
        return false;
    if (access != HTTP_PASSWORD_ONLY && session->account.must_change_password) {
        http_redirect(response, PASSWORD_PATH);
        return false;
    }
    return true;
}

static bool check(struct http_request *request, struct http_response *response,
                  enum http_access access)
{
    if (access == HTTP_PUBLIC)
        return check_secret(request, response, http_cookie(request, FORM_COOKIE));
    return check_session(request, response, access);
}

static void release(void *session)
{
    sodium_memzero(session, sizeof(struct page_session));
    free(session);
}

static bool is_signed_in(const struct http_request *request)
{
    bool away;
    struct page_session *session = find_session(request, &away);
    if (session)
        release(session);
    return session != NULL;
}

const struct http_guard page_guard = {check, release, is_signed_in};
