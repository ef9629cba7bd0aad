/* Starting one process of a scanner with no more rights than it needs. */
#ifndef GATEHOUSE_SCANNER_SUPERVISOR_SPAWN_H
#define GATEHOUSE_SCANNER_SUPERVISOR_SPAWN_H

#include "common/error.h"
#include "scanner/supervisor/accounts.h"

#include <stddef.h>
#include <sys/types.h>

#define SPAWN_PATH_SIZE 1024

struct spawn {
    const char *path;  /* the program */
    const char *state; /* for --state */
    enum role role;
    bool bind_low_ports; /* keeps CAP_NET_BIND_SERVICE over the change of user */
    const struct accounts *accounts;
    int error_output; /* descriptor of the process's standard output and error */
};

/* Starts it; it dies with this process (SIGKILL), also where that is killed itself. -1 on failure.
 */
pid_t spawn_process(const struct spawn *spawn, struct error *error);

/* Finds the program `name` of the source folder `folder`: in GATEHOUSE_LIBEXEC where that is set;
 * otherwise beside this program, in ../FOLDER/ of it (a build tree), or in
 * ../libexec/gatehouse/ (installed). ERROR_NOT_FOUND. */
bool spawn_find_program(const char *name, const char *folder, char path[SPAWN_PATH_SIZE],
                        struct error *error);

#endif
