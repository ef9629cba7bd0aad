/* One answer: the layout's data around a page's own, and what becomes of errors. */
#include "controlcenter/pages/pages.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <string.h>

#define WORD_LIMIT 32
#define THEME_COOKIE "theme" /* set by webroot/console.js */

/* Which tab of the console holds which entry. */
static const struct {
    const char *place;
    const char *tab;
} places[] = {
    {"dashboard", "status"},
    {"audit", "status"},
    {"malware_policy", "malware"},
    {"malware_limits", "malware"},
    {"malware_signatures", "malware"},
    {"policy_filters", "policies"},
    {"policy_groups", "policies"},
    {"policy_history", "policies"},
    {"policy_lists", "policies"},
    {"policy_dictionaries", "policies"},
    {"policy_patterns", "policies"},
    {"policy_annotations", "policies"},
    {"policy_templates", "policies"},
    {"policy_review", "policies"},
    {"policy_test", "policies"},
    {"domains", "protocols"},
    {"aliases", "protocols"},
    {"masquerades", "protocols"},
    {"hosts", "administration"},
    {"account", "own_account"},
    {"incidents", "incident_work"},
    {"incident_folders", "incident_work"},
    {"queues", "status"},
    {"outbox", "status"},
    {"directory", "protocols"},
    {"smtp_users", "protocols"},
    {"smtp", "protocols"},
    {"certificates", "administration"},
    {"delivery_security", "protocols"},
    {"bounce_protection", "protocols"},
};

static const char *tab_of(const char *place)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strcmp(place, places[i].place) == 0)
            return places[i].tab;
    return NULL;
}

/* A word of our own making; anything else in its place comes from a forged address. */
static bool is_word(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= WORD_LIMIT &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz_") == length;
}

static void put_theme(struct page *page)
{
    const char *theme = http_cookie(page->request, THEME_COOKIE);
    if (theme && (strcmp(theme, "dark") == 0 || strcmp(theme, "light") == 0))
        page_put_text(page, page->data, "theme", theme);
}

static void put_place(struct page *page, const char *place)
{
    const char *tab = place ? tab_of(place) : NULL;
    json_t *at = page_put_object(page, page->data, "at");
    if (!tab)
        return;
    page_put_true(page, at, place);
    page_put_true(page, at, tab);
}

static void put_account(struct page *page)
{
    const struct store_session *account = &page->session->account;
    json_t *user = page_put_object(page, page->data, "user");
    page_put_text(page, user, "name", account->administrator_name);
    page_put(page, user, "must_change_password", json_boolean(account->must_change_password));
    page_put_text(page, page->data, "csrf", account->csrf);
}

void page_open(struct page *page, struct http_request *request, struct http_response *response,
               const char *place)
{
    *page = (struct page){.request = request,
                          .response = response,
                          .application = request->context,
                          .session = request->session,
                          .data = json_object()};
    const char *done = http_query(request, "done");
    page_put_text(page, page->data, "version", GATEHOUSE_VERSION);
    put_theme(page);
    put_place(page, place);
    if (page->session)
        put_account(page);
    if (done && is_word(done))
        page_put_true(page, page_put_object(page, page->data, "notice"), done);
}

static void close_page(struct page *page)
{
    json_decref(page->data);
    page->data = NULL;
}

static void log_problem(const struct page *page, const struct error *error)
{
    char text[700];
    log_error("%s: %s", page->request->path, error_text(error, text, sizeof text));
}

void page_show(struct page *page, const char *template)
{
    struct error error = {0};
    bool ok = !page->failed;
    if (!ok)
        error_set(&error, ERROR_INTERNAL, template, "out of memory, or text that is not UTF-8");
    ok = ok && template_render(page->application->templates, template, page->data,
                               &page->response->body, &error);
    if (!ok) {
        log_problem(page, &error);
        http_fail(page->request, page->response, 500, NULL);
    }
    close_page(page);
}

void page_redirect(struct page *page, const char *path, const char *done)
{
    struct buffer target = BUFFER_INIT;
    buffer_add_text(&target, path);
    if (done)
        buffer_add_format(&target, "?done=%s", done);
    if (target.failed)
        http_fail(page->request, page->response, 500, NULL);
    else
        http_redirect(page->response, buffer_text(&target));
    buffer_free(&target);
    close_page(page);
}

void page_put_form_secret(struct page *page)
{
    char secret[SECRET_TEXT_SIZE];
    const char *kept = http_cookie(page->request, FORM_COOKIE);
    if (!kept || strlen(kept) != SECRET_TEXT_SIZE - 1) {
        page_secret(secret);
        http_set_cookie(page->response, FORM_COOKIE, secret, 0);
        kept = secret;
    }
    page_put_text(page, page->data, "csrf", kept);
}

json_t *page_read_setting(struct page *page, const char *key, struct error *error)
{
    json_t *value = store_setting_get(page->application->store, key, error);
    if (value || error->code != ERROR_NOT_FOUND)
        return value;
    *error = (struct error){0};
    value = json_object();
    if (!value)
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    return value;
}

bool page_save_setting(struct page *page, const char *key, const json_t *value, struct error *error)
{
    struct application *application = page->application;
    return fleet_check_setting(application->fleet, key, value, error) &&
           store_setting_put(application->store, key, value, page_administrator(page), true, error);
}

void page_fail(struct page *page, const struct error *error)
{
    bool is_away = error->code == ERROR_UNAVAILABLE || error->code == ERROR_TIMEOUT;
    int status = error->code == ERROR_NOT_FOUND ? 404 : is_away ? 503 : 500;
    if (status != 404)
        log_problem(page, error);
    http_fail(page->request, page->response, status, NULL);
    close_page(page);
}

const char *page_administrator(const struct page *page)
{
    return page->session ? page->session->account.administrator_name : "";
}

void page_message(struct page *page, const char *key, json_t *arguments, struct buffer *text)
{
    struct error error = {0};
    cleanup_json json_t *data = json_object();
    if (json_object_set_new(data, key, arguments ? arguments : json_true()) != 0 ||
        !template_render(page->application->templates, "messages.txt", data, text, &error))
        page->failed = true;
    while (text->length > 0 && text->data[text->length - 1] == '\n')
        text->data[--text->length] = '\0';
}

void page_draw_error(struct http_request *request, struct http_response *response, int status,
                     const char *message)
{
    struct page page;
    struct error error = {0};
    page_open(&page, request, response, NULL);
    page_put(&page, page.data, "status", json_integer(status));
    page_put_text(&page, page.data, "message", message);
    page_put(&page, page.data, "not_found", json_boolean(status == 404));
    page_put(&page, page.data, "refused", json_boolean(status == 403));
    page_put(&page, page.data, "away", json_boolean(status == 503));
    page_put(&page, page.data, "broken", json_boolean(status >= 500 && status != 503));
    page_put(&page, page.data, "other",
             json_boolean(status < 500 && status != 403 && status != 404));
    if (page.failed || !template_render(page.application->templates, "error", page.data,
                                        &response->body, &error)) {
        log_problem(&page, &error);
        buffer_clear(&response->body); /* the router says it in plain text */
    }
    close_page(&page);
}
