#include "common/config_private.h"

#include "common/cleanup.h"
#include "common/message_id.h"
#include "common/policy_model.h"
#include "common/timestamp.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER(name, least, most, fallback)                                                        \
    {                                                                                              \
#name, least, most, fallback, offsetof(struct config_engine, name)                         \
    }

#define LIMIT(name, least, most, fallback)                                                         \
    {                                                                                              \
#name, least, most, fallback, offsetof(struct config_engine_limits, name)                  \
    }

bool config_check_members(const json_t *object, const struct json_place *place,
                          const char *const *known, struct error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], name) != 0)
            i++;
        if (!known[i])
            return json_place_error(place, name, error, "is not known here");
    }
    return true;
}

bool config_read_numbers(const json_t *object, const struct json_place *place,
                         const struct config_number *numbers, size_t count, void *into,
                         struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        const struct config_number *number = &numbers[i];
        int64_t value = number->fallback;
        if (object && !json_get_integer_or(object, place, number->name, number->least, number->most,
                                           number->fallback, &value, error))
            return false;
        int narrow = (int)value;
        memcpy((char *)into + number->offset, &narrow, sizeof(narrow));
    }
    return true;
}

void *config_allocate(size_t count, size_t size, struct error *error)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    return memory;
}

bool config_read_text(const json_t *object, const struct json_place *place, const char *name,
                      size_t most, char **text, struct error *error)
{
    const char *value;
    if (!json_object_get(object, name))
        return true;
    if (!json_get_text(object, place, name, most, &value, error))
        return false;
    *text = strdup(value);
    return *text || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

bool config_read_choice(const json_t *object, const struct json_place *place, const char *name,
                        const char *const *names, int *choice, struct error *error)
{
    const char *text;
    char known[128] = "";
    size_t length = 0;
    if (!json_get_text_or(object, place, name, 32, names[0], &text, error))
        return false;
    for (*choice = 0; names[*choice]; (*choice)++) {
        if (strcmp(text, names[*choice]) == 0)
            return true;
        length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s",
                                   *choice == 0         ? ""
                                   : names[*choice + 1] ? ", "
                                                        : " or ",
                                   names[*choice]);
    }
    return json_place_error(place, name, error, "must be %s", known);
}

/* --- lists without repetitions --- */

/* Orders by key, and by the place in the document among the same keys. */
static int compare_keys(const void *a, const void *b)
{
    const struct config_key *first = a, *second = b;
    int order = strcmp(first->key, second->key);
    return order ? order : (first->index > second->index) - (first->index < second->index);
}

bool config_sort_keys(struct config_key *keys, size_t count, const struct json_place *place,
                      const char *member, struct error *error)
{
    qsort(keys, count, sizeof(*keys), compare_keys);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(keys[i - 1].key, keys[i].key) != 0)
            continue;
        struct json_place element = {.parent = place, .index = keys[i].index};
        return json_place_error(&element, member, error, "%s is also %s[%zu]", keys[i].key,
                                place->name, keys[i - 1].index);
    }
    return true;
}

bool config_sort_elements(void *elements, size_t count, size_t size, const struct config_key *keys,
                          struct error *error)
{
    char *sorted = config_allocate(count, size, error);
    if (!sorted)
        return false;
    for (size_t i = 0; i < count; i++)
        memcpy(sorted + i * size, (char *)elements + keys[i].index * size, size);
    memcpy(elements, sorted, count * size);
    free(sorted);
    return true;
}

static bool read_scanner_id(const json_t *document, struct scanner_config *config,
                            struct error *error)
{
    const char *text;
    struct message_id id;
    if (!json_get_text(document, NULL, "scanner_id", MESSAGE_ID_TEXT_SIZE, &text, error))
        return false;
    if (!message_id_parse(text, &id))
        return json_place_error(NULL, "scanner_id", error, "must be a UUID");
    message_id_text(&id, config->scanner_id);
    return true;
}

static bool read_issued_at(const json_t *document, struct error *error)
{
    const char *text;
    int64_t issued_at;
    if (!json_get_text(document, NULL, "issued_at", TIMESTAMP_TEXT_SIZE, &text, error))
        return false;
    return timestamp_parse(text, &issued_at) ||
           json_place_error(NULL, "issued_at", error,
                            "must be a time such as 2026-01-31T12:00:00Z");
}

static bool read_head(const json_t *document, struct scanner_config *config, struct error *error)
{
    const char *host_name;
    int64_t format;
    if (!json_get_integer(document, NULL, "format", CONFIG_FORMAT, CONFIG_FORMAT, &format, error) ||
        !json_get_integer(document, NULL, "version", 1, INT64_MAX, &config->version, error) ||
        !read_scanner_id(document, config, error) || !read_issued_at(document, error) ||
        !json_get_text(document, NULL, "host_name", DOMAIN_SIZE, &host_name, error))
        return false;
    const char *reason = domain_normalise(host_name, true, config->host_name);
    return !reason || json_place_error(NULL, "host_name", error, "%s", reason);
}

static int add_to_hash(const char *text, size_t length, void *hash)
{
    return crypto_generichash_update(hash, (const unsigned char *)text, length);
}

static uint64_t fingerprint_of(const json_t *object)
{
    unsigned char digest[crypto_generichash_BYTES];
    crypto_generichash_state hash;
    uint64_t fingerprint;
    crypto_generichash_init(&hash, NULL, 0, sizeof(digest));
    json_dump_callback(object, add_to_hash, &hash, JSON_COMPACT | JSON_SORT_KEYS);
    crypto_generichash_final(&hash, digest, sizeof(digest));
    memcpy(&fingerprint, digest, sizeof(fingerprint));
    return fingerprint;
}

static bool read_policies(const json_t *document, struct scanner_config *config,
                          struct error *error)
{
    struct json_place place = {.name = "policies"};
    struct json_place malware_place = {.parent = &place, .name = "malware"};
    const json_t *policies, *malware;
    config_usual_malware(config->malware);
    if (!json_get_object(document, NULL, "policies", false, &policies, error))
        return false;
    config->policy = policy_set_parse(policies, &place, error);
    if (!config->policy || !policies)
        return config->policy != NULL;
    config->policy_fingerprint = fingerprint_of(policies);
    return json_get_object(policies, &place, "malware", false, &malware, error) &&
           (!malware || config_read_malware(malware, &malware_place, config->malware, error));
}

static bool read_engine_limits(const json_t *engine, const struct json_place *engine_place,
                               struct config_engine_limits *limits, struct error *error)
{
    static const char *const known[] = {
        "depth", "parts", "unpacked_megabytes", "ratio", "memory_megabytes", NULL};
    static const struct config_number numbers[] = {
        LIMIT(depth, 1, 100, 20),
        LIMIT(parts, 1, 1000000, 10000),
        LIMIT(unpacked_megabytes, 1, 16384, 256),
        LIMIT(ratio, 10, 1000000, 1000),
        LIMIT(memory_megabytes, 128, 1048576, 2048),
    };
    struct json_place place = {.parent = engine_place, .name = "limits"};
    const json_t *object = NULL;
    return (!engine || json_get_object(engine, engine_place, "limits", false, &object, error)) &&
           (!object || config_check_members(object, &place, known, error)) &&
           config_read_numbers(object, &place, numbers, sizeof(numbers) / sizeof(numbers[0]),
                               limits, error);
}

static bool read_engine(const json_t *document, struct scanner_config *config, struct error *error)
{
    static const char *const known[] = {"workers", "scan_seconds", "limits", NULL};
    static const struct config_number numbers[] = {
        NUMBER(workers, 1, 64, 2),
        NUMBER(scan_seconds, 1, 600, 60),
    };
    struct json_place place = {.name = "engine"};
    const json_t *engine;
    return json_get_object(document, NULL, "engine", false, &engine, error) &&
           (!engine || config_check_members(engine, &place, known, error)) &&
           config_read_numbers(engine, &place, numbers, sizeof(numbers) / sizeof(numbers[0]),
                               &config->engine, error) &&
           read_engine_limits(engine, &place, &config->engine.limits, error);
}

static bool read_default_route(const json_t *document, struct scanner_config *config,
                               struct error *error)
{
    struct json_place place = {.name = "default_route"};
    const json_t *route = json_object_get(document, "default_route");
    config->default_route.kind = CONFIG_ROUTE_MX;
    return !route || config_read_route(route, &place, &config->default_route, error);
}

static bool read_document(const json_t *document, struct scanner_config *config,
                          struct error *error)
{
    static const char *const known[] = {
        "format",   "version",       "scanner_id", "issued_at",   "host_name",         "smtp",
        "domains",  "default_route", "aliases",    "masquerades", "bounce_protection", "directory",
        "policies", "engine",        "signatures", NULL};
    if (!json_is_object(document))
        return json_place_error(NULL, NULL, error, "the document must be an object");
    return config_check_members(document, NULL, known, error) &&
           read_head(document, config, error) && config_read_smtp(document, config, error) &&
           config_read_domains(document, config, error) &&
           read_default_route(document, config, error) &&
           config_read_addresses(document, config, error) &&
           config_read_directory(document, config, error) &&
           read_policies(document, config, error) && read_engine(document, config, error) &&
           config_read_signatures(document, config, error);
}

struct scanner_config *config_parse(const char *document, size_t length, struct error *error)
{
    if (length > CONFIG_DOCUMENT_LIMIT) {
        error_set(error, ERROR_INVALID, "configuration", "is larger than %u bytes",
                  CONFIG_DOCUMENT_LIMIT);
        return NULL;
    }
    cleanup_json json_t *value = json_parse(document, length, "configuration", error);
    if (!value)
        return NULL;
    struct scanner_config *config = config_allocate(1, sizeof(*config), error);
    if (config && !read_document(value, config, error)) {
        config_free(config);
        return NULL;
    }
    return config;
}
