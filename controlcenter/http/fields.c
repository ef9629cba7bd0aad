/* Name and value lists: header fields, cookies, query and form parameters. */
#include "controlcenter/http/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int http_fields_take(struct http_fields *fields, size_t most, char *name, char *value)
{
    int status = fields->count >= most ? 400 : 500;
    if (!name || !value || fields->count >= most)
        goto refuse;
    /* The capacity is the next power of two, so only a full list has a count that is one. */
    if ((fields->count & (fields->count - 1)) == 0) {
        size_t capacity = fields->count ? fields->count * 2 : 1;
        struct http_field *items = realloc(fields->items, capacity * sizeof *items);
        if (!items)
            goto refuse;
        fields->items = items;
    }
    fields->items[fields->count++] = (struct http_field){name, value};
    return 0;
refuse:
    free(name);
    free(value);
    return status;
}

void http_fields_clear(struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        free(fields->items[i].name);
        free(fields->items[i].value);
    }
    free(fields->items);
    *fields = (struct http_fields){0};
}

const char *http_fields_get(const struct http_fields *fields, const char *name, bool any_case)
{
    for (size_t i = 0; i < fields->count; i++) {
        const char *here = fields->items[i].name;
        if ((any_case ? strcasecmp(here, name) : strcmp(here, name)) == 0)
            return fields->items[i].value;
    }
    return NULL;
}

const char *http_header(const struct http_request *request, const char *name)
{
    return http_fields_get(&request->headers, name, true);
}

const char *http_query(const struct http_request *request, const char *name)
{
    return http_fields_get(&request->query_fields, name, false);
}

const char *http_form_lines(const struct http_request *request, const char *name)
{
    return http_fields_get(&request->form, name, false);
}

const char *http_form(const struct http_request *request, const char *name)
{
    const char *value = http_form_lines(request, name);
    return value && !strchr(value, '\n') ? value : NULL;
}

const char *http_cookie(const struct http_request *request, const char *name)
{
    return http_fields_get(&request->cookies, name, false);
}
