/* Texts of policies in the form in which they are compared. */
#include "common/policy_private.h"

#include "common/address.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char out_of_memory[] = "no memory is left";

static char *copy(const char *text, const char **reason)
{
    char *normal = strdup(text);
    if (!normal)
        *reason = out_of_memory;
    return normal;
}

static char *refuse(const char *text, const char **reason)
{
    *reason = text;
    return NULL;
}

char *policy_plain(const char *text, const char **reason)
{
    if (*text == '\0')
        return refuse("must not be empty", reason);
    return copy(text, reason);
}

char *policy_lower(const char *text, const char **reason)
{
    char *normal = policy_plain(text, reason);
    for (char *at = normal; at && *at; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at + ('a' - 'A'));
    return normal;
}

char *policy_extension(const char *text, const char **reason)
{
    if (*text == '.' || strpbrk(text, "/\\*?"))
        return refuse("must be an extension without its dot, such as exe", reason);
    return policy_lower(text, reason);
}

char *policy_type_or_flag(const char *text, const char **reason)
{
    if (strncasecmp(text, "flag:", 5) == 0 && strcasecmp(text, "flag:encrypted") != 0 &&
        strcasecmp(text, "flag:macros") != 0)
        return refuse("must be a type, flag:encrypted or flag:macros", reason);
    return policy_lower(text, reason);
}

char *policy_address(const char *text, const char **reason)
{
    char normal[ADDRESS_SIZE];
    *reason = config_normalise_left(text, true, normal);
    return *reason ? NULL : copy(normal, reason);
}

char *policy_member(const char *text, const char **reason)
{
    if (strncmp(text, "group:", 6) != 0)
        return policy_address(text, reason);
    if (text[6] == '\0')
        return refuse("must name a group of the directory", reason);
    return policy_line(text, reason);
}

char *policy_mailbox(const char *text, const char **reason)
{
    *reason = address_check(text, strlen(text), true);
    if (!*reason && strlen(text) >= ADDRESS_SIZE)
        *reason = "is too long";
    return *reason ? NULL : copy(text, reason);
}

char *policy_header_name(const char *text, const char **reason)
{
    if (*text == '\0' || strlen(text) > 100)
        return refuse("must be a name of 1 to 100 characters", reason);
    for (const char *at = text; *at; at++)
        if (*at < 33 || *at > 126 || *at == ':')
            return refuse("must be printable ASCII characters without blanks and colons", reason);
    return copy(text, reason);
}

char *policy_line(const char *text, const char **reason)
{
    for (const char *at = text; *at; at++)
        if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
            return refuse("must be one line without control characters", reason);
    return copy(text, reason);
}

static bool refuse_text(const struct json_place *place, const char *name, const char *reason,
                        struct error *error)
{
    if (reason == out_of_memory)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    return json_place_error(place, name, error, "%s", reason);
}

static bool read_element(const json_t *value, const struct json_place *place,
                         policy_normalise normalise, char **text, struct error *error)
{
    const char *reason = NULL;
    if (!json_is_string(value))
        return json_place_error(place, NULL, error, "must be a text");
    if (json_string_length(value) > POLICY_TEXT_MOST)
        return json_place_error(place, NULL, error, "must have at most %d bytes", POLICY_TEXT_MOST);
    *text = normalise(json_string_value(value), &reason);
    return *text || refuse_text(place, NULL, reason, error);
}

bool policy_read_texts(const json_t *object, const struct json_place *place, const char *name,
                       bool required, size_t most, policy_normalise normalise,
                       struct policy_texts *texts, struct error *error)
{
    struct json_place list = {.parent = place, .name = name};
    const json_t *array;
    if (!json_get_array(object, place, name, required, most, &array, error))
        return false;
    size_t count = json_array_size(array);
    if (count == 0)
        return !required || json_place_error(&list, NULL, error, "must have at least one element");
    texts->items = config_allocate(count, sizeof(*texts->items), error);
    if (!texts->items)
        return false;
    for (; texts->count < count; texts->count++) {
        struct json_place element = {.parent = &list, .index = texts->count};
        if (!read_element(json_array_get(array, texts->count), &element, normalise,
                          &texts->items[texts->count], error))
            return false;
    }
    return true;
}

void policy_free_texts(struct policy_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->items[i]);
    free(texts->items);
    *texts = (struct policy_texts){0};
}

bool policy_read_normal(const json_t *object, const struct json_place *place, const char *name,
                        policy_normalise normalise, char **text, struct error *error)
{
    const char *value, *reason = NULL;
    if (!json_get_text(object, place, name, POLICY_TEXT_MOST, &value, error))
        return false;
    *text = normalise(value, &reason);
    return *text || refuse_text(place, name, reason, error);
}
