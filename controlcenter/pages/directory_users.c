/* Protocols, SMTP users: those who may sign in to the outbound servers and are in no directory. */
#include "controlcenter/pages/handlers.h"
#include "controlcenter/pages/pages.h"
#include "controlcenter/pages/paging.h"
#include "controlcenter/pages/passwords.h"

#include <sodium.h>
#include <string.h>

#define NAME_MOST 254

/* --- the list --- */

static bool put_users(const struct paging *paging, struct error *error)
{
    struct page *page = paging->page;
    struct store_directory_user *users = NULL;
    size_t count = 0;
    if (!store_directory_user_list(page->application->store, paging->search, paging->after,
                                   PAGING_SIZE + 1, &users, &count, error))
        return false;
    json_t *rows = page_put_array(page, page->data, "users");
    for (size_t i = 0; i < count && i < PAGING_SIZE; i++) {
        json_t *row = page_add_object(page, rows);
        page_put_text(page, row, "name", users[i].name);
        page_put(page, row, "is_enabled", json_boolean(users[i].is_enabled));
        page_put_time(page, row, "changed_at", users[i].changed_at);
    }
    if (count > PAGING_SIZE)
        paging_put_next(paging, users[PAGING_SIZE - 1].name);
    page_put(page, page->data, "has_users", json_boolean(count > 0));
    store_directory_user_list_free(users, count);
    return true;
}

static void show_list(struct form *form)
{
    struct page *page = form->page;
    struct error error = {0};
    struct paging paging = paging_begin(page, "/directory/users");
    if (form->wrong)
        page->response->status = 422;
    if (put_users(&paging, &error))
        page_show(page, "directory/users");
    else
        page_fail(page, &error);
}

void page_directory_users(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    page_open(&page, request, response, "smtp_users");
    form_open(&form, &page);
    show_list(&form);
}

/* --- names and passwords --- */

/* Names stand in paths and in logs; "user" and "user@example.com" are both usual. */
static bool is_name(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= NAME_MOST && text[0] != '.' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.@_+-=") == length;
}

static void lower(const char *text, char name[NAME_MOST + 2])
{
    size_t length = strnlen(text, NAME_MOST + 1);
    for (size_t i = 0; i < length; i++)
        name[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
    name[length] = '\0';
}

/* Reads the password, which never goes back, and hashes it. False where it was refused. */
static bool take_password(struct form *form, const char *name, char hash[PASSWORD_HASH_SIZE])
{
    const struct http_request *request = form->page->request;
    const char *password = http_form(request, "password"), *again = http_form(request, "again");
    struct error error = {0};
    const char *weakness = password_weakness(password ? password : "", "", name);
    if (weakness)
        form_refuse(form, "password", weakness, json_pack("{s:i}", "least", PASSWORD_LEAST));
    else if (!again || strcmp(password, again) != 0)
        form_refuse(form, "again", "password_differs", NULL);
    else if (form->wrong)
        return false;
    else if (password_hash(form->page->application, password, hash, &error))
        return true;
    else
        form_refuse(form, "password", "sign_in_busy", NULL);
    return false;
}

/* --- adding --- */

void page_directory_user_add(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    char name[NAME_MOST + 2], hash[PASSWORD_HASH_SIZE];
    page_open(&page, request, response, "smtp_users");
    form_open(&form, &page);
    lower(form_take(&form, "name"), name);
    if (!is_name(name))
        form_refuse(&form, "name", "smtp_user_form", NULL);
    bool ok = take_password(&form, name, hash) &&
              store_directory_user_add(page.application->store, name, hash,
                                       page_administrator(&page), &error);
    sodium_memzero(hash, sizeof hash);
    if (error.code == ERROR_EXISTS)
        form_refuse(&form, "name", "smtp_user_there", NULL);
    if (ok)
        page_redirect(&page, "/directory/users", "added");
    else if (form.wrong)
        show_list(&form);
    else
        page_fail(&page, &error);
}

/* --- one user --- */

static bool find_user(struct page *page, const char *name, struct store_directory_user *user,
                      struct error *error)
{
    struct store_directory_user *users = NULL;
    size_t count = 0;
    char before[NAME_MOST + 2];
    if (!is_name(name))
        return error_set(error, ERROR_NOT_FOUND, "name", "there is no such user");
    /* The list gives what sorts after a name: this one sorts just before it. */
    size_t length = strlen(name);
    memcpy(before, name, length + 1);
    before[length - 1]--;
    before[length] = '\x7f';
    before[length + 1] = '\0';
    if (!store_directory_user_list(page->application->store, NULL, before, 1, &users, &count,
                                   error))
        return false;
    bool found = count == 1 && strcmp(users[0].name, name) == 0;
    if (found)
        *user = users[0];
    store_directory_user_list_free(users, count);
    return found || error_set(error, ERROR_NOT_FOUND, "name", "there is no such user");
}

static bool open_user(struct page *page, struct form *form, struct http_request *request,
                      struct http_response *response)
{
    struct error error = {0};
    struct store_directory_user user;
    page_open(page, request, response, "smtp_users");
    form_open(form, page);
    if (!find_user(page, request->captures[0], &user, &error)) {
        page_fail(page, &error);
        return false;
    }
    json_t *to = page_put_object(page, page->data, "smtp_user");
    page_put_text(page, to, "name", user.name);
    page_put(page, to, "is_enabled", json_boolean(user.is_enabled));
    page_put_time(page, to, "changed_at", user.changed_at);
    sodium_memzero(&user, sizeof user);
    return true;
}

void page_directory_user_form(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    if (open_user(&page, &form, request, response))
        page_show(&page, "directory/user");
}

static bool set_password(struct form *form, const char *name, struct error *error)
{
    char hash[PASSWORD_HASH_SIZE];
    bool ok = take_password(form, name, hash) &&
              store_directory_user_set_password(form->page->application->store, name, hash,
                                                page_administrator(form->page), error);
    sodium_memzero(hash, sizeof hash);
    return ok;
}

void page_directory_user(struct http_request *request, struct http_response *response)
{
    struct page page;
    struct form form;
    struct error error = {0};
    const char *name = request->captures[0], *what = http_form(request, "do");
    if (!open_user(&page, &form, request, response))
        return;
    struct store *store = page.application->store;
    const char *administrator = page_administrator(&page), *done = "saved";
    bool ok;
    if (what && strcmp(what, "remove") == 0) {
        ok = store_directory_user_remove(store, name, administrator, &error);
        done = "removed";
    } else if (what && (strcmp(what, "enable") == 0 || strcmp(what, "disable") == 0)) {
        ok = store_directory_user_enable(store, name, what[0] == 'e', administrator, &error);
    } else {
        ok = set_password(&form, name, &error);
    }
    if (ok) {
        page_redirect(&page, "/directory/users", done);
    } else if (form.wrong) {
        response->status = 422;
        page_show(&page, "directory/user");
    } else {
        page_fail(&page, &error);
    }
}
