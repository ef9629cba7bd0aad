/* directory of the configuration document. */
#include "common/config_private.h"

#include "common/cleanup.h"
#include "common/x509_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MOST_USERS 100000
#define MOST_SOURCES 16
#define MOST_SERVERS 4
#define MOST_DOMAINS 10000
#define NAME_SIZE 128
#define URI_SIZE 512
#define DN_SIZE 1024
#define PASSWORD_SIZE 512
#define HASH_SIZE 256
#define FILTER_SIZE 1024
#define ATTRIBUTE_SIZE 128
#define CERTIFICATES_SIZE (1u << 20)

#define SOURCE_NUMBER(name, least, most, fallback)                                                 \
    {                                                                                              \
#name, least, most, fallback, offsetof(struct config_directory_source, name)               \
    }

/* --- local users --- */

static bool read_user(const json_t *value, const struct json_place *place, struct config_user *user,
                      struct error *error)
{
    static const char *const known[] = {"name", "password_hash", NULL};
    if (!json_is_object(value))
        return json_place_error(place, NULL, error, "must be an object");
    if (!config_check_members(value, place, known, error) ||
        !config_read_text(value, place, "name", ADDRESS_SIZE, &user->name, error) ||
        !config_read_text(value, place, "password_hash", HASH_SIZE, &user->password_hash, error))
        return false;
    if (!user->name || !*user->name)
        return json_place_error(place, "name", error, "must be there");
    for (char *at = user->name; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return (user->password_hash && strncmp(user->password_hash, "$argon2id$", 10) == 0) ||
           json_place_error(place, "password_hash", error, "must be an Argon2id string");
}

static bool sort_users(struct config_directory *directory, const struct json_place *list,
                       struct error *error)
{
    size_t count = directory->user_count;
    cleanup_free struct config_key *keys = config_allocate(count, sizeof(*keys), error);
    if (!keys)
        return false;
    for (size_t i = 0; i < count; i++)
        keys[i] = (struct config_key){directory->users[i].name, i};
    return config_sort_keys(keys, count, list, "name", error) &&
           config_sort_elements(directory->users, count, sizeof(*directory->users), keys, error);
}

static bool read_users(const json_t *object, const struct json_place *place,
                       struct config_directory *directory, struct error *error)
{
    struct json_place list = {.parent = place, .name = "users"};
    const json_t *array;
    if (!json_get_array(object, place, "users", false, MOST_USERS, &array, error))
        return false;
    size_t count = json_array_size(array);
    directory->users = config_allocate(count, sizeof(*directory->users), error);
    if (!directory->users)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        directory->user_count = i + 1; /* also one that fails halfway is freed */
        if (!read_user(json_array_get(array, i), &element, &directory->users[i], error))
            return false;
    }
    return sort_users(directory, &list, error);
}

/* --- lists of texts --- */

struct text_list {
    char **texts;
    size_t count;
};

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

/* `check` returns NULL or the reason, and may write the text that is to be kept to `normal`. */
static bool read_texts(const json_t *value, const struct json_place *place, const char *name,
                       size_t most, const char *(*check)(const char *text, char *normal),
                       struct text_list *list, struct error *error)
{
    struct json_place own = {.parent = place, .name = name};
    const json_t *array;
    if (!json_get_array(value, place, name, false, most, &array, error))
        return false;
    size_t count = json_array_size(array);
    list->texts = config_allocate(count, sizeof(*list->texts), error);
    if (!list->texts)
        return false;
    for (size_t i = 0; i < count; i++, list->count++) {
        char normal[URI_SIZE];
        struct json_place element = {.parent = &own, .index = i};
        const char *text = json_string_value(json_array_get(array, i));
        const char *reason = text ? check(text, normal) : "must be a text";
        if (reason)
            return json_place_error(&element, NULL, error, "%s", reason);
        list->texts[i] = strdup(normal);
        if (!list->texts[i])
            return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    }
    return true;
}

static const char *check_uri(const char *text, char *normal)
{
    static const char form[] = "must be ldap://HOST, ldaps://HOST or one of them with :PORT";
    size_t scheme = strncmp(text, "ldaps://", 8) == 0 ? 8 : 7;
    size_t length = strlen(text);
    if ((scheme == 7 && strncmp(text, "ldap://", 7) != 0) || length == scheme || length >= URI_SIZE)
        return form;
    for (size_t i = scheme; i < length; i++)
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] > '~' ||
            strchr("/?#\"<>\\^`{|}", text[i]))
            return form;
    memcpy(normal, text, length + 1);
    return NULL;
}

static const char *check_domain(const char *text, char *normal)
{
    return domain_normalise(text, true, normal);
}

/* --- sources --- */

/* Counts brackets, and knows escapes and our own marks; the rest is the LDAP library's. */
static const char *check_filter(const char *filter)
{
    int depth = 0;
    if (*filter != '(')
        return "must begin with (";
    for (const char *at = filter; *at; at++) {
        if ((unsigned char)*at < ' ')
            return "must not hold control characters";
        if (*at == '%' && !strchr("sudD%", at[1] ? at[1] : '?'))
            return "knows %s, %u, %d, %D and %% alone";
        if (*at == '%')
            at++;
        else if (*at == '(')
            depth++;
        else if (*at == ')' && --depth == 0 && at[1])
            return "must end with its first bracket's partner";
    }
    return depth == 0 ? NULL : "has brackets without a partner";
}

static bool read_filter(const json_t *purpose, const struct json_place *place, char **filter,
                        struct error *error)
{
    if (!config_read_text(purpose, place, "filter", FILTER_SIZE, filter, error))
        return false;
    if (!*filter)
        return json_place_error(place, "filter", error, "must be there");
    const char *reason = check_filter(*filter);
    return !reason || json_place_error(place, "filter", error, "%s", reason);
}

static bool read_attribute(const json_t *purpose, const struct json_place *place, const char *name,
                           char **attribute, struct error *error)
{
    if (!config_read_text(purpose, place, name, ATTRIBUTE_SIZE, attribute, error))
        return false;
    if (!*attribute)
        return true;
    for (const char *at = *attribute; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-;._", *at))
            return json_place_error(place, name, error, "must be the name of an attribute");
    return true;
}

static bool read_purposes(const json_t *value, const struct json_place *place,
                          struct config_directory_source *source, struct error *error)
{
    const struct {
        const char *name;
        char **filter;
        const char *attributes[2];
        char **places[2];
    } purposes[] = {
        {"authentication", &source->authentication_filter, {NULL}, {NULL}},
        {"recipients", &source->recipients_filter, {NULL}, {NULL}},
        {"routing",
         &source->routing_filter,
         {"host_attribute", "address_attribute"},
         {&source->routing_host_attribute, &source->routing_address_attribute}},
        {"groups",
         &source->groups_filter,
         {"name_attribute", NULL},
         {&source->groups_name_attribute, NULL}},
    };
    for (size_t i = 0; i < sizeof(purposes) / sizeof(purposes[0]); i++) {
        const char *const known[] = {"filter", purposes[i].attributes[0],
                                     purposes[i].attributes[0] ? purposes[i].attributes[1] : NULL,
                                     NULL};
        struct json_place own = {.parent = place, .name = purposes[i].name};
        const json_t *purpose;
        if (!json_get_object(value, place, purposes[i].name, false, &purpose, error))
            return false;
        if (!purpose)
            continue;
        if (!config_check_members(purpose, &own, known, error) ||
            !read_filter(purpose, &own, purposes[i].filter, error))
            return false;
        for (size_t j = 0; j < 2 && purposes[i].attributes[j]; j++)
            if (!read_attribute(purpose, &own, purposes[i].attributes[j], purposes[i].places[j],
                                error))
                return false;
    }
    return true;
}

static bool default_text(char **text, const char *fallback, struct error *error)
{
    if (!*text)
        *text = strdup(fallback);
    return *text || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

static bool read_defaults(const struct json_place *place, struct config_directory_source *source,
                          struct error *error)
{
    if (source->routing_filter && !source->routing_host_attribute &&
        !source->routing_address_attribute)
        return json_place_error(place, "routing", error,
                                "needs host_attribute or address_attribute");
    return default_text(&source->bind_dn, "", error) &&
           default_text(&source->bind_password, "", error) &&
           default_text(&source->base_dn, "", error) &&
           default_text(&source->routing_host_attribute, "", error) &&
           default_text(&source->routing_address_attribute, "", error) &&
           default_text(&source->groups_name_attribute, "cn", error);
}

static bool read_connection(const json_t *value, const struct json_place *place,
                            struct config_directory_source *source, struct error *error)
{
    struct error reason = {0};
    if (!config_read_text(value, place, "name", NAME_SIZE, &source->name, error) ||
        !config_read_text(value, place, "ca", CERTIFICATES_SIZE, &source->ca, error) ||
        !config_read_text(value, place, "bind_dn", DN_SIZE, &source->bind_dn, error) ||
        !config_read_text(value, place, "bind_password", PASSWORD_SIZE, &source->bind_password,
                          error) ||
        !config_read_text(value, place, "base_dn", DN_SIZE, &source->base_dn, error) ||
        !json_get_bool_or(value, place, "start_tls", false, &source->start_tls, error))
        return false;
    if (!source->name || !*source->name)
        return json_place_error(place, "name", error, "must be there");
    X509 *ca = source->ca ? x509_read_certificate(source->ca, &reason) : NULL;
    if (source->ca && !ca)
        return json_place_error(place, "ca", error, "%s", reason.message);
    X509_free(ca);
    return true;
}

static bool read_source(const json_t *value, const struct json_place *place,
                        struct config_directory_source *source, struct error *error)
{
    static const char *const known[] = {"name",
                                        "servers",
                                        "start_tls",
                                        "ca",
                                        "bind_dn",
                                        "bind_password",
                                        "base_dn",
                                        "domains",
                                        "routing",
                                        "groups",
                                        "timeout_seconds",
                                        "cache_seconds",
                                        "negative_cache_seconds",
                                        "authentication",
                                        "recipients",
                                        NULL};
    static const struct config_number numbers[] = {
        SOURCE_NUMBER(timeout_seconds, 1, 60, 10),
        SOURCE_NUMBER(cache_seconds, 0, 86400, 600),
        SOURCE_NUMBER(negative_cache_seconds, 0, 86400, 60),
    };
    struct text_list servers = {0}, domains = {0};
    bool ok = json_is_object(value) || json_place_error(place, NULL, error, "must be an object");
    ok = ok && config_check_members(value, place, known, error) &&
         read_connection(value, place, source, error) &&
         read_texts(value, place, "servers", MOST_SERVERS, check_uri, &servers, error) &&
         read_texts(value, place, "domains", MOST_DOMAINS, check_domain, &domains, error) &&
         config_read_numbers(value, place, numbers, sizeof(numbers) / sizeof(numbers[0]), source,
                             error) &&
         read_purposes(value, place, source, error) && read_defaults(place, source, error);
    source->servers = servers.texts;
    source->server_count = servers.count;
    source->domains = domains.texts;
    source->domain_count = domains.count;
    return ok && (servers.count > 0 ||
                  json_place_error(place, "servers", error, "must have at least one element"));
}

static bool read_sources(const json_t *object, const struct json_place *place,
                         struct config_directory *directory, struct error *error)
{
    struct json_place list = {.parent = place, .name = "sources"};
    const json_t *array;
    if (!json_get_array(object, place, "sources", false, MOST_SOURCES, &array, error))
        return false;
    size_t count = json_array_size(array);
    directory->sources = config_allocate(count, sizeof(*directory->sources), error);
    if (!directory->sources)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        directory->source_count = i + 1;
        if (!read_source(json_array_get(array, i), &element, &directory->sources[i], error))
            return false;
        for (size_t j = 0; j < i; j++)
            if (strcmp(directory->sources[j].name, directory->sources[i].name) == 0)
                return json_place_error(&element, "name", error, "stands here twice");
    }
    return true;
}

bool config_read_directory(const json_t *document, struct scanner_config *config,
                           struct error *error)
{
    static const char *const known[] = {"users", "sources", NULL};
    struct json_place place = {.name = "directory"};
    const json_t *object;
    cleanup_json json_t *none = json_object();
    if (!json_get_object(document, NULL, "directory", false, &object, error))
        return false;
    if (!object)
        object = none;
    return config_check_members(object, &place, known, error) &&
           read_users(object, &place, &config->directory, error) &&
           read_sources(object, &place, &config->directory, error);
}

/* --- the end --- */

static void free_secret(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

static void free_source(struct config_directory_source *source)
{
    char *const texts[] = {
        source->name,
        source->ca,
        source->bind_dn,
        source->base_dn,
        source->authentication_filter,
        source->recipients_filter,
        source->routing_filter,
        source->routing_host_attribute,
        source->routing_address_attribute,
        source->groups_filter,
        source->groups_name_attribute,
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        free(texts[i]);
    free_secret(source->bind_password);
    free_texts(source->servers, source->server_count);
    free_texts(source->domains, source->domain_count);
}

void config_free_directory(struct config_directory *directory)
{
    for (size_t i = 0; i < directory->user_count; i++) {
        free(directory->users[i].name);
        free_secret(directory->users[i].password_hash);
    }
    free(directory->users);
    for (size_t i = 0; i < directory->source_count; i++)
        free_source(&directory->sources[i]);
    free(directory->sources);
}
