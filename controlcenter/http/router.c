/* Finds the handler of a request, guards it, and makes every response safe to show. */
#include "controlcenter/http/request.h"
#include "controlcenter/http/static_files.h"
#include "controlcenter/http/text.h"

#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CAPTURE_LIMIT (sizeof((struct http_request *)0)->captures / sizeof(char *))
#define STATIC_PREFIX "/static/"

struct http_router {
    const struct http_route *routes;
    struct http_guard guard;
    int webroot; /* -1 where nothing is served from files */
    void *context;
    void (*draw)(struct http_request *request, struct http_response *response, int status,
                 const char *message);
};

static bool route_is_sound(const struct http_route *route)
{
    size_t captures = 0;
    for (const char *at = route->path; at; at = strchr(at, '/')) {
        at++;
        captures += *at == ':';
    }
    return route->path[0] == '/' && captures <= CAPTURE_LIMIT && route->handler &&
           route->method != HTTP_OTHER && route->method != HTTP_HEAD;
}

struct http_router *http_router_new(const struct http_route *routes, const struct http_guard *guard,
                                    const char *webroot, void *context)
{
    for (const struct http_route *route = routes; route->path; route++) {
        bool unguarded = route->access != HTTP_PUBLIC && !(guard && guard->check);
        if (!route_is_sound(route) || unguarded) {
            log_error("route %s cannot be served", route->path);
            return NULL;
        }
    }
    struct http_router *router = calloc(1, sizeof *router);
    if (!router)
        return NULL;
    *router = (struct http_router){.routes = routes, .webroot = -1, .context = context};
    if (guard)
        router->guard = *guard;
    struct error error = {0};
    if (webroot && (router->webroot = static_files_open(webroot, &error)) < 0) {
        char text[700];
        log_error("%s", error_text(&error, text, sizeof text));
        free(router);
        return NULL;
    }
    return router;
}

void http_router_free(struct http_router *router)
{
    if (router && router->webroot >= 0)
        close(router->webroot);
    free(router);
}

void http_router_set_error_page(struct http_router *router,
                                void (*draw)(struct http_request *request,
                                             struct http_response *response, int status,
                                             const char *message))
{
    router->draw = draw;
}

static const char *usual_message(int status)
{
    switch (status) {
    case 400:
        return "The request is malformed.";
    case 401:
        return "Sign in first.";
    case 403:
        return "You may not do this.";
    case 404:
        return "There is nothing at this address.";
    case 405:
        return "This address does not take that kind of request.";
    case 413:
        return "The request is too large.";
    case 414:
        return "The address is too long.";
    case 431:
        return "The header of the request is too large.";
    case 500:
        return "Something went wrong here. The log of the Control Center says what.";
    case 503:
        return "The Control Center cannot answer at the moment. Try again.";
    default:
        return http_status_text(status);
    }
}

static void set_type(struct http_response *response, const char *type)
{
    snprintf(response->content_type, sizeof response->content_type, "%s", type);
}

void http_fail(struct http_request *request, struct http_response *response, int status,
               const char *message)
{
    struct http_router *router = request->router;
    message = message ? message : usual_message(status);
    response->status = status;
    /* Memory or a limit of the handler's may be why it failed. */
    buffer_free(&response->body);
    buffer_init(&response->body, HTTP_RESPONSE_LIMIT);
    set_type(response, "text/html; charset=utf-8");
    if (router && router->draw)
        router->draw(request, response, status, message);
    response->status = status;
    if (response->body.length > 0 && !response->body.failed)
        return;
    buffer_clear(&response->body);
    set_type(response, "text/plain; charset=utf-8");
    buffer_add_format(&response->body, "%d %s\n%s\n", status, http_status_text(status), message);
}

/* Replaces what a handler may have said of the same name. */
static void set_header(struct http_response *response, const char *name, const char *value)
{
    struct http_fields *headers = &response->headers;
    size_t kept = 0;
    for (size_t i = 0; i < headers->count; i++) {
        if (strcasecmp(headers->items[i].name, name) == 0) {
            free(headers->items[i].name);
            free(headers->items[i].value);
        } else {
            headers->items[kept++] = headers->items[i];
        }
    }
    headers->count = kept;
    http_add_header(response, name, value);
}

static void secure(struct http_response *response)
{
    static const char *const headers[][2] = {
        {"Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
                                    "form-action 'self'; object-src 'none'"},
        {"Strict-Transport-Security", "max-age=31536000"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "same-origin"},
        {"Permissions-Policy",
         "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        set_header(response, headers[i][0], headers[i][1]);
    if (!http_fields_get(&response->headers, "Cache-Control", true))
        http_add_header(response, "Cache-Control", "no-store");
    if (!text_is_clean(response->content_type, strlen(response->content_type), TEXT_ONE_LINE))
        set_type(response, "application/octet-stream");
}

static void free_captures(struct http_request *request)
{
    for (size_t i = 0; i < request->capture_count; i++)
        free(request->captures[i]);
    request->capture_count = 0;
}

/* Whether the path has the route's segments. A capture takes one segment that is not empty. */
static bool path_matches(const char *pattern, const char *path)
{
    for (;;) {
        size_t pattern_length = strcspn(pattern, "/"), length = strcspn(path, "/");
        if (pattern[0] == ':' ? length == 0
                              : length != pattern_length || memcmp(pattern, path, length) != 0)
            return false;
        pattern += pattern_length;
        path += length;
        if (*pattern == '\0' || *path == '\0')
            return *pattern == *path;
        pattern++;
        path++;
    }
}

static bool take_captures(const char *pattern, struct http_request *request)
{
    const char *path = request->path;
    for (;;) {
        size_t length = strcspn(path, "/");
        if (pattern[0] == ':') {
            char *value = strndup(path, length);
            if (!value)
                return false;
            request->captures[request->capture_count++] = value;
        }
        pattern += strcspn(pattern, "/");
        path += length;
        if (*pattern == '\0')
            return true;
        pattern++;
        path++;
    }
}

static enum http_method routed_method(const struct http_request *request)
{
    return request->method == HTTP_HEAD ? HTTP_GET : request->method;
}

static const struct http_route *find_route(const struct http_router *router,
                                           const struct http_request *request)
{
    for (const struct http_route *route = router->routes; route->path; route++)
        if (route->method == routed_method(request) && path_matches(route->path, request->path))
            return route;
    return NULL;
}

/* 405 with the methods that the path does take, or 404. */
static void answer_no_route(const struct http_router *router, struct http_request *request,
                            struct http_response *response)
{
    bool takes[HTTP_OTHER + 1] = {false};
    for (const struct http_route *route = router->routes; route->path; route++)
        if (path_matches(route->path, request->path))
            takes[route->method] = true;
    char allow[64];
    snprintf(allow, sizeof allow, "%s%s%s%s", takes[HTTP_GET] ? ", GET, HEAD" : "",
             takes[HTTP_POST] ? ", POST" : "", takes[HTTP_PUT] ? ", PUT" : "",
             takes[HTTP_DELETE] ? ", DELETE" : "");
    if (allow[0] == '\0') {
        http_fail(request, response, 404, NULL);
        return;
    }
    http_add_header(response, "Allow", allow + 2);
    http_fail(request, response, 405, NULL);
}

static void serve_static(struct http_router *router, struct http_request *request,
                         struct http_response *response)
{
    if (routed_method(request) == HTTP_GET) {
        static_file_serve(router->webroot, request->path + sizeof STATIC_PREFIX - 1, request,
                          response);
    } else {
        http_add_header(response, "Allow", "GET, HEAD");
        response->status = 405;
    }
}

static void serve_route(struct http_router *router, struct http_request *request,
                        struct http_response *response)
{
    const struct http_route *route = find_route(router, request);
    if (!route) {
        answer_no_route(router, request, response);
        return;
    }
    free_captures(request);
    if (!take_captures(route->path, request)) {
        response->status = 500;
        return;
    }
    if (!router->guard.check || router->guard.check(request, response, route->access))
        route->handler(request, response);
}

size_t http_router_body_limit(struct http_router *router, struct http_request *request, size_t most)
{
    size_t limit = HTTP_STRANGER_LIMIT;
    if (!router->guard.is_signed_in)
        return most;
    request->context = router->context;
    if (router->guard.is_signed_in(request)) {
        const struct http_route *route = find_route(router, request);
        limit = route && route->access == HTTP_UPLOAD ? HTTP_BODY_LIMIT : HTTP_FORM_LIMIT;
    }
    return limit < most ? limit : most;
}

void http_router_serve(struct http_router *router, struct http_request *request,
                       struct http_response *response)
{
    request->router = router;
    request->context = router->context;
    if (response->status == 0)
        http_response_init(response);
    if (router->webroot >= 0 &&
        strncmp(request->path, STATIC_PREFIX, sizeof STATIC_PREFIX - 1) == 0)
        serve_static(router, request, response);
    else
        serve_route(router, request, response);
    if (response->body.failed) {
        log_error("response to %s is too large or memory ran out", request->path);
        http_fail(request, response, 500, NULL);
    } else if (response->status >= 400 && response->body.length == 0) {
        http_fail(request, response, response->status, NULL);
    }
    if (request->session && router->guard.release)
        router->guard.release(request->session);
    request->session = NULL;
    secure(response);
}

void http_router_refuse(struct http_router *router, struct http_request *request,
                        struct http_response *response, int status, const char *message)
{
    char root[] = "/", none[] = "";
    struct http_request empty = {.path = root, .query = none};
    struct http_request *drawn = status == 413 && request->path ? request : &empty;
    drawn->router = router;
    drawn->context = router->context;
    http_response_clear(response);
    http_fail(drawn, response, status, message);
    secure(response);
}
