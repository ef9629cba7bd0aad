/* The request core, with this test as its transport. */
#include "controlcenter/http/request.h"

#include "common/cleanup.h"
#include "common/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static int checks, releases;

static void show_captures(struct http_request *request, struct http_response *response)
{
    buffer_add_text(&response->body, request->path);
    for (size_t i = 0; i < request->capture_count; i++)
        buffer_add_format(&response->body, "|%s", request->captures[i]);
}

static void show_context(struct http_request *request, struct http_response *response)
{
    buffer_add_text(&response->body, request->context);
}

static void misbehave(struct http_request *request, struct http_response *response)
{
    (void)request;
    http_add_header(response, "X-Split", "a\r\nSet-Cookie: b=c");
    http_add_header(response, "Bad Name", "a");
    http_add_header(response, "Content-Length", "5");
    http_add_header(response, "X-Frame", "fine");
    http_add_header(response, "content-security-policy", "default-src *");
    snprintf(response->content_type, sizeof response->content_type, "text/html\r\nX-Evil: 1");
    buffer_add_text(&response->body, "x");
}

static void only_status(struct http_request *request, struct http_response *response)
{
    (void)request;
    response->status = 404;
}

static void too_much(struct http_request *request, struct http_response *response)
{
    (void)request;
    buffer_init(&response->body, 10);
    buffer_add_text(&response->body, "more than ten bytes");
}

static const struct http_route routes[] = {
    {HTTP_GET, "/", HTTP_PUBLIC, show_context},
    {HTTP_GET, "/hosts/new", HTTP_PUBLIC, show_context},
    {HTTP_GET, "/hosts/:id", HTTP_PUBLIC, show_captures},
    {HTTP_POST, "/hosts/:id", HTTP_PUBLIC, show_captures},
    {HTTP_DELETE, "/hosts/:id", HTTP_PUBLIC, show_captures},
    {HTTP_GET, "/a/:b/c/:d", HTTP_PUBLIC, show_captures},
    {HTTP_GET, "/private", HTTP_SIGNED_IN, show_captures},
    {HTTP_POST, "/upload", HTTP_UPLOAD, show_captures},
    {HTTP_GET, "/misbehave", HTTP_PUBLIC, misbehave},
    {HTTP_GET, "/only-status", HTTP_PUBLIC, only_status},
    {HTTP_GET, "/too-much", HTTP_PUBLIC, too_much},
    {HTTP_OTHER, NULL, HTTP_PUBLIC, NULL},
};

static bool check(struct http_request *request, struct http_response *response,
                  enum http_access access)
{
    checks++;
    request->session = &checks;
    if (access == HTTP_PUBLIC)
        return true;
    http_redirect(response, "/sign-in");
    return false;
}

static void release(void *session)
{
    assert_ptr_equal(session, &checks);
    releases++;
}

static char context[] = "context";

static bool is_signed_in(const struct http_request *request)
{
    const char *cookie = http_cookie(request, "session");
    assert_ptr_equal(request->context, context);
    return cookie && strcmp(cookie, "good") == 0;
}

static const struct http_guard guard = {check, release, is_signed_in};
static char folder[] = "/tmp/test-http-XXXXXX";

/* One request through the router, as a transport does it. */
struct talk {
    struct http_request request;
    struct http_response response;
};

static struct http_router *new_router(void)
{
    struct http_router *router = http_router_new(routes, &guard, folder, context);
    assert_non_null(router);
    return router;
}

static void talk(struct talk *talk, struct http_router *router, const char *method,
                 const char *target, const char *header, const char *value)
{
    *talk = (struct talk){0};
    http_response_init(&talk->response);
    talk->request.method = http_method_parse(method);
    int status = http_request_set_target(&talk->request, target);
    if (status == 0 && header)
        status =
            http_request_add_header(&talk->request, header, strlen(header), value, strlen(value));
    if (status == 0)
        status = http_request_finish(&talk->request);
    if (status)
        http_router_refuse(router, &talk->request, &talk->response, status, NULL);
    else
        http_router_serve(router, &talk->request, &talk->response);
}

static void end(struct talk *talk)
{
    http_request_clear(&talk->request);
    http_response_clear(&talk->response);
}

static const char *header(const struct talk *talk, const char *name)
{
    return http_fields_get(&talk->response.headers, name, true);
}

/* Status and body ("" is not compared) of one request. */
static void expect(const char *method, const char *target, int status, const char *body)
{
    struct http_router *router = new_router();
    struct talk one;
    talk(&one, router, method, target, NULL, NULL);
    if (one.response.status != status)
        fail_msg("%s %s: %d, not %d", method, target, one.response.status, status);
    if (body[0])
        assert_string_equal(buffer_text(&one.response.body), body);
    end(&one);
    http_router_free(router);
}

static void requests_reach_their_route(void **state)
{
    (void)state;
    expect("GET", "/", 200, "context");
    expect("GET", "/hosts/new", 200, "context");
    expect("GET", "/hosts/7?x=1", 200, "/hosts/7|7");
    expect("HEAD", "/hosts/7", 200, "/hosts/7|7");
    expect("POST", "/hosts/a%20b", 200, "/hosts/a b|a b");
    expect("GET", "/a/1/c/2", 200, "/a/1/c/2|1|2");
    expect("GET", "https://console.example/hosts/7", 200, "/hosts/7|7");
    expect("GET", "http://console.example", 200, "context");
    expect("GET", "/hosts", 404, "");
    expect("GET", "/hosts/", 404, "");
    expect("GET", "/hosts/7/", 404, "");
    expect("GET", "//hosts/7", 404, "");
    expect("GET", "/a/1/c", 404, "");
    expect("GET", "/nothing", 404, "404 Not Found\nThere is nothing at this address.\n");
}

static void other_methods_are_told_which_are_allowed(void **state)
{
    (void)state;
    struct http_router *router = new_router();
    static const char *const methods[] = {"PUT", "PATCH", "TRACE", "OPTIONS", "get"};
    struct talk one;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        talk(&one, router, methods[i], "/hosts/7", NULL, NULL);
        assert_int_equal(one.response.status, 405);
        assert_string_equal(header(&one, "Allow"), "GET, HEAD, POST, DELETE");
        end(&one);
    }
    talk(&one, router, "POST", "/static/a.css", NULL, NULL);
    assert_int_equal(one.response.status, 405);
    assert_string_equal(header(&one, "Allow"), "GET, HEAD");
    end(&one);
    http_router_free(router);
}

static void targets_that_are_not_clean_are_malformed(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "",
        "*",
        "hosts",
        "ftp://a/b",
        "/a#b",
        "/%",
        "/%4",
        "/%zz",
        "/%00",
        "/%0a",
        "/%7f",
        "/%c2%80",
        "/%ff",
        "/%c0%af",
        "/%ed%a0%80",
        "/%f4%90%80%80",
        "/hosts/\x01",
        "/hosts/\xff",
        "/.",
        "/..",
        "/a/../b",
        "/a/./b",
        "/a/%2e%2e/b",
        "/%2E/",
        "/hosts/a%2fb",
        "/hosts/..%2F",
        "/?a=%00",
        "/?a=%0d%0a",
        "/?%ff=1",
        "/?a=%1",
        "/?a=\xff",
        "/?\x7f",
        "http://?a",
        "/static/%2e%2e/a",
    };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        expect("GET", targets[i], 400, "400 Bad Request\nThe request is malformed.\n");
    expect("GET", "/hosts/...", 200, "/hosts/...|...");
    expect("GET", "/hosts/%25%32%66", 200, "/hosts/%2f|%2f"); /* decoded once */
    expect("GET", "/hosts/Gr%C3%BC%C3%9Fe", 200, "/hosts/Grüße|Grüße");
}

static void long_targets_and_many_parameters_are_refused(void **state)
{
    (void)state;
    char target[HTTP_TARGET_LIMIT + 2];
    memset(target, 'a', sizeof target);
    target[0] = '/';
    target[sizeof target - 1] = '\0';
    expect("GET", target, 414, "");
    target[sizeof target - 2] = '\0';
    expect("GET", target, 404, "");
    struct http_request request = {.body = malloc(3 * (HTTP_FIELD_COUNT_LIMIT + 1))};
    assert_non_null(request.body);
    assert_int_equal(http_request_add_header(&request, "Content-Type", 12,
                                             "application/x-www-form-urlencoded", 33),
                     0);
    for (size_t i = 0; i <= HTTP_FIELD_COUNT_LIMIT; i++)
        memcpy(request.body + 3 * i, "a=&", 3);
    request.body_length = 3 * HTTP_FIELD_COUNT_LIMIT;
    assert_int_equal(http_request_finish(&request), 0);
    assert_int_equal(request.form.count, HTTP_FIELD_COUNT_LIMIT);
    http_fields_clear(&request.form);
    request.body_length += 3;
    assert_int_equal(http_request_finish(&request), 400);
    http_request_clear(&request);
}

static void query_parameters_are_decoded_once(void **state)
{
    (void)state;
    struct http_request request = {0};
    assert_int_equal(
        http_request_set_target(&request, "/a?x=1+2&&y=%2B%2526&z&=w&x=3&m=%C3%BC=%3D"), 0);
    assert_string_equal(request.path, "/a");
    assert_string_equal(request.query, "x=1+2&&y=%2B%2526&z&=w&x=3&m=%C3%BC=%3D");
    assert_string_equal(http_query(&request, "x"), "1 2");
    assert_string_equal(http_query(&request, "y"), "+%26");
    assert_string_equal(http_query(&request, "z"), "");
    assert_string_equal(http_query(&request, ""), "w");
    assert_string_equal(http_query(&request, "m"), "ü==");
    assert_null(http_query(&request, "X"));
    assert_int_equal(request.query_fields.count, 6);
    http_request_clear(&request);
}

static int parse_form(struct http_request *request, const char *type, const char *body)
{
    *request = (struct http_request){.body = strdup(body), .body_length = strlen(body)};
    int status = http_request_add_header(request, "content-type", 12, type, strlen(type));
    return status ? status : http_request_finish(request);
}

static void forms_are_decoded_once(void **state)
{
    (void)state;
    static const char type[] = "application/x-www-form-urlencoded";
    struct http_request request;
    assert_int_equal(parse_form(&request, type, "a=1%202&b=l1%0D%0Al2%0Dl3%09x&c=%3Cb%3E"), 0);
    assert_string_equal(http_form(&request, "a"), "1 2");
    assert_null(http_form(&request, "b"));
    assert_string_equal(http_form_lines(&request, "b"), "l1\nl2\nl3 x");
    assert_string_equal(http_form(&request, "c"), "<b>");
    http_request_clear(&request);
    assert_int_equal(
        parse_form(&request, "Application/X-WWW-Form-URLEncoded; charset=utf-8", "a=1"), 0);
    assert_string_equal(http_form(&request, "a"), "1");
    http_request_clear(&request);
    static const char *const others[] = {"application/json", "application/x-www-form-urlencodedx",
                                         "text/plain", ""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(parse_form(&request, others[i], "a=%00"), 0);
        assert_int_equal(request.form.count, 0);
        http_request_clear(&request);
    }
    static const char *const wrong[] = {"a=%00", "a=%",    "a=%ff",   "%0a=1",
                                        "a=%1b", "a=\x01", "a=%c2%85"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(parse_form(&request, type, wrong[i]), 400);
        http_request_clear(&request);
    }
}

static int add(struct http_request *request, const char *name, const char *value)
{
    return http_request_add_header(request, name, strlen(name), value, strlen(value));
}

static void headers_are_checked(void **state)
{
    (void)state;
    struct http_request request = {0};
    assert_int_equal(add(&request, "X-One", "a\tb"), 0);
    assert_string_equal(http_header(&request, "x-oNE"), "a b");
    assert_int_equal(add(&request, "X One", "a"), 400);
    assert_int_equal(add(&request, "", "a"), 400);
    assert_int_equal(add(&request, "X-One:", "a"), 400);
    assert_int_equal(add(&request, "X-Two", "a\x01"), 400);
    assert_int_equal(add(&request, "X-Two", "a\xff"), 400);
    assert_int_equal(http_request_add_header(&request, "X-Two", 5, "a\0b", 3), 400);
    assert_int_equal(add(&request, "Host", "a"), 0);
    assert_int_equal(add(&request, "host", "a"), 400);
    assert_int_equal(request.headers.count, 2);
    http_request_clear(&request);
    for (size_t i = 0; i < HTTP_HEADER_COUNT_LIMIT; i++)
        assert_int_equal(add(&request, "X", "y"), 0);
    assert_int_equal(add(&request, "X", "y"), 431);
    http_request_clear(&request);
    cleanup_free char *large = calloc(1, HTTP_HEADER_LIMIT + 2);
    assert_non_null(large);
    memset(large, 'a', HTTP_HEADER_LIMIT + 1);
    assert_int_equal(add(&request, "X", large), 431);
    http_request_clear(&request);
}

static void framing_that_two_readers_could_read_differently_is_refused(void **state)
{
    (void)state;
    struct http_request request = {0};
    size_t length;
    bool present;
    assert_int_equal(add(&request, "Content-Length", "5"), 0);
    assert_int_equal(add(&request, "content-length", "5"), 400);
    assert_int_equal(add(&request, "Transfer-Encoding", "chunked"), 400);
    assert_int_equal(http_request_content_length(&request, &length, &present), 0);
    assert_true(present && length == 5);
    http_request_clear(&request);
    assert_int_equal(add(&request, "Transfer-Encoding", "chunked"), 0);
    assert_int_equal(add(&request, "Content-Length", "5"), 400);
    assert_int_equal(add(&request, "Transfer-Encoding", "chunked"), 400);
    http_request_clear(&request);
    assert_int_equal(add(&request, "Transfer-Encoding", "gzip, chunked"), 501);
    static const char *const wrong[] = {"",     "-1",  "+1",  "0x5",
                                        "5, 5", "5 5", "1e3", "9999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(add(&request, "Content-Length", wrong[i]), 0);
        assert_int_equal(http_request_content_length(&request, &length, &present), 400);
        http_request_clear(&request);
    }
}

static void cookies_of_others_do_no_harm(void **state)
{
    (void)state;
    struct http_request request = {0};
    assert_int_equal(
        add(&request, "Cookie", "a=1;b=2; bad=%zz; c d=3; =4; e ; nul=%00; f=x=y ;  g=%3B%25; a=9"),
        0);
    assert_int_equal(add(&request, "Cookie", "h=\"q\""), 0);
    assert_int_equal(http_request_read_cookies(&request), 0);
    assert_string_equal(http_cookie(&request, "a"), "1");
    assert_string_equal(http_cookie(&request, "b"), "2");
    assert_string_equal(http_cookie(&request, "f"), "x=y");
    assert_string_equal(http_cookie(&request, "g"), ";%");
    assert_string_equal(http_cookie(&request, "h"), "\"q\"");
    assert_null(http_cookie(&request, "bad"));
    assert_null(http_cookie(&request, "nul"));
    assert_null(http_cookie(&request, "e"));
    assert_int_equal(request.cookies.count, 6);
    http_request_clear(&request);
}

static void cookies_are_set_for_this_site_only(void **state)
{
    (void)state;
    struct http_response response;
    http_response_init(&response);
    http_set_cookie(&response, "session", "a;b\r\n %", 0);
    http_set_cookie(&response, "session", "x", 60);
    http_set_cookie(&response, "session", "x", -1);
    http_set_cookie(&response, "bad name", "x", 0);
    assert_int_equal(response.headers.count, 3);
    assert_string_equal(response.headers.items[0].value,
                        "session=a%3Bb%0D%0A%20%25; Path=/; Secure; HttpOnly; SameSite=Lax");
    assert_string_equal(response.headers.items[1].value,
                        "session=x; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60");
    assert_string_equal(response.headers.items[2].value,
                        "session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    http_response_clear(&response);
}

static void redirects_stay_on_this_site(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/audit?a=1%20&b", "/audit?a=1%20&b"},
        {"/a b\"<\xc3\xbc", "/a%20b%22%3C%C3%BC"},
        {"//evil.example", "/"},
        {"/\\evil.example", "/"},
        {"https://evil.example", "/"},
        {"", "/"},
        {"/a\r\nX: y", "/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_response response;
        http_response_init(&response);
        http_redirect(&response, cases[i][0]);
        assert_int_equal(response.status, 303);
        assert_string_equal(http_fields_get(&response.headers, "Location", true), cases[i][1]);
        http_response_clear(&response);
    }
}

static void the_guard_answers_instead_and_sessions_are_released(void **state)
{
    (void)state;
    struct http_router *router = new_router();
    struct talk one;
    checks = releases = 0;
    talk(&one, router, "GET", "/private", NULL, NULL);
    assert_int_equal(one.response.status, 303);
    assert_string_equal(header(&one, "Location"), "/sign-in");
    assert_int_equal(one.response.body.length, 0);
    end(&one);
    talk(&one, router, "GET", "/", NULL, NULL);
    end(&one);
    talk(&one, router, "GET", "/nothing", NULL, NULL);
    end(&one);
    assert_int_equal(checks, 2);
    assert_int_equal(releases, 2);
    http_router_free(router);
}

static void every_answer_has_the_security_headers(void **state)
{
    (void)state;
    struct http_router *router = new_router();
    static const char *const targets[] = {"/",    "/private",   "/nothing",
                                          "/%00", "/misbehave", "/static/a.css"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        struct talk one;
        talk(&one, router, "GET", targets[i], NULL, NULL);
        assert_string_equal(header(&one, "Content-Security-Policy"),
                            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
                            "form-action 'self'; object-src 'none'");
        assert_string_equal(header(&one, "Strict-Transport-Security"), "max-age=31536000");
        assert_string_equal(header(&one, "X-Content-Type-Options"), "nosniff");
        assert_string_equal(header(&one, "Referrer-Policy"), "same-origin");
        assert_non_null(header(&one, "Permissions-Policy"));
        bool is_static = strncmp(targets[i], "/static/", 8) == 0;
        assert_string_equal(header(&one, "Cache-Control"),
                            is_static ? "public, max-age=3600" : "no-store");
        end(&one);
    }
    http_router_free(router);
}

static void a_handler_cannot_split_or_weaken_the_response(void **state)
{
    (void)state;
    struct http_router *router = new_router();
    struct talk one;
    talk(&one, router, "GET", "/misbehave", NULL, NULL);
    assert_null(header(&one, "X-Split"));
    assert_null(header(&one, "Bad Name"));
    assert_null(header(&one, "Content-Length"));
    assert_string_equal(header(&one, "X-Frame"), "fine");
    assert_string_equal(one.response.content_type, "application/octet-stream");
    end(&one);
    talk(&one, router, "GET", "/too-much", NULL, NULL);
    assert_int_equal(one.response.status, 500);
    assert_non_null(strstr(buffer_text(&one.response.body), "500"));
    end(&one);
    http_router_free(router);
}

static void draw(struct http_request *request, struct http_response *response, int status,
                 const char *message)
{
    buffer_add_format(&response->body, "%s: %d %s", request->path, status, message);
}

static void error_pages_are_drawn(void **state)
{
    (void)state;
    struct http_router *router = new_router();
    http_router_set_error_page(router, draw);
    static const char *const cases[][2] = {
        {"/nothing", "/nothing: 404 There is nothing at this address."},
        {"/only-status", "/only-status: 404 There is nothing at this address."},
        {"/a%0ab", "/: 400 The request is malformed."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct talk one;
        talk(&one, router, "GET", cases[i][0], NULL, NULL);
        assert_string_equal(buffer_text(&one.response.body), cases[i][1]);
        assert_string_equal(one.response.content_type, "text/html; charset=utf-8");
        end(&one);
    }
    http_router_free(router);
}

static void write_file(const char *name, const char *text)
{
    char path[256];
    struct error error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(file_write_atomic(path, text, strlen(text), 0600, &error));
}

static void static_files_are_served_with_their_type(void **state)
{
    (void)state;
    struct http_router *router = new_router();
    struct talk one;
    talk(&one, router, "GET", "/static/a.css", NULL, NULL);
    assert_int_equal(one.response.status, 200);
    assert_string_equal(buffer_text(&one.response.body), "a{}");
    assert_string_equal(one.response.content_type, "text/css; charset=utf-8");
    char etag[64];
    snprintf(etag, sizeof etag, "%s", header(&one, "ETag"));
    assert_int_equal(strlen(etag), 34);
    end(&one);
    write_file("a.css", "a{b}");
    talk(&one, router, "GET", "/static/a.css", "If-None-Match", etag);
    assert_int_equal(one.response.status, 200);
    assert_string_not_equal(header(&one, "ETag"), etag);
    end(&one);
    write_file("a.css", "a{}");
    talk(&one, router, "GET", "/static/sub/b.bin", NULL, NULL);
    assert_string_equal(one.response.content_type, "application/octet-stream");
    assert_string_equal(buffer_text(&one.response.body), "b");
    end(&one);
    talk(&one, router, "GET", "/static/empty.txt", NULL, NULL);
    assert_int_equal(one.response.status, 200);
    assert_int_equal(one.response.body.length, 0);
    end(&one);
    http_router_free(router);
}

static void a_client_that_has_the_file_is_told_so(void **state)
{
    (void)state;
    struct http_router *router = new_router();
    struct talk one;
    char etag[64], list[256];
    talk(&one, router, "GET", "/static/a.css", NULL, NULL);
    snprintf(etag, sizeof etag, "%s", header(&one, "ETag"));
    end(&one);
    static const char *const same[] = {"%s", "W/%s", "\"x\", %s", "\"x\",W/\"y\" ,W/%s", "*"};
    static const char *const different[] = {"\"x\"", "\"x%s", "x, %s", "", "\""};
    for (size_t i = 0; i < 2 * sizeof same / sizeof *same; i++) {
        bool matches = i < sizeof same / sizeof *same;
        const char *form = matches ? same[i] : different[i - sizeof same / sizeof *same];
        const char *place = strstr(form, "%s");
        int before = place ? (int)(place - form) : (int)strlen(form);
        snprintf(list, sizeof list, "%.*s%s", before, form, place ? etag : "");
        talk(&one, router, "GET", "/static/a.css", "If-None-Match", list);
        if (one.response.status != (matches ? 304 : 200))
            fail_msg("%s: %d", list, one.response.status);
        assert_string_equal(header(&one, "ETag"), etag);
        end(&one);
    }
    http_router_free(router);
}

static void nothing_outside_the_webroot_is_served(void **state)
{
    (void)state;
    expect("GET", "/static/", 404, "");
    expect("GET", "/static/sub", 404, "");
    expect("GET", "/static/sub/", 404, "");
    expect("GET", "/static//sub/b.bin", 404, "");
    expect("GET", "/static//etc/passwd", 404, "");
    expect("GET", "/static/.secret", 404, "");
    expect("GET", "/static/link", 404, "");
    expect("GET", "/static/linked/b.bin", 404, "");
    expect("GET", "/static/fifo", 404, "");
    expect("GET", "/static/large", 404, "");
    expect("GET", "/static/a.css/x", 404, "");
    expect("GET", "/static/../../etc/passwd", 400, "");
    expect("GET", "/static/..%2f..%2fetc/passwd", 400, "");
    expect("GET", "/static/%2e%2e/%2e%2e/etc/passwd", 400, "");
    expect("GET", "/static/%252e%252e/etc/passwd", 404, "");
}

static void tables_that_cannot_work_are_refused(void **state)
{
    (void)state;
    static const struct http_route wrong[][2] = {
        {{HTTP_GET, "a", HTTP_PUBLIC, show_captures}, {.path = NULL}},
        {{HTTP_GET, "/a", HTTP_PUBLIC, NULL}, {.path = NULL}},
        {{HTTP_HEAD, "/a", HTTP_PUBLIC, show_captures}, {.path = NULL}},
        {{HTTP_GET, "/:a/:b/:c/:d/:e", HTTP_PUBLIC, show_captures}, {.path = NULL}},
    };
    static const struct http_route guarded[] = {{HTTP_GET, "/a", HTTP_SIGNED_IN, show_captures},
                                                {.path = NULL}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_null(http_router_new(wrong[i], &guard, NULL, NULL));
    assert_null(http_router_new(guarded, NULL, NULL, NULL));
    assert_null(http_router_new(routes, &guard, "/nowhere/at/all", NULL));
    struct http_router *router = http_router_new(guarded, &guard, NULL, NULL);
    assert_non_null(router);
    http_router_free(router);
}

static void json_goes_into_the_body(void **state)
{
    (void)state;
    struct http_response response;
    http_response_init(&response);
    cleanup_json json_t *value = json_pack("{s:s}", "a", "ü<");
    http_json(&response, 409, value);
    assert_int_equal(response.status, 409);
    assert_string_equal(response.content_type, "application/json");
    assert_string_equal(buffer_text(&response.body), "{\"a\":\"ü<\"}");
    http_response_clear(&response);
    struct buffer encoded = BUFFER_INIT;
    assert_true(http_encode(&encoded, "a b/ü&~"));
    assert_string_equal(buffer_text(&encoded), "a%20b%2F%C3%BC%26~");
    buffer_free(&encoded);
}

/* Random bytes never reach a page unless they are clean text. */
static void random_requests_are_refused_or_clean(void **state)
{
    (void)state;
    static const char alphabet[] = "/.%2eEfF0a?&=+;#:\\ \t\r\n\x01\x7f\xc3\xbc\xff\"'<";
    uint32_t seed = 20260131;
    unsigned served = 0;
    for (int round = 0; round < 50000; round++) {
        char text[48] = "/";
        size_t length = 1 + (seed >> 8) % (sizeof text - 2);
        for (size_t i = 1; i < length; i++) {
            seed = seed * 1664525u + 1013904223u;
            text[i] = alphabet[(seed >> 8) % (sizeof alphabet - 1)];
        }
        seed = seed * 1664525u + 1013904223u;
        struct http_request request = {0};
        if (http_request_set_target(&request, text) == 0 && add(&request, "Cookie", text) == 0 &&
            http_request_read_cookies(&request) == 0) {
            served++;
            for (const char *at = request.path; *at; at++)
                assert_false((unsigned char)*at < 0x20 || *at == 0x7f);
            assert_null(strstr(request.path, "/../"));
            assert_int_equal(request.path[0], '/');
        }
        http_request_clear(&request);
    }
    assert_true(served > 500);
}

static void bodies_are_as_large_as_who_sends_them_and_where_allow(void **state)
{
    (void)state;
    static const struct {
        const char *cookie, *path;
        size_t most, limit;
    } cases[] = {{NULL, "/upload", SIZE_MAX, HTTP_STRANGER_LIMIT},
                 {"session=bad", "/upload", SIZE_MAX, HTTP_STRANGER_LIMIT},
                 {"session=good", "/upload", SIZE_MAX, HTTP_BODY_LIMIT},
                 {"session=good", "/upload", 100, 100},
                 {"session=good", "/hosts/1", SIZE_MAX, HTTP_FORM_LIMIT},
                 {"session=good", "/nothing", SIZE_MAX, HTTP_FORM_LIMIT}};
    struct http_router *router = new_router();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_request request = {.method = HTTP_POST};
        assert_int_equal(http_request_set_target(&request, cases[i].path), 0);
        if (cases[i].cookie)
            assert_int_equal(add(&request, "Cookie", cases[i].cookie), 0);
        assert_int_equal(http_request_read_cookies(&request), 0);
        assert_int_equal(http_router_body_limit(router, &request, cases[i].most), cases[i].limit);
        http_request_clear(&request);
    }
    http_router_free(router);
}

static int prepare(void **state)
{
    char path[256], target[256];
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/sub", folder);
    mkdir(path, 0700);
    write_file("a.css", "a{}");
    write_file("empty.txt", "");
    write_file("sub/b.bin", "b");
    write_file(".secret", "s");
    write_file("large", "");
    snprintf(path, sizeof path, "%s/large", folder);
    if (truncate(path, (16 << 20) + 1) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/link", folder);
    snprintf(target, sizeof target, "%s/a.css", folder);
    if (symlink(target, path) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/linked", folder);
    if (symlink("sub", path) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/fifo", folder);
    return mkfifo(path, 0600);
}

static int tidy(void **state)
{
    static const char *const made[] = {"a.css", "empty.txt", "sub/b.bin", ".secret",
                                       "large", "link",      "linked",    "fifo"};
    char path[256];
    (void)state;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, made[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/sub", folder);
    rmdir(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_reach_their_route),
        cmocka_unit_test(other_methods_are_told_which_are_allowed),
        cmocka_unit_test(targets_that_are_not_clean_are_malformed),
        cmocka_unit_test(long_targets_and_many_parameters_are_refused),
        cmocka_unit_test(query_parameters_are_decoded_once),
        cmocka_unit_test(forms_are_decoded_once),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(framing_that_two_readers_could_read_differently_is_refused),
        cmocka_unit_test(cookies_of_others_do_no_harm),
        cmocka_unit_test(cookies_are_set_for_this_site_only),
        cmocka_unit_test(redirects_stay_on_this_site),
        cmocka_unit_test(the_guard_answers_instead_and_sessions_are_released),
        cmocka_unit_test(every_answer_has_the_security_headers),
        cmocka_unit_test(a_handler_cannot_split_or_weaken_the_response),
        cmocka_unit_test(error_pages_are_drawn),
        cmocka_unit_test(static_files_are_served_with_their_type),
        cmocka_unit_test(a_client_that_has_the_file_is_told_so),
        cmocka_unit_test(nothing_outside_the_webroot_is_served),
        cmocka_unit_test(tables_that_cannot_work_are_refused),
        cmocka_unit_test(json_goes_into_the_body),
        cmocka_unit_test(random_requests_are_refused_or_clean),
        cmocka_unit_test(bodies_are_as_large_as_who_sends_them_and_where_allow),
    };
    return cmocka_run_group_tests(tests, prepare, tidy);
}
