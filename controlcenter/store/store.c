/* Opening and closing the store. */
#include "controlcenter/store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#define MOST_CONNECTIONS 1000

static bool check_conninfo(const char *conninfo, struct error *error)
{
    char *reason = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &reason);
    bool ok = options != NULL;
    if (!ok)
        error_set(error, ERROR_INVALID, "database", "%.*s", reason ? (int)strcspn(reason, "\n") : 0,
                  reason ? reason : "");
    PQconninfoFree(options);
    PQfreemem(reason);
    return ok;
}

static bool make_locks(struct store *store)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&store->lock, NULL);
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&store->given_back, &attributes);
    pthread_condattr_destroy(&attributes);
    return true;
}

struct store *store_open(const char *conninfo, unsigned connections, struct error *error)
{
    if (connections < 1 || connections > MOST_CONNECTIONS) {
        error_set(error, ERROR_INVALID, "connections", "must be 1 to %d", MOST_CONNECTIONS);
        return NULL;
    }
    if (!check_conninfo(conninfo, error))
        return NULL;
    struct store *store = calloc(1, sizeof(*store));
    if (!store || !make_locks(store)) {
        free(store);
        store_out_of_memory(error);
        return NULL;
    }
    store->most = connections;
    store->conninfo = strdup(conninfo);
    store->idle = calloc(connections, sizeof(PGconn *));
    store->bells = store_bells_new();
    if (!store->conninfo || !store->idle || !store->bells)
        store_out_of_memory(error);
    else
        store->watch = store_watch_new(store->conninfo, store->bells, error);
    if (store->watch)
        return store;
    store_close(store);
    return NULL;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    store_watch_free(store->watch);
    store_bells_free(store->bells);
    store_drop_idle(store);
    pthread_cond_destroy(&store->given_back);
    pthread_mutex_destroy(&store->lock);
    free(store->idle);
    free(store->conninfo);
    free(store);
}

bool store_ping(struct store *store, struct error *error)
{
    PGresult *result = store_single(store, "SELECT 1", NULL, error);
    PQclear(result);
    return result != NULL;
}
