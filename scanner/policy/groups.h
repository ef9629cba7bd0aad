/* Which policy group somebody is in. */
#ifndef GATEHOUSE_SCANNER_POLICY_GROUPS_H
#define GATEHOUSE_SCANNER_POLICY_GROUPS_H

#include "common/config_model.h"
#include "common/policy_model.h"

#include <stdbool.h>
#include <stddef.h>

#define POLICY_DEFAULT_GROUP ((size_t)-1)

/* Hashed addresses and domains of all groups; borrows the set. */
struct policy_groups;
struct policy_groups *policy_groups_new(const struct policy_set *set);
void policy_groups_free(struct policy_groups *groups);

/* Whether a member anywhere, or a filter's condition, is a directory group, so that those must be
 * asked for. */
bool policy_groups_need_directory(const struct policy_groups *groups);
/* The index of the first group with a member that fits the (normalised) address or one of its
 * `directory_groups` (regardless of the case of A to Z), or POLICY_DEFAULT_GROUP. Costs the same
 * for any number of groups. */
size_t policy_groups_find(const struct policy_groups *groups, const char *address,
                          const char *const *directory_groups, size_t count);

/* What counts for a verdict in that group: its own, else the general one. */
struct config_malware_policy policy_malware(const struct scanner_config *config, size_t group,
                                            enum policy_direction direction,
                                            enum config_verdict verdict);

#endif
