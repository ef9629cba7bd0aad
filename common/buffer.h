/* A growable run of bytes with a limit. Always followed by a NUL that does not count. */
#ifndef GATEHOUSE_COMMON_BUFFER_H
#define GATEHOUSE_COMMON_BUFFER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data; /* NULL while nothing was ever added */
    size_t length;
    size_t capacity;
    size_t limit; /* most bytes it may hold; 0 means 1 GiB */
    bool failed;  /* an addition did not fit or memory ran out; later additions do nothing */
};

#define BUFFER_INIT                                                                                \
    {                                                                                              \
        0                                                                                          \
    }

/* Sets the limit and empties the fields; for buffers not made with BUFFER_INIT. */
void buffer_init(struct buffer *buffer, size_t limit);
/* Frees the memory; the buffer may be used again afterwards. */
void buffer_free(struct buffer *buffer);
/* Forgets the content (and `failed`) and keeps the memory. */
void buffer_clear(struct buffer *buffer);
/* Each returns false, adding nothing, when the limit or memory is reached. */
bool buffer_add(struct buffer *buffer, const void *data, size_t length);
bool buffer_add_text(struct buffer *buffer, const char *text);
bool buffer_add_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Drops the first `length` bytes (at most all). */
void buffer_consume(struct buffer *buffer, size_t length);
/* Makes room for `length` more bytes and returns where they go, or NULL; add the count that was
 * written to buffer->length afterwards. */
char *buffer_reserve(struct buffer *buffer, size_t length);
/* The text, "" while empty; borrowed. */
const char *buffer_text(const struct buffer *buffer);
/* Hands the memory over to the caller (free with free()) and empties the buffer; "" is allocated
 * for an empty one. NULL when memory ran out or the buffer failed. */
char *buffer_take(struct buffer *buffer);

#endif
