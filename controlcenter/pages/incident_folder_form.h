/* The form of a folder of incidents, and its settings in the policy document. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_INCIDENT_FOLDER_FORM_H
#define GATEHOUSE_CONTROLCENTER_PAGES_INCIDENT_FOLDER_FORM_H

#include "controlcenter/incidents/folder.h"
#include "controlcenter/pages/pages.h"

/* Fills the form with what a folder says. */
void incident_folder_form_put(struct form *form, const struct incident_folder *folder);
/* Reads what was typed, and refuses what cannot be. Returns the folder as the document has it, with
 * the identity `id`; the caller owns it. NULL where the form is wrong, which then is as it was
 * typed. */
json_t *incident_folder_form_read(struct form *form, const char *id);

#endif
