/* Who may see and decide the incidents of a folder: the administrators that the policies in force
 * name for it, everybody where they name nobody. To others it is as if the incidents were not
 * there. What is left of a folder that the policies do not know any more is everybody's. Links that
 * were mailed are not bound by it: who has one may do what it says. */
#ifndef GATEHOUSE_CONTROLCENTER_INCIDENTS_RIGHTS_H
#define GATEHOUSE_CONTROLCENTER_INCIDENTS_RIGHTS_H

#include "common/error.h"
#include "controlcenter/store/incidents.h"

#include <jansson.h>
#include <stdbool.h>

/* The ids of the folders that are not the administrator's: [S]. Caller owns; NULL with *error. */
json_t *incident_rights_hidden(struct store *store, const char *administrator, struct error *error);
/* Whether the folder is among them. */
bool incident_rights_hide(const json_t *hidden, const char *folder);
/* store_incident_get for an administrator; ERROR_NOT_FOUND also where the folder is not theirs. */
bool incident_rights_get(struct store *store, int64_t number, const char *administrator,
                         struct store_incident *incident, struct error *error);
/* The names of those who may see the folder, to whom its incidents may be assigned: [S]. Caller
 * owns; NULL with *error. */
json_t *incident_rights_assignees(struct store *store, const char *folder, struct error *error);

#endif
