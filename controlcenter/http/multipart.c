/* multipart/form-data (RFC 7578): how browsers send forms with files. */
#include "controlcenter/http/multipart.h"
#include "controlcenter/http/request.h"
#include "controlcenter/http/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BOUNDARY_MOST 70 /* RFC 2046 section 5.1.1 */
#define PART_HEAD_MOST 4096
#define FILES_MOST 16

struct span {
    const char *at;
    size_t length;
};

/* The value of a parameter such as name="a" behind a header's value; false where it is missing or
 * malformed. In quotes a percent sign stands for itself, for browsers encode quotes only. */
static bool parameter(const char *text, size_t length, const char *name, struct span *value)
{
    size_t name_length = strlen(name);
    const char *end = text + length;
    for (const char *at = memchr(text, ';', length); at; at = memchr(at, ';', (size_t)(end - at))) {
        at++;
        while (at < end && *at == ' ')
            at++;
        if ((size_t)(end - at) <= name_length || strncasecmp(at, name, name_length) != 0 ||
            at[name_length] != '=')
            continue;
        at += name_length + 1;
        if (at < end && *at == '"') {
            const char *quote = memchr(at + 1, '"', (size_t)(end - at) - 1);
            *value = (struct span){at + 1, quote ? (size_t)(quote - at) - 1 : 0};
            return quote != NULL;
        }
        const char *stop = memchr(at, ';', (size_t)(end - at));
        *value = (struct span){at, (size_t)((stop ? stop : end) - at)};
        return true;
    }
    return false;
}

/* The delimiter of the parts: "--" and the boundary. */
static bool read_delimiter(const char *content_type, char delimiter[BOUNDARY_MOST + 3])
{
    struct span boundary;
    if (!parameter(content_type, strlen(content_type), "boundary", &boundary) ||
        boundary.length == 0 || boundary.length > BOUNDARY_MOST)
        return false;
    memcpy(delimiter, "--", 2);
    memcpy(delimiter + 2, boundary.at, boundary.length);
    delimiter[2 + boundary.length] = '\0';
    return true;
}

/* The Content-Disposition among the header fields of a part. */
static bool find_disposition(struct span head, struct span *disposition)
{
    static const char name[] = "Content-Disposition:";
    const char *at = head.at, *end = head.at + head.length;
    while (at < end) {
        const char *stop = memmem(at, (size_t)(end - at), "\r\n", 2);
        size_t length = (size_t)((stop ? stop : end) - at);
        if (length > sizeof name - 1 && strncasecmp(at, name, sizeof name - 1) == 0) {
            *disposition = (struct span){at + sizeof name - 1, length - (sizeof name - 1)};
            return true;
        }
        at += length + 2;
    }
    return false;
}

/* A copy with LF line ends; NULL with *status where it is not clean text. */
static char *text_of(struct span value, enum text_lines lines, int *status)
{
    *status = text_is_clean(value.at, value.length, lines) ? 0 : 400;
    if (*status)
        return NULL;
    char *text = malloc(value.length + 1);
    if (!text) {
        *status = 500;
        return NULL;
    }
    memcpy(text, value.at, value.length);
    text[text_normalise_lines(text, value.length)] = '\0';
    return text;
}

static int add_file(struct http_request *request, char *name, struct span content)
{
    size_t count = request->file_count;
    if (count >= FILES_MOST)
        return 400;
    struct http_file *files = realloc(request->files, (count + 1) * sizeof *files);
    if (!files)
        return 500;
    request->files = files;
    char *data = malloc(content.length + 1);
    if (!data)
        return 500;
    memcpy(data, content.at, content.length);
    data[content.length] = '\0';
    files[count] = (struct http_file){.name = name, .data = data, .length = content.length};
    request->file_count++;
    return 0;
}

/* A file that was not chosen comes as an empty one without a name. */
static int add_part(struct http_request *request, struct span head, struct span content)
{
    struct span disposition, name_text, filename;
    int status;
    if (!find_disposition(head, &disposition) ||
        !parameter(disposition.at, disposition.length, "name", &name_text))
        return 400;
    char *name = text_of(name_text, TEXT_ONE_LINE, &status);
    if (!name)
        return status;
    if (parameter(disposition.at, disposition.length, "filename", &filename)) {
        if (content.length > 0)
            status = add_file(request, name, content);
        if (status || content.length == 0)
            free(name);
        return status;
    }
    char *value = text_of(content, TEXT_LINES, &status);
    if (!value) {
        free(name);
        return status;
    }
    return http_fields_take(&request->form, HTTP_FIELD_COUNT_LIMIT, name, value);
}

/* Reads the part that begins behind its delimiter's line; *rest is where the next delimiter is. */
static int read_part(struct http_request *request, const char *delimiter, struct span *rest)
{
    char separator[BOUNDARY_MOST + 5];
    snprintf(separator, sizeof separator, "\r\n%s", delimiter);
    const char *blank = memmem(rest->at, rest->length, "\r\n\r\n", 4);
    if (!blank || blank - rest->at > PART_HEAD_MOST)
        return 400;
    struct span head = {rest->at, (size_t)(blank - rest->at)};
    const char *start = blank + 4;
    size_t left = rest->length - (size_t)(start - rest->at);
    /* An empty part may end at once: its blank line's end is then the separator's beginning. */
    const char *end = memmem(start - 2, left + 2, separator, strlen(separator));
    if (!end)
        return 400;
    struct span content = {start, end > start ? (size_t)(end - start) : 0};
    const char *next = end + 2;
    *rest = (struct span){next, rest->length - (size_t)(next - rest->at)};
    return add_part(request, head, content);
}

bool http_is_multipart(const char *content_type)
{
    static const char type[] = "multipart/form-data";
    return strncasecmp(content_type, type, sizeof type - 1) == 0 &&
           (content_type[sizeof type - 1] == ';' || content_type[sizeof type - 1] == ' ');
}

int http_parse_multipart(struct http_request *request, const char *content_type)
{
    char delimiter[BOUNDARY_MOST + 3];
    struct span rest = {request->body, request->body_length};
    if (!read_delimiter(content_type, delimiter))
        return 400;
    size_t length = strlen(delimiter);
    for (;;) {
        if (rest.length < length + 2 || memcmp(rest.at, delimiter, length) != 0)
            return 400;
        rest = (struct span){rest.at + length, rest.length - length};
        if (memcmp(rest.at, "--", 2) == 0)
            return 0;
        if (memcmp(rest.at, "\r\n", 2) != 0)
            return 400;
        rest = (struct span){rest.at + 2, rest.length - 2};
        int status = read_part(request, delimiter, &rest);
        if (status)
            return status;
    }
}

const struct http_file *http_file(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->file_count; i++)
        if (strcmp(request->files[i].name, name) == 0)
            return &request->files[i];
    return NULL;
}
