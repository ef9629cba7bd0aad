#include "scanner/supervisor/supervisor.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/supervisor/control.h"
#include "scanner/supervisor/service.h"
#include "scanner/supervisor/wanted.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <sys/wait.h>

#define SERVICE_COUNT ROLE_COUNT

/* In the order in which they are stopped; they are started from the last to the first. */
static const struct {
    const char *name;
    const char *program;
    enum role role;
    bool bind_low_ports;
} service_table[SERVICE_COUNT] = {
    {"mta", "gatehouse-mta", ROLE_MTA, true},
    {"agent", "gatehouse-agent", ROLE_AGENT, false},
    {"directory", "gatehouse-directory", ROLE_DIRECTORY, false},
    {"engine", "gatehouse-engine", ROLE_ENGINE, false},
};

struct supervisor {
    const char *state;
    const struct accounts *accounts;
    struct service services[SERVICE_COUNT];
    struct control control;
    int signals;
    int lock;
    bool shutting_down;
};

/* --- requests --- */

static json_t *refuse(const char *text)
{
    return json_pack("{s:b,s:s}", "ok", 0, "error", text);
}

static json_t *status_reply(const struct supervisor *supervisor)
{
    json_t *services = json_object();
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        json_object_set_new(services, supervisor->services[i].name,
                            service_json(&supervisor->services[i]));
    return json_pack("{s:b,s:o}", "ok", 1, "services", services);
}

static struct service *find_service(struct supervisor *supervisor, const char *name)
{
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        if (strcmp(supervisor->services[i].name, name) == 0)
            return &supervisor->services[i];
    return NULL;
}

/* The mta, the engine and the directory face the network; they may look, and change nothing. */
static bool may_change(const struct supervisor *supervisor, uid_t peer)
{
    return peer == 0 || peer == geteuid() || peer == supervisor->accounts->users[ROLE_AGENT];
}

static void set_wanted(struct supervisor *supervisor, struct service *service, bool wanted)
{
    struct error error = {0};
    char text[640];
    service->wanted = wanted;
    if (!wanted_save(supervisor->state, supervisor->services, SERVICE_COUNT, &error))
        log_error("%s is %s, but this is forgotten at the next start: %s", service->name,
                  wanted ? "started" : "stopped", error_text(&error, text, sizeof(text)));
}

static json_t *change_service(struct supervisor *supervisor, const char *op,
                              struct service *service)
{
    bool start = strcmp(op, "start") == 0, restart = strcmp(op, "restart") == 0;
    if (!start && !restart && strcmp(op, "stop") != 0)
        return refuse("op must be status, start, stop or restart");
    if (supervisor->shutting_down)
        return refuse("the supervisor is stopping");
    log_info("%s: %s was asked for", service->name, op);
    set_wanted(supervisor, service, start || restart);
    if (!start)
        service_stop(service);
    if ((start || restart) && !service->pid) {
        service->backoff_ms = SERVICE_BACKOFF_FIRST_MS;
        service_start(service, supervisor->state, supervisor->accounts);
    }
    return json_pack("{s:b}", "ok", 1);
}

static json_t *handle(void *context, const json_t *request, uid_t peer)
{
    struct supervisor *supervisor = context;
    const char *op = json_string_value(json_object_get(request, "op"));
    const char *name = json_string_value(json_object_get(request, "service"));
    if (!op)
        return refuse("op is missing");
    if (strcmp(op, "status") == 0)
        return status_reply(supervisor);
    if (!may_change(supervisor, peer))
        return refuse("this user may not start or stop services");
    struct service *service = name ? find_service(supervisor, name) : NULL;
    if (!service)
        return refuse("service must be mta, engine, directory or agent");
    return change_service(supervisor, op, service);
}

/* --- children and signals --- */

static void reap(struct supervisor *supervisor)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < SERVICE_COUNT; i++)
            if (supervisor->services[i].pid == pid)
                service_ended(&supervisor->services[i], status);
}

static void open_own_log(const struct supervisor *supervisor)
{
    char path[SPAWN_PATH_SIZE];
    if (!file_join(path, sizeof(path), supervisor->state, "log/supervisor.log", NULL))
        return;
    cleanup_fd int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
        log_error("%s cannot be opened: %s", path, strerror(errno));
    else if (fchown(fd, (uid_t)-1, supervisor->accounts->group) != 0)
        log_debug("%s keeps its group", path);
}

static void open_logs(struct supervisor *supervisor)
{
    open_own_log(supervisor);
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        service_reopen_log(&supervisor->services[i], supervisor->accounts->group);
}

static void begin_shutdown(struct supervisor *supervisor)
{
    if (supervisor->shutting_down)
        return;
    log_info("stopping");
    supervisor->shutting_down = true;
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        supervisor->services[i].wanted = false; /* not saved: it holds for this run only */
}

static void take_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;
    while (read(supervisor->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            open_logs(supervisor);
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            begin_shutdown(supervisor);
    }
    reap(supervisor);
}

/* Stops the next service once the one before it has ended; true when all have. */
static bool advance_shutdown(struct supervisor *supervisor)
{
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        service_stop(&supervisor->services[i]);
        if (supervisor->services[i].pid)
            return false;
    }
    return true;
}

/* --- the loop --- */

static int timeout_until(int64_t when)
{
    int64_t left = when - timestamp_monotonic_ms();
    if (when == INT64_MAX)
        return -1;
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static int64_t tick_services(struct supervisor *supervisor)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        int64_t due =
            service_tick(&supervisor->services[i], supervisor->state, supervisor->accounts);
        next = due < next ? due : next;
    }
    return next;
}

static void loop(struct supervisor *supervisor)
{
    struct pollfd entries[1 + SERVICE_COUNT + 1 + CONTROL_CLIENT_MOST];
    struct pollfd *const logs = entries + 1, *const control = logs + SERVICE_COUNT;
    int64_t client_due = INT64_MAX;

    while (!supervisor->shutting_down || !advance_shutdown(supervisor)) {
        int64_t due = tick_services(supervisor);
        entries[0] = (struct pollfd){.fd = supervisor->signals, .events = POLLIN};
        for (size_t i = 0; i < SERVICE_COUNT; i++)
            logs[i] = (struct pollfd){.fd = supervisor->services[i].log_pipe, .events = POLLIN};
        size_t controls = control_poll_entries(&supervisor->control, control);
        int ready = poll(entries, 1 + SERVICE_COUNT + controls,
                         timeout_until(due < client_due ? due : client_due));
        if (ready < 0)
            continue; /* EINTR; anything else would come again at once and be seen in the log */
        for (size_t i = 0; i < SERVICE_COUNT; i++)
            if (logs[i].revents)
                service_pump_log(&supervisor->services[i]);
        client_due = control_serve(&supervisor->control, control, controls);
        if (entries[0].revents)
            take_signals(supervisor);
    }
}

/* --- starting --- */

static bool open_signals(struct supervisor *supervisor, struct error *error)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    supervisor->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return supervisor->signals >= 0 || error_set_errno(error, "signals", "cannot be taken");
}

static bool check_state(const char *state, struct error *error)
{
    char path[SPAWN_PATH_SIZE];
    if (strlen(state) + sizeof("/run/directory-control.sock") >
        sizeof(((struct sockaddr_un *)0)->sun_path))
        return error_set(error, ERROR_LIMIT, state,
                         "the path is too long for the sockets in it: at most %zu bytes",
                         sizeof(((struct sockaddr_un *)0)->sun_path) -
                             sizeof("/run/directory-control.sock"));
    if (!file_join(path, sizeof(path), state, "node.json", error))
        return false;
    return access(path, R_OK) == 0 ||
           error_set(error, ERROR_NOT_FOUND, state,
                     "this scanner is not enrolled: run gatehouse-scanner enroll --state %s --url "
                     "https://HOST:8444 --token TOKEN",
                     state);
}

static bool open_services(struct supervisor *supervisor, struct error *error)
{
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        struct service *service = &supervisor->services[i];
        service->name = service_table[i].name;
        service->role = service_table[i].role;
        service->bind_low_ports = service_table[i].bind_low_ports;
        if (!service_open(service, supervisor->state, error) ||
            !spawn_find_program(service_table[i].program, service->name, service->program, error))
            return false;
    }
    wanted_load(supervisor->state, supervisor->services, SERVICE_COUNT);
    return true;
}

static bool open_all(struct supervisor *supervisor, struct error *error)
{
    char path[SPAWN_PATH_SIZE];
    if (!check_state(supervisor->state, error) ||
        !accounts_make_state(supervisor->accounts, supervisor->state, error))
        return false;
    supervisor->lock = accounts_lock_state(supervisor->state, error);
    return supervisor->lock >= 0 && open_services(supervisor, error) &&
           open_signals(supervisor, error) &&
           file_join(path, sizeof(path), supervisor->state, "run/supervisor.sock", error) &&
           control_open(&supervisor->control, path, supervisor->accounts->group, handle, supervisor,
                        error);
}

static void close_all(struct supervisor *supervisor)
{
    control_close(&supervisor->control);
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        service_close(&supervisor->services[i]);
    if (supervisor->signals >= 0)
        close(supervisor->signals);
    if (supervisor->lock >= 0)
        close(supervisor->lock);
}

bool supervisor_run(const char *state, const struct accounts *accounts, struct error *error)
{
    struct supervisor supervisor = {
        .state = state, .accounts = accounts, .signals = -1, .lock = -1};
    supervisor.control.listener = -1;
    for (size_t i = 0; i < CONTROL_CLIENT_MOST; i++)
        supervisor.control.clients[i].fd = -1;
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        supervisor.services[i].log_file = supervisor.services[i].log_pipe = -1;

    bool ok = open_all(&supervisor, error);
    if (ok) {
        printf("gatehouse-scanner runs; its logs are in %s/log\n", state);
        fflush(stdout);
        open_logs(&supervisor);
        log_info("started, process %d", (int)getpid());
        for (size_t i = SERVICE_COUNT; i-- > 0;)
            if (supervisor.services[i].wanted)
                service_start(&supervisor.services[i], state, accounts);
        loop(&supervisor);
        log_info("stopped");
    }
    close_all(&supervisor);
    return ok;
}
