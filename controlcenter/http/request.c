#include "controlcenter/http/request.h"
#include "controlcenter/http/multipart.h"
#include "controlcenter/http/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void http_request_clear(struct http_request *request)
{
    free(request->path);
    free(request->query);
    http_fields_clear(&request->query_fields);
    http_fields_clear(&request->form);
    for (size_t i = 0; i < request->file_count; i++) {
        free(request->files[i].name);
        free(request->files[i].data);
    }
    free(request->files);
    http_fields_clear(&request->headers);
    http_fields_clear(&request->cookies);
    free(request->body);
    for (size_t i = 0; i < request->capture_count; i++)
        free(request->captures[i]);
    *request = (struct http_request){0};
}

enum http_method http_method_parse(const char *name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {{"GET", HTTP_GET},
                   {"HEAD", HTTP_HEAD},
                   {"POST", HTTP_POST},
                   {"PUT", HTTP_PUT},
                   {"DELETE", HTTP_DELETE}};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(name, methods[i].name) == 0)
            return methods[i].method;
    return HTTP_OTHER;
}

static int add_parameter(struct http_fields *fields, const char *text, size_t length,
                         enum text_lines lines)
{
    const char *equals = memchr(text, '=', length);
    size_t name_length = equals ? (size_t)(equals - text) : length;
    const char *value_text = equals ? equals + 1 : text + length;
    size_t value_length = (size_t)(text + length - value_text);
    char *name, *value;
    int status = text_percent_decode(text, name_length, true, TEXT_ONE_LINE, &name);
    if (status)
        return status;
    status = text_percent_decode(value_text, value_length, true, lines, &value);
    if (status) {
        free(name);
        return status;
    }
    return http_fields_take(fields, HTTP_FIELD_COUNT_LIMIT, name, value);
}

/* Adds the parameters of "a=1&b=2" to `fields`. */
static int parse_parameters(struct http_fields *fields, const char *text, size_t length,
                            enum text_lines lines)
{
    int status = 0;
    while (length > 0 && status == 0) {
        const char *ampersand = memchr(text, '&', length);
        size_t part = ampersand ? (size_t)(ampersand - text) : length;
        if (part > 0)
            status = add_parameter(fields, text, part, lines);
        size_t step = ampersand ? part + 1 : part;
        text += step;
        length -= step;
    }
    return status;
}

/* No "." or ".." segment, and no slash that was encoded: the segments that were sent are those that
 * are routed. */
static bool path_is_plain(const char *raw, size_t raw_length, const char *path)
{
    for (size_t i = 0; i + 2 < raw_length; i++)
        if (raw[i] == '%' && raw[i + 1] == '2' && (raw[i + 2] | 0x20) == 'f')
            return false;
    for (const char *at = path; at; at = strchr(at, '/')) {
        at++;
        size_t segment = strcspn(at, "/");
        if (segment > 0 && segment <= 2 && strspn(at, ".") >= segment)
            return false;
    }
    return true;
}

/* The path and query of an absolute-form target; NULL for other schemes. */
static const char *skip_authority(const char *target)
{
    if (strncasecmp(target, "http://", 7) == 0)
        target += 7;
    else if (strncasecmp(target, "https://", 8) == 0)
        target += 8;
    else
        return NULL;
    target += strcspn(target, "/?#");
    return *target == '/' ? target : *target == '\0' ? "/" : NULL;
}

int http_request_set_target(struct http_request *request, const char *target)
{
    if (strlen(target) > HTTP_TARGET_LIMIT)
        return 414;
    if (target[0] != '/')
        target = skip_authority(target);
    if (!target || strchr(target, '#'))
        return 400;
    size_t path_length = strcspn(target, "?");
    const char *query = target[path_length] == '?' ? target + path_length + 1 : "";
    size_t query_length = strlen(query);
    int status = text_percent_decode(target, path_length, false, TEXT_ONE_LINE, &request->path);
    if (status)
        return status;
    if (!path_is_plain(target, path_length, request->path) ||
        !text_is_clean(query, query_length, TEXT_ONE_LINE))
        return 400;
    request->query = strdup(query);
    if (!request->query)
        return 500;
    return parse_parameters(&request->query_fields, query, query_length, TEXT_ONE_LINE);
}

/* What two fields of one request must not say twice, or must not say both. */
static bool header_conflicts(const struct http_request *request, const char *name)
{
    static const char *const lone[] = {"Host", "Content-Length", "Transfer-Encoding",
                                       "Content-Type"};
    for (size_t i = 0; i < sizeof lone / sizeof *lone; i++)
        if (strcasecmp(name, lone[i]) == 0 && http_header(request, name))
            return true;
    return (strcasecmp(name, "Content-Length") == 0 && http_header(request, "Transfer-Encoding")) ||
           (strcasecmp(name, "Transfer-Encoding") == 0 && http_header(request, "Content-Length"));
}

int http_request_add_header(struct http_request *request, const char *name, size_t name_length,
                            const char *value, size_t value_length)
{
    if (request->headers.count >= HTTP_HEADER_COUNT_LIMIT || value_length > HTTP_HEADER_LIMIT)
        return 431;
    if (!text_is_token(name, name_length))
        return 400;
    char *own_name = strndup(name, name_length);
    char *own_value = malloc(value_length + 1);
    int status = own_name && own_value ? 0 : 500;
    if (status == 0) {
        for (size_t i = 0; i < value_length; i++)
            own_value[i] = value[i] == '\t' ? ' ' : value[i];
        own_value[value_length] = '\0';
        if (!text_is_clean(own_value, value_length, TEXT_ONE_LINE) ||
            header_conflicts(request, own_name))
            status = 400;
    }
    /* A coding that the transport does not undo would leave the end of the body to guess. */
    if (status == 0 && strcasecmp(own_name, "Transfer-Encoding") == 0 &&
        strcasecmp(own_value, "chunked") != 0)
        status = 501;
    if (status) {
        free(own_name);
        free(own_value);
        return status;
    }
    return http_fields_take(&request->headers, HTTP_HEADER_COUNT_LIMIT, own_name, own_value);
}

int http_request_content_length(const struct http_request *request, size_t *length, bool *present)
{
    const char *text = http_header(request, "Content-Length");
    *present = text != NULL;
    *length = 0;
    if (!text)
        return 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits] != '\0')
        return 400;
    *length = (size_t)strtoull(text, NULL, 10);
    return 0;
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " ");
}

/* Other sites of this host share its cookies, whatever the port: one that is not clean is theirs,
 * and must not lock anybody out. */
static int add_cookie(struct http_request *request, const char *text, size_t length)
{
    const char *equals = memchr(text, '=', length);
    if (!equals || !text_is_token(text, (size_t)(equals - text)))
        return 0;
    size_t value_length = length - (size_t)(equals - text) - 1;
    while (value_length > 0 && equals[value_length] == ' ')
        value_length--;
    char *value;
    int status = text_percent_decode(equals + 1, value_length, false, TEXT_ONE_LINE, &value);
    if (status)
        return status == 400 ? 0 : status;
    char *name = strndup(text, (size_t)(equals - text));
    return http_fields_take(&request->cookies, HTTP_FIELD_COUNT_LIMIT, name, value);
}

int http_request_read_cookies(struct http_request *request)
{
    int status = 0;
    for (size_t i = 0; i < request->headers.count && status == 0; i++) {
        if (strcasecmp(request->headers.items[i].name, "Cookie") != 0)
            continue;
        const char *at = skip_blanks(request->headers.items[i].value);
        while (*at && status == 0) {
            size_t length = strcspn(at, ";");
            status = add_cookie(request, at, length);
            at = skip_blanks(at + length + (at[length] == ';'));
        }
    }
    return status;
}

static bool has_form(const struct http_request *request)
{
    static const char type[] = "application/x-www-form-urlencoded";
    const char *sent = http_header(request, "Content-Type");
    if (!sent || !request->body || strncasecmp(sent, type, sizeof type - 1) != 0)
        return false;
    char next = sent[sizeof type - 1];
    return next == '\0' || next == ';' || next == ' ';
}

int http_request_finish(struct http_request *request)
{
    const char *type = http_header(request, "Content-Type");
    if (type && request->body && http_is_multipart(type))
        return http_parse_multipart(request, type);
    if (has_form(request))
        return parse_parameters(&request->form, request->body, request->body_length, TEXT_LINES);
    return 0;
}
