/* The connections: bounded, opened when needed, closed when broken. */
#include "controlcenter/store/store_internal.h"

#include "common/log.h"
#include "common/timestamp.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_MS 5000         /* for a free connection */
#define LONGEST_AWAY_MS 2000 /* without another attempt to connect */
#define MOST_OPTIONS 64

/* What a connection string leaves open. With several hosts only the one that takes writes will do.
 */
static const char *const defaults[][2] = {
    {"connect_timeout", "3"},
    {"target_session_attrs", "read-write"},
    {"tcp_user_timeout", "10000"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"fallback_application_name", "gatehouse-controlcenter"},
    {"client_encoding", "UTF8"},
};
#define DEFAULT_COUNT (sizeof(defaults) / sizeof(defaults[0]))

static const char session_settings[] = "SET statement_timeout = '30s';"
                                       "SET lock_timeout = '10s';"
                                       "SET idle_in_transaction_session_timeout = '60s';"
                                       "SET client_min_messages = warning;"
                                       "SET timezone = 'UTC'";

/* --- one connection --- */

static void log_notice(void *unused, const char *message)
{
    (void)unused;
    log_debug("database: %s", message);
}

static bool connect_error(const PGconn *connection, struct error *error)
{
    const char *text = connection ? PQerrorMessage(connection) : "out of memory";
    return error_set(error, ERROR_UNAVAILABLE, "database", "%.*s", (int)strcspn(text, "\n"), text);
}

static PGconn *connect_with(const PQconninfoOption *options)
{
    const char *keywords[MOST_OPTIONS + DEFAULT_COUNT + 1] = {0};
    const char *values[MOST_OPTIONS + DEFAULT_COUNT + 1] = {0};
    size_t count = 0;
    /* Where a keyword stands twice libpq takes the last value. */
    for (; count < DEFAULT_COUNT; count++) {
        keywords[count] = defaults[count][0];
        values[count] = defaults[count][1];
    }
    for (; options->keyword && count < MOST_OPTIONS + DEFAULT_COUNT; options++) {
        if (!options->val)
            continue;
        keywords[count] = options->keyword;
        values[count++] = options->val;
    }
    return PQconnectdbParams(keywords, values, 0);
}

static bool set_up(PGconn *connection, struct error *error)
{
    if (PQstatus(connection) != CONNECTION_OK)
        return connect_error(connection, error);
    PQsetNoticeProcessor(connection, log_notice, NULL);
    PGresult *result = PQexec(connection, session_settings);
    bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return ok || connect_error(connection, error);
}

PGconn *store_connect(const char *conninfo, struct error *error)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    PGconn *connection = options ? connect_with(options) : NULL;
    PQconninfoFree(options);
    if (connection && set_up(connection, error))
        return connection;
    if (!connection)
        connect_error(NULL, error);
    PQfinish(connection);
    return NULL;
}

/* An idle connection has nothing to read: whatever comes is the end of it, or its announcement. */
static bool is_alive(PGconn *connection)
{
    struct pollfd wait = {.fd = PQsocket(connection), .events = POLLIN};
    return PQstatus(connection) == CONNECTION_OK && wait.fd >= 0 && poll(&wait, 1, 0) == 0;
}

/* --- the pool; the lock is held where a name ends in _locked --- */

static PGconn *take_idle_locked(struct store *store)
{
    while (store->idle_count > 0) {
        PGconn *connection = store->idle[--store->idle_count];
        if (is_alive(connection))
            return connection;
        PQfinish(connection);
        store->open_count--;
    }
    return NULL;
}

static struct timespec monotonic_time(int64_t milliseconds)
{
    return (struct timespec){.tv_sec = milliseconds / 1000,
                             .tv_nsec = milliseconds % 1000 * 1000000};
}

/* Returns an idle connection, or NULL with a place reserved (*open) for a new one, or NULL. */
static PGconn *wait_for_one_locked(struct store *store, bool *open)
{
    struct timespec until = monotonic_time(timestamp_monotonic_ms() + WAIT_MS);
    int waited = 0;
    for (;;) {
        PGconn *connection = take_idle_locked(store);
        *open = !connection && store->open_count < store->most;
        if (*open)
            store->open_count++;
        if (connection || *open || waited != 0)
            return connection;
        waited = pthread_cond_timedwait(&store->given_back, &store->lock, &until);
    }
}

static bool is_away_locked(struct store *store, struct error *error)
{
    if (timestamp_monotonic_ms() >= store->away_until)
        return false;
    if (error)
        *error = store->away;
    return true;
}

/* A database that refuses at once may be asked again at once. One that keeps callers waiting is
 * left alone for as long as it made one of them wait. */
static PGconn *open_one(struct store *store, struct error *error)
{
    struct error local = {0};
    int64_t started = timestamp_monotonic_ms();
    PGconn *connection = store_connect(store->conninfo, &local);
    if (connection)
        return connection;

    int64_t ended = timestamp_monotonic_ms();
    int64_t pause = ended - started < LONGEST_AWAY_MS ? ended - started : LONGEST_AWAY_MS;
    pthread_mutex_lock(&store->lock);
    store->open_count--;
    store->away = local;
    store->away_until = ended + pause;
    pthread_cond_signal(&store->given_back);
    pthread_mutex_unlock(&store->lock);
    if (error)
        *error = local;
    return NULL;
}

PGconn *store_take(struct store *store, struct error *error)
{
    bool open = false;
    PGconn *connection = NULL;
    pthread_mutex_lock(&store->lock);
    bool away = store->idle_count == 0 && is_away_locked(store, error);
    if (!away)
        connection = wait_for_one_locked(store, &open);
    pthread_mutex_unlock(&store->lock);
    if (away || connection)
        return connection;
    if (open)
        return open_one(store, error);
    error_set(error, ERROR_UNAVAILABLE, "database", "all %u connections were busy for %d s",
              store->most, WAIT_MS / 1000);
    return NULL;
}

void store_give(struct store *store, PGconn *connection)
{
    bool keep =
        PQstatus(connection) == CONNECTION_OK && PQtransactionStatus(connection) == PQTRANS_IDLE;
    if (!keep)
        PQfinish(connection);
    pthread_mutex_lock(&store->lock);
    if (keep)
        store->idle[store->idle_count++] = connection;
    else
        store->open_count--;
    pthread_cond_signal(&store->given_back);
    pthread_mutex_unlock(&store->lock);
}

void store_drop_idle(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    store->open_count -= store->idle_count;
    while (store->idle_count > 0)
        PQfinish(store->idle[--store->idle_count]);
    pthread_cond_broadcast(&store->given_back);
    pthread_mutex_unlock(&store->lock);
}
