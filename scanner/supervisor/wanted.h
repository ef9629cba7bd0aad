/* STATE/services.json: which services the administrator wants to run, kept over restarts.
 * {"mta":"run","engine":"run","directory":"run","agent":"stop"}; what is not named runs. */
#ifndef GATEHOUSE_SCANNER_SUPERVISOR_WANTED_H
#define GATEHOUSE_SCANNER_SUPERVISOR_WANTED_H

#include "common/error.h"
#include "scanner/supervisor/service.h"

#include <stddef.h>

/* Sets `wanted` of each service. A missing or broken file means that all shall run. */
void wanted_load(const char *state, struct service *services, size_t count);
bool wanted_save(const char *state, const struct service *services, size_t count,
                 struct error *error);

#endif
