/* A configuration that several users hold: a session goes on with the one that it began with while
 * newer ones begin with the next. Single-threaded. */
#ifndef GATEHOUSE_SCANNER_MTA_CONFIG_REF_H
#define GATEHOUSE_SCANNER_MTA_CONFIG_REF_H

#include "common/config_model.h"
#include "scanner/policy/groups.h"

struct config_ref {
    const struct scanner_config *config;
    struct policy_groups *groups; /* compiled once; NULL: everybody is in the default group */
    uint32_t cleans;              /* policy_cleans */
    bool has_filters;             /* one is enabled at least, so that the engine is to be asked */
    unsigned references;
};

/* Takes the configuration over; the caller has the first reference. */
struct config_ref *config_ref_new(struct scanner_config *config);
/* Another reference to the same; returns it. */
struct config_ref *config_ref_take(struct config_ref *reference);
/* Gives one back; the last one frees the configuration. NULL is allowed. */
void config_ref_drop(struct config_ref *reference);

#endif
