/* A browser of the console: the real router, guard, templates and database, without a network. */
#ifndef GATEHOUSE_TESTS_TEST_PAGES_SCENE_H
#define GATEHOUSE_TESTS_TEST_PAGES_SCENE_H

#include "test_store_events.h"

#include "controlcenter/http/request.h"
#include "controlcenter/pages/pages.h"
#include "controlcenter/pages/passwords.h"

#define NAME "anna"
#define PASSWORD "correct-horse-battery"

/* The console over a scene's database, and what a browser keeps of it. One request at a time. */
struct console {
    struct scene *scene;
    struct application application;
    struct http_router *router;
    char session[SECRET_TEXT_SIZE]; /* cookies; "": none */
    char form[SECRET_TEXT_SIZE];
    char csrf[SECRET_TEXT_SIZE]; /* of the form shown last */
    struct http_request request;
    struct http_response response;
};

static inline void source_path(char path[512], const char *name)
{
    const char *root = getenv("SOURCE_ROOT");
    snprintf(path, 512, "%s/%s", root ? root : ".", name);
}

static inline struct console *console_open(struct scene *scene)
{
    struct console *console = calloc(1, sizeof(*console));
    char templates[512], webroot[512];
    source_path(templates, "templates");
    source_path(webroot, "webroot");
    console->scene = scene;
    console->application.store = scene->store;
    ok(console->application.templates = template_set_load(templates, &error));
    console->application.fleet = fleet_new(scene->store, "https://console.example:8444");
    ok(fleet_prepare(console->application.fleet, &error));
    console->router = http_router_new(page_routes, &page_guard, webroot, &console->application);
    assert_non_null(console->router);
    http_router_set_error_page(console->router, page_draw_error);
    http_response_init(&console->response);
    return console;
}

static inline void console_close(struct console *console)
{
    http_request_clear(&console->request);
    http_response_clear(&console->response);
    http_router_free(console->router);
    fleet_free(console->application.fleet);
    template_set_free(console->application.templates);
    free(console);
}

/* An administrator with PASSWORD. */
static inline void add_administrator(struct console *console, const char *name, bool must_change)
{
    char hash[PASSWORD_HASH_SIZE];
    ok(password_hash(&console->application, PASSWORD, hash, &error));
    ok(store_administrator_create(console->scene->store, name, hash, must_change, &error));
}

/* --- what the last answer was --- */

static inline const char *body_of(const struct console *console)
{
    return buffer_text(&console->response.body);
}

static inline const char *header_of(const struct console *console, const char *name)
{
    return http_fields_get(&console->response.headers, name, true);
}

static inline bool shows(const struct console *console, const char *text)
{
    return strstr(body_of(console), text) != NULL;
}

#define assert_shows(console, text)                                                                \
    do {                                                                                           \
        if (!shows((console), (text)))                                                             \
            fail_msg("\"%s\" is missing in: %s", (text), body_of(console));                        \
    } while (0)
#define assert_hides(console, text)                                                                \
    do {                                                                                           \
        if (shows((console), (text)))                                                              \
            fail_msg("\"%s\" stands in: %s", (text), body_of(console));                            \
    } while (0)
#define assert_status(console, expected)                                                           \
    do {                                                                                           \
        if ((console)->response.status != (expected))                                              \
            fail_msg("%s: %d, not %d: %s", (console)->request.path, (console)->response.status,    \
                     (expected), body_of(console));                                                \
    } while (0)

static inline void assert_leads_to(const struct console *console, const char *path)
{
    assert_status(console, 303);
    assert_string_equal(header_of(console, "Location"), path);
}

/* --- asking --- */

static inline void keep_cookie(const char *header, const char *name, char kept[SECRET_TEXT_SIZE])
{
    size_t length = strlen(name);
    if (strncmp(header, name, length) != 0 || header[length] != '=')
        return;
    snprintf(kept, SECRET_TEXT_SIZE, "%.*s", (int)strcspn(header + length + 1, ";"),
             header + length + 1);
}

static inline void keep_cookies(struct console *console)
{
    const struct http_fields *headers = &console->response.headers;
    for (size_t i = 0; i < headers->count; i++) {
        if (strcmp(headers->items[i].name, "Set-Cookie") != 0)
            continue;
        keep_cookie(headers->items[i].value, SESSION_COOKIE, console->session);
        keep_cookie(headers->items[i].value, FORM_COOKIE, console->form);
    }
}

static inline void keep_csrf(struct console *console)
{
    static const char field[] = "name=\"csrf\" value=\"";
    const char *found = strstr(body_of(console), field);
    if (found)
        snprintf(console->csrf, sizeof console->csrf, "%.64s", found + sizeof field - 1);
}

static inline void add_header(struct console *console, const char *name, const char *value)
{
    assert_int_equal(
        http_request_add_header(&console->request, name, strlen(name), value, strlen(value)), 0);
}

static inline void add_cookies(struct console *console)
{
    char cookies[512] = "";
    if (console->session[0])
        snprintf(cookies, sizeof cookies, "%s=%s; ", SESSION_COOKIE, console->session);
    if (console->form[0])
        snprintf(cookies + strlen(cookies), sizeof cookies - strlen(cookies), "%s=%s", FORM_COOKIE,
                 console->form);
    if (cookies[0])
        add_header(console, "Cookie", cookies);
}

/* `body` may be NULL; `secret` goes into the header X-CSRF-Token, or nowhere where it is NULL. */
static inline void ask(struct console *console, const char *method, const char *target,
                       const char *body, const char *secret)
{
    http_request_clear(&console->request);
    http_response_clear(&console->response);
    console->request = (struct http_request){0};
    http_response_init(&console->response);
    console->request.method = http_method_parse(method);
    snprintf(console->request.peer, sizeof console->request.peer, "192.0.2.77");
    assert_int_equal(http_request_set_target(&console->request, target), 0);
    add_cookies(console);
    if (secret)
        add_header(console, "X-CSRF-Token", secret);
    if (body) {
        add_header(console, "Content-Type", "application/x-www-form-urlencoded");
        console->request.body = strdup(body);
        console->request.body_length = strlen(body);
    }
    assert_int_equal(http_request_read_cookies(&console->request), 0);
    assert_int_equal(http_request_finish(&console->request), 0);
    http_router_serve(console->router, &console->request, &console->response);
    keep_cookies(console);
    keep_csrf(console);
}

static inline void get(struct console *console, const char *target)
{
    ask(console, "GET", target, NULL, NULL);
}

/* Sends a form with the secret of the page that was shown last. */
static inline void post(struct console *console, const char *target, const char *fields)
{
    char body[8192];
    snprintf(body, sizeof body, "csrf=%s&%s", console->csrf, fields);
    ask(console, "POST", target, body, NULL);
}

static inline void try_sign_in(struct console *console, const char *name, const char *password)
{
    char fields[512];
    get(console, "/sign-in");
    snprintf(fields, sizeof fields, "name=%s&password=%s", name, password);
    post(console, "/sign-in", fields);
}

/* Signs in as an administrator who is made for it, and shows the dashboard. */
static inline void sign_in(struct console *console)
{
    add_administrator(console, NAME, false);
    try_sign_in(console, NAME, PASSWORD);
    assert_leads_to(console, "/");
    get(console, "/");
    assert_status(console, 200);
}

/* --- the world that is looked at --- */

/* Enrols a scanner that has said `status` (JSON text) of itself just now. */
static inline void add_scanner(struct console *console, const char *host_name, const char *status,
                               char id[37])
{
    static int number;
    char hash[SECRET_TEXT_SIZE], taken[256];
    int64_t version = 0;
    struct store *store = console->scene->store;
    snprintf(hash, sizeof hash, "%064d", ++number);
    cleanup_json json_t *smtp = fleet_smtp_settings(NULL, NULL, NULL);
    ok(store_enrolment_create(store, hash, host_name, timestamp_now_ms() + 60000, NAME, &error));
    ok(store_enrolment_use(store, hash, smtp, id, taken, &error));
    cleanup_json json_t *value = json_loads(status, 0, NULL);
    ok(store_configuration_version(store, &version, &error));
    ok(store_scanner_seen(store, id, version, 0, "", "0.1.0", value, &error));
}

/* --- tests that have a console of their own --- */

static inline int open_console(void **state)
{
    if (open_scene(state) != 0)
        return -1;
    *state = console_open(*state);
    return 0;
}

static inline int open_signed_in_console(void **state)
{
    if (open_console(state) != 0)
        return -1;
    sign_in(*state);
    return 0;
}

static inline int close_console(void **state)
{
    struct console *console = *state;
    *state = console->scene;
    console_close(console);
    return close_scene(state);
}

#define page_test(function) cmocka_unit_test_setup_teardown(function, open_console, close_console)
#define signed_in_page_test(function)                                                              \
    cmocka_unit_test_setup_teardown(function, open_signed_in_console, close_console)

#endif
