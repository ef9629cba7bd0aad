#include "scanner/directory/sources.h"

#include "common/log.h"
#include "common/timestamp.h"

#include <stdlib.h>
#include <string.h>

#define SOURCE_THREADS 8 /* connections to a source at most */
#define SOURCE_QUEUE 1000
#define HASH_THREADS 2
#define HASH_QUEUE 64
#define COMPLAINT_MS 60000 /* between log lines about single questions */

struct source {
    struct sources *sources;
    struct ldap_source *ldap;
    struct work_pool *pool;
    size_t asked, failed;
    bool is_silent;        /* no server answers; it was logged */
    int64_t complained_at; /* when another failure was logged last; 0: never */
};

struct sources {
    struct scanner_config *config;
    struct lookups *lookups;
    struct proven *proven;
    struct source *list; /* as many as the configuration has */
    struct work_pool *hashes;
    size_t holders;
    size_t pools; /* that have not ended */
};

static size_t alive;

size_t sources_alive(void)
{
    return alive;
}

const struct config_directory *sources_config(const struct sources *sources)
{
    return &sources->config->directory;
}

struct lookups *sources_lookups(struct sources *sources)
{
    return sources->lookups;
}

struct proven *sources_proven(struct sources *sources)
{
    return sources->proven;
}

bool sources_serves(const struct config_directory_source *source, const char *domain)
{
    for (size_t i = 0; i < source->domain_count; i++)
        if (strcmp(source->domains[i], domain) == 0)
            return true;
    return source->domain_count == 0;
}

/* --- life --- */

static void sources_free(struct sources *sources)
{
    size_t count = sources_config(sources)->source_count;
    for (size_t i = 0; sources->list && i < count; i++)
        ldap_source_free(sources->list[i].ldap);
    free(sources->list);
    lookups_free(sources->lookups);
    proven_free(sources->proven);
    config_free(sources->config);
    free(sources);
    alive--;
}

static void on_pool_ended(void *argument)
{
    struct sources *sources = argument;
    if (--sources->pools == 0)
        sources_free(sources);
}

static void on_source_ended(void *argument)
{
    const struct source *source = argument;
    on_pool_ended(source->sources);
}

static void *begin_session(void *argument)
{
    const struct source *source = argument;
    return ldap_session_new(source->ldap);
}

static void end_session(void *session)
{
    ldap_session_free(session);
}

static bool open_source(struct sources *sources, size_t i, struct work_results *results)
{
    struct source *source = &sources->list[i];
    const struct work_pool_options options = {.thread_most = SOURCE_THREADS,
                                              .queue_most = SOURCE_QUEUE,
                                              .thread_begin = begin_session,
                                              .thread_end = end_session,
                                              .ended = on_source_ended,
                                              .argument = source};
    source->sources = sources;
    source->ldap = ldap_source_new(&sources_config(sources)->sources[i]);
    source->pool = source->ldap ? work_pool_new(results, &options) : NULL;
    sources->pools += source->pool ? 1 : 0;
    return source->pool != NULL;
}

static void retire(struct sources *sources)
{
    size_t count = sources_config(sources)->source_count;
    if (sources->pools == 0) {
        sources_free(sources);
        return;
    }
    if (sources->hashes)
        work_pool_retire(sources->hashes);
    for (size_t i = 0; sources->list && i < count; i++)
        if (sources->list[i].pool)
            work_pool_retire(sources->list[i].pool);
}

static bool open_all(struct sources *sources, struct work_results *results)
{
    const struct work_pool_options options = {.thread_most = HASH_THREADS,
                                              .queue_most = HASH_QUEUE,
                                              .ended = on_pool_ended,
                                              .argument = sources};
    size_t count = sources_config(sources)->source_count;
    sources->list = calloc(count > 0 ? count : 1, sizeof(*sources->list));
    sources->lookups = lookups_new(sources);
    sources->proven = proven_new();
    sources->hashes = work_pool_new(results, &options);
    sources->pools += sources->hashes ? 1 : 0;
    if (!sources->list || !sources->lookups || !sources->proven || !sources->hashes)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!open_source(sources, i, results))
            return false;
    return true;
}

struct sources *sources_new(struct work_results *results, struct scanner_config *config,
                            struct error *error)
{
    struct sources *sources = calloc(1, sizeof(*sources));
    if (!sources) {
        config_free(config);
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    alive++;
    sources->config = config;
    sources->holders = 1;
    if (open_all(sources, results))
        return sources;
    error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    retire(sources);
    return NULL;
}

struct sources *sources_hold(struct sources *sources)
{
    sources->holders++;
    return sources;
}

void sources_drop(struct sources *sources)
{
    if (sources && --sources->holders == 0)
        retire(sources);
}

/* --- work --- */

bool sources_add_work(struct sources *sources, size_t source, struct work *work)
{
    return work_pool_add(sources->list[source].pool, work);
}

bool sources_add_hash(struct sources *sources, struct work *work)
{
    return work_pool_add(sources->hashes, work);
}

void sources_note(struct sources *sources, size_t source, enum ldap_answer answer,
                  const struct error *error)
{
    struct source *own = &sources->list[source];
    const char *name = sources_config(sources)->sources[source].name;
    char text[700];
    int64_t now = timestamp_monotonic_ms();
    bool failed = answer == LDAP_ANSWER_UNAVAILABLE;
    bool silent = failed && !ldap_source_answers(own->ldap);
    own->asked++;
    own->failed += failed ? 1 : 0;
    error_text(error, text, sizeof(text));
    if (silent && !own->is_silent) {
        log_warning("source %s does not answer: %s", name, text);
    } else if (failed && !silent &&
               (own->complained_at == 0 || now - own->complained_at >= COMPLAINT_MS)) {
        /* Such as an entry with a bad route, or too many questions: perhaps each second. */
        log_warning("source %s: a question was not answered: %s", name, text);
        own->complained_at = now;
    } else if (!failed && own->is_silent) {
        log_info("source %s answers again", name);
    }
    own->is_silent = failed ? own->is_silent || silent : false;
}

json_t *sources_json(struct sources *sources)
{
    const struct config_directory *config = sources_config(sources);
    json_t *array = json_array();
    for (size_t i = 0; i < config->source_count; i++) {
        struct source *source = &sources->list[i];
        json_array_append_new(
            array, json_pack("{s:s,s:b,s:I,s:I,s:I}", "name", config->sources[i].name, "answers",
                             !source->is_silent, "asked", (json_int_t)source->asked, "failed",
                             (json_int_t)source->failed, "waiting",
                             (json_int_t)work_pool_count(source->pool)));
    }
    return array;
}
