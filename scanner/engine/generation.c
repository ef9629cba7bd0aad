#include "scanner/engine/generation.h"

#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/engine/generation_load.h"
#include "scanner/engine/scratch.h"
#include "scanner/engine/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define RESTART_PAUSE_MS 1000 /* for a worker that died without having been able to serve */
#define STARTING_STEP_MS 5
#define EXIT_FAILED 70

struct slot {
    pid_t pid; /* 0: none */
    int64_t start_at_ms;
};

struct generation {
    const struct generation_start *start;
    struct generation_load load;
    struct slot slots[ENGINE_WORKERS_LIMIT];
    int signals;
    int drain[2]; /* the workers hold the reading end; closing [1] tells them all */
    bool announced, draining;
};

/* --- descriptors --- */

/* Keeps standard output and error and the two given ones, and closes everything else that the
 * parent had open: a worker holds nothing that is not its own. */
static bool keep_descriptors(int *first, int *second, struct error *error)
{
    int high[] = {fcntl(*first, F_DUPFD_CLOEXEC, 100), fcntl(*second, F_DUPFD_CLOEXEC, 100)};
    if (high[0] < 0 || high[1] < 0 || close_range(3, 99, 0) != 0)
        return error_set_errno(error, "engine", "descriptors cannot be moved");
    *first = fcntl(high[0], F_DUPFD_CLOEXEC, 3);
    *second = fcntl(high[1], F_DUPFD_CLOEXEC, 3);
    if (*first < 0 || *second < 0 || close_range(5, ~0U, 0) != 0)
        return error_set_errno(error, "engine", "descriptors cannot be moved");
    return true;
}

static void release_drain(struct generation *generation)
{
    if (generation->drain[1] >= 0)
        close(generation->drain[1]);
    generation->drain[1] = -1;
}

/* --- workers --- */

static void run_worker(struct generation *generation, size_t index, pid_t parent)
{
    struct error error = {0};
    struct worker worker = {
        .settings = generation->start->settings,
        .signatures = &generation->load.info,
        .engine = generation->load.engine,
        .filters = &generation->load.filters,
        .board = generation->start->board,
        .slot = index,
        .listener = generation->start->listener,
        .drain = generation->drain[0],
        .parent = parent,
    };
    if (!keep_descriptors(&worker.listener, &worker.drain, &error)) {
        log_error("%s", error.message);
        _exit(WORKER_EXIT_FAILED);
    }
    worker_run(&worker);
}

static void start_worker(struct generation *generation, size_t index)
{
    struct slot *slot = &generation->slots[index];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        run_worker(generation, index, parent);
    if (pid > 0) {
        slot->pid = pid;
        return;
    }
    log_error("a worker cannot be started: %s", strerror(errno));
    slot->start_at_ms = timestamp_monotonic_ms() + RESTART_PAUSE_MS;
}

static void start_due_workers(struct generation *generation)
{
    int64_t now = timestamp_monotonic_ms();
    for (int i = 0; i < generation->start->settings->workers && !generation->draining; i++)
        if (generation->slots[i].pid == 0 && generation->slots[i].start_at_ms <= now)
            start_worker(generation, (size_t)i);
}

static void log_end(pid_t pid, int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        log_warning("worker %d: a scan exceeded its time", (int)pid);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        log_error("worker %d: killed by the sandbox for a forbidden system call", (int)pid);
    else if (WIFSIGNALED(status))
        log_error("worker %d: died by signal %d (%s)", (int)pid, WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        log_error("worker %d: ended with status %d", (int)pid, WEXITSTATUS(status));
    else
        log_debug("worker %d: ended", (int)pid);
}

static void note_end(struct generation *generation, size_t index, int status)
{
    struct slot *slot = &generation->slots[index];
    _Atomic int *state = &generation->start->board->slots[index];
    bool served = atomic_load(state) != BOARD_EMPTY;
    log_end(slot->pid, status);
    scratch_remove(generation->start->settings->state, slot->pid);
    atomic_store(state, BOARD_EMPTY);
    slot->pid = 0;
    slot->start_at_ms = served ? 0 : timestamp_monotonic_ms() + RESTART_PAUSE_MS;
}

static void reap(struct generation *generation)
{
    struct signalfd_siginfo ignored;
    int status;
    pid_t pid;
    while (read(generation->signals, &ignored, sizeof(ignored)) > 0)
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < ENGINE_WORKERS_LIMIT; i++)
            if (generation->slots[i].pid == pid)
                note_end(generation, i, status);
}

/* --- what the master hears --- */

static void report_failure(const struct generation_start *start, const struct error *error)
{
    char text[700];
    cleanup_json json_t *packet =
        json_pack("{s:s}", "failed", error_text(error, text, sizeof(text)));
    if (packet)
        ipc_packet_send(start->master, packet, -1, NULL);
    _exit(EXIT_FAILED);
}

static void announce(struct generation *generation)
{
    cleanup_json json_t *packet =
        json_pack("{s:{s:o,s:s}}", "ready", "signatures", signatures_json(&generation->load.info),
                  "problem", generation->load.problem);
    if (packet && ipc_packet_send(generation->start->master, packet, -1, NULL))
        generation->announced = true;
}

static void announce_when_serving(struct generation *generation)
{
    struct error error = {0};
    int workers, busy;
    board_count(generation->start->board, &workers, &busy);
    if (workers == generation->start->settings->workers) {
        announce(generation);
        return;
    }
    for (int i = 0; i < generation->start->settings->workers; i++)
        if (generation->slots[i].pid == 0) {
            error_set(&error, ERROR_INTERNAL, "engine", "a worker cannot start; the log says why");
            report_failure(generation->start, &error);
        }
}

/* --- the loop --- */

static int milliseconds_to_wait(const struct generation *generation)
{
    int64_t now = timestamp_monotonic_ms(), wait = -1;
    if (!generation->announced && !generation->draining)
        return STARTING_STEP_MS;
    for (int i = 0; i < generation->start->settings->workers && !generation->draining; i++) {
        const struct slot *slot = &generation->slots[i];
        if (slot->pid == 0 && (wait < 0 || slot->start_at_ms - now < wait))
            wait = slot->start_at_ms > now ? slot->start_at_ms - now : 0;
    }
    return (int)wait;
}

static bool has_workers(const struct generation *generation)
{
    for (size_t i = 0; i < ENGINE_WORKERS_LIMIT; i++)
        if (generation->slots[i].pid != 0)
            return true;
    return false;
}

static void run(struct generation *generation)
{
    struct pollfd ready[] = {{.fd = generation->signals, .events = POLLIN},
                             {.fd = generation->start->master, .events = POLLIN}};
    while (!generation->draining || has_workers(generation)) {
        start_due_workers(generation);
        if (poll(ready, 2, milliseconds_to_wait(generation)) < 0 && errno != EINTR)
            return;
        if (ready[0].revents)
            reap(generation);
        if (ready[1].revents && !generation->draining) {
            generation->draining = true;
            ready[1].fd = -1;
            release_drain(generation);
        }
        if (!generation->announced && !generation->draining)
            announce_when_serving(generation);
    }
}

static bool prepare(struct generation *generation, struct error *error)
{
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &children, NULL);
    generation->signals = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
    if (generation->signals < 0 || pipe2(generation->drain, O_CLOEXEC) != 0)
        return error_set_errno(error, "engine", "a generation cannot be started");
    return true;
}

void generation_run(const struct generation_start *given)
{
    struct generation_start start = *given;
    struct generation generation = {.start = &start, .drain = {-1, -1}};
    struct error error = {0};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != start.parent)
        _exit(EXIT_FAILED);
    if (!keep_descriptors(&start.listener, &start.master, &error) ||
        !prepare(&generation, &error) || !generation_load(&start, &generation.load, &error))
        report_failure(&start, &error);
    if (*generation.load.problem)
        log_error("%s", generation.load.problem);
    run(&generation);
    _exit(0);
}
