#include "controlcenter/store/bytes.h"

#include <stdlib.h>
#include <string.h>

char *store_bytes_text(const void *data, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = data;
    char *text = malloc(2 * length + 3);
    if (!text)
        return NULL;
    char *to = text;
    *to++ = '\\';
    *to++ = 'x';
    for (size_t i = 0; i < length; i++) {
        *to++ = digits[from[i] >> 4];
        *to++ = digits[from[i] & 15];
    }
    *to = '\0';
    return text;
}

char *store_bytes(const PGresult *result, int row, int column, size_t *length)
{
    *length = 0;
    if (PQgetisnull(result, row, column))
        return calloc(1, 1);
    unsigned char *bytes =
        PQunescapeBytea((const unsigned char *)PQgetvalue(result, row, column), length);
    char *copy = bytes ? malloc(*length + 1) : NULL;
    if (copy) {
        memcpy(copy, bytes, *length);
        copy[*length] = '\0';
    }
    PQfreemem(bytes);
    return copy;
}
