/* Which filters are worth a look, by what was found in a message. */
#ifndef GATEHOUSE_SCANNER_POLICY_WAKING_H
#define GATEHOUSE_SCANNER_POLICY_WAKING_H

#include "scanner/policy/program.h"

/* A filter waits for one of its conditions (where all are needed) or for all of them (where any is
 * enough); one that cannot wait is always looked at. false without memory. */
bool waking_make(struct policy_program *program);
void waking_free(struct policy_program *program);

#endif
