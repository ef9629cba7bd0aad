/* The commands of gatehouse-controlcenter that do one thing and end. Each returns an exit status
 * and prints its result to standard output and errors to standard error. */
#ifndef GATEHOUSE_CONTROLCENTER_COMMANDS_H
#define GATEHOUSE_CONTROLCENTER_COMMANDS_H

#include "controlcenter/program_config.h"

/* Brings the database to the schema of this version. */
int command_migrate(const struct program_config *config);
/* Makes an administrator with a one-time password, which must be changed at the first sign-in. */
int command_create_administrator(const struct program_config *config, const char *name);
/* Makes an enrolment token; inbound and outbound ("IP:PORT") may be NULL. */
int command_create_token(const struct program_config *config, const char *host_name,
                         const char *inbound, const char *outbound);

/* Prints an error and returns the exit status for it. */
int command_fail(const struct error *error);

#endif
