/* What the content filters said of a message, for the timeline of its page. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_AUDIT_FILTERS_H
#define GATEHOUSE_CONTROLCENTER_PAGES_AUDIT_FILTERS_H

#include "controlcenter/pages/pages.h"

#include <jansson.h>

/* Puts outcomes, finds, notifications and the other messages of an event "filters" into `to`;
 * `recipients` are those of the message. */
void audit_filters_put(struct page *page, json_t *to, const json_t *event,
                       const json_t *recipients);
/* Puts the folder of an event "incident" into `to`. */
void audit_incident_put(struct page *page, json_t *to, const json_t *event);
/* The id of the other message that an action names at the end of its detail ("... message ID"), as
 * `other`. */
void audit_other_message_put(struct page *page, json_t *to, const json_t *event);

#endif
