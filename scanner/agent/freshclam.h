/* Running freshclam (of ClamAV) once: it fetches signature databases to STATE/signatures/clamav. */
#ifndef GATEHOUSE_SCANNER_AGENT_FRESHCLAM_H
#define GATEHOUSE_SCANNER_AGENT_FRESHCLAM_H

#include "common/config_model.h"
#include "common/error.h"
#include "common/stop.h"

#include <stdbool.h>

#define FRESHCLAM_SECONDS 900 /* most time of a run; GATEHOUSE_FRESHCLAM_SECONDS sets another */

/* The program: /usr/bin/freshclam, or what GATEHOUSE_FRESHCLAM names. NULL where it is missing. */
const char *freshclam_program(void);

/* Writes STATE/agent/freshclam.conf, which has the password of the proxy, removes databases that
 * are not asked for any more, and runs the program until it ends, its time is over or `stop` is
 * requested; with it end the processes that it started. True where all was fetched or is up to
 * date; else *error, without secrets. */
bool freshclam_run(const char *state, const struct config_signature_update *update,
                   const struct stop *stop, struct error *error);

/* The version of ClamAV's daily database in the folder; "" where there is none. */
void freshclam_version(const char *state, char version[32]);

#endif
