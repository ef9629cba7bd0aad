/* Reading JSON from files and the network into typed values, with errors that name the field. */
#ifndef GATEHOUSE_COMMON_JSON_H
#define GATEHOUSE_COMMON_JSON_H

#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parses one JSON text that is an object or an array: depth at most 2048, no member twice, no NUL
 * in strings. The caller owns the value. NULL with *error (ERROR_INVALID; line and column in the
 * message). `where` names the source in errors and may be NULL. */
json_t *json_parse(const char *text, size_t length, const char *where, struct error *error);

/* The compact text of a value; the caller frees it. NULL only when memory ran out. */
char *json_text(const json_t *value);

/* A member that is text; "" where it is missing or something else. Borrowed from the object. */
const char *json_text_of(const json_t *object, const char *name);

/* A place in a document for error messages, such as "smtp.inbound.listeners[0]". */
struct json_place {
    const struct json_place *parent;
    const char *name; /* NULL for an array element */
    size_t index;
};

/* Each getter reads one member of `object`, checks its type and range, and names the place in
 * *error (ERROR_INVALID) otherwise. A missing member takes the fallback where the getter has one
 * and is an error where it has none. Strings are borrowed from the object. */
bool json_get_text(const json_t *object, const struct json_place *place, const char *name,
                   size_t most, const char **value, struct error *error);
bool json_get_text_or(const json_t *object, const struct json_place *place, const char *name,
                      size_t most, const char *fallback, const char **value, struct error *error);
bool json_get_integer(const json_t *object, const struct json_place *place, const char *name,
                      int64_t least, int64_t most, int64_t *value, struct error *error);
bool json_get_integer_or(const json_t *object, const struct json_place *place, const char *name,
                         int64_t least, int64_t most, int64_t fallback, int64_t *value,
                         struct error *error);
bool json_get_bool_or(const json_t *object, const struct json_place *place, const char *name,
                      bool fallback, bool *value, struct error *error);
/* *value is borrowed; NULL where the member is missing and not `required`. */
bool json_get_object(const json_t *object, const struct json_place *place, const char *name,
                     bool required, const json_t **value, struct error *error);
bool json_get_array(const json_t *object, const struct json_place *place, const char *name,
                    bool required, size_t most, const json_t **value, struct error *error);

/* Sets ERROR_INVALID with the full path of `place` and member `name` (may be NULL) in `where`. */
bool json_place_error(const struct json_place *place, const char *name, struct error *error,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
