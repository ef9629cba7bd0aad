#include "scanner/mta/fault.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool fault_armed;
static char wanted_name[64];
static atomic_long left;

void fault_arm(const char *spec)
{
    const char *colon = spec ? strrchr(spec, ':') : NULL;
    fault_armed = false;
    if (!colon || (size_t)(colon - spec) >= sizeof wanted_name)
        return;
    memcpy(wanted_name, spec, (size_t)(colon - spec));
    wanted_name[colon - spec] = 0;
    left = strtol(colon + 1, NULL, 10);
    fault_armed = left > 0;
}

void fault_reached(const char *name)
{
    bool counts = strcmp(wanted_name, "*") == 0 || strcmp(wanted_name, name) == 0;
    if (counts && atomic_fetch_sub(&left, 1) == 1)
        _exit(FAULT_STATUS);
}

__attribute__((constructor)) static void arm_from_environment(void)
{
    fault_arm(getenv("GATEHOUSE_FAULT"));
}
