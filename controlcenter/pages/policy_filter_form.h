/* One content filter in a form. Between request, document and template it is JSON as in
 * common/policy_model.h, which may be incomplete or wrong: as it was typed.
 *
 * The fields of the form: name, enabled, direction_inbound, direction_outbound, group_ID, match,
 * then; conditions and actions (how many rows there are); of the condition N cN_field, cN_not,
 * cN_op, cN_name, cN_values (one a line), cN_is_WORD, cN_id, cN_number, cN_unit, cN_at_least,
 * cN_tags, cN_match_case, cN_every; of the action N aN_action and aN_MEMBER, of "to"
 * aN_to_sender, aN_to_recipients and aN_to (addresses, one a line). */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_FILTER_FORM_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_FILTER_FORM_H

#include "controlcenter/pages/pages.h"

#define FILTER_CONDITIONS_MOST 100
#define FILTER_ACTIONS_MOST 50
#define FILTER_FIELD_SIZE 48

/* policy_filter_read.c: the filter that was sent; `id` is its identity. The caller owns it. */
json_t *filter_form_read(struct page *page, const json_t *document, const char *id);
/* A row as it is when it is added. */
json_t *filter_form_new_condition(void);
json_t *filter_form_new_action(void);

/* policy_filter_rows.c: puts everything that templates/policies/filter.html shows. */
void filter_form_put(struct form *form, const json_t *document, const json_t *filter);

/* policy_filter_check.c: refuses what is missing, at its field. */
void filter_form_check(struct form *form, const json_t *document, const json_t *filter);
/* Refuses what the check of the whole document says of filter number `index`, at its field. */
void filter_form_refuse(struct form *form, size_t index, const struct error *error);

#endif
