/* The fields of an object of the policy document as lines of text, and how two of them differ. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_FIELDS_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_FIELDS_H

#include "controlcenter/pages/pages.h"

/* {FIELD:[LINE]} in the order in which people read them: of filters the conditions and actions in
 * words, of other objects what they hold. `object` may be NULL. The caller owns it. */
json_t *policy_fields(struct page *page, const json_t *document, const char *section,
                      const json_t *object);
/* Puts row.fields, [{field:{NAME:true,text},removed:[{line}],added:[{line}],more_removed,
 * more_added}], of the fields that differ. */
void policy_fields_put(struct page *page, json_t *row, const json_t *before, const json_t *after);

#endif
