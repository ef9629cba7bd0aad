#include "common/ldap/ldap_source.h"

#include "common/ldap/ldap_source_private.h"
#include "common/timestamp.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REST_MS 30000      /* a connection that was not used for so long is closed */
#define AVOID_MS 30000     /* a server that failed is asked after the others */
#define SLOW_MS 1000       /* a failure that took longer cost a thread and a question's patience */
#define PAUSE_MS 3000      /* after one of all servers, nobody is asked */
#define SLICE_LEAST_MS 500 /* of the time that a server gets */

struct server {
    const char *uri;
    int64_t avoid_until; /* 0: it answered */
};

struct ldap_source {
    const struct config_directory_source *config;
    pthread_mutex_t lock; /* of everything below */
    struct server servers[LDAP_SERVERS_MOST];
    size_t server_count;
    bool answers;
    int64_t pause_until;
    struct error last; /* why no server answered */
};

const struct config_directory_source *ldap_source_config(const struct ldap_source *source)
{
    return source->config;
}

/* --- servers --- */

size_t ldap_source_distinct(const struct config_directory_source *config,
                            const char *servers[LDAP_SERVERS_MOST])
{
    size_t count = 0;
    for (size_t i = 0; i < config->server_count && count < LDAP_SERVERS_MOST; i++) {
        size_t j = 0;
        while (j < count && strcasecmp(servers[j], config->servers[i]) != 0)
            j++;
        if (j == count)
            servers[count++] = config->servers[i];
    }
    return count;
}

struct ldap_source *ldap_source_new(const struct config_directory_source *config)
{
    const char *uris[LDAP_SERVERS_MOST];
    struct ldap_source *source = calloc(1, sizeof(*source));
    if (!source)
        return NULL;
    source->config = config;
    source->answers = true;
    source->server_count = ldap_source_distinct(config, uris);
    for (size_t i = 0; i < source->server_count; i++)
        source->servers[i].uri = uris[i];
    pthread_mutex_init(&source->lock, NULL);
    return source;
}

void ldap_source_free(struct ldap_source *source)
{
    if (!source)
        return;
    pthread_mutex_destroy(&source->lock);
    free(source);
}

bool ldap_source_answers(struct ldap_source *source)
{
    pthread_mutex_lock(&source->lock);
    bool answers = source->answers;
    pthread_mutex_unlock(&source->lock);
    return answers;
}

/* Those that answered first, each group in the order of the configuration. */
static size_t order_servers(struct ldap_source *source, size_t order[LDAP_SERVERS_MOST])
{
    int64_t now = timestamp_monotonic_ms();
    size_t count = 0;
    pthread_mutex_lock(&source->lock);
    for (int avoided = 0; avoided < 2; avoided++)
        for (size_t i = 0; i < source->server_count; i++)
            if ((source->servers[i].avoid_until > now) == (avoided == 1))
                order[count++] = i;
    pthread_mutex_unlock(&source->lock);
    return count;
}

static void note_server(struct ldap_source *source, const char *uri, bool answered)
{
    int64_t now = timestamp_monotonic_ms();
    pthread_mutex_lock(&source->lock);
    for (size_t i = 0; i < source->server_count; i++)
        if (strcasecmp(source->servers[i].uri, uri) == 0)
            source->servers[i].avoid_until = answered ? 0 : now + AVOID_MS;
    if (answered) {
        source->answers = true;
        source->pause_until = 0;
    }
    pthread_mutex_unlock(&source->lock);
}

static void note_failure(struct ldap_source *source, int64_t began, const struct error *error)
{
    int64_t now = timestamp_monotonic_ms();
    pthread_mutex_lock(&source->lock);
    source->answers = false;
    source->last = *error;
    if (now - began >= SLOW_MS)
        source->pause_until = now + PAUSE_MS;
    pthread_mutex_unlock(&source->lock);
}

/* Where all servers kept a question waiting for nothing a moment ago, the next ones need not wait
 * as well. */
static bool is_paused(struct ldap_source *source, struct error *error)
{
    pthread_mutex_lock(&source->lock);
    bool paused = source->pause_until > timestamp_monotonic_ms();
    if (paused && error)
        *error = source->last;
    pthread_mutex_unlock(&source->lock);
    return paused;
}

/* --- sessions --- */

struct ldap_session *ldap_session_new(struct ldap_source *source)
{
    struct ldap_session *session = calloc(1, sizeof(*session));
    if (session)
        session->source = source;
    return session;
}

static void hang_up(struct ldap_session *session)
{
    ldap_connection_close(session->connection);
    session->connection = NULL;
    session->server = NULL;
}

void ldap_session_free(struct ldap_session *session)
{
    if (!session)
        return;
    hang_up(session);
    free(session);
}

/* Closes the connection where it was not used for a while. */
static void rest(struct ldap_session *session)
{
    if (session->connection && timestamp_monotonic_ms() - session->used_at >= REST_MS)
        hang_up(session);
}

/* An equal share of the time that is left for each of `count` tries. */
static int64_t slice(int64_t until, size_t count)
{
    int64_t now = timestamp_monotonic_ms();
    int64_t share = (until - now) / (int64_t)(count > 0 ? count : 1);
    share = share < SLICE_LEAST_MS ? SLICE_LEAST_MS : share;
    return now + share < until ? now + share : until;
}

static bool search_over(struct ldap_session *session, const struct ldap_search *search,
                        int64_t until, struct ldap_entries *entries, struct error *error)
{
    if (ldap_connection_search(session->connection, search, until, entries, error)) {
        session->used_at = timestamp_monotonic_ms();
        note_server(session->source, session->server, true);
        return true;
    }
    ldap_entries_free(entries);
    hang_up(session);
    return false;
}

static bool search_at(struct ldap_session *session, const char *server,
                      const struct ldap_search *search, int64_t until, struct ldap_entries *entries,
                      struct error *error)
{
    session->connection = ldap_connection_open(session->source->config, server, until, NULL, error);
    session->server = server;
    if (session->connection && search_over(session, search, until, entries, error))
        return true;
    note_server(session->source, server, false);
    return false;
}

bool ldap_session_search(struct ldap_session *session, const struct ldap_search *search,
                         int64_t until, struct ldap_entries *entries, struct error *error)
{
    struct ldap_source *source = session->source;
    struct error local = {0};
    size_t order[LDAP_SERVERS_MOST];
    int64_t began = timestamp_monotonic_ms();
    int64_t most = began + (int64_t)source->config->timeout_seconds * 1000;
    *entries = (struct ldap_entries){0};
    until = until < most ? until : most;
    if (is_paused(source, error))
        return false;
    rest(session);
    size_t count = order_servers(source, order);
    /* A kept connection may have died without a word: that says nothing about its server. */
    if (session->connection &&
        search_over(session, search, slice(until, count + 1), entries, &local))
        return true;
    error_set(&local, ERROR_INVALID, source->config->name, "the source has no server");
    for (size_t i = 0; i < count && timestamp_monotonic_ms() < until; i++)
        if (search_at(session, source->servers[order[i]].uri, search, slice(until, count - i),
                      entries, &local))
            return true;
    note_failure(source, began, &local);
    if (error)
        *error = local;
    return false;
}
