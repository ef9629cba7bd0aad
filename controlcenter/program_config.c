#include "controlcenter/program_config.h"

#include "common/address.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/ip.h"
#include "common/json.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_LIMIT (1u << 20)
#define PATH_LIMIT 1024

/* A misspelt member would otherwise be a default that nobody meant. */
static bool check_members(const json_t *object, const struct json_place *place,
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
            return json_place_error(place, name, error, "is not a known member");
    }
    return true;
}

static bool read_listener(const json_t *source, const char *name, int64_t default_port,
                          const char *const *known, struct program_listener *listener,
                          const json_t **object, struct error *error)
{
    struct json_place place = {.name = name};
    struct ip_address address;
    int64_t port = default_port;
    listener->address = "0.0.0.0";
    if (!json_get_object(source, NULL, name, false, object, error))
        return false;
    if (*object &&
        (!check_members(*object, &place, known, error) ||
         !json_get_text_or(*object, &place, "address", IP_TEXT_SIZE, "0.0.0.0", &listener->address,
                           error) ||
         !json_get_integer_or(*object, &place, "port", 1, 65535, default_port, &port, error)))
        return false;
    if (!ip_parse(listener->address, &address))
        return json_place_error(&place, "address", error, "must be an IP address");
    listener->port = (unsigned)port;
    return true;
}

static bool is_name(const char *text)
{
    struct ip_address address;
    char normal[DOMAIN_SIZE];
    return ip_parse(text, &address) || !domain_normalise(text, false, normal);
}

static bool read_names(const json_t *fleet, struct program_config *config, struct error *error)
{
    struct json_place place = {.name = "fleet"};
    const json_t *names = NULL;
    if (fleet && !json_get_array(fleet, &place, "names", false, PROGRAM_NAME_MOST, &names, error))
        return false;
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (!name || !is_name(name))
            return json_place_error(&place, "names", error,
                                    "entry %zu must be a host name or an IP address", i);
        config->names[config->name_count++] = name;
    }
    if (config->name_count)
        return true;
    if (gethostname(config->host_name, sizeof(config->host_name) - 1) == 0 &&
        is_name(config->host_name))
        config->names[config->name_count++] = config->host_name;
    config->names[config->name_count++] = "localhost";
    config->names[config->name_count++] = "127.0.0.1";
    config->names[config->name_count++] = "::1";
    return true;
}

static bool read_servers(const json_t *source, struct program_config *config, struct error *error)
{
    static const char *const https_members[] = {"address", "port", NULL};
    static const char *const fleet_members[] = {"address", "port", "names", NULL};
    static const char *const fastcgi_members[] = {"socket", NULL};
    struct json_place place = {.name = "fastcgi"};
    const json_t *https, *fleet, *fastcgi;
    return read_listener(source, "https", 8443, https_members, &config->https, &https, error) &&
           read_listener(source, "fleet", 8444, fleet_members, &config->fleet, &fleet, error) &&
           read_names(fleet, config, error) &&
           json_get_object(source, NULL, "fastcgi", false, &fastcgi, error) &&
           (!fastcgi ||
            (check_members(fastcgi, &place, fastcgi_members, error) &&
             json_get_text(fastcgi, &place, "socket", PATH_LIMIT, &config->fastcgi_socket, error)));
}

static bool read_folder(const json_t *source, const char *name, const char **folder,
                        struct error *error)
{
    if (!json_get_text(source, NULL, name, PATH_LIMIT, folder, error))
        return false;
    return access(*folder, R_OK | X_OK) == 0 || error_set_errno(error, name, *folder);
}

static bool read_all(const json_t *source, struct program_config *config, struct error *error)
{
    static const char *const members[] = {"database",  "connections", "https",  "fleet", "fastcgi",
                                          "templates", "webroot",     "schema", NULL};
    int64_t connections;
    if (!json_is_object(source))
        return error_set(error, ERROR_INVALID, NULL, "must be a JSON object");
    if (!check_members(source, NULL, members, error) ||
        !json_get_text(source, NULL, "database", 4096, &config->database, error) ||
        !json_get_integer_or(source, NULL, "connections", 2, 1000, 16, &connections, error) ||
        !read_servers(source, config, error) ||
        !read_folder(source, "templates", &config->templates, error) ||
        !read_folder(source, "webroot", &config->webroot, error) ||
        !read_folder(source, "schema", &config->schema, error))
        return false;
    config->connections = (unsigned)connections;
    return true;
}

static void make_url(struct program_config *config)
{
    bool is_v6 = strchr(config->names[0], ':') != NULL;
    snprintf(config->fleet_url, sizeof(config->fleet_url), "https://%s%s%s:%u", is_v6 ? "[" : "",
             config->names[0], is_v6 ? "]" : "", config->fleet.port);
}

bool program_config_load(const char *path, struct program_config *config, struct error *error)
{
    struct error inner = {0};
    size_t length;
    char text[640];

    *config = (struct program_config){0};
    cleanup_free char *content = file_read(path, FILE_LIMIT, &length, error);
    if (!content)
        return false;
    config->source = json_parse(content, length, NULL, &inner);
    if (!config->source || !read_all(config->source, config, &inner))
        return error_set(error, ERROR_INVALID, path, "%s", error_text(&inner, text, sizeof(text)));
    make_url(config);
    return true;
}

void program_config_clear(struct program_config *config)
{
    json_decref(config->source);
    *config = (struct program_config){0};
}
