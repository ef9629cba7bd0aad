/* Where in the policy document something is wrong, as people call it. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_PLACE_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_PLACE_H

#include "controlcenter/pages/pages.h"

/* Adds a sentence for an error of fleet_check_policies about the document: for
 * "policies.filters[3].conditions[1].values[0]" it begins with: Filter “Payroll”, condition 2,
 * value 1. */
void policy_place_words(struct page *page, const json_t *document, const struct error *error,
                        struct buffer *text);

#endif
