#include "common/buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_LIMIT ((size_t)1 << 30)
#define LEAST_CAPACITY 64

void buffer_init(struct buffer *buffer, size_t limit)
{
    *buffer = (struct buffer){.limit = limit};
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){.limit = buffer->limit};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
    if (buffer->data)
        buffer->data[0] = '\0';
}

static size_t limit_of(const struct buffer *buffer)
{
    return buffer->limit ? buffer->limit : DEFAULT_LIMIT;
}

static bool fail(struct buffer *buffer)
{
    buffer->failed = true;
    return false;
}

/* Room for `length` more bytes and the NUL; the memory doubles, so that many small additions cost
 * no more than one large one. */
static bool make_room(struct buffer *buffer, size_t length)
{
    size_t limit = limit_of(buffer);
    if (buffer->failed)
        return false;
    if (buffer->length > limit || length > limit - buffer->length || limit == SIZE_MAX)
        return fail(buffer);
    size_t needed = buffer->length + length + 1;
    if (needed <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity ? buffer->capacity : LEAST_CAPACITY;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    if (capacity > limit + 1)
        capacity = limit + 1;
    char *data = realloc(buffer->data, capacity);
    if (!data)
        return fail(buffer);
    data[buffer->length] = '\0';
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

bool buffer_add(struct buffer *buffer, const void *data, size_t length)
{
    if (!make_room(buffer, length))
        return false;
    if (length)
        memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
    return true;
}

bool buffer_add_text(struct buffer *buffer, const char *text)
{
    return buffer_add(buffer, text, strlen(text));
}

bool buffer_add_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    if (buffer->failed)
        return false;
    va_start(arguments, format);
    va_copy(again, arguments);
    size_t room = buffer->data ? buffer->capacity - buffer->length : 0;
    char *at = buffer->data ? buffer->data + buffer->length : NULL;
    int count = vsnprintf(at, room, format, arguments);
    bool ok = count >= 0;
    if (ok && (size_t)count < room && (size_t)count <= limit_of(buffer) - buffer->length) {
        buffer->length += (size_t)count;
    } else {
        if (at)
            *at = '\0';
        ok = ok ? make_room(buffer, (size_t)count) : fail(buffer);
        if (ok) {
            vsnprintf(buffer->data + buffer->length, (size_t)count + 1, format, again);
            buffer->length += (size_t)count;
        }
    }
    va_end(again);
    va_end(arguments);
    return ok;
}

void buffer_consume(struct buffer *buffer, size_t length)
{
    if (!buffer->data)
        return;
    if (length > buffer->length)
        length = buffer->length;
    memmove(buffer->data, buffer->data + length, buffer->length - length);
    buffer->length -= length;
    buffer->data[buffer->length] = '\0';
}

char *buffer_reserve(struct buffer *buffer, size_t length)
{
    return make_room(buffer, length) ? buffer->data + buffer->length : NULL;
}

const char *buffer_text(const struct buffer *buffer)
{
    return buffer->data ? buffer->data : "";
}

char *buffer_take(struct buffer *buffer)
{
    char *text = NULL;
    if (!buffer->failed && (buffer->data || buffer_add(buffer, "", 0))) {
        text = buffer->data;
        text[buffer->length] = '\0';
        buffer->data = NULL;
    }
    buffer_free(buffer);
    return text;
}
