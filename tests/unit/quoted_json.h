/* JSON that stands in tests with ' for ". */
#ifndef GATEHOUSE_TESTS_UNIT_QUOTED_JSON_H
#define GATEHOUSE_TESTS_UNIT_QUOTED_JSON_H

#include "common/cleanup.h"

#include <jansson.h>
#include <string.h>

/* The caller frees the text. */
static inline char *quoted(const char *text)
{
    char *own = strdup(text);
    for (char *at = own; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    return own;
}

/* Any value; the caller owns it. */
static inline json_t *read_quoted(const char *text)
{
    cleanup_free char *plain = quoted(text);
    json_t *value = json_loads(plain, JSON_DECODE_ANY, NULL);
    if (!value)
        fail_msg("no JSON: %s", plain);
    return value;
}

#endif
