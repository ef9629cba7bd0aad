/* The Control Center as a server: the console, the fleet port and FastCGI. */
#ifndef GATEHOUSE_CONTROLCENTER_RUN_H
#define GATEHOUSE_CONTROLCENTER_RUN_H

#include "controlcenter/program_config.h"

/* Serves until SIGTERM or SIGINT; returns the exit status. While the database is away at the start,
 * every page says so (503) with a certificate of the moment, scanners cannot connect yet, and the
 * database is tried again every 2 s. Once it has been there, requests fail one by one while it is
 * away, and scanners keep what they have to send. */
int run_control_center(const struct program_config *config);

#endif
