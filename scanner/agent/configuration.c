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
    char directory[NODE_PATH_SIZE];
};

static bool make_paths(const char *state, struct paths *paths, struct error *error)
{
    return file_join(paths->current, NODE_PATH_SIZE, state, NODE_CONFIGURATION_FILE, error) &&
           file_join(paths->previous, NODE_PATH_SIZE, state, NODE_PREVIOUS_FILE, error) &&
           file_join(paths->key, NODE_PATH_SIZE, state, NODE_CONFIGURATION_KEY_FILE, error) &&
           file_join(paths->mta, NODE_PATH_SIZE, state, NODE_MTA_SOCKET, error) &&
           file_join(paths->engine, NODE_PATH_SIZE, state, NODE_ENGINE_SOCKET, error) &&
           file_join(paths->directory, NODE_PATH_SIZE, state, NODE_DIRECTORY_SOCKET, error);
}

/* --- handing it to the processes --- */

/* Bits of `undelivered`. */
#define MTA 1u
#define ENGINE 2u
#define DIRECTORY 4u
#define ALL (MTA | ENGINE | DIRECTORY)

enum delivery { DELIVERED, AWAY, REFUSED };

/* REFUSED only where the process itself says no. One that is away reads the file when it starts,
 * and one that takes long is still loading. */
static enum delivery reload(const char *path, const char *name, struct error *error)
{
    struct error local = {0};
    cleanup_json json_t *request = json_pack("{s:s}", "op", "reload");
    cleanup_json json_t *reply = ipc_request(path, request, RELOAD_MS, &local);
    if (reply || local.code == ERROR_TIMEOUT)
        return DELIVERED;
    error_set(error, ERROR_INVALID, name, "%s", local.message);
    switch (local.code) {
    case ERROR_UNAVAILABLE:
    case ERROR_NOT_FOUND:
    case ERROR_IO:
        return AWAY;
    default:
        return REFUSED;
    }
}

/* Asks the processes in `which`; *away are those that could not be asked. False where one refuses.
 */
static bool reload_some(const struct paths *paths, unsigned which, unsigned *away,
                        struct error *error)
{
    const struct {
        unsigned bit;
        const char *name;
        const char *path;
    } processes[] = {{DIRECTORY, "directory", paths->directory}, /* before the mta asks it */
                     {MTA, "mta", paths->mta},
                     {ENGINE, "engine", paths->engine}};
    *away = 0;
    for (size_t i = 0; i < sizeof(processes) / sizeof(processes[0]); i++) {
        enum delivery delivery = which & processes[i].bit
                                     ? reload(processes[i].path, processes[i].name, error)
                                     : DELIVERED;
        if (delivery == REFUSED)
            return false;
        if (delivery == AWAY)
            *away |= processes[i].bit;
    }
    return true;
}

static void note_delivery(struct configuration *configuration, unsigned away,
                          const struct error *error)
{
    char text[640];
    if (away && !configuration->undelivered)
        log_info("a process does not take the configuration yet: %s",
                 error_text(error, text, sizeof(text)));
    configuration->delivery_attempts =
        away && configuration->undelivered ? configuration->delivery_attempts + 1 : 0;
    configuration->undelivered = away;
}

static void restore(const struct paths *paths, const char *previous, size_t length)
{
    struct error error = {0};
    char text[640];
    unsigned away;
    bool ok = previous ? file_write_atomic(paths->current, previous, length, FILE_MODE, &error)
                       : unlink(paths->current) == 0 ||
                             error_set_errno(&error, paths->current, "cannot be removed");
    if (!ok)
        log_error("the previous configuration cannot be put back: %s",
                  error_text(&error, text, sizeof(text)));
    else if (previous && !reload_some(paths, ALL, &away, &error))
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

static bool replace(struct configuration *configuration, const struct paths *paths,
                    const char *envelope, struct error *error)
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
    struct error reason = {0};
    unsigned away;
    if (reload_some(paths, ALL, &away, &reason)) {
        note_delivery(configuration, away, &reason);
        return true;
    }
    restore(paths, previous, length);
    if (error)
        *error = reason;
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
    if (!ok || !replace(configuration, &paths, text, error))
        return false;
    configuration->version = version;
    return true;
}

static void note_failure(struct configuration *configuration, int64_t version,
                         const struct error *error)
{
    configuration->failed_version = version;
    error_text(error, configuration->failed_reason, sizeof(configuration->failed_reason));
    log_error("configuration %" PRId64 " refused: %s", version, configuration->failed_reason);
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
    note_failure(configuration, claimed_version(envelope), &local);
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

/* What runs was refused after all: the one before it takes its place. */
static void go_back(struct configuration *configuration, const struct paths *paths)
{
    struct error error = {0};
    size_t length = 0;
    cleanup_free char *previous = file_read(paths->previous, ENVELOPE_LIMIT, &length, NULL);
    struct scanner_config *config =
        previous ? config_load(paths->previous, paths->key, &error) : NULL;
    if (!config)
        return;
    configuration->version = config->version;
    config_free(config);
    restore(paths, previous, length);
}

static void deliver(struct configuration *configuration, const struct paths *paths, unsigned which)
{
    struct error error = {0};
    unsigned away = 0;
    bool ok = reload_some(paths, which, &away, &error);
    note_delivery(configuration, away, &error);
    if (ok)
        return;
    note_failure(configuration, configuration->version, &error);
    go_back(configuration, paths);
}

void configuration_deliver(struct configuration *configuration)
{
    struct paths paths;
    if (configuration->undelivered && make_paths(configuration->state, &paths, NULL))
        deliver(configuration, &paths, configuration->undelivered);
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
    /* The agent may have died between writing the file and handing it out. */
    int64_t running = mta_version(&paths);
    if (running < 0)
        configuration->undelivered = MTA;
    else if (running != configuration->version)
        deliver(configuration, &paths, ALL);
    return true;
}
