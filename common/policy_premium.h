/* Lists, dictionaries and patterns that Gatehouse has by itself: read-only, to be copied. */
#ifndef GATEHOUSE_COMMON_POLICY_PREMIUM_H
#define GATEHOUSE_COMMON_POLICY_PREMIUM_H

#include "common/policy_model.h"

/* "premium.executables", "premium.scripts", "premium.archives", "premium.encrypted",
 * "premium.office_macros", "premium.office", "premium.media", "premium.images",
 * "premium.documents"; *count of them. "flag:encrypted" and "flag:macros" in their types are what
 * scanner/engine says of a node by its flags (policy_model.h, policy_node.flags). The lists have
 * media types of what a message says and types as scanner/engine/type.h names them; an extension
 * alone is enough. */
const struct policy_list *policy_premium_lists(size_t *count);
/* "premium.confidential_en", "premium.confidential_ja", "premium.financial_en",
 * "premium.financial_ja", "premium.personal_en", "premium.personal_ja", "premium.credentials". */
const struct policy_dictionary *policy_premium_dictionaries(size_t *count);
/* "premium.payment_card", "premium.iban", "premium.my_number", "premium.us_ssn",
 * "premium.email_address". */
const struct policy_pattern *policy_premium_patterns(size_t *count);

#endif
