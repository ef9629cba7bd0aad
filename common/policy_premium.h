/* Lists, dictionaries and patterns that Gatehouse has by itself: read-only, to be copied. */
#ifndef GATEHOUSE_COMMON_POLICY_PREMIUM_H
#define GATEHOUSE_COMMON_POLICY_PREMIUM_H

#include "common/policy_model.h"

/* "premium.executables", "premium.scripts", "premium.archives", "premium.encrypted",
 * "premium.office_macros", "premium.office", "premium.media", "premium.images",
 * "premium.documents"; *count of them. A member "encrypted" or "macros" of the type names used in
 * them is what scanner/engine says of a node (policy_node.flags). */
const struct policy_list *policy_premium_lists(size_t *count);
const struct policy_dictionary *policy_premium_dictionaries(size_t *count);
/* "premium.payment_card", "premium.iban", "premium.my_number", "premium.us_ssn",
 * "premium.email_address". */
const struct policy_pattern *policy_premium_patterns(size_t *count);

#endif
