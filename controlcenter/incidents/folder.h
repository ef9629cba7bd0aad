/* How a folder of incidents behaves: its settings in the policy document, read into values.
 *
 * {"id","name","quarantine":B,"actions":[{"id":ID,"name":S,"steps":[STEP]}] [the usual three],
 *  "retention_days":N [30],"quota_megabytes":N [0: none],"expiry":"delete"or"deliver" ["delete"],
 *  "administrators":[S] [none: everybody] who may see and decide its incidents}
 * STEP: {"do":"deliver"} to the original recipients, {"do":"bounce","text":S} to the sender,
 * {"do":"delete"}, {"do":"route","host":S}, {"do":"forward","address":S} as an attachment,
 * {"do":"archive","address":S} a copy with the envelope in X-Gatehouse header fields. The first
 * four decide; an action of the other two alone leaves the incident open. */
#ifndef GATEHOUSE_CONTROLCENTER_INCIDENTS_FOLDER_H
#define GATEHOUSE_CONTROLCENTER_INCIDENTS_FOLDER_H

#include "common/error.h"
#include "controlcenter/store/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define INCIDENT_ACTIONS_MOST 20
#define INCIDENT_STEPS_MOST 6
#define INCIDENT_TEXT_SIZE 1001
#define INCIDENT_ADMINISTRATORS_MOST 200
#define INCIDENT_RETENTION_DAYS 30 /* where the folder says nothing */
#define INCIDENT_RETENTION_MOST 3650

enum incident_step_kind {
    INCIDENT_DELIVER,
    INCIDENT_BOUNCE,
    INCIDENT_DELETE,
    INCIDENT_ROUTE,
    INCIDENT_FORWARD,
    INCIDENT_ARCHIVE,
    INCIDENT_STEPS,
};

struct incident_step {
    enum incident_step_kind kind;
    char value[INCIDENT_TEXT_SIZE]; /* text, host or address */
};

struct incident_action {
    char id[65], name[201];
    struct incident_step steps[INCIDENT_STEPS_MOST];
    size_t step_count;
};

struct incident_folder {
    char id[65], name[201];
    bool quarantine;
    struct incident_action actions[INCIDENT_ACTIONS_MOST];
    size_t action_count;
    int64_t retention_days, quota_megabytes;
    bool expiry_delivers;
    char administrators[INCIDENT_ADMINISTRATORS_MOST][65];
    size_t administrator_count; /* 0: everybody */
};

/* Reads one element of "folders". ERROR_INVALID with the member. */
bool incident_folder_read(const json_t *value, struct incident_folder *folder, struct error *error);
/* The folder as the policies in force have it. One that they do not know any more keeps what was in
 * it for the usual time, with the usual actions. */
bool incident_folder_find(struct store *store, const char *id, struct incident_folder *folder,
                          struct error *error);
const struct incident_action *incident_folder_action(const struct incident_folder *folder,
                                                     const char *id);

const char *incident_step_name(enum incident_step_kind kind); /* "deliver" */
/* The member that the step's value stands in ("text", "host", "address"); NULL: it has none. */
const char *incident_step_member(enum incident_step_kind kind);
/* Whether the step's address or host can be used; ERROR_INVALID otherwise. */
bool incident_step_check(enum incident_step_kind kind, const char *value, struct error *error);
/* Whether an incident is closed by it. */
bool incident_action_decides(const struct incident_action *action);

#endif
