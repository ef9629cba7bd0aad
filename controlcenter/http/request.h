/* What a transport needs to build a request, run it and refuse it; tests use it as a transport. */
#ifndef GATEHOUSE_CONTROLCENTER_HTTP_REQUEST_H
#define GATEHOUSE_CONTROLCENTER_HTTP_REQUEST_H

#include "controlcenter/http/http.h"

#define HTTP_TARGET_LIMIT 8192           /* bytes of path and query as sent */
#define HTTP_HEADER_COUNT_LIMIT 100      /* header fields of a request */
#define HTTP_HEADER_LIMIT 16384          /* bytes of one header value */
#define HTTP_FIELD_COUNT_LIMIT 4096      /* query or form parameters, cookies */
#define HTTP_RESPONSE_LIMIT (512u << 20) /* bytes of a response body */

/* Each filling function returns 0, or the status to refuse the request with (400, 414, 431, 500,
 * 501).
 * A request starts zeroed; http_request_clear frees whatever was filled. */

void http_request_clear(struct http_request *request);
void http_response_init(struct http_response *response);
void http_response_clear(struct http_response *response);

/* HTTP_OTHER for names that are not served. Case matters (RFC 9110 section 9.1). */
enum http_method http_method_parse(const char *name);

/* The request target as sent: origin form or absolute form (RFC 9112 section 3.2). Fills path,
 * query and query_fields. */
int http_request_set_target(struct http_request *request, const char *target);

/* Adds one header field; tabs in the value become spaces. A second Host or Content-Length is
 * refused, and so is Content-Length beside Transfer-Encoding (RFC 9112 section 6.3) and any
 * transfer coding but chunked. */
int http_request_add_header(struct http_request *request, const char *name, size_t name_length,
                            const char *value, size_t value_length);

/* The body's declared size: *length and *present; 400 where it is not a number. */
int http_request_content_length(const struct http_request *request, size_t *length, bool *present);

/* After the headers, before the body: fills cookies. */
int http_request_read_cookies(struct http_request *request);

/* After the body (request->body, body_length) is there: fills form and files. */
int http_request_finish(struct http_request *request);

/* How many bytes the body of this request may have, of at most `most`: by its route and by who
 * sends it. A router whose guard does not tell takes `most` of all. */
size_t http_router_body_limit(struct http_router *router, struct http_request *request,
                              size_t most);

/* Answers with the router's error page and the security headers instead of http_router_serve.
 * `message` may be NULL for the usual one. The page is drawn for an empty request where status is
 * not 413, because what was sent may not be clean text. */
void http_router_refuse(struct http_router *router, struct http_request *request,
                        struct http_response *response, int status, const char *message);

/* The reason phrase of a status, "Unknown" for strange ones. */
const char *http_status_text(int status);

/* Lists, for the parts of this folder. Takes over name and value, also where it fails: 400 for a
 * list with `most` fields already, 500 where memory ran out (a NULL name or value included). */
int http_fields_take(struct http_fields *fields, size_t most, char *name, char *value);
void http_fields_clear(struct http_fields *fields);
/* First value of that name; `any_case` compares ASCII letters regardless of case. Borrowed or NULL.
 */
const char *http_fields_get(const struct http_fields *fields, const char *name, bool any_case);

#endif
