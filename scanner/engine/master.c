#include "scanner/engine/master.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/engine/sandbox.h"
#include "scanner/engine/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_MS 60000 /* between looks at the signature folder */
#define STEP_MS 1000   /* most time between looks at deadlines */
#define STOP_MS 8000   /* to finish scans when told to stop; the supervisor waits 10 s */
#define SOCKET_MODE 0660

/* --- control operations --- */

json_t *master_status(struct master *master)
{
    const struct generation_entry *active = master_find(master, GENERATION_ACTIVE);
    uint64_t scans = master->ended_scans;
    int workers = 0, busy = 0;
    for (size_t i = 0; i < MASTER_GENERATIONS; i++) {
        const struct generation_entry *entry = &master->generations[i];
        int more, more_busy;
        if (entry->state == GENERATION_NONE)
            continue;
        board_count(entry->board, &more, &more_busy);
        scans += atomic_load(&entry->board->scans);
        busy += more_busy;
        workers += entry->state == GENERATION_ACTIVE ? more : 0;
    }
    return json_pack("{s:b,s:O,s:{s:i,s:i},s:I,s:I,s:b,s:s}", "ok", 1, "signatures",
                     active ? active->signatures : json_null(), "workers", "count", workers, "busy",
                     busy, "generation", (json_int_t)(active ? active->number : 0), "scans",
                     (json_int_t)scans, "loading", master_find(master, GENERATION_LOADING) != NULL,
                     "problem", master->problem);
}

static json_t *refuse(const char *text)
{
    return json_pack("{s:b,s:s}", "ok", 0, "error", text);
}

static json_t *reload(struct master *master, const json_t *request, uint64_t *wait_for)
{
    struct error error = {0};
    char text[700];
    bool force = json_is_true(json_object_get(request, "force"));
    switch (master_reload(master, force, wait_for, &error)) {
    case RELOAD_STARTED:
        return NULL;
    case RELOAD_UNCHANGED:
        return json_pack("{s:b,s:I,s:b}", "ok", 1, "generation", (json_int_t)*wait_for, "changed",
                         0);
    case RELOAD_REFUSED:
        break;
    }
    log_error("reload: %s", error_text(&error, text, sizeof(text)));
    return refuse(text);
}

static json_t *try_signatures(struct master *master, const json_t *request, uint64_t *wait_for)
{
    struct error error = {0};
    char text[700];
    *wait_for = CONTROL_OTHERS | master->next_trial++;
    if (trial_start(master->trials, master->state, json_object_get(request, "files"), *wait_for,
                    &error))
        return NULL;
    return refuse(error_text(&error, text, sizeof(text)));
}

static json_t *show_message(struct master *master, const json_t *request, uint64_t *wait_for)
{
    struct error error = {0};
    char text[700];
    *wait_for = CONTROL_OTHERS | master->next_trial++;
    if (show_message_start(master->shows, master->state, request, *wait_for, &error))
        return NULL;
    return refuse(error_text(&error, text, sizeof(text)));
}

static json_t *dry_run(struct master *master, const json_t *request, uint64_t *wait_for)
{
    struct error error = {0};
    char text[700];
    *wait_for = CONTROL_OTHERS | master->next_trial++;
    if (dry_run_start(master->dry_runs, master->state, request, *wait_for, &error))
        return NULL;
    return refuse(error_text(&error, text, sizeof(text)));
}

static json_t *handle_request(const json_t *request, uint64_t *wait_for, void *context)
{
    struct master *master = context;
    const char *op = json_string_value(json_object_get(request, "op"));
    if (op && strcmp(op, "status") == 0)
        return master_status(master);
    if (op && strcmp(op, "reload") == 0)
        return reload(master, request, wait_for);
    if (op && strcmp(op, "try_signatures") == 0)
        return try_signatures(master, request, wait_for);
    if (op && strcmp(op, "show_message") == 0)
        return show_message(master, request, wait_for);
    if (op && strcmp(op, "dry_run") == 0)
        return dry_run(master, request, wait_for);
    return refuse("op must be status, reload, try_signatures, show_message or dry_run");
}

/* --- signals and time --- */

static void begin_stop(struct master *master)
{
    if (master->stopping)
        return;
    log_info("stops: the scans that run are finished");
    master->stopping = true;
    master_end_all(master, timestamp_monotonic_ms() + STOP_MS);
}

static void reload_by_signal(struct master *master)
{
    struct error error = {0};
    char text[700];
    uint64_t number;
    if (master_reload(master, true, &number, &error) == RELOAD_REFUSED)
        log_error("reload: %s", error_text(&error, text, sizeof(text)));
}

static void take_signals(struct master *master)
{
    struct signalfd_siginfo info;
    while (read(master->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            begin_stop(master);
        else if (info.ssi_signo == SIGHUP)
            reload_by_signal(master);
    }
    master_reap(master);
}

/* freshclam replaces files without telling anybody. */
static void check_signatures(struct master *master)
{
    struct signatures_place place;
    const struct generation_entry *active = master_find(master, GENERATION_ACTIVE);
    int64_t now = timestamp_monotonic_ms();
    if (now < master->check_at_ms)
        return;
    master->check_at_ms = now + CHECK_MS;
    scratch_sweep(master->state, false);
    if (!active || master->start_wanted || !signatures_choose(master->state, &place, NULL))
        return;
    uint64_t fingerprint = signatures_fingerprint(&place);
    if (fingerprint == active->fingerprint || fingerprint == master->failed_fingerprint)
        return;
    log_info("the signatures have changed");
    master->start_wanted = true;
    master->start_at_ms = 0;
}

/* --- the loop --- */

static bool has_generation(const struct master *master)
{
    for (size_t i = 0; i < MASTER_GENERATIONS; i++)
        if (master->generations[i].state != GENERATION_NONE)
            return true;
    return false;
}

static void hear_generations(struct master *master, const struct pollfd *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; fds[i].revents && j < MASTER_GENERATIONS; j++) {
            struct generation_entry *entry = &master->generations[j];
            if (entry->state == GENERATION_LOADING && entry->socket == fds[i].fd)
                master_hear(master, entry);
        }
}

static void step(struct master *master)
{
    struct pollfd fds[1 + MASTER_GENERATIONS + CONTROL_CLIENTS + 1];
    size_t own = 0, count;
    fds[own++] = (struct pollfd){.fd = master->signals, .events = POLLIN};
    for (size_t i = 0; i < MASTER_GENERATIONS; i++)
        if (master->generations[i].state == GENERATION_LOADING)
            fds[own++] = (struct pollfd){.fd = master->generations[i].socket, .events = POLLIN};
    count = own + control_poll(master->control, fds + own);
    if (poll(fds, count, master->start_wanted ? STEP_MS / 10 : STEP_MS) < 0) {
        if (errno != EINTR)
            usleep(STEP_MS);
        return;
    }
    hear_generations(master, fds + 1, own - 1);
    if (fds[0].revents)
        take_signals(master);
    control_handle(master->control, fds + own, count - own);
    check_signatures(master);
    master_start_wanted(master);
    master_answer_handover(master);
    master_kill_late(master);
}

/* --- beginning and end --- */

static bool open_signals(struct master *master, struct error *error)
{
    const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&set, numbers[i]);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    master->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return master->signals >= 0 || error_set_errno(error, "engine", "cannot take signals");
}

/* The control socket comes first: it tells whether another engine runs on this state directory,
 * whose scratch folders must stay. */
static bool open_sockets(struct master *master, struct error *error)
{
    char control[ENGINE_PATH_SIZE], scans[ENGINE_PATH_SIZE], scratch[ENGINE_PATH_SIZE];
    if (!file_join(control, sizeof(control), master->state, "run/engine-control.sock", error) ||
        !file_join(scans, sizeof(scans), master->state, "run/engine.sock", error) ||
        !file_join(scratch, sizeof(scratch), master->state, "scratch", error))
        return false;
    master->control = control_new(control, handle_request, master, error);
    if (!master->control || !file_make_folder(scratch, 0700, error))
        return false;
    scratch_sweep(master->state, true);
    master->listener = ipc_listen(scans, SOCK_SEQPACKET, SOCKET_MODE, error);
    return master->listener >= 0 && (fcntl(master->listener, F_SETFL, O_NONBLOCK) == 0 ||
                                     error_set_errno(error, scans, "cannot be used"));
}

static void close_sockets(struct master *master)
{
    char scans[ENGINE_PATH_SIZE];
    control_free(master->control);
    if (master->listener >= 0 &&
        file_join(scans, sizeof(scans), master->state, "run/engine.sock", NULL))
        unlink(scans);
    if (master->listener >= 0)
        close(master->listener);
    if (master->signals >= 0)
        close(master->signals);
}

static bool find_state(struct master *master, const char *state, struct error *error)
{
    char run[ENGINE_PATH_SIZE];
    cleanup_free char *path = realpath(state, NULL);
    if (!path)
        return error_set_errno(error, state, "cannot be used as the state directory");
    if (strlen(path) >= sizeof(master->state))
        return error_set(error, ERROR_LIMIT, state, "the path is too long");
    memcpy(master->state, path, strlen(path) + 1);
    return file_join(run, sizeof(run), path, "run", error) && file_make_folder(run, 0770, error);
}

static void warn_of_limits(void)
{
    const char *sandbox = getenv("GATEHOUSE_ENGINE_SANDBOX");
    if (sandbox && strcmp(sandbox, "off") == 0)
        log_warning("the sandbox is off: for tests only, never with mail from outside");
    else if (!sandbox_has_landlock())
        log_warning("this kernel has no Landlock: workers are kept by seccomp and their user only");
}

bool engine_run(const char *state, struct error *error)
{
    struct master *master = calloc(1, sizeof(*master));
    if (!master)
        return error_set(error, ERROR_INTERNAL, "engine", "out of memory");
    master->listener = master->signals = -1;
    master->next_number = 1;
    master->start_wanted = true;
    bool ready = find_state(master, state, error) && open_signals(master, error) &&
                 signatures_write_builtin(master->state, error) && open_sockets(master, error);
    if (ready)
        warn_of_limits();
    while (ready && !(master->stopping && !has_generation(master)))
        step(master);
    close_sockets(master);
    scratch_sweep(master->state, false);
    free(master);
    return ready;
}
