/* An administrator's own account: the password, which must be changed after the first sign-in. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"
#include "controlcenter/pages/passwords.h"

#include "common/timestamp.h"

#include <string.h>

void page_password_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    page_open(&page, request, response, "account");
    form_open(&form, &page);
    page_show(&page, "account/password");
}

static const char *typed(const struct page *page, const char *field)
{
    const char *value = http_form(page->request, field);
    return value ? value : "";
}

/* A stolen session must not be a way to guess the password: failures count as those of sign-ins. */
static bool check_current(struct form *form, const struct store_administrator *account,
                          struct error *error)
{
    struct page *page = form->page;
    struct application *application = page->application;
    const char *current = typed(page, "current");
    if (account->locked_until > timestamp_now_ms()) {
        form_refuse(form, "current", "account_locked", NULL);
        return true;
    }
    if (strlen(current) > PASSWORD_MOST)
        current = "";
    if (password_verify(application, account->password_hash, current, error))
        return true;
    if (error->code != ERROR_DENIED)
        return false;
    *error = (struct error){0};
    form_refuse(form, "current", "password_wrong", NULL);
    return store_administrator_sign_in_result(application->store, account->id, false,
                                              page->request->peer, error);
}

static void check_new(struct form *form)
{
    struct page *page = form->page;
    const char *password = typed(page, "password");
    const char *weakness =
        password_weakness(password, typed(page, "current"), page_administrator(page));
    if (weakness)
        form_refuse(form, "password", weakness, json_pack("{s:i}", "least", PASSWORD_LEAST));
    else if (strcmp(password, typed(page, "repeat")) != 0)
        form_refuse(form, "repeat", "password_differs", NULL);
}

/* The session gets a new token with the new password, and every other session ends. */
static bool change(struct page *page, int64_t id, struct error *error)
{
    struct application *application = page->application;
    char hash[PASSWORD_HASH_SIZE] = "", token_hash[SECRET_TEXT_SIZE];
    return password_hash(application, typed(page, "password"), hash, error) &&
           page_start_session(page->request, page->response, id, token_hash, error) &&
           store_administrator_set_password(application->store, id, hash, false, token_hash, error);
}

static void answer_error(struct page *page, struct form *form, const struct error *error)
{
    if (error->code != ERROR_LIMIT) {
        page_fail(page, error);
        return;
    }
    page->response->status = 503;
    form_refuse(form, "current", "sign_in_busy", NULL);
    page_show(page, "account/password");
}

void page_password(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct store_administrator account = {0};
    struct error error = {0};
    page_open(&page, request, response, "account");
    form_open(&form, &page);
    bool ok = store_administrator_by_name(page.application->store, page_administrator(&page),
                                          &account, &error) &&
              check_current(&form, &account, &error);
    if (ok && !form.wrong)
        check_new(&form);
    if (ok && form.wrong) {
        response->status = 422;
        page_show(&page, "account/password");
    } else if (ok && change(&page, account.id, &error)) {
        page_redirect(&page, "/", "password_changed");
    } else {
        answer_error(&page, &form, &error);
    }
    explicit_bzero(&account, sizeof account);
}
