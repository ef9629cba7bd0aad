#include "scanner/supervisor/wanted.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "common/log.h"

#include <string.h>

#define FILE_NAME "services.json"
#define FILE_LIMIT 16384

static json_t *read_file(const char *state, struct error *error)
{
    char path[SPAWN_PATH_SIZE];
    size_t length;
    if (!file_join(path, sizeof(path), state, FILE_NAME, error))
        return NULL;
    cleanup_free char *text = file_read(path, FILE_LIMIT, &length, error);
    return text ? json_parse(text, length, path, error) : NULL;
}

void wanted_load(const char *state, struct service *services, size_t count)
{
    struct error error = {0};
    char text[640];
    cleanup_json json_t *value = read_file(state, &error);
    if (!value && error.code != ERROR_NOT_FOUND)
        log_warning("all services are started: %s", error_text(&error, text, sizeof(text)));
    for (size_t i = 0; i < count; i++) {
        const char *wish = json_string_value(json_object_get(value, services[i].name));
        services[i].wanted = !wish || strcmp(wish, "stop") != 0;
    }
}

bool wanted_save(const char *state, const struct service *services, size_t count,
                 struct error *error)
{
    char path[SPAWN_PATH_SIZE];
    cleanup_json json_t *value = json_object();
    if (!file_join(path, sizeof(path), state, FILE_NAME, error))
        return false;
    for (size_t i = 0; i < count; i++)
        json_object_set_new(value, services[i].name,
                            json_string(services[i].wanted ? "run" : "stop"));
    cleanup_free char *text = json_text(value);
    if (!text)
        return error_set(error, ERROR_INTERNAL, path, "out of memory");
    return file_write_atomic(path, text, strlen(text), 0644, error);
}
