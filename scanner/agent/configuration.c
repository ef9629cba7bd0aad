#include "scanner/agent/configuration.h"

#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/signing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FILE_MODE 0640
#define ENVELOPE_LIMIT ((size_t)CONFIG_DOCUMENT_LIMIT * 2)
#define KEY_LIMIT 1024
#define STATUS_MS 2000
/* The engine may load a whole signature database before it answers. */
#define RELOAD_MS 120000

struct paths {
    char current[NODE_PATH_SIZE];
    char previous[NODE_PATH_SIZE];
    char key[NODE_PATH_SIZE];
    char mta[NODE_PATH_SIZE];
    char engine[NODE_PATH_SIZE];
};

static bool make_paths(const char *state, struct paths *paths, struct error *error)
{
    return file_join(paths->current, NODE_PATH_SIZE, state, NODE_CONFIGURATION_FILE, error) &&
           file_join(paths->previous, NODE_PATH_SIZE, state, NODE_PREVIOUS_FILE, error) &&
           file_join(paths->key, NODE_PATH_SIZE, state, NODE_CONFIGURATION_KEY_FILE, error) &&
           file_join(paths->mta, NODE_PATH_SIZE, state, NODE_MTA_SOCKET, error) &&
           file_join(paths->engine, NODE_PATH_SIZE, state, NODE_ENGINE_SOCKET, error);
}

/* --- handing it to the processes --- */

/* False only where the process itself says no. One that is away reads the file when it starts, and
 * one that takes long is still loading. */
static bool reload(const char *path, const char *name, struct error *error)
{
    struct error local = {0};
    char text[640];
    cleanup_json json_t *request = json_pack("{s:s}", "op", "reload");
    cleanup_json json_t *reply = ipc_request(path, request, RELOAD_MS, &local);
    if (reply)
        return true;
    switch (local.code) {
    case ERROR_UNAVAILABLE:
    case ERROR_NOT_FOUND:
    case ERROR_TIMEOUT:
    case ERROR_IO:
        log_warning("%s does not take the configuration now: %s", name,
                    error_text(&local, text, sizeof(text)));
        return true;
    default:
        return error_set(error, ERROR_INVALID, name, "%s", local.message);
    }
}

static bool reload_all(const struct paths *paths, struct error *error)
{
    return reload(paths->mta, "mta", error) && reload(paths->engine, "engine", error);
}

static void restore(const struct paths *paths, const char *previous, size_t length)
{
    struct error error = {0};
    char text[640];
    bool ok = previous ? file_write_atomic(paths->current, previous, length, FILE_MODE, &error)
                       : unlink(paths->current) == 0 ||
                             error_set_errno(&error, paths->current, "cannot be removed");
    if (!ok)
        log_error("the previous configuration cannot be put back: %s",
                  error_text(&error, text, sizeof(text)));
    else if (previous && !reload_all(paths, &error))
        log_error("the previous configuration is refused too: %s",
                  error_text(&error, text, sizeof(text)));
}

/* --- checking --- */

static struct scanner_config *open_envelope(const struct paths *paths, const char *envelope,
                                            struct error *error)
{
    cleanup_free char *key = file_read(paths->key, KEY_LIMIT, NULL, error);
    if (!key)
        return NULL;
    key[strcspn(key, "\r\n")] = '\0';
    cleanup_free char *document = signing_open(envelope, strlen(envelope), key, error);
    return document ? config_parse(document, strlen(document), error) : NULL;
}

static bool check(const struct configuration *configuration, const struct scanner_config *config,
                  struct error *error)
{
    if (strcmp(config->scanner_id, configuration->scanner_id) != 0)
        return error_set(error, ERROR_INVALID, "scanner_id",
                         "the configuration is for another scanner");
    if (config->version <= configuration->version)
        return error_set(error, ERROR_INVALID, "version",
                         "version %" PRId64 " is not newer than version %" PRId64
                         ", which is in use",
                         config->version, configuration->version);
    return true;
}

/* What an envelope says about its version, unchecked: only to report that it was refused. */
static int64_t claimed_version(const json_t *envelope)
{
    const char *text = json_string_value(json_object_get(envelope, "document"));
    cleanup_json json_t *document = text ? json_loads(text, 0, NULL) : NULL;
    int64_t version = json_integer_value(json_object_get(document, "version"));
    return version > 0 ? version : 0;
}

/* --- taking --- */

static bool replace(const struct paths *paths, const char *envelope, struct error *error)
{
    size_t length = 0;
    struct error local = {0};
    cleanup_free char *previous = file_read(paths->current, ENVELOPE_LIMIT, &length, &local);
    if (!previous && local.code != ERROR_NOT_FOUND) {
        if (error)
            *error = local;
        return false;
    }
    if (previous && !file_write_atomic(paths->previous, previous, length, FILE_MODE, error))
        return false;
    if (!file_write_atomic(paths->current, envelope, strlen(envelope), FILE_MODE, error))
        return false;
    if (reload_all(paths, error))
        return true;
    restore(paths, previous, length);
    return false;
}

static bool take(struct configuration *configuration, const json_t *envelope, struct error *error)
{
    struct paths paths;
    cleanup_free char *text = json_text(envelope);
    if (!text)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    if (!make_paths(configuration->state, &paths, error))
        return false;
    struct scanner_config *config = open_envelope(&paths, text, error);
    if (!config)
        return false;
    int64_t version = config->version;
    bool ok = check(configuration, config, error);
    config_free(config);
    if (!ok || !replace(&paths, text, error))
        return false;
    configuration->version = version;
    return true;
}

bool configuration_take(struct configuration *configuration, const json_t *envelope,
                        struct error *error)
{
    struct error local = {0};
    if (take(configuration, envelope, &local)) {
        configuration->failed_version = 0;
        configuration->failed_reason[0] = '\0';
        log_info("configuration %" PRId64 " is in use", configuration->version);
        return true;
    }
    configuration->failed_version = claimed_version(envelope);
    error_text(&local, configuration->failed_reason, sizeof(configuration->failed_reason));
    log_error("configuration %" PRId64 " refused: %s", configuration->failed_version,
              configuration->failed_reason);
    if (error)
        *error = local;
    return false;
}

/* --- the state at the start --- */

static int64_t mta_version(const struct paths *paths)
{
    cleanup_json json_t *request = json_pack("{s:s}", "op", "status");
    cleanup_json json_t *reply = ipc_request(paths->mta, request, STATUS_MS, NULL);
    const json_t *version = json_object_get(reply, "configuration_version");
    return json_is_integer(version) ? json_integer_value(version) : -1;
}

/* The change was cut off between the file and the processes: goes through with it, or back. */
static void finish_change(struct configuration *configuration, const struct paths *paths)
{
    struct error error = {0};
    size_t length = 0;
    int64_t running = mta_version(paths);
    if (running < 0 || running == configuration->version || reload_all(paths, &error))
        return;
    configuration->failed_version = configuration->version;
    error_text(&error, configuration->failed_reason, sizeof(configuration->failed_reason));
    log_error("configuration %" PRId64 " refused: %s", configuration->version,
              configuration->failed_reason);
    cleanup_free char *previous = file_read(paths->previous, ENVELOPE_LIMIT, &length, NULL);
    struct scanner_config *config =
        previous ? config_load(paths->previous, paths->key, &error) : NULL;
    if (!config)
        return;
    configuration->version = config->version;
    config_free(config);
    restore(paths, previous, length);
}

bool configuration_open(struct configuration *configuration, const char *state,
                        const char *scanner_id, struct error *error)
{
    struct paths paths;
    struct error local = {0};
    char text[640];

    *configuration = (struct configuration){0};
    snprintf(configuration->scanner_id, sizeof(configuration->scanner_id), "%s", scanner_id);
    if (!make_paths(state, &paths, error))
        return false;
    snprintf(configuration->state, sizeof(configuration->state), "%s", state);
    struct scanner_config *config = config_load(paths.current, paths.key, &local);
    if (!config) {
        if (local.code != ERROR_NOT_FOUND)
            log_error("the configuration cannot be used, asking for a new one: %s",
                      error_text(&local, text, sizeof(text)));
        return true;
    }
    configuration->version = config->version;
    config_free(config);
    finish_change(configuration, &paths);
    return true;
}
