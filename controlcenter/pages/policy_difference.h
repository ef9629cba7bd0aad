/* What differs between two policy documents, by object and field, in plain words. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_DIFFERENCE_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_DIFFERENCE_H

#include "controlcenter/pages/pages.h"

#include <stddef.h>

/* Objects that were added, removed, changed or moved in their list; each counts once. Either may be
 * NULL: a document without anything. */
size_t policy_difference_count(const json_t *before, const json_t *after);
/* Puts page.data.differences, [{section:{filters},name,is_added|is_removed|is_changed|is_moved,
 * behind, fields:[{field:{name},removed:[{line}],added:[{line}]}]}], and has_differences. */
void policy_difference_put(struct page *page, const json_t *before, const json_t *after);

#endif
