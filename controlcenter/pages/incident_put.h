/* What the pages about incidents, and those of mailed links, share. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_INCIDENT_PUT_H
#define GATEHOUSE_CONTROLCENTER_PAGES_INCIDENT_PUT_H

#include "controlcenter/incidents/folder.h"
#include "controlcenter/pages/pages.h"
#include "controlcenter/store/incidents.h"

extern const char *const incident_states[];

/* The incident's own members: number, state, folder, sender, subject, recipients_text, ... */
void incident_put(struct page *page, json_t *row, const struct store_incident *incident);
/* "content" for templates/incidents/content.html: header, finds, and the parts with their text and
 * what matched; asks a scanner, which takes a moment. */
void incident_put_content(struct page *page, const struct store_incident *incident);
/* "history": lines with time, who, what, detail and comment. */
bool incident_put_history(struct page *page, int64_t number, struct error *error);
/* "actions": what the folder offers, each with id, name and what it does in words. */
void incident_put_actions(struct page *page, const struct incident_folder *folder, bool quarantine);
/* Takes a number as it stands in an address; 0 where it is none. */
int64_t incident_number(const char *text);

#endif
