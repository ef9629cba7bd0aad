/* The update thread: runs freshclam every so many hours, or when asked, and has the engine take up
 * what it brought. */
#include "scanner/agent/updates.h"

#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/agent/agent_private.h"
#include "scanner/agent/freshclam.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define STEP_MS 500
#define FIRST_MS 60000                  /* a scanner that starts has other things to do */
#define RETRY_MS (INT64_C(1800) * 1000) /* after a run that failed, unless the hours are less */
#define HOUR_MS (INT64_C(3600) * 1000)
#define REQUEST_MS 2000 /* for the engine to take the request: the thread must be able to stop */
#define RECORD "agent/updates.json"
#define RECORD_LIMIT 4096

/* --- the record --- */

static int64_t time_of(const json_t *record, const char *name)
{
    const char *text = json_string_value(json_object_get(record, name));
    int64_t moment;
    return text && timestamp_parse(text, &moment) ? moment : 0;
}

static void set_time(json_t *object, const char *name, int64_t moment)
{
    char text[TIMESTAMP_TEXT_SIZE];
    if (moment > 0)
        json_object_set_new(object, name, json_string(timestamp_text(moment, text)));
}

static json_t *record_json(const struct updates *updates)
{
    json_t *record = json_pack("{s:s,s:s}", "version", updates->version, "error", updates->problem);
    set_time(record, "last_run", updates->last_run);
    set_time(record, "last_success", updates->last_success);
    return record;
}

void updates_open(struct agent *agent)
{
    char path[NODE_PATH_SIZE];
    size_t length = 0;
    cleanup_free char *text = file_join(path, sizeof(path), agent->state, RECORD, NULL)
                                  ? file_read(path, RECORD_LIMIT, &length, NULL)
                                  : NULL;
    cleanup_json json_t *record = text ? json_parse(text, length, NULL, NULL) : NULL;
    const char *problem = json_string_value(json_object_get(record, "error"));
    agent->updates.last_run = time_of(record, "last_run");
    agent->updates.last_success = time_of(record, "last_success");
    snprintf(agent->updates.problem, sizeof(agent->updates.problem), "%s", problem ? problem : "");
    freshclam_version(agent->state, agent->updates.version);
}

static void keep(struct agent *agent)
{
    char path[NODE_PATH_SIZE], reason[640];
    struct error error = {0};
    pthread_mutex_lock(&agent->lock);
    cleanup_json json_t *record = record_json(&agent->updates);
    pthread_mutex_unlock(&agent->lock);
    cleanup_free char *text = record ? json_text(record) : NULL;
    if (text && file_join(path, sizeof(path), agent->state, RECORD, &error) &&
        !file_write_atomic(path, text, strlen(text), 0600, &error))
        log_warning("%s", error_text(&error, reason, sizeof(reason)));
}

/* --- what others ask --- */

json_t *updates_status(struct agent *agent)
{
    pthread_mutex_lock(&agent->lock);
    json_t *status = record_json(&agent->updates);
    bool running = agent->updates.running;
    pthread_mutex_unlock(&agent->lock);
    json_object_set_new(status, "running", json_boolean(running));
    json_object_set_new(status, "program", json_boolean(freshclam_program() != NULL));
    return status;
}

json_t *updates_request(struct agent *agent, const json_t *request)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    if (!op || strcmp(op, "update_signatures") != 0)
        return json_pack("{s:b,s:s}", "ok", 0, "error", "op must be update_signatures");
    if (!freshclam_program())
        return json_pack("{s:b,s:s}", "ok", 0, "error", "freshclam is not installed on this host");
    pthread_mutex_lock(&agent->lock);
    agent->updates.wanted = true;
    pthread_mutex_unlock(&agent->lock);
    return json_pack("{s:b}", "ok", 1);
}

/* --- the thread --- */

struct updater {
    struct agent *agent;
    struct timespec changed; /* of the configuration that `hours` is of */
    int hours;               /* 0: only when asked */
    int64_t started_ms;
};

static struct scanner_config *load(const struct updater *updater, struct error *error)
{
    char envelope[NODE_PATH_SIZE], key[NODE_PATH_SIZE];
    const char *state = updater->agent->state;
    return file_join(envelope, sizeof(envelope), state, NODE_CONFIGURATION_FILE, error) &&
                   file_join(key, sizeof(key), state, NODE_CONFIGURATION_KEY_FILE, error)
               ? config_load(envelope, key, error)
               : NULL;
}

/* Without a configuration nobody has said where signatures come from. */
static void look_at_configuration(struct updater *updater)
{
    char path[NODE_PATH_SIZE];
    struct stat status;
    if (!file_join(path, sizeof(path), updater->agent->state, NODE_CONFIGURATION_FILE, NULL) ||
        stat(path, &status) != 0 ||
        (status.st_mtim.tv_sec == updater->changed.tv_sec &&
         status.st_mtim.tv_nsec == updater->changed.tv_nsec))
        return;
    struct scanner_config *config = load(updater, NULL);
    updater->changed = status.st_mtim;
    updater->hours = config ? config->signatures.update.hours : 0;
    config_free(config);
}

static bool is_due(struct updater *updater)
{
    struct agent *agent = updater->agent;
    int64_t now = timestamp_now_ms();
    pthread_mutex_lock(&agent->lock);
    const struct updates *updates = &agent->updates;
    int64_t pause = updater->hours * HOUR_MS;
    if (*updates->problem && pause > RETRY_MS)
        pause = RETRY_MS;
    bool late = now - updates->last_run >= pause || now < updates->last_run;
    bool due = updates->wanted || (updater->hours > 0 && late &&
                                   timestamp_monotonic_ms() - updater->started_ms >= FIRST_MS);
    pthread_mutex_unlock(&agent->lock);
    return due && freshclam_program();
}

static void begin(struct agent *agent)
{
    pthread_mutex_lock(&agent->lock);
    agent->updates.wanted = false;
    agent->updates.running = true;
    pthread_mutex_unlock(&agent->lock);
}

static void end(struct agent *agent, bool ok, const struct error *error)
{
    struct updates *updates = &agent->updates;
    char text[640];
    pthread_mutex_lock(&agent->lock);
    updates->running = false;
    updates->last_run = timestamp_now_ms();
    if (ok)
        updates->last_success = updates->last_run;
    snprintf(updates->problem, sizeof(updates->problem), "%s",
             ok ? "" : error_text(error, text, sizeof(text)));
    freshclam_version(agent->state, updates->version);
    pthread_mutex_unlock(&agent->lock);
    if (ok)
        log_info("the signatures are up to date");
    else
        log_warning("the signatures cannot be updated: %s", error_text(error, text, sizeof(text)));
    keep(agent);
}

/* A reload that takes longer goes on without us; what is wrong with it the engine's status says. */
static void tell_engine(const struct agent *agent)
{
    char path[NODE_PATH_SIZE];
    cleanup_json json_t *request = json_pack("{s:s}", "op", "reload");
    if (request && file_join(path, sizeof(path), agent->state, NODE_ENGINE_SOCKET, NULL))
        json_decref(ipc_request(path, request, REQUEST_MS, NULL));
}

static void run(struct updater *updater)
{
    struct agent *agent = updater->agent;
    struct error error = {0};
    begin(agent);
    struct scanner_config *config = load(updater, &error);
    bool ok =
        config && freshclam_run(agent->state, &config->signatures.update, &agent->stop, &error);
    config_free(config);
    if (stop_requested(&agent->stop))
        return;
    /* Where one of several could not be fetched the others may be new. */
    tell_engine(agent);
    end(agent, ok, &error);
}

void *updates_run(void *argument)
{
    struct updater updater = {.agent = argument, .started_ms = timestamp_monotonic_ms()};
    while (!stop_wait(&updater.agent->stop, STEP_MS)) {
        look_at_configuration(&updater);
        if (is_due(&updater))
            run(&updater);
    }
    return NULL;
}
