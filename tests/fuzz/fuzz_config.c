/* The configuration document: refused with a reason, or accepted and freed without a leak. */
#include "common/config_model.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct scanner_config *config = config_parse((const char *)data, size, &error);
    if (!config && !error.message[0])
        abort();
    for (size_t i = 0; config && i < config->domain_count; i++)
        if (config_find_domain(config, config->domains[i].name) != &config->domains[i])
            abort();
    config_free(config);
    return 0;
}
