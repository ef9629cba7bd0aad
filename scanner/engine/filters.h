/* The content filters of a configuration, as a generation loads them for all of its workers. */
#ifndef GATEHOUSE_SCANNER_ENGINE_FILTERS_H
#define GATEHOUSE_SCANNER_ENGINE_FILTERS_H

#include "common/config_model.h"
#include "common/error.h"
#include "scanner/policy/evaluate.h"

#include <stdbool.h>

struct filters {
    struct scanner_config *config; /* NULL: there is no configuration yet */
    struct policy_program *program;
    struct policy_needs needs;
};

/* Compiles what `config` says and takes it over, also where that fails (then there is no program,
 * and no message can be judged). */
bool filters_load(struct filters *filters, struct scanner_config *config, struct error *error);
void filters_free(struct filters *filters);

#endif
