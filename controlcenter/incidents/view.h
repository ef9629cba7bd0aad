/* What the page of an incident shows of its message, safely: text alone, read by a scanner in its
 * sandbox, with what the filters found marked. */
#ifndef GATEHOUSE_CONTROLCENTER_INCIDENTS_VIEW_H
#define GATEHOUSE_CONTROLCENTER_INCIDENTS_VIEW_H

#include "common/error.h"
#include "controlcenter/fleet/fleet.h"
#include "controlcenter/store/incidents.h"

#include <jansson.h>

/* For templates/incidents/content.html: {"header":S (lines end in LF), "finds":[{"filter","part",
 * "field","text"}], "parts":[{"path","name","type","bytes":N,"is_attachment":B,"encrypted":B,
 * "damaged":B,"pieces":[{"text":S,"is_marked":B,"filter":S}]}], "text_cut":B, "message_cut":B,
 * "parts_left_out":N, "problem":S (why there is no text)}. Numbers are left as they are. The caller
 * owns it; NULL with *error where the body cannot be had (ERROR_NOT_FOUND: it is gone). */
json_t *incident_content(struct store *store, struct fleet *fleet,
                         const struct store_incident *incident, struct error *error);

/* The pieces of a part's text: those that a find of that part stands for are marked. */
json_t *incident_mark(const char *text, const char *path, const struct store_incident *incident);

#endif
