/* What a scanner says of a message and a draft, for the page that shows it. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_TRIAL_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_TRIAL_H

#include "controlcenter/pages/pages.h"

/* Puts page.data.trial of the reply to "dry_run" (docs/architecture.md): the verdict, and of each
 * recipient of the envelope what becomes of the message and how every filter was looked at. */
void policy_trial_put(struct page *page, const json_t *document, const json_t *envelope,
                      const json_t *reply);

#endif
