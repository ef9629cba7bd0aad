/* Removing an object of the draft that filters may refer to, and which filters those are. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_REMOVAL_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_REMOVAL_H

#include "controlcenter/pages/policy_draft.h"
#include "controlcenter/pages/policy_objects.h"

/* Puts into a row of a list how many filters refer to the object: user_count, has_users, one_user.
 */
void policy_removal_put_count(struct page *page, json_t *row, const json_t *document,
                              const char *section, const char *id);
/* Puts what the page that asks shows: id, name, users (user_name) and has_users. The object, which
 * is borrowed; NULL after it has answered that there is none. */
const json_t *policy_removal_put(struct policy_draft *draft, const char *section, const char *id);
/* Removes the object from the draft. True after it has answered; `path` is where the list is. False
 * with status 409 where filters refer to it: the page shows which. */
bool policy_removal_try(struct policy_draft *draft, const struct policy_place *place,
                        const char *path);

#endif
