#include "controlcenter/incidents/expunger.h"

#include "common/log.h"
#include "common/timestamp.h"
#include "controlcenter/incidents/act.h"
#include "controlcenter/incidents/folder.h"
#include "controlcenter/store/incidents.h"
#include "controlcenter/store/messages.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_SECONDS 300
#define BUSY_SECONDS 1 /* between batches while there is work */
#define BATCH 200
#define OVERDUE_BATCH 50 /* each may send a mail */
#define DAY_MS 86400000LL

struct expunger {
    struct store *store;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
};

/* --- one folder --- */

/* Those that somebody decides at this moment are no error. */
static bool expire_overdue(struct store *store, const struct incident_folder *folder,
                           int64_t before, bool *work_left, struct error *error)
{
    int64_t numbers[OVERDUE_BATCH];
    size_t count = 0;
    if (!store_incident_overdue(store, folder->id, before, OVERDUE_BATCH, numbers, &count, error))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct error local = {0};
        if (incident_expire(store, numbers[i], folder, &local))
            log_info("incident %lld of the folder %s was not decided in %lld days: %s",
                     (long long)numbers[i], folder->id, (long long)folder->retention_days,
                     folder->expiry_delivers ? "delivered" : "deleted");
        else if (local.code != ERROR_EXISTS && local.code != ERROR_NOT_FOUND)
            return error_set(error, local.code, local.where, "%s", local.message);
    }
    *work_left = *work_left || count == OVERDUE_BATCH;
    return true;
}

static bool expunge_folder(struct store *store, const struct incident_folder *folder,
                           bool *work_left, struct error *error)
{
    int64_t before = timestamp_now_ms() - folder->retention_days * DAY_MS;
    int64_t removed = 0, over = 0;
    if (!expire_overdue(store, folder, before, work_left, error) ||
        !store_incident_expunge(store, folder->id, before, BATCH, &removed, error) ||
        (folder->quota_megabytes > 0 &&
         !store_incident_expunge_over(store, folder->id, folder->quota_megabytes << 20, BATCH,
                                      &over, error)))
        return false;
    if (removed + over > 0)
        log_info("%lld incidents of the folder %s were removed: %lld by their age, %lld for room",
                 (long long)(removed + over), folder->id, (long long)removed, (long long)over);
    *work_left = *work_left || removed == BATCH || over == BATCH;
    return true;
}

/* --- all folders --- */

bool expunge_incidents(struct store *store, bool *work_left, struct error *error)
{
    struct store_incident_folder *folders = NULL;
    struct incident_folder *settings = calloc(1, sizeof(*settings));
    size_t count = 0;
    int bodies = 0;
    *work_left = false;
    bool ok = (settings || error_set(error, ERROR_INTERNAL, NULL, "out of memory")) &&
              store_incident_folders(store, NULL, &folders, &count, error);
    for (size_t i = 0; ok && i < count; i++)
        if (folders[i].open + folders[i].closed > 0)
            ok = incident_folder_find(store, folders[i].id, settings, error) &&
                 expunge_folder(store, settings, work_left, error);
    ok = ok && store_message_expunge(store, BATCH, &bodies, error);
    *work_left = *work_left || bodies == BATCH;
    free(folders);
    free(settings);
    return ok;
}

/* --- the thread --- */

/* Returns whether it goes on. */
static bool wait_seconds(struct expunger *expunger, int seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&expunger->lock);
    while (!expunger->stopping &&
           pthread_cond_timedwait(&expunger->wake, &expunger->lock, &until) == 0)
        continue;
    bool goes_on = !expunger->stopping;
    pthread_mutex_unlock(&expunger->lock);
    return goes_on;
}

static void *run(void *argument)
{
    struct expunger *expunger = argument;
    bool work_left = true; /* the first look comes soon */
    while (wait_seconds(expunger, work_left ? BUSY_SECONDS : LOOK_SECONDS)) {
        struct error error = {0};
        char text[700];
        if (expunge_incidents(expunger->store, &work_left, &error))
            continue;
        work_left = false;
        log_warning("incidents are not expunged: %s", error_text(&error, text, sizeof(text)));
    }
    return NULL;
}

struct expunger *expunger_start(struct store *store, struct error *error)
{
    struct expunger *expunger = calloc(1, sizeof(*expunger));
    if (!expunger) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    expunger->store = store;
    pthread_mutex_init(&expunger->lock, NULL);
    pthread_cond_init(&expunger->wake, NULL);
    if (pthread_create(&expunger->thread, NULL, run, expunger) == 0)
        return expunger;
    error_set(error, ERROR_INTERNAL, "expunger", "its thread cannot be started");
    pthread_cond_destroy(&expunger->wake);
    pthread_mutex_destroy(&expunger->lock);
    free(expunger);
    return NULL;
}

void expunger_stop(struct expunger *expunger)
{
    if (!expunger)
        return;
    pthread_mutex_lock(&expunger->lock);
    expunger->stopping = true;
    pthread_cond_signal(&expunger->wake);
    pthread_mutex_unlock(&expunger->lock);
    pthread_join(expunger->thread, NULL);
    pthread_cond_destroy(&expunger->wake);
    pthread_mutex_destroy(&expunger->lock);
    free(expunger);
}
