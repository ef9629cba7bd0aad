/* What a generation does once, before it forks: libraries, signatures, everything that needs files.
 */
#ifndef GATEHOUSE_SCANNER_ENGINE_GENERATION_LOAD_H
#define GATEHOUSE_SCANNER_ENGINE_GENERATION_LOAD_H

#include "common/error.h"
#include "scanner/engine/charset.h"
#include "scanner/engine/filters.h"
#include "scanner/engine/generation.h"

struct generation_load {
    struct cl_engine *engine;
    struct signatures_info info;
    struct filters filters;                /* shared, as the engine is */
    struct charset_converters *converters; /* kept for the workers */
    char problem[700];                     /* why something is missing though it serves; "" */
};

/* Takes over the configuration of the settings, which this process has for itself. */
bool generation_load(const struct generation_start *start, struct generation_load *load,
                     struct error *error);

#endif
