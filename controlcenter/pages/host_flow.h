/* Whether a host takes and delivers mail, in each direction: a part of its configuration, so that a
 * restart changes nothing. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_HOST_FLOW_H
#define GATEHOUSE_CONTROLCENTER_PAGES_HOST_FLOW_H

#include "controlcenter/pages/pages.h"

/* Whether mail of both directions is accepted and delivered; `smtp` are the host's settings. */
bool host_flow_is_normal(const json_t *smtp);
/* The member "flows": an object for each of inbound and outbound with its name, is_inbound and one
 * of the flags normal, no_accept, no_delivery and stopped. */
void host_flow_put(struct page *page, json_t *row, const json_t *smtp);

#endif
