/* Carrying out what an administrator, or who holds a mailed link, decides about an incident. */
#ifndef GATEHOUSE_CONTROLCENTER_INCIDENTS_ACT_H
#define GATEHOUSE_CONTROLCENTER_INCIDENTS_ACT_H

#include "common/error.h"
#include "controlcenter/incidents/folder.h"
#include "controlcenter/store/incidents.h"

/* Carries out the action of that id of the incident's folder, as the policies in force have it, in
 * the name of `who` (an administrator, or the address of who holds a link), with a comment (may be
 * "" or NULL): mails, state and history become durable together. ERROR_NOT_FOUND: no such incident,
 * or its folder has no such action; ERROR_EXISTS: it is decided already, with by whom. */
bool incident_act(struct store *store, int64_t number, const char *action, const char *who,
                  const char *comment, struct error *error);

/* The end of an incident's time in the folder: delivers or deletes it, as the folder says. */
bool incident_expire(struct store *store, int64_t number, const struct incident_folder *folder,
                     struct error *error);

#endif
