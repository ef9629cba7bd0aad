/* Signing in and out. Whatever the reason of a refusal is, the answer is the same and takes the
 * same time, so that nobody learns which names there are. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"
#include "controlcenter/pages/passwords.h"

#include "common/log.h"
#include "common/timestamp.h"

#include <string.h>

#define NAME_MOST 64
#define PATH_MOST 4000

/* --- the form --- */

/* Only a path of this site is followed after the sign-in. */
static const char *next_path(const char *next)
{
    return next && next[0] == '/' && next[1] != '/' && next[1] != '\\' && strlen(next) <= PATH_MOST
               ? next
               : "";
}

static void show(struct page *page, const char *next)
{
    page_put_form_secret(page);
    page_put_text(page, page->data, "next", next);
    page_show(page, "sign_in");
}

void page_sign_in_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    page_open(&page, request, response, NULL);
    form_open(&form, &page);
    show(&page, next_path(http_query(request, "next")));
}

/* --- the check --- */

enum outcome { SIGNED_IN, REFUSED, BUSY, BROKEN };

static enum outcome outcome_of(const struct error *error)
{
    return error->code == ERROR_DENIED ? REFUSED : error->code == ERROR_LIMIT ? BUSY : BROKEN;
}

/* Every refusal writes to the database once, or the time would tell them apart. */
static enum outcome refuse_without_account(struct store *store, const char *peer,
                                           const char *action, struct error *error)
{
    return store_log_add(store, "", peer, action, NULL, error) ? REFUSED : BROKEN;
}

static enum outcome check_account(struct application *application, const char *peer,
                                  const struct store_administrator *account, const char *password,
                                  struct error *error)
{
    bool locked = account->locked_until > timestamp_now_ms();
    bool right = password_verify(application, account->password_hash, password, error);
    if (!right && error->code != ERROR_DENIED)
        return outcome_of(error);
    *error = (struct error){0};
    if (locked)
        return store_log_add(application->store, account->name, peer, "sign_in.while_locked", NULL,
                             error)
                   ? REFUSED
                   : BROKEN;
    if (!store_administrator_sign_in_result(application->store, account->id, right, peer, error))
        return BROKEN;
    return right ? SIGNED_IN : REFUSED;
}

static enum outcome check_nobody(struct application *application, const char *peer,
                                 const char *password, struct error *error)
{
    password_verify(application, NULL, password, error);
    if (error->code != ERROR_DENIED)
        return outcome_of(error);
    *error = (struct error){0};
    return refuse_without_account(application->store, peer, "sign_in.unknown_name", error);
}

static enum outcome check(const struct page *page, const char *name, const char *password,
                          struct store_administrator *account, struct error *error)
{
    struct application *application = page->application;
    const char *peer = page->request->peer;
    if (strlen(password) > PASSWORD_MOST)
        password = "";
    if (strlen(name) <= NAME_MOST &&
        store_administrator_by_name(application->store, name, account, error))
        return check_account(application, peer, account, password, error);
    if (error->code != ERROR_NONE && error->code != ERROR_NOT_FOUND)
        return BROKEN;
    *error = (struct error){0};
    return check_nobody(application, peer, password, error);
}

/* --- the answer --- */

static void welcome(struct page *page, const struct store_administrator *account, const char *next)
{
    struct error error = {0};
    if (!page_start_session(page->request, page->response, account->id, NULL, &error)) {
        page_fail(page, &error);
        return;
    }
    http_set_cookie(page->response, FORM_COOKIE, "", -1);
    page_redirect(page,
                  account->must_change_password ? "/account/password"
                  : *next                       ? next
                                                : "/",
                  NULL);
}

static void refuse(struct page *page, struct form *form, const char *next, int status,
                   const char *message)
{
    page->response->status = status;
    form_refuse(form, "name", message, NULL);
    show(page, next);
}

void page_sign_in(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct store_administrator account = {0};
    struct error error = {0};
    page_open(&page, request, response, NULL);
    form_open(&form, &page);
    const char *name = form_take(&form, "name");
    const char *password = http_form(request, "password");
    const char *next = next_path(http_form(request, "next"));
    switch (check(&page, name, password ? password : "", &account, &error)) {
    case SIGNED_IN:
        log_info("%s signed in from %s", account.name, request->peer);
        welcome(&page, &account, next);
        break;
    case REFUSED:
        log_warning("refused a sign-in from %s", request->peer);
        refuse(&page, &form, next, 403, "sign_in_refused");
        break;
    case BUSY:
        http_add_header(response, "Retry-After", "2");
        refuse(&page, &form, next, 503, "sign_in_busy");
        break;
    case BROKEN:
        page_fail(&page, &error);
        break;
    }
    explicit_bzero(&account, sizeof account);
}

void page_sign_out(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, NULL);
    if (!store_session_end(page.application->store, page.session->token_hash, &error)) {
        page_fail(&page, &error);
        return;
    }
    http_set_cookie(response, SESSION_COOKIE, "", -1);
    page_redirect(&page, "/sign-in", "signed_out");
}
