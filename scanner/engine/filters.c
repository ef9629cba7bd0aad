#include "scanner/engine/filters.h"

bool filters_load(struct filters *filters, struct scanner_config *config, struct error *error)
{
    *filters = (struct filters){.config = config};
    if (!config)
        return true;
    filters->program = policy_compile(config->policy, error);
    if (filters->program)
        filters->needs = policy_needs(filters->program);
    return filters->program != NULL;
}

void filters_free(struct filters *filters)
{
    policy_program_free(filters->program);
    config_free(filters->config);
    *filters = (struct filters){0};
}
