#include "scanner/mta/config_ref.h"

#include "scanner/policy/malware.h"

#include <stdlib.h>

static bool has_filters(const struct policy_set *set)
{
    for (size_t i = 0; set && i < set->filter_count; i++)
        if (set->filters[i].enabled)
            return true;
    return false;
}

struct config_ref *config_ref_new(struct scanner_config *config)
{
    struct config_ref *reference = calloc(1, sizeof(*reference));
    if (!reference)
        abort();
    *reference = (struct config_ref){.config = config,
                                     .cleans = policy_cleans(config),
                                     .has_filters = has_filters(config->policy),
                                     .references = 1};
    if (config->policy && (config->policy->group_count > 0 || reference->has_filters)) {
        reference->groups = policy_groups_new(config->policy);
        if (!reference->groups)
            abort();
    }
    return reference;
}

struct config_ref *config_ref_take(struct config_ref *reference)
{
    reference->references++;
    return reference;
}

void config_ref_drop(struct config_ref *reference)
{
    if (!reference || --reference->references > 0)
        return;
    policy_groups_free(reference->groups);
    config_free((struct scanner_config *)reference->config);
    free(reference);
}
