/* The custom signatures of the configuration, as files that libclamav loads. */
#ifndef GATEHOUSE_SCANNER_ENGINE_CUSTOM_SIGNATURES_H
#define GATEHOUSE_SCANNER_ENGINE_CUSTOM_SIGNATURES_H

#include "common/config_model.h"
#include "common/error.h"

/* Makes STATE/signatures/custom hold exactly those of the configuration, all at once, and leaves it
 * alone where it does already, or where the configuration says nothing about them. After false the
 * folder is as it was. */
bool custom_signatures_write(const char *state, const struct config_signatures *signatures,
                             struct error *error);

#endif
