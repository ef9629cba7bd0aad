/* aliases, masquerades and bounce_protection of the configuration document. */
#include "common/config_private.h"

#include "common/cleanup.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define MOST_RULES 100000
#define MOST_TARGETS 100
#define LEAST_SECRET 16
#define SECRET_TEXT_SIZE 128

/* --- addresses --- */

static bool lower_local_part(const char *text, size_t length, char *out)
{
    if (length >= ADDRESS_SIZE)
        return false;
    for (size_t i = 0; i < length; i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    out[length] = '\0';
    return true;
}

const char *config_normalise_left(const char *text, bool below, char normal[ADDRESS_SIZE])
{
    char domain[DOMAIN_SIZE];
    const char *at = strrchr(text, '@');
    if (!at)
        return "has no @";
    size_t local = (size_t)(at - text);
    const char *name = at + 1;
    bool subdomains = local == 0 && below && *name == '.';
    const char *reason = local ? address_check(text, strlen(text), true) : NULL;
    if (!reason)
        reason = domain_normalise(name + subdomains, true, domain);
    if (reason)
        return reason;
    if (local + strlen(domain) + 3 > ADDRESS_SIZE || !lower_local_part(text, local, normal))
        return "is too long";
    char *out = normal + local;
    *out++ = '@';
    if (subdomains)
        *out++ = '.';
    memcpy(out, domain, strlen(domain) + 1);
    return NULL;
}

static bool read_left(const json_t *value, const struct json_place *place, const char *member,
                      bool below, char **text, struct error *error)
{
    char normal[ADDRESS_SIZE];
    const char *given;
    if (!json_get_text(value, place, member, ADDRESS_SIZE, &given, error))
        return false;
    const char *reason = config_normalise_left(given, below, normal);
    if (reason)
        return json_place_error(place, member, error, "must be an address, or @ and a domain: %s",
                                reason);
    *text = strdup(normal);
    return *text || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

/* --- aliases --- */

static bool read_targets(const json_t *value, const struct json_place *place,
                         struct config_alias *alias, struct error *error)
{
    struct json_place list = {.parent = place, .name = "to"};
    const json_t *array;
    if (!json_get_array(value, place, "to", true, MOST_TARGETS, &array, error))
        return false;
    size_t count = json_array_size(array);
    if (count == 0)
        return json_place_error(&list, NULL, error, "must have at least one element");
    alias->to = config_allocate(count, sizeof(*alias->to), error);
    if (!alias->to)
        return false;
    for (size_t i = 0; i < count; i++, alias->to_count++) {
        struct json_place element = {.parent = &list, .index = i};
        const char *text = json_string_value(json_array_get(array, i));
        const char *reason = text ? address_check(text, strlen(text), true) : "is no text";
        if (!reason && strlen(text) >= ADDRESS_SIZE)
            reason = "is too long";
        if (reason)
            return json_place_error(&element, NULL, error, "must be a mail address: %s", reason);
        alias->to[i] = strdup(text);
        if (!alias->to[i])
            return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    }
    return true;
}

static bool read_alias(const json_t *value, const struct json_place *place,
                       struct config_alias *alias, struct error *error)
{
    static const char *const known[] = {"address", "to", NULL};
    return read_left(value, place, "address", false, &alias->address, error) &&
           read_targets(value, place, alias, error) &&
           config_check_members(value, place, known, error);
}

static bool sort_aliases(struct scanner_config *config, const struct json_place *list,
                         struct error *error)
{
    size_t count = config->alias_count;
    cleanup_free struct config_key *keys = config_allocate(count, sizeof(*keys), error);
    if (!keys)
        return false;
    for (size_t i = 0; i < count; i++)
        keys[i] = (struct config_key){config->aliases[i].address, i};
    return config_sort_keys(keys, count, list, "address", error) &&
           config_sort_elements(config->aliases, count, sizeof(*config->aliases), keys, error);
}

static bool read_aliases(const json_t *document, struct scanner_config *config, struct error *error)
{
    struct json_place list = {.name = "aliases"};
    const json_t *array;
    if (!json_get_array(document, NULL, "aliases", false, MOST_RULES, &array, error))
        return false;
    size_t count = json_array_size(array);
    config->aliases = config_allocate(count, sizeof(*config->aliases), error);
    if (!config->aliases)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        config->alias_count = i + 1; /* also one that fails halfway is freed */
        if (!read_alias(json_array_get(array, i), &element, &config->aliases[i], error))
            return false;
    }
    return sort_aliases(config, &list, error);
}

static int compare_alias(const void *address, const void *alias)
{
    return strcmp(address, ((const struct config_alias *)alias)->address);
}

const struct config_alias *config_find_alias(const struct scanner_config *config,
                                             const char *address)
{
    if (config->alias_count == 0)
        return NULL;
    return bsearch(address, config->aliases, config->alias_count, sizeof(*config->aliases),
                   compare_alias);
}

/* --- masquerades --- */

static bool read_masquerade(const json_t *value, const struct json_place *place,
                            struct config_masquerade *masquerade, struct error *error)
{
    static const char *const known[] = {"from", "to", NULL};
    if (!read_left(value, place, "from", true, &masquerade->from, error) ||
        !read_left(value, place, "to", false, &masquerade->to, error) ||
        !config_check_members(value, place, known, error))
        return false;
    return strcmp(masquerade->from, masquerade->to) != 0 ||
           json_place_error(place, "to", error, "is the same as from");
}

static bool sort_masquerades(struct scanner_config *config, const struct json_place *list,
                             struct error *error)
{
    size_t count = config->masquerade_count;
    cleanup_free struct config_key *keys = config_allocate(count, sizeof(*keys), error);
    if (!keys)
        return false;
    for (size_t i = 0; i < count; i++)
        keys[i] = (struct config_key){config->masquerades[i].from, i};
    return config_sort_keys(keys, count, list, "from", error) &&
           config_sort_elements(config->masquerades, count, sizeof(*config->masquerades), keys,
                                error);
}

static bool read_masquerades(const json_t *document, struct scanner_config *config,
                             struct error *error)
{
    struct json_place list = {.name = "masquerades"};
    const json_t *array;
    if (!json_get_array(document, NULL, "masquerades", false, MOST_RULES, &array, error))
        return false;
    size_t count = json_array_size(array);
    config->masquerades = config_allocate(count, sizeof(*config->masquerades), error);
    if (!config->masquerades)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        config->masquerade_count = i + 1;
        if (!read_masquerade(json_array_get(array, i), &element, &config->masquerades[i], error))
            return false;
    }
    return sort_masquerades(config, &list, error);
}

static int compare_masquerade(const void *from, const void *masquerade)
{
    return strcmp(from, ((const struct config_masquerade *)masquerade)->from);
}

const struct config_masquerade *config_find_masquerade(const struct scanner_config *config,
                                                       const char *from)
{
    if (config->masquerade_count == 0)
        return NULL;
    return bsearch(from, config->masquerades, config->masquerade_count,
                   sizeof(*config->masquerades), compare_masquerade);
}

/* --- bounce protection --- */

static bool read_key(const json_t *value, const struct json_place *place,
                     struct config_bounce_key *key, struct error *error)
{
    static const char *const known[] = {"number", "secret", NULL};
    const char *text;
    int64_t number;
    if (!json_get_integer(value, place, "number", 0, 9, &number, error) ||
        !json_get_text(value, place, "secret", SECRET_TEXT_SIZE, &text, error))
        return false;
    key->number = (int)number;
    if (sodium_base642bin(key->secret, sizeof(key->secret), text, strlen(text), NULL, &key->length,
                          NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        key->length < LEAST_SECRET)
        return json_place_error(place, "secret", error, "must be base64 of %d to %d bytes",
                                LEAST_SECRET, CONFIG_BOUNCE_SECRET_MOST);
    return config_check_members(value, place, known, error);
}

static bool read_keys(const json_t *object, const struct json_place *place,
                      struct config_bounce_protection *protection, struct error *error)
{
    struct json_place list = {.parent = place, .name = "keys"};
    const json_t *array;
    if (!json_get_array(object, place, "keys", false, CONFIG_BOUNCE_KEYS, &array, error))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++, protection->key_count++) {
        struct json_place element = {.parent = &list, .index = i};
        if (!read_key(json_array_get(array, i), &element, &protection->keys[i], error))
            return false;
        for (size_t j = 0; j < i; j++)
            if (protection->keys[j].number == protection->keys[i].number)
                return json_place_error(&element, "number", error, "stands here twice");
    }
    return true;
}

static bool read_bounce_protection(const json_t *document,
                                   struct config_bounce_protection *protection, struct error *error)
{
    static const char *const known[] = {"mode", "days", "keys", NULL};
    static const char *const modes[] = {"off", "tag", "enforce", NULL};
    struct json_place place = {.name = "bounce_protection"};
    const json_t *object;
    int64_t days;
    int mode;
    if (!json_get_object(document, NULL, "bounce_protection", false, &object, error))
        return false;
    if (!object)
        return true;
    if (!config_check_members(object, &place, known, error) ||
        !config_read_choice(object, &place, "mode", modes, &mode, error) ||
        !json_get_integer_or(object, &place, "days", 1, 30, 7, &days, error) ||
        !read_keys(object, &place, protection, error))
        return false;
    protection->mode = (enum config_bounce_mode)mode;
    protection->days = (int)days;
    return mode == CONFIG_BOUNCE_OFF || protection->key_count > 0 ||
           json_place_error(&place, "keys", error, "must have at least one element");
}

/* --- all --- */

bool config_read_addresses(const json_t *document, struct scanner_config *config,
                           struct error *error)
{
    return read_aliases(document, config, error) && read_masquerades(document, config, error) &&
           read_bounce_protection(document, &config->bounce_protection, error);
}

void config_free_addresses(struct scanner_config *config)
{
    for (size_t i = 0; i < config->alias_count; i++) {
        for (size_t j = 0; j < config->aliases[i].to_count; j++)
            free(config->aliases[i].to[j]);
        free(config->aliases[i].to);
        free(config->aliases[i].address);
    }
    free(config->aliases);
    for (size_t i = 0; i < config->masquerade_count; i++) {
        free(config->masquerades[i].from);
        free(config->masquerades[i].to);
    }
    free(config->masquerades);
    explicit_bzero(&config->bounce_protection, sizeof(config->bounce_protection));
}
