#include "controlcenter/http/request.h"
#include "controlcenter/http/text.h"

#include "common/log.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RESPONSE_HEADER_COUNT_LIMIT 64

void http_response_init(struct http_response *response)
{
    *response = (struct http_response){.status = 200};
    buffer_init(&response->body, HTTP_RESPONSE_LIMIT);
    snprintf(response->content_type, sizeof response->content_type, "text/html; charset=utf-8");
}

void http_response_clear(struct http_response *response)
{
    http_fields_clear(&response->headers);
    buffer_free(&response->body);
    http_response_init(response);
}

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {303, "See Other"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Unknown";
}

static bool is_transport_header(const char *name)
{
    static const char *const names[] = {"Content-Length", "Transfer-Encoding", "Connection",
                                        "Content-Type"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

void http_add_header(struct http_response *response, const char *name, const char *value)
{
    if (!text_is_token(name, strlen(name)) || is_transport_header(name) ||
        !text_is_clean(value, strlen(value), TEXT_ONE_LINE)) {
        log_error("response header refused: %.64s", name);
        return;
    }
    if (http_fields_take(&response->headers, RESPONSE_HEADER_COUNT_LIMIT, strdup(name),
                         strdup(value)))
        log_error("response header left out: %.64s", name);
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~", c));
}

/* Percent-encodes every byte of `value` that `keep` does not want. */
static bool encode(struct buffer *buffer, const char *value, bool (*keep)(unsigned char))
{
    bool ok = true;
    for (const char *at = value; *at && ok; at++) {
        unsigned char c = (unsigned char)*at;
        ok = keep(c) ? buffer_add(buffer, at, 1) : buffer_add_format(buffer, "%%%02X", c);
    }
    return ok;
}

bool http_encode(struct buffer *buffer, const char *value)
{
    return encode(buffer, value, is_unreserved);
}

/* cookie-octet of RFC 6265 section 4.1.1 without the percent sign, so that decoding is exact. */
static bool is_cookie_octet(unsigned char c)
{
    return c > 0x20 && c < 0x7f && !strchr("\",;\\%", c);
}

void http_set_cookie(struct http_response *response, const char *name, const char *value,
                     long seconds)
{
    struct buffer text = BUFFER_INIT;
    bool ok = text_is_token(name, strlen(name)) && buffer_add_format(&text, "%s=", name) &&
              (seconds < 0 || encode(&text, value, is_cookie_octet)) &&
              buffer_add_text(&text, "; Path=/; Secure; HttpOnly; SameSite=Lax");
    if (ok && seconds != 0)
        ok = buffer_add_format(&text, "; Max-Age=%ld", seconds < 0 ? 0 : seconds);
    if (ok)
        http_add_header(response, "Set-Cookie", buffer_text(&text));
    else
        log_error("cookie left out: %.64s", name);
    buffer_free(&text);
}

/* What a Location may hold as it stands: the characters of a URI, percent signs among them. */
static bool is_uri_character(unsigned char c)
{
    return c > 0x20 && c < 0x7f && !strchr("\"<>\\^`{|}", c);
}

void http_redirect(struct http_response *response, const char *path)
{
    struct buffer location = BUFFER_INIT;
    /* Browsers read "/\" like "//", which names another site. */
    bool ours = path[0] == '/' && path[1] != '/' && path[1] != '\\' &&
                text_is_clean(path, strlen(path), TEXT_ONE_LINE);
    if (!ours)
        log_warning("redirect to another site refused: %.200s", path);
    response->status = 303;
    buffer_clear(&response->body);
    if (encode(&location, ours ? path : "/", is_uri_character))
        http_add_header(response, "Location", buffer_text(&location));
    else
        response->status = 500;
    buffer_free(&location);
}

static int add_json(const char *text, size_t length, void *buffer)
{
    return buffer_add(buffer, text, length) ? 0 : -1;
}

void http_json(struct http_response *response, int status, const struct json_t *value)
{
    response->status = status;
    snprintf(response->content_type, sizeof response->content_type, "application/json");
    buffer_clear(&response->body);
    if (json_dump_callback(value, add_json, &response->body, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        response->body.failed = true;
}
