/* `signatures` of the document: custom signatures, and how freshclam is run. */
#include "common/config_private.h"

#include <string.h>

#define NAME_MOST 64
#define URL_MOST 1024
#define CREDENTIAL_MOST 256

static const char *const extensions[] = {".hdb", ".hsb", ".ndb", ".ldb", ".fp", ".yar", ".yara"};

bool config_signature_name_valid(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(name);
    if (length > NAME_MOST || strspn(name, allowed) != length || name[0] == '.')
        return false;
    for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
        size_t end = strlen(extensions[i]);
        if (length > end && strcmp(name + length - end, extensions[i]) == 0)
            return true;
    }
    return false;
}

/* --- custom signatures --- */

static bool read_file(const json_t *object, const struct json_place *place,
                      struct config_signature_file *file, size_t *left, struct error *error)
{
    static const char *const known[] = {"name", "text", NULL};
    const char *name, *text;
    if (!json_is_object(object))
        return json_place_error(place, NULL, error, "must be an object");
    if (!config_check_members(object, place, known, error) ||
        !json_get_text(object, place, "name", NAME_MOST, &name, error) ||
        !json_get_text(object, place, "text", CONFIG_SIGNATURE_BYTES, &text, error))
        return false;
    if (!config_signature_name_valid(name))
        return json_place_error(place, "name", error, "is no name of a signature file");
    size_t length = strlen(text);
    if (length > *left)
        return json_place_error(place, "text", error, "all of them have over %u bytes",
                                CONFIG_SIGNATURE_BYTES);
    *left -= length;
    file->name = strdup(name);
    file->text = strdup(text);
    return (file->name && file->text) || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

static bool sort_files(struct config_signatures *signatures, const struct json_place *place,
                       struct error *error)
{
    struct config_key keys[CONFIG_SIGNATURE_FILES];
    for (size_t i = 0; i < signatures->custom_count; i++)
        keys[i] = (struct config_key){signatures->custom[i].name, i};
    return config_sort_keys(keys, signatures->custom_count, place, "name", error) &&
           config_sort_elements(signatures->custom, signatures->custom_count,
                                sizeof(*signatures->custom), keys, error);
}

static bool read_custom(const json_t *object, const struct json_place *parent,
                        struct config_signatures *signatures, struct error *error)
{
    struct json_place list = {.parent = parent, .name = "custom"};
    const json_t *array;
    size_t left = CONFIG_SIGNATURE_BYTES;
    if (!json_get_array(object, parent, "custom", false, CONFIG_SIGNATURE_FILES, &array, error))
        return false;
    signatures->has_custom = array != NULL;
    size_t count = json_array_size(array);
    signatures->custom = config_allocate(count, sizeof(*signatures->custom), error);
    if (!signatures->custom)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_place place = {.parent = &list, .index = i};
        signatures->custom_count = i + 1;
        if (!read_file(json_array_get(array, i), &place, &signatures->custom[i], &left, error))
            return false;
    }
    return sort_files(signatures, &list, error);
}

/* --- updates --- */

/* freshclam's configuration has one option a line, so neither blanks nor line ends get into it. */
static bool is_url(const char *text)
{
    size_t head = strncmp(text, "http://", 7) == 0 ? 7 : strncmp(text, "https://", 8) == 0 ? 8 : 0;
    if (head == 0 || !text[head] || text[head] == '/')
        return false;
    for (const char *at = text; *at; at++)
        if (*at <= ' ' || *at >= 127 || *at == '"' || *at == '#')
            return false;
    return true;
}

static bool is_word(const char *text)
{
    for (const char *at = text; *at; at++)
        if (*at <= ' ' || *at == 127 || *at == '"')
            return false;
    return true;
}

static bool read_word(const json_t *object, const struct json_place *place, const char *name,
                      char **text, struct error *error)
{
    if (!config_read_text(object, place, name, CREDENTIAL_MOST, text, error))
        return false;
    if (*text && !is_word(*text))
        return json_place_error(place, name, error, "must not have blanks or quotes");
    if (*text && !**text) {
        free(*text);
        *text = NULL;
    }
    return true;
}

static bool read_proxy(const json_t *update, const struct json_place *parent,
                       struct config_signature_update *to, struct error *error)
{
    static const char *const known[] = {"host", "port", "user", "password", NULL};
    struct json_place place = {.parent = parent, .name = "proxy"};
    const json_t *object;
    int64_t port;
    if (!json_get_object(update, parent, "proxy", false, &object, error))
        return false;
    if (!object)
        return true;
    if (!config_check_members(object, &place, known, error) ||
        !read_word(object, &place, "host", &to->proxy_host, error) ||
        !json_get_integer_or(object, &place, "port", 1, 65535, 3128, &port, error) ||
        !read_word(object, &place, "user", &to->proxy_user, error) ||
        !read_word(object, &place, "password", &to->proxy_password, error))
        return false;
    to->proxy_port = (int)port;
    return to->proxy_host || json_place_error(&place, "host", error, "must not be empty");
}

static bool read_urls(const json_t *update, const struct json_place *parent,
                      struct config_signature_update *to, struct error *error)
{
    struct json_place list = {.parent = parent, .name = "urls"};
    const json_t *array;
    if (!json_get_array(update, parent, "urls", false, CONFIG_SIGNATURE_URLS, &array, error))
        return false;
    to->urls = config_allocate(json_array_size(array), sizeof(*to->urls), error);
    for (size_t i = 0; to->urls && i < json_array_size(array); i++) {
        struct json_place place = {.parent = &list, .index = i};
        const char *text = json_string_value(json_array_get(array, i));
        const char *name = text ? strrchr(text, '/') : NULL;
        if (!text || strlen(text) > URL_MOST || !is_url(text) ||
            strlen(strstr(text, "//") + 2) <= strlen(name) || !name[1])
            return json_place_error(&place, NULL, error,
                                    "must be http:// or https:// and the place of a file");
        if (!(to->urls[i] = strdup(text)))
            return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        to->url_count = i + 1;
    }
    return to->urls != NULL;
}

static bool read_mirror(const json_t *update, const struct json_place *place,
                        struct config_signature_update *to, struct error *error)
{
    if (!config_read_text(update, place, "mirror", URL_MOST, &to->mirror, error))
        return false;
    if (to->mirror && *to->mirror)
        return is_url(to->mirror) ||
               json_place_error(place, "mirror", error, "must be http:// or https:// and a host");
    free(to->mirror);
    to->mirror = NULL;
    return true;
}

static bool read_update(const json_t *object, const struct json_place *parent,
                        struct config_signature_update *to, struct error *error)
{
    static const char *const known[] = {"hours", "official", "mirror", "proxy", "urls", NULL};
    struct json_place place = {.parent = parent, .name = "update"};
    const json_t *update = NULL;
    int64_t hours = to->hours;
    if (object && !json_get_object(object, parent, "update", false, &update, error))
        return false;
    if (!update)
        return true;
    bool ok = config_check_members(update, &place, known, error) &&
              json_get_integer_or(update, &place, "hours", 0, 720, to->hours, &hours, error) &&
              json_get_bool_or(update, &place, "official", true, &to->official, error) &&
              read_mirror(update, &place, to, error) && read_proxy(update, &place, to, error) &&
              read_urls(update, &place, to, error);
    to->hours = (int)hours;
    return ok;
}

bool config_read_signatures(const json_t *document, struct scanner_config *config,
                            struct error *error)
{
    static const char *const known[] = {"custom", "update", NULL};
    struct json_place place = {.name = "signatures"};
    const json_t *object;
    config->signatures.update = (struct config_signature_update){.hours = 4, .official = true};
    if (!json_get_object(document, NULL, "signatures", false, &object, error))
        return false;
    return !object || (config_check_members(object, &place, known, error) &&
                       read_custom(object, &place, &config->signatures, error) &&
                       read_update(object, &place, &config->signatures.update, error));
}

void config_free_signatures(struct config_signatures *signatures)
{
    struct config_signature_update *update = &signatures->update;
    for (size_t i = 0; i < signatures->custom_count; i++) {
        free(signatures->custom[i].name);
        free(signatures->custom[i].text);
    }
    free(signatures->custom);
    for (size_t i = 0; i < update->url_count; i++)
        free(update->urls[i]);
    free(update->urls);
    free(update->mirror);
    free(update->proxy_host);
    free(update->proxy_user);
    if (update->proxy_password)
        explicit_bzero(update->proxy_password, strlen(update->proxy_password));
    free(update->proxy_password);
}
