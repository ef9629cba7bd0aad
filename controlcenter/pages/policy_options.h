/* Choices among the objects of a list of the policy document, premium ones included. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_OPTIONS_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_OPTIONS_H

#include "controlcenter/pages/pages.h"

/* Puts row.options and row.premium_options, [{id,name,chosen}], has_options, has_premium, and
 * none_chosen. `section` is such as "lists"; `chosen` is an identity or "". */
void policy_options_put(struct page *page, json_t *row, const json_t *document, const char *section,
                        const char *chosen);

#endif
