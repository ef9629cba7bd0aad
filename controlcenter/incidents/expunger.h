/* Removing incidents whose time is over, or that their folder has no more room for. */
#ifndef GATEHOUSE_CONTROLCENTER_INCIDENTS_EXPUNGER_H
#define GATEHOUSE_CONTROLCENTER_INCIDENTS_EXPUNGER_H

#include "controlcenter/store/store.h"

struct expunger;

/* Starts its thread, which looks every few minutes; the store must outlive it. NULL with *error. */
struct expunger *expunger_start(struct store *store, struct error *error);
/* Ends it within a moment; NULL is allowed. */
void expunger_stop(struct expunger *expunger);

/* One look over all folders, in small batches; *work_left says that there is more to do at once. */
bool expunge_incidents(struct store *store, bool *work_left, struct error *error);

#endif
