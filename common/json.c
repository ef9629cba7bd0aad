#include "common/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PATH_SIZE 128

json_t *json_parse(const char *text, size_t length, const char *where, struct error *error)
{
    json_error_t detail;
    json_t *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &detail);
    if (!value)
        error_set(error, ERROR_INVALID, where, "not JSON at line %d, column %d: %s", detail.line,
                  detail.column, detail.text);
    return value;
}

char *json_text(const json_t *value)
{
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

const char *json_text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* --- places --- */

static void append(char *path, size_t *length, const char *text)
{
    int written = snprintf(path + *length, PATH_SIZE - *length, "%s", text);
    if (written > 0)
        *length += (size_t)written;
    if (*length >= PATH_SIZE)
        *length = PATH_SIZE - 1;
}

static void append_name(char *path, size_t *length, const char *name)
{
    if (*length > 0)
        append(path, length, ".");
    append(path, length, name);
}

static void append_place(char *path, size_t *length, const struct json_place *place)
{
    char index[32];
    if (!place)
        return;
    append_place(path, length, place->parent);
    if (place->name) {
        append_name(path, length, place->name);
        return;
    }
    snprintf(index, sizeof(index), "[%zu]", place->index);
    append(path, length, index);
}

bool json_place_error(const struct json_place *place, const char *name, struct error *error,
                      const char *format, ...)
{
    char path[PATH_SIZE] = "", message[sizeof(error->message)];
    size_t length = 0;
    va_list arguments;
    if (!error)
        return false;
    append_place(path, &length, place);
    if (name)
        append_name(path, &length, name);
    va_start(arguments, format);
    if (vsnprintf(message, sizeof(message), format, arguments) < 0)
        message[0] = '\0';
    va_end(arguments);
    return error_set(error, ERROR_INVALID, path, "%s", message);
}

/* --- getters --- */

static bool find(const json_t *object, const struct json_place *place, const char *name,
                 bool required, const json_t **member, struct error *error)
{
    *member = NULL;
    if (!json_is_object(object))
        return json_place_error(place, NULL, error, "must be an object");
    *member = json_object_get(object, name);
    if (!*member && required)
        return json_place_error(place, name, error, "is missing");
    return true;
}

static bool read_text(const json_t *member, const struct json_place *place, const char *name,
                      size_t most, const char **value, struct error *error)
{
    if (!json_is_string(member))
        return json_place_error(place, name, error, "must be a text");
    if (json_string_length(member) > most)
        return json_place_error(place, name, error, "must have at most %zu bytes", most);
    *value = json_string_value(member);
    return true;
}

bool json_get_text(const json_t *object, const struct json_place *place, const char *name,
                   size_t most, const char **value, struct error *error)
{
    const json_t *member;
    return find(object, place, name, true, &member, error) &&
           read_text(member, place, name, most, value, error);
}

bool json_get_text_or(const json_t *object, const struct json_place *place, const char *name,
                      size_t most, const char *fallback, const char **value, struct error *error)
{
    const json_t *member;
    if (!find(object, place, name, false, &member, error))
        return false;
    if (member)
        return read_text(member, place, name, most, value, error);
    *value = fallback;
    return true;
}

static bool read_integer(const json_t *member, const struct json_place *place, const char *name,
                         int64_t least, int64_t most, int64_t *value, struct error *error)
{
    if (!json_is_integer(member))
        return json_place_error(place, name, error, "must be a whole number");
    int64_t number = json_integer_value(member);
    if (number < least || number > most)
        return json_place_error(place, name, error, "must be from %lld to %lld", (long long)least,
                                (long long)most);
    *value = number;
    return true;
}

bool json_get_integer(const json_t *object, const struct json_place *place, const char *name,
                      int64_t least, int64_t most, int64_t *value, struct error *error)
{
    const json_t *member;
    return find(object, place, name, true, &member, error) &&
           read_integer(member, place, name, least, most, value, error);
}

bool json_get_integer_or(const json_t *object, const struct json_place *place, const char *name,
                         int64_t least, int64_t most, int64_t fallback, int64_t *value,
                         struct error *error)
{
    const json_t *member;
    if (!find(object, place, name, false, &member, error))
        return false;
    if (member)
        return read_integer(member, place, name, least, most, value, error);
    *value = fallback;
    return true;
}

bool json_get_bool_or(const json_t *object, const struct json_place *place, const char *name,
                      bool fallback, bool *value, struct error *error)
{
    const json_t *member;
    if (!find(object, place, name, false, &member, error))
        return false;
    if (member && !json_is_boolean(member))
        return json_place_error(place, name, error, "must be true or false");
    *value = member ? json_is_true(member) : fallback;
    return true;
}

bool json_get_object(const json_t *object, const struct json_place *place, const char *name,
                     bool required, const json_t **value, struct error *error)
{
    const json_t *member;
    if (!find(object, place, name, required, &member, error))
        return false;
    if (member && !json_is_object(member))
        return json_place_error(place, name, error, "must be an object");
    *value = member;
    return true;
}

bool json_get_array(const json_t *object, const struct json_place *place, const char *name,
                    bool required, size_t most, const json_t **value, struct error *error)
{
    const json_t *member;
    if (!find(object, place, name, required, &member, error))
        return false;
    if (member && !json_is_array(member))
        return json_place_error(place, name, error, "must be an array");
    if (member && json_array_size(member) > most)
        return json_place_error(place, name, error, "must have at most %zu elements", most);
    *value = member;
    return true;
}
