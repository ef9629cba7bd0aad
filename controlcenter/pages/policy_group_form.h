/* One policy group in a form; between request, document and template it is JSON as in
 * common/policy_model.h.
 *
 * The fields: name, members (one a line); for each direction and verdict DIRECTION_VERDICT ("": as
 * the general policy, or an action), and with _hours, _then and _bypass behind it what goes with
 * an action. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_GROUP_FORM_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_GROUP_FORM_H

#include "controlcenter/pages/pages.h"

/* The group that was sent; what is wrong is refused at its field. The caller owns it. */
json_t *group_form_read(struct form *form, const json_t *document, const char *id);
/* Puts everything that templates/policies/group.html shows. */
void group_form_put(struct form *form, const json_t *group);
/* Refuses what the check of the whole document says of group number `index`. */
void group_form_refuse(struct form *form, size_t index, const struct error *error);

#endif
