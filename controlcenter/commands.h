/* The commands of gatehouse-controlcenter that do one thing and end. Each returns an exit status
 * and prints its result to standard output and errors to standard error. */
#ifndef GATEHOUSE_CONTROLCENTER_COMMANDS_H
#define GATEHOUSE_CONTROLCENTER_COMMANDS_H

#include "controlcenter/program_config.h"

/* Brings the database to the schema of this version. */
int command_migrate(const struct program_config *config);
/* Makes an administrator with a one-time password, which must be changed at the first sign-in. */
int command_create_administrator(const struct program_config *config, const char *name);
/* Gives an administrator a new one-time password, and ends the account's lock and sessions. */
int command_reset_password(const struct program_config *config, const char *name);
/* Takes mail for a domain and sends it to one host ("HOST:PORT"), as the domains page does;
 * replaces the route of a domain that is there. */
int command_set_route(const struct program_config *config, const char *domain, const char *relay);
/* Makes an enrolment token; inbound and outbound ("IP:PORT") may be NULL. */
int command_create_token(const struct program_config *config, const char *host_name,
                         const char *inbound, const char *outbound);

/* Prints an error and returns the exit status for it. */
int command_fail(const struct error *error);

#endif
