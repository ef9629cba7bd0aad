#include "controlcenter/incidents/expunger.h"

#include "common/log.h"
#include "common/stop.h"
#include "common/timestamp.h"
#include "controlcenter/incidents/act.h"
#include "controlcenter/incidents/folder.h"
#include "controlcenter/store/incidents.h"
#include "controlcenter/store/messages.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 300000
#define BUSY_MS 1000 /* between batches while there is work */
#define BATCH 200
#define OVERDUE_BATCH 50 /* each may send a mail */
#define DAY_MS 86400000LL

struct expunger {
    struct store *store;
    pthread_t thread;
    struct stop stop;
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

static void *run(void *argument)
{
    struct expunger *expunger = argument;
    bool work_left = true; /* the first look comes soon */
    while (!stop_wait(&expunger->stop, work_left ? BUSY_MS : LOOK_MS)) {
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
    if (!stop_open(&expunger->stop, error)) {
        free(expunger);
        return NULL;
    }
    if (pthread_create(&expunger->thread, NULL, run, expunger) == 0)
        return expunger;
    error_set(error, ERROR_INTERNAL, "expunger", "its thread cannot be started");
    stop_close(&expunger->stop);
    free(expunger);
    return NULL;
}

void expunger_stop(struct expunger *expunger)
{
    if (!expunger)
        return;
    stop_request(&expunger->stop);
    pthread_join(expunger->thread, NULL);
    stop_close(&expunger->stop);
    free(expunger);
}
