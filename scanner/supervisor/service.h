/* One watched process: started, restarted when it dies, stopped, its output kept in a file. */
#ifndef GATEHOUSE_SCANNER_SUPERVISOR_SERVICE_H
#define GATEHOUSE_SCANNER_SUPERVISOR_SERVICE_H

#include "common/error.h"
#include "scanner/supervisor/accounts.h"
#include "scanner/supervisor/spawn.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SERVICE_BACKOFF_FIRST_MS 100
#define SERVICE_BACKOFF_LAST_MS 10000
#define SERVICE_STEADY_MS                                                                          \
    30000                     /* a process that lived this long starts afresh at the first pause */
#define SERVICE_KILL_MS 10000 /* from SIGTERM to SIGKILL */

enum service_state {
    SERVICE_STOPPED,
    SERVICE_RUNNING,
    SERVICE_STOPPING,
    SERVICE_WAITING, /* died; will be started again */
};

struct service {
    const char *name;
    enum role role;
    bool bind_low_ports;
    char program[SPAWN_PATH_SIZE];
    char log_path[SPAWN_PATH_SIZE];
    bool wanted; /* what the administrator wants; outlives the supervisor */
    enum service_state state;
    pid_t pid;        /* 0: none */
    int64_t since;    /* milliseconds since 1970 of the last change of state */
    int64_t restarts; /* times that it died by itself */
    int backoff_ms;   /* pause before the next start */
    int64_t started;  /* monotonic milliseconds; the two below too */
    int64_t start_at; /* 0: not due */
    int64_t kill_at;  /* 0: not due */
    int log_file;     /* -1: cannot be written; lines are dropped */
    int log_pipe;     /* our end of its standard error; -1: none */
};

/* Prepares a service: where its log goes. Does not start it. */
bool service_open(struct service *service, const char *state, struct error *error);
void service_close(struct service *service);
/* Opens the log file again after it was moved away. */
void service_reopen_log(struct service *service, gid_t group);

/* Starts it where it is not running. A failure is logged and tried again later. */
void service_start(struct service *service, const char *state, const struct accounts *accounts);
/* Asks it to end (SIGTERM; SIGKILL after SERVICE_KILL_MS). */
void service_stop(struct service *service);
/* Notes that its process has ended with the wait status; starts it again at once where that was
 * asked for, and after a pause where it died and is wanted. */
void service_ended(struct service *service, int status);
/* Does what is due: a start after a pause, a kill. Returns the monotonic time of what is due next,
 * or INT64_MAX. */
int64_t service_tick(struct service *service, const char *state, const struct accounts *accounts);
/* Copies what the process wrote to the log; call when log_pipe is readable. */
void service_pump_log(struct service *service);
/* {state,pid,since,restarts}; since is ISO 8601. The caller owns the value. */
json_t *service_json(const struct service *service);

#endif
