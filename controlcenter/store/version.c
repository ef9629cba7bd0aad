/* The configuration version, and the thread that hears of it from the database. */
#include "controlcenter/store/store_internal.h"

#include "common/log.h"
#include "common/timestamp.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define RECONNECT_MS 500
#define CHECK_MS 15000 /* reads the version although nothing was heard: finds a dead connection */

struct store_watch {
    const char *conninfo; /* the store's */
    struct store_bells *bells;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t known; /* 0: not yet */
    bool started;
    bool stopping;
    pthread_t thread;
    int wake; /* eventfd: written to once, to stop */
};

static const char select_version[] = "SELECT version FROM configuration_version";
static const char raise_version[] =
    "WITH raised AS (UPDATE configuration_version SET version = version + 1 RETURNING version)"
    " SELECT version, pg_notify('" STORE_CHANNEL "', version::text) FROM raised";

/* --- reading and raising --- */

static bool take_version(const PGresult *result, int64_t *version, struct error *error)
{
    if (PQntuples(result) != 1)
        return error_set(error, ERROR_INTERNAL, "database",
                         "the table configuration_version has no row");
    *version = store_integer(result, 0, 0);
    return true;
}

bool store_raise_version(struct store_transaction *transaction, struct error *error)
{
    PGresult *result = store_query(transaction->connection, raise_version, NULL, error);
    bool ok = result && take_version(result, &transaction->version, error);
    PQclear(result);
    return ok;
}

bool store_configuration_version(struct store *store, int64_t *version, struct error *error)
{
    PGresult *result = store_single(store, select_version, NULL, error);
    bool ok = result && take_version(result, version, error);
    PQclear(result);
    return ok;
}

/* --- the thread --- */

static void set_known(struct store_watch *watch, int64_t version)
{
    pthread_mutex_lock(&watch->lock);
    watch->known = version;
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
}

void store_watch_learn(struct store_watch *watch, int64_t version)
{
    pthread_mutex_lock(&watch->lock);
    if (version > watch->known) {
        watch->known = version;
        pthread_cond_broadcast(&watch->changed);
    }
    pthread_mutex_unlock(&watch->lock);
}

static bool is_stopping(struct store_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    bool stopping = watch->stopping;
    pthread_mutex_unlock(&watch->lock);
    return stopping;
}

/* What the database says counts, also where it is lower: it may have been restored. */
static bool read_version(struct store_watch *watch, PGconn *connection)
{
    int64_t version = 0;
    PGresult *result = store_query(connection, select_version, NULL, NULL);
    bool ok = result && take_version(result, &version, NULL);
    PQclear(result);
    if (ok)
        set_known(watch, version);
    return ok;
}

/* Returns whether one of them is about the configuration. */
static bool take_notifications(struct store_watch *watch, PGconn *connection)
{
    bool any = false;
    PGnotify *notification;
    while ((notification = PQnotifies(connection)) != NULL) {
        if (strcmp(notification->relname, STORE_REQUEST_CHANNEL) == 0)
            store_bells_ring(watch->bells, notification->extra);
        else
            any = true;
        PQfreemem(notification);
    }
    return any;
}

/* False when the connection is of no more use, or the store closes. */
static bool hear(struct store_watch *watch, PGconn *connection)
{
    struct pollfd waits[2] = {{.fd = PQsocket(connection), .events = POLLIN},
                              {.fd = watch->wake, .events = POLLIN}};
    int ready = poll(waits, 2, CHECK_MS);
    if (ready < 0)
        return errno == EINTR;
    if (waits[1].revents)
        return false;
    if (waits[0].revents && !PQconsumeInput(connection))
        return false;
    if (take_notifications(watch, connection) || ready == 0)
        return read_version(watch, connection);
    return true;
}

static void listen_until_it_breaks(struct store_watch *watch)
{
    struct error error = {0};
    PGconn *connection = store_connect(watch->conninfo, &error);
    if (!connection) {
        log_debug("waiting for the database: %s", error.message);
        return;
    }
    /* The version is read after LISTEN, so that no change falls between the two. */
    if (store_run(connection, "LISTEN " STORE_CHANNEL, NULL, NULL) &&
        store_run(connection, "LISTEN " STORE_REQUEST_CHANNEL, NULL, NULL) &&
        read_version(watch, connection)) {
        store_bells_ring(watch->bells, NULL); /* what was said before was not heard */
        while (hear(watch, connection))
            ;
    }
    PQfinish(connection);
}

static void *watch_main(void *argument)
{
    struct store_watch *watch = argument;
    while (!is_stopping(watch)) {
        struct pollfd wait = {.fd = watch->wake, .events = POLLIN};
        listen_until_it_breaks(watch);
        poll(&wait, 1, RECONNECT_MS);
    }
    return NULL;
}

/* --- waiting --- */

static void start_locked(struct store_watch *watch)
{
    if (watch->started || watch->stopping)
        return;
    watch->started = pthread_create(&watch->thread, NULL, watch_main, watch) == 0;
    if (!watch->started)
        log_error("cannot start the thread that waits for configuration changes");
}

void store_watch_start(struct store_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    start_locked(watch);
    pthread_mutex_unlock(&watch->lock);
}

int64_t store_configuration_wait(struct store *store, int64_t above, int wait_ms)
{
    struct store_watch *watch = store->watch;
    int64_t end = timestamp_monotonic_ms() + (wait_ms > 0 ? wait_ms : 0);
    struct timespec until = {.tv_sec = end / 1000, .tv_nsec = end % 1000 * 1000000};
    int waited = 0;
    pthread_mutex_lock(&watch->lock);
    start_locked(watch);
    while (watch->known <= above && !watch->stopping && waited == 0)
        waited = pthread_cond_timedwait(&watch->changed, &watch->lock, &until);
    int64_t known = watch->known;
    pthread_mutex_unlock(&watch->lock);
    return known;
}

struct store_watch *store_watch_new(const char *conninfo, struct store_bells *bells,
                                    struct error *error)
{
    pthread_condattr_t attributes;
    struct store_watch *watch = calloc(1, sizeof(*watch));
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!watch || wake < 0 || pthread_condattr_init(&attributes) != 0) {
        error_set_errno(error, NULL, "cannot prepare to wait for changes");
        if (wake >= 0)
            close(wake);
        free(watch);
        return NULL;
    }
    watch->conninfo = conninfo;
    watch->bells = bells;
    watch->wake = wake;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&watch->lock, NULL);
    return watch;
}

void store_watch_free(struct store_watch *watch)
{
    if (!watch)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->stopping = true;
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    uint64_t one = 1;
    while (write(watch->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    if (watch->started)
        pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
    close(watch->wake);
    free(watch);
}
