/* Who a message is from and for, as the policies see them: policy groups and directory groups. */
#ifndef GATEHOUSE_SCANNER_MTA_INTAKE_PEOPLE_H
#define GATEHOUSE_SCANNER_MTA_INTAKE_PEOPLE_H

#include "common/error.h"
#include "common/policy_model.h"
#include "scanner/mta/config_ref.h"
#include "scanner/mta/mta.h"
#include "scanner/mta/queue.h"

/* Found with the configuration that it holds. */
struct intake_people;

/* By addresses alone. Costs next to nothing where the configuration has neither groups nor filters.
 */
struct intake_people *intake_people_new(struct config_ref *config, enum queue_direction direction,
                                        const char *sender,
                                        const struct queue_draft_recipient *recipients,
                                        size_t count);
/* Nobody is called any more. NULL is allowed. */
void intake_people_free(struct intake_people *people);

/* Whether directory groups count, so that they must be asked for before the message is scanned. */
bool intake_people_need_directory(const struct intake_people *people);
/* Asks the directory process for the groups of everybody. `done` is called once, never from within
 * this function: `known` is false where one of them could not be asked for within `wait_ms`; no
 * group may then be relied on. */
void intake_people_ask(struct intake_people *people, struct mta *mta, int wait_ms,
                       void (*done)(void *argument, bool known), void *argument);

const struct config_ref *intake_people_config(const struct intake_people *people);
enum policy_direction intake_people_direction(const struct intake_people *people);
/* The policy group that counts for that recipient: its own one inbound, the sender's outbound. */
size_t intake_people_group(const struct intake_people *people, size_t recipient);

/* The envelope for the engine (docs/architecture.md) as a sealed file in memory; -1 with *error. */
int intake_people_envelope(const struct intake_people *people, struct error *error);

#endif
