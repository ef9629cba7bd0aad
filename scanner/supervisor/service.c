#include "scanner/supervisor/service.h"

#include "common/file.h"
#include "common/log.h"
#include "common/timestamp.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const state_names[] = {
    [SERVICE_STOPPED] = "stopped",
    [SERVICE_RUNNING] = "running",
    [SERVICE_STOPPING] = "stopping",
    [SERVICE_WAITING] = "waiting",
};

static void set_state(struct service *service, enum service_state state)
{
    service->state = state;
    service->since = timestamp_now_ms();
}

/* --- output --- */

bool service_open(struct service *service, const char *state, struct error *error)
{
    char name[64];
    snprintf(name, sizeof(name), "log/%s.log", service->name);
    service->log_file = service->log_pipe = -1;
    service->backoff_ms = SERVICE_BACKOFF_FIRST_MS;
    set_state(service, SERVICE_STOPPED);
    return file_join(service->log_path, sizeof(service->log_path), state, name, error);
}

static void close_pipe(struct service *service)
{
    if (service->log_pipe >= 0)
        close(service->log_pipe);
    service->log_pipe = -1;
}

void service_close(struct service *service)
{
    close_pipe(service);
    if (service->log_file >= 0)
        close(service->log_file);
    service->log_file = -1;
}

void service_reopen_log(struct service *service, gid_t group)
{
    int fd = open(service->log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        log_error("%s cannot be opened: %s", service->log_path, strerror(errno));
        return;
    }
    if (fchown(fd, (uid_t)-1, group) != 0)
        log_debug("%s keeps its group", service->log_path);
    if (service->log_file >= 0)
        close(service->log_file);
    service->log_file = fd;
}

/* A full disk costs log lines, not the service: nothing here may block or fail. */
void service_pump_log(struct service *service)
{
    char data[16384];
    for (int i = 0; i < 16; i++) {
        ssize_t length = read(service->log_pipe, data, sizeof(data));
        if (length > 0 && service->log_file >= 0)
            file_write_all(service->log_file, data, (size_t)length, NULL);
        if (length > 0)
            continue;
        if (length == 0 || (errno != EAGAIN && errno != EINTR))
            close_pipe(service);
        return;
    }
}

static int open_pipe(struct service *service, struct error *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        error_set_errno(error, service->name, "cannot make a pipe");
        return -1;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    if (service->log_pipe >= 0)
        service_pump_log(service);
    close_pipe(service);
    service->log_pipe = ends[0];
    return ends[1];
}

/* --- starting and ending --- */

static void pause_before_start(struct service *service)
{
    service->start_at = timestamp_monotonic_ms() + service->backoff_ms;
    service->backoff_ms *= 2;
    if (service->backoff_ms > SERVICE_BACKOFF_LAST_MS)
        service->backoff_ms = SERVICE_BACKOFF_LAST_MS;
    set_state(service, SERVICE_WAITING);
}

void service_start(struct service *service, const char *state, const struct accounts *accounts)
{
    struct error error = {0};
    char text[640];
    if (service->pid)
        return;
    service->start_at = service->kill_at = 0;
    int output = open_pipe(service, &error);
    struct spawn spawn = {.path = service->program,
                          .state = state,
                          .role = service->role,
                          .bind_low_ports = service->bind_low_ports,
                          .accounts = accounts,
                          .error_output = output};
    pid_t pid = output >= 0 ? spawn_process(&spawn, &error) : -1;
    if (output >= 0)
        close(output);
    if (pid < 0) {
        log_error("%s cannot be started: %s", service->name,
                  error_text(&error, text, sizeof(text)));
        pause_before_start(service);
        return;
    }
    service->pid = pid;
    service->started = timestamp_monotonic_ms();
    set_state(service, SERVICE_RUNNING);
    log_info("%s started, process %d", service->name, (int)pid);
}

void service_stop(struct service *service)
{
    service->start_at = 0;
    if (!service->pid) {
        if (service->state != SERVICE_STOPPED)
            set_state(service, SERVICE_STOPPED);
        return;
    }
    if (service->state == SERVICE_STOPPING)
        return;
    kill(service->pid, SIGTERM);
    service->kill_at = timestamp_monotonic_ms() + SERVICE_KILL_MS;
    set_state(service, SERVICE_STOPPING);
}

static void log_end(const struct service *service, int status)
{
    if (WIFSIGNALED(status))
        log_warning("%s (process %d) was ended by signal %d", service->name, (int)service->pid,
                    WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0 || service->state != SERVICE_STOPPING)
        log_warning("%s (process %d) ended with status %d", service->name, (int)service->pid,
                    WEXITSTATUS(status));
    else
        log_info("%s stopped", service->name);
}

void service_ended(struct service *service, int status)
{
    bool asked = service->state == SERVICE_STOPPING;
    log_end(service, status);
    service->pid = 0;
    service->kill_at = 0;
    if (service->log_pipe >= 0)
        service_pump_log(service);
    if (!service->wanted) {
        set_state(service, SERVICE_STOPPED);
        return;
    }
    if (asked || timestamp_monotonic_ms() - service->started >= SERVICE_STEADY_MS)
        service->backoff_ms = SERVICE_BACKOFF_FIRST_MS;
    if (asked) {
        service->start_at = timestamp_monotonic_ms();
        set_state(service, SERVICE_WAITING);
        return;
    }
    service->restarts++;
    pause_before_start(service);
}

int64_t service_tick(struct service *service, const char *state, const struct accounts *accounts)
{
    int64_t now = timestamp_monotonic_ms(), next = INT64_MAX;
    if (service->start_at && now >= service->start_at)
        service_start(service, state, accounts);
    if (service->kill_at && now >= service->kill_at) {
        log_warning("%s does not end by itself and is killed", service->name);
        kill(service->pid, SIGKILL);
        service->kill_at = now + SERVICE_KILL_MS;
    }
    if (service->start_at)
        next = service->start_at;
    if (service->kill_at && service->kill_at < next)
        next = service->kill_at;
    return next;
}

json_t *service_json(const struct service *service)
{
    char since[TIMESTAMP_TEXT_SIZE];
    return json_pack("{s:s,s:i,s:s,s:I}", "state", state_names[service->state], "pid",
                     (int)service->pid, "since", timestamp_text(service->since, since), "restarts",
                     (json_int_t)service->restarts);
}
