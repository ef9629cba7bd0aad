/* The request core: what a page sees of HTTP, whatever transport brought the request. */
#ifndef GATEHOUSE_CONTROLCENTER_HTTP_HTTP_H
#define GATEHOUSE_CONTROLCENTER_HTTP_HTTP_H

#include "common/buffer.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

#define HTTP_BODY_LIMIT (16u << 20)       /* bytes of an upload to the console (HTTP_UPLOAD) */
#define HTTP_FORM_LIMIT (1u << 20)        /* bytes of any other body of somebody who is signed in */
#define HTTP_STRANGER_LIMIT (64u << 10)   /* bytes of a body from anybody else */
#define HTTP_FLEET_BODY_LIMIT (32u << 20) /* bytes of a fleet request's body */

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_OTHER };

struct http_field { /* one header field, cookie, query or form parameter; percent-decoded */
    char *name;
    char *value;
};

struct http_fields {
    struct http_field *items;
    size_t count;
};

struct http_file { /* of a form; not looked at in any way */
    char *name;    /* of the form's field */
    char *data;    /* followed by a NUL that does not count */
    size_t length; /* above 0 */
};

struct http_router;

/* A complete request; the transport fills it and owns it until the response has been sent. All text
 * is valid UTF-8 without control characters, or the request was answered 400 before any page; only
 * form values (and `body`) may have line ends, always LF, which http_form does not hand out. An
 * encoded slash (%2F) in the path is answered 400 too; cookies that are not clean are left out. */
struct http_request {
    enum http_method method;
    char *path;  /* "/audit", percent-decoded, starting with '/', without "." or ".." segments */
    char *query; /* raw, without '?'; "" where absent */
    struct http_fields query_fields;
    struct http_fields form; /* application/x-www-form-urlencoded and multipart/form-data bodies */
    struct http_file *files; /* of multipart/form-data bodies */
    size_t file_count;
    struct http_fields headers;
    struct http_fields cookies;
    char *body;
    size_t body_length;
    char peer[64];         /* the client's IP address */
    char client_name[128]; /* common name of a verified client certificate, or "" */
    char *captures[4];     /* values of ":name" segments of the route, in order */
    size_t capture_count;
    void *context;              /* the application's, as given to http_router_new */
    void *session;              /* set by the router's guard; see http_router_new */
    struct http_router *router; /* that serves it; set by the router */
};

struct http_response {
    int status; /* 200 until set */
    struct http_fields headers;
    struct buffer body;
    char content_type[96]; /* "text/html; charset=utf-8" until set */
};

/* First value of that name (header names regardless of case), or NULL. Borrowed. */
const char *http_header(const struct http_request *request, const char *name);
const char *http_query(const struct http_request *request, const char *name);
/* A form value of one line; a value with line ends counts as missing. */
const char *http_form(const struct http_request *request, const char *name);
/* A form value that may have several lines, separated by LF (text areas). */
const char *http_form_lines(const struct http_request *request, const char *name);
/* The first file of that name, or NULL where none was chosen. Borrowed. */
const struct http_file *http_file(const struct http_request *request, const char *name);
const char *http_cookie(const struct http_request *request, const char *name);

/* Adds a response header; values with CR, LF or other control characters are refused (logged, not
 * sent). Content-Length, Transfer-Encoding and Connection are the transport's, Content-Type is
 * response->content_type; all four are refused here. */
void http_add_header(struct http_response *response, const char *name, const char *value);
/* Adds a cookie: Secure, HttpOnly, SameSite=Lax, Path=/. seconds < 0 removes it, 0 ends with the
 * browser's session. The value is percent-encoded where RFC 6265 asks for it, and http_cookie
 * decodes it again. */
void http_set_cookie(struct http_response *response, const char *name, const char *value,
                     long seconds);
/* 303 See Other (RFC 9110 section 15.4.4) to a path of this site: it starts with one '/'; anything
 * else (another site, "//host") is logged and becomes "/". Query values must be encoded already. */
void http_redirect(struct http_response *response, const char *path);
/* application/json body; the value is borrowed. */
struct json_t;
void http_json(struct http_response *response, int status, const struct json_t *value);

/* Percent-encodes one query or form value (all but RFC 3986 unreserved characters). */
bool http_encode(struct buffer *buffer, const char *value);
/* Answers with the router's error page for `status`; NULL for the usual message of that status. A
 * handler that only sets response->status to 400 or more and leaves the body empty gets the same.
 */
void http_fail(struct http_request *request, struct http_response *response, int status,
               const char *message);

typedef void (*http_handler)(struct http_request *request, struct http_response *response);

/* Rights that a route asks for, checked by the guard. */
enum http_access {
    HTTP_PUBLIC,        /* anyone */
    HTTP_SIGNED_IN,     /* any administrator whose password needs no change */
    HTTP_UPLOAD,        /* as HTTP_SIGNED_IN, with a body of up to HTTP_BODY_LIMIT */
    HTTP_PASSWORD_ONLY, /* any administrator, also one who must change the password first */
};

struct http_route {
    enum http_method method; /* HTTP_GET serves HEAD too */
    const char *path;        /* "/hosts/:id" */
    enum http_access access;
    http_handler handler;
};

/* Called before a handler. Returns false after it has answered instead (redirect to sign-in, 403).
 * For every state-changing method it also checks the CSRF token (form field "csrf" or header
 * X-CSRF-Token). It sets request->session, which http_router passes to release afterwards. */
struct http_guard {
    bool (*check)(struct http_request *request, struct http_response *response,
                  enum http_access access);
    void (*release)(void *session);
    /* Asked before a body over HTTP_STRANGER_LIMIT is read, when method, path, headers and cookies
     * are there: what strangers send must not fill the memory. */
    bool (*is_signed_in)(const struct http_request *request);
};

/* The routes array ends with a NULL path and must stay valid; the first one that matches serves
 * (put
 * "/hosts/new" before "/hosts/:id"). `guard` may be NULL (fleet port: all
 * routes must then be HTTP_PUBLIC and look at client_name themselves). webroot may be NULL; files
 * below it are served at /static/ with a content hash ETag and no directory listing; symbolic links
 * and names that start with a dot are not followed. NULL (with the reason logged) for a table that
 * cannot work, a webroot that cannot be opened, or no memory. */
struct http_router *http_router_new(const struct http_route *routes, const struct http_guard *guard,
                                    const char *webroot, void *context);
void http_router_free(struct http_router *router);
/* Runs one request: finds the route (404, 405 with Allow otherwise), guards, calls the handler, and
 * adds the security headers (CSP without inline, HSTS, nosniff, frame-ancestors 'none',
 * Referrer-Policy; Cache-Control: no-store unless the handler set Cache-Control). Thread-safe. */
void http_router_serve(struct http_router *router, struct http_request *request,
                       struct http_response *response);

/* How error pages are drawn (404, 403, 413, 500 ...); the default is plain text. Set before the
 * first request. The request may be an empty one (path "/", no fields) where the one that was sent
 * could not be read; `draw` fills body and content_type only, the body is empty when it is called.
 */
void http_router_set_error_page(struct http_router *router,
                                void (*draw)(struct http_request *request,
                                             struct http_response *response, int status,
                                             const char *message));

/* libmicrohttpd transport (transport_https.c). */
struct http_server_options {
    const char *address; /* IP to listen on */
    unsigned port;
    const char *key;         /* PEM text */
    const char *certificate; /* PEM text, chain after the leaf */
    const char *client_ca;  /* PEM; client certificates are then asked for and verified when sent */
    const char *priorities; /* TLS priorities; NULL: TLS 1.2 and 1.3 with modern ciphers */
    unsigned threads;       /* pool size; 0: a thread for each connection (long polls) */
    unsigned max_connections;
    unsigned max_connections_per_address; /* one client must not shut out all; 0: any number */
    size_t body_limit;
};
struct http_server;
/* Starts listening; requests are served on its own threads. NULL with *error naming the address and
 * port where it cannot (in use, not permitted). */
struct http_server *http_server_start(const struct http_server_options *options,
                                      struct http_router *router, struct error *error);
/* Stops accepting, lets running requests end (at most 5 s), closes what is left and frees. A
 * handler that is still inside is waited for, so long polls must end by their own signal first. */
void http_server_stop(struct http_server *server);
unsigned http_server_port(const struct http_server *server); /* as bound, for port 0 */

/* FastCGI transport (transport_fastcgi.c) for a web server in front: listens on a unix socket path
 * or "ADDRESS:PORT" ("[::1]:9000" for IPv6) with `threads` threads; same router, same behaviour.
 * The peer's address is what the web server says (REMOTE_ADDR), so nobody else may reach the
 * socket: a unix socket has mode 0660, a port needs a firewall. (libfcgi also aborts the process
 * where a peer announces a parameter larger than memory.) client_name is always empty. */
struct http_fastcgi;
struct http_fastcgi *http_fastcgi_start(const char *socket, unsigned threads, size_t body_limit,
                                        struct http_router *router, struct error *error);
void http_fastcgi_stop(struct http_fastcgi *fastcgi);

#endif
