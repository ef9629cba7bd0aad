#include "scanner/mta/config_ref.h"

#include <stdlib.h>

struct config_ref *config_ref_new(struct scanner_config *config)
{
    struct config_ref *reference = calloc(1, sizeof(*reference));
    if (!reference)
        abort();
    *reference = (struct config_ref){.config = config, .references = 1};
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
    config_free((struct scanner_config *)reference->config);
    free(reference);
}
