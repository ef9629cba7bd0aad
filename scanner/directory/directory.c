#include "scanner/directory/directory.h"

#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/directory/control.h"
#include "scanner/directory/hardening.h"
#include "scanner/directory/server.h"

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 1024
#define REASON_SIZE 700
#define STOP_MS 4000 /* for threads that still ask; the supervisor kills after 10 s */

struct directory {
    struct event_base *base;
    struct work_results *results;
    struct questions *questions;
    struct server *server;
    struct control *control;
    struct sources *sources; /* NULL: no configuration yet */
    int64_t version;         /* 0: none */
    struct event *signals[3];
    char configuration[PATH_SIZE], key[PATH_SIZE], socket[PATH_SIZE], control_socket[PATH_SIZE];
};

static bool make_paths(struct directory *directory, const char *state, struct error *error)
{
    return file_join(directory->configuration, PATH_SIZE, state, "config/current.json", error) &&
           file_join(directory->key, PATH_SIZE, state, "config/configuration.pub", error) &&
           file_join(directory->socket, PATH_SIZE, state, "run/directory.sock", error) &&
           file_join(directory->control_socket, PATH_SIZE, state, "run/directory-control.sock",
                     error);
}

/* --- configuration --- */

static void use(struct directory *directory, struct sources *sources)
{
    questions_use(directory->questions, sources);
    sources_drop(directory->sources);
    directory->sources = sources;
}

static bool reload(struct directory *directory, struct error *error)
{
    struct scanner_config *config = config_load(directory->configuration, directory->key, error);
    if (!config)
        return false;
    int64_t version = config->version;
    if (directory->sources &&
        sources_same(sources_config(directory->sources), &config->directory)) {
        config_free(config);
    } else {
        struct sources *sources = sources_new(directory->results, config, error);
        if (!sources)
            return false;
        use(directory, sources);
    }
    if (version != directory->version)
        log_info("configuration %lld runs", (long long)version);
    directory->version = version;
    return true;
}

/* --- control --- */

static json_t *status(struct directory *directory)
{
    struct sources *sources = directory->sources;
    struct lookup_counts counts = {0};
    json_t *list = sources ? sources_json(sources) : json_array();
    if (sources)
        counts = lookups_counts(sources_lookups(sources));
    return json_pack("{s:b,s:I,s:I,s:I,s:I,s:{s:I,s:I,s:I},s:o}", "ok", 1, "configuration_version",
                     (json_int_t)directory->version, "questions",
                     (json_int_t)questions_count(directory->questions), "answered",
                     (json_int_t)questions_answered(directory->questions), "users",
                     (json_int_t)(sources ? sources_config(sources)->user_count : 0), "cache",
                     "entries", (json_int_t)counts.entries, "hits", (json_int_t)counts.hits,
                     "misses", (json_int_t)counts.misses, "sources", list);
}

static json_t *refuse(const char *text)
{
    return json_pack("{s:b,s:s}", "ok", 0, "error", text);
}

static json_t *handle(void *argument, const json_t *request)
{
    struct directory *directory = argument;
    struct error error = {0};
    char text[REASON_SIZE];
    const char *op = json_string_value(json_object_get(request, "op"));
    if (op && strcmp(op, "status") == 0)
        return status(directory);
    if (!op || strcmp(op, "reload") != 0)
        return refuse("op must be status or reload");
    if (reload(directory, &error))
        return json_pack("{s:b,s:I}", "ok", 1, "version", (json_int_t)directory->version);
    log_warning("reload: %s", error_text(&error, text, sizeof(text)));
    return refuse(text);
}

/* --- life --- */

static void on_signal(int number, short events, void *argument)
{
    struct directory *directory = argument;
    struct error error = {0};
    char text[REASON_SIZE];
    (void)events;
    if (number != SIGHUP) {
        log_info("stopping");
        event_base_loopbreak(directory->base);
    } else if (!reload(directory, &error)) {
        log_warning("reload: %s", error_text(&error, text, sizeof(text)));
    }
}

static void catch_signals(struct directory *directory)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        directory->signals[i] = evsignal_new(directory->base, numbers[i], on_signal, directory);
        if (!directory->signals[i] || event_add(directory->signals[i], NULL) != 0)
            abort();
    }
}

static bool open_all(struct directory *directory, const char *state, struct error *error)
{
    if (sodium_init() < 0)
        return error_set(error, ERROR_INTERNAL, NULL, "libsodium cannot be used");
    if (!make_paths(directory, state, error))
        return false;
    directory->base = event_base_new();
    directory->results = directory->base ? work_results_new(directory->base) : NULL;
    if (!directory->results)
        return error_set(error, ERROR_INTERNAL, NULL, "the event loop cannot be made");
    catch_signals(directory);
    directory->questions = questions_new(directory->base);
    directory->control =
        control_open(directory->base, directory->control_socket, handle, directory, error);
    directory->server = directory->control ? server_open(directory->base, directory->questions,
                                                         directory->socket, error)
                                           : NULL;
    return directory->server != NULL;
}

/* A thread may be waiting for a server: the process does not wait for it for long. */
static void wait_for_threads(struct directory *directory)
{
    int64_t until = timestamp_monotonic_ms() + STOP_MS;
    while (sources_alive() > 0 && timestamp_monotonic_ms() < until) {
        const struct timeval pause = {.tv_usec = 20000};
        event_base_loopexit(directory->base, &pause);
        event_base_dispatch(directory->base);
    }
    if (sources_alive() > 0) {
        log_info("stopped while a server was being asked");
        _exit(EXIT_SUCCESS);
    }
}

static void close_all(struct directory *directory)
{
    server_close(directory->server);
    control_close(directory->control);
    if (directory->questions)
        use(directory, NULL);
    questions_free(directory->questions);
    if (directory->results)
        wait_for_threads(directory);
    work_results_free(directory->results);
    for (size_t i = 0; i < sizeof(directory->signals) / sizeof(directory->signals[0]); i++)
        if (directory->signals[i])
            event_free(directory->signals[i]);
    if (directory->base)
        event_base_free(directory->base);
}

bool directory_run(const char *state, struct error *error)
{
    struct directory directory = {0};
    struct error reason = {0};
    char text[REASON_SIZE];
    bool good = open_all(&directory, state, error) && hardening_enter(error);
    if (good) {
        if (!reload(&directory, &reason))
            log_warning("waiting for a configuration that can run: %s",
                        error_text(&reason, text, sizeof(text)));
        log_info("started");
        event_base_dispatch(directory.base);
    }
    close_all(&directory);
    return good;
}
