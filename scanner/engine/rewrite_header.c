/* Fields of a header that is written anew. */
#include "scanner/engine/message_header.h"
#include "scanner/engine/rewrite_private.h"

#include <string.h>
#include <strings.h>

void rewrite_take_header(const char *data, size_t length, struct buffer *header)
{
    struct message_header read;
    message_header_read(data, length, &read);
    size_t end = read.length;
    /* The empty line is known by the line break before it, or is all there is. */
    if (end > 0 && data[end - 1] == '\n') {
        size_t line = end - 1;
        if (line > 0 && data[line - 1] == '\r')
            line--;
        if (line == 0 || data[line - 1] == '\n')
            end = line;
    }
    buffer_add(header, data, end);
    if (end > 0 && data[end - 1] != '\n')
        buffer_add_text(header, "\r\n");
}

static size_t line_end(const struct buffer *header, size_t at)
{
    const char *feed = memchr(header->data + at, '\n', header->length - at);
    return feed ? (size_t)(feed - header->data) + 1 : header->length;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool rewrite_next_field(const struct buffer *header, size_t *at, struct rewrite_field *field)
{
    if (*at >= header->length)
        return false;
    *field = (struct rewrite_field){.begin = *at, .end = line_end(header, *at)};
    while (field->end < header->length && is_blank(header->data[field->end]))
        field->end = line_end(header, field->end);
    *at = field->end;
    const char *begin = header->data + field->begin;
    const char *colon = memchr(begin, ':', field->end - field->begin);
    if (!colon)
        return true;
    field->name = begin;
    field->name_length = (size_t)(colon - begin);
    while (field->name_length > 0 && is_blank(begin[field->name_length - 1]))
        field->name_length--;
    field->value = colon + 1;
    field->value_length = (size_t)(header->data + field->end - field->value);
    return true;
}

bool rewrite_field_is(const struct rewrite_field *field, const char *name)
{
    size_t length = strlen(name);
    bool prefix = length > 0 && name[length - 1] == '*';
    length -= prefix;
    return field->name_length > 0 &&
           (prefix ? field->name_length >= length : field->name_length == length) &&
           strncasecmp(field->name, name, length) == 0;
}

bool rewrite_has_field(const struct buffer *header, const char *name)
{
    struct rewrite_field field;
    for (size_t at = 0; rewrite_next_field(header, &at, &field);)
        if (rewrite_field_is(&field, name))
            return true;
    return false;
}

static void replace(struct buffer *header, struct buffer *anew)
{
    anew->failed |= header->failed;
    buffer_free(header);
    *header = *anew;
}

void rewrite_remove_fields(struct buffer *header, const char *name, struct buffer *removed)
{
    struct buffer kept = BUFFER_INIT;
    struct rewrite_field field;
    if (!rewrite_has_field(header, name))
        return;
    for (size_t at = 0; rewrite_next_field(header, &at, &field);) {
        struct buffer *to = rewrite_field_is(&field, name) ? removed : &kept;
        if (to)
            buffer_add(to, header->data + field.begin, field.end - field.begin);
    }
    replace(header, &kept);
}

void rewrite_set_field(struct buffer *header, const char *name, const char *value)
{
    struct buffer anew = BUFFER_INIT;
    struct rewrite_field field;
    bool set = false;
    for (size_t at = 0; rewrite_next_field(header, &at, &field);) {
        if (!rewrite_field_is(&field, name))
            buffer_add(&anew, header->data + field.begin, field.end - field.begin);
        else if (!set)
            buffer_add_format(&anew, "%s: %s\r\n", name, value);
        set |= rewrite_field_is(&field, name);
    }
    if (!set)
        buffer_add_format(&anew, "%s: %s\r\n", name, value);
    replace(header, &anew);
}
