/* Starting, replacing and ending generations. */
#include "scanner/engine/master.h"

#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/engine/generation.h"
#include "scanner/engine/scratch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOAD_MS 600000 /* most time of loading the signatures */
#define RETRY_MS 10000 /* between attempts while nothing serves */
#define HANDOVER_MS 2000
#define END_GRACE_MS 10000 /* beyond the time of a scan */

struct generation_entry *master_find(struct master *master, enum generation_state state)
{
    for (size_t i = 0; i < MASTER_GENERATIONS; i++)
        if (master->generations[i].state == state)
            return &master->generations[i];
    return NULL;
}

static void set_problem(struct master *master, const char *text)
{
    if (*text && strcmp(master->problem, text) != 0)
        log_error("%s", text);
    snprintf(master->problem, sizeof(master->problem), "%s", text);
}

/* --- start --- */

static void run_child(struct master *master, const struct generation_entry *entry,
                      const struct signatures_place *place, int socket, pid_t parent)
{
    struct generation_start start = {
        .settings = &entry->settings,
        .place = place,
        .board = entry->board,
        .listener = master->listener,
        .master = socket,
        .first = !master_find(master, GENERATION_ACTIVE),
        .parent = parent,
    };
    generation_run(&start);
}

static bool fork_generation(struct master *master, struct generation_entry *entry,
                            const struct signatures_place *place, struct error *error)
{
    int sockets[2];
    pid_t parent = getpid();
    entry->board = board_new();
    if (!entry->board ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) != 0)
        return error_set_errno(error, "engine", "a generation cannot be started");
    entry->pid = fork();
    if (entry->pid == 0)
        run_child(master, entry, place, sockets[1], parent);
    close(sockets[1]);
    entry->socket = sockets[0];
    if (entry->pid > 0)
        return true;
    close(sockets[0]);
    return error_set_errno(error, "engine", "a generation cannot be started");
}

static bool start(struct master *master, const struct engine_settings *settings,
                  const struct signatures_place *place, struct error *error)
{
    struct generation_entry *entry = master_find(master, GENERATION_NONE);
    if (!entry)
        return error_set(error, ERROR_LIMIT, "engine", "too many generations");
    *entry = (struct generation_entry){
        .number = master->next_number,
        .socket = -1,
        .settings = *settings,
        .fingerprint = signatures_fingerprint(place),
        .kill_at_ms = timestamp_monotonic_ms() + LOAD_MS,
    };
    bool forked = fork_generation(master, entry, place, error);
    entry->settings.config = NULL; /* the generation has it, and the caller */
    if (!forked) {
        board_free(entry->board);
        *entry = (struct generation_entry){0};
        return false;
    }
    entry->state = GENERATION_LOADING;
    master->next_number++;
    log_info("generation %llu loads signatures from %s", (unsigned long long)entry->number,
             place->folder);
    return true;
}

static bool read_inputs(struct master *master, struct engine_settings *settings,
                        struct signatures_place *place, struct error *error)
{
    memcpy(settings->state, master->state, sizeof(settings->state));
    return engine_settings_read(settings, error) && signatures_choose(master->state, place, error);
}

static bool same_settings(const struct engine_settings *a, const struct engine_settings *b)
{
    return a->workers == b->workers && a->scan_seconds == b->scan_seconds &&
           a->message_limit == b->message_limit && a->memory_limit == b->memory_limit &&
           a->sandbox == b->sandbox && a->policy_fingerprint == b->policy_fingerprint &&
           memcmp(&a->limits, &b->limits, sizeof(a->limits)) == 0;
}

/* Nothing serves: a configuration that cannot be read must not keep mail from being scanned. */
static bool start_anyhow(struct master *master, struct error *error)
{
    struct engine_settings settings = {0};
    struct signatures_place place;
    struct error local = {0};
    char text[700];
    bool ready = read_inputs(master, &settings, &place, &local);
    if (!ready) {
        set_problem(master, error_text(&local, text, sizeof(text)));
        ready = signatures_choose(master->state, &place, error);
    }
    bool started = ready && start(master, &settings, &place, error);
    engine_settings_release(&settings);
    return started;
}

/* Each generation holds a whole database: while one serves and one still ends no third is loaded.
 * The end is not waited for where nothing serves. */
static bool has_room(struct master *master)
{
    bool two = master_find(master, GENERATION_ACTIVE) && master_find(master, GENERATION_ENDING);
    return !two && !master_find(master, GENERATION_LOADING) && master_find(master, GENERATION_NONE);
}

static void fail_start(struct master *master, uint64_t number, const char *text)
{
    cleanup_json json_t *reply = json_pack("{s:b,s:s}", "ok", 0, "error", text);
    set_problem(master, text);
    control_generation_ended(master->control, number, reply);
    if (master_find(master, GENERATION_ACTIVE))
        return;
    master->start_wanted = true;
    master->start_at_ms = timestamp_monotonic_ms() + RETRY_MS;
}

void master_start_wanted(struct master *master)
{
    struct error error = {0};
    char text[700];
    if (!master->start_wanted || master->stopping || !has_room(master) ||
        timestamp_monotonic_ms() < master->start_at_ms)
        return;
    struct engine_settings settings = {0};
    struct signatures_place place;
    bool serving = master_find(master, GENERATION_ACTIVE) != NULL;
    master->start_wanted = false;
    bool started = serving ? read_inputs(master, &settings, &place, &error) &&
                                 start(master, &settings, &place, &error)
                           : start_anyhow(master, &error);
    engine_settings_release(&settings);
    if (!started)
        fail_start(master, master->next_number++, error_text(&error, text, sizeof(text)));
}

static bool is_what_runs(const struct generation_entry *newest,
                         const struct engine_settings *settings,
                         const struct signatures_place *place)
{
    return newest && same_settings(&newest->settings, settings) &&
           newest->fingerprint == signatures_fingerprint(place);
}

/* With what was just read, which may be a million words, or once there is room. */
static enum reload_outcome start_or_want(struct master *master,
                                         const struct engine_settings *settings,
                                         const struct signatures_place *place, struct error *error)
{
    master->start_wanted = true;
    master->start_at_ms = 0;
    if (master->stopping || !has_room(master))
        return RELOAD_STARTED;
    bool started = start(master, settings, place, error);
    master->start_wanted = !started && !master_find(master, GENERATION_ACTIVE);
    master->start_at_ms = timestamp_monotonic_ms() + RETRY_MS;
    return started ? RELOAD_STARTED : RELOAD_REFUSED;
}

enum reload_outcome master_reload(struct master *master, bool force, uint64_t *number,
                                  struct error *error)
{
    struct engine_settings settings = {0};
    struct signatures_place place;
    const struct generation_entry *loading = master_find(master, GENERATION_LOADING);
    const struct generation_entry *newest =
        loading ? loading : master_find(master, GENERATION_ACTIVE);
    enum reload_outcome outcome = RELOAD_REFUSED;
    if (read_inputs(master, &settings, &place, error)) {
        bool same = !force && is_what_runs(newest, &settings, &place);
        *number = same ? newest->number : master->next_number;
        outcome = !same     ? start_or_want(master, &settings, &place, error)
                  : loading ? RELOAD_STARTED
                            : RELOAD_UNCHANGED;
    }
    engine_settings_release(&settings);
    return outcome;
}

/* --- end --- */

static void tell_to_end(struct generation_entry *entry, int64_t kill_at_ms)
{
    if (entry->socket >= 0)
        close(entry->socket);
    entry->socket = -1;
    entry->state = GENERATION_ENDING;
    entry->kill_at_ms = kill_at_ms;
}

void master_end_all(struct master *master, int64_t kill_at_ms)
{
    for (size_t i = 0; i < MASTER_GENERATIONS; i++)
        if (master->generations[i].state != GENERATION_NONE)
            tell_to_end(&master->generations[i], kill_at_ms);
}

void master_kill_late(struct master *master)
{
    int64_t now = timestamp_monotonic_ms();
    trials_kill_late(master->trials);
    show_messages_kill_late(master->shows);
    dry_runs_kill_late(master->dry_runs);
    for (size_t i = 0; i < MASTER_GENERATIONS; i++) {
        const struct generation_entry *entry = &master->generations[i];
        bool waited_for = entry->state == GENERATION_LOADING || entry->state == GENERATION_ENDING;
        if (waited_for && now >= entry->kill_at_ms)
            kill(entry->pid, SIGKILL);
    }
}

/* --- news --- */

static void finish_handover(struct master *master)
{
    uint64_t number = master->handover.number;
    cleanup_json json_t *reply =
        json_pack("{s:b,s:I,s:b}", "ok", 1, "generation", (json_int_t)number, "changed", 1);
    master->handover.number = 0;
    if (number != 0)
        control_generation_ended(master->control, number, reply);
}

void master_answer_handover(struct master *master)
{
    if (master->handover.number != 0 && timestamp_monotonic_ms() >= master->handover.answer_at_ms)
        finish_handover(master);
}

static void take_over(struct master *master, struct generation_entry *entry, const json_t *ready)
{
    const char *problem = json_string_value(json_object_get(ready, "problem"));
    struct generation_entry *old = master_find(master, GENERATION_ACTIVE);
    int64_t now = timestamp_monotonic_ms();
    finish_handover(master);
    entry->signatures = json_incref(json_object_get(ready, "signatures"));
    entry->state = GENERATION_ACTIVE;
    set_problem(master, problem ? problem : "");
    log_info("generation %llu serves: %lld signatures, %d workers",
             (unsigned long long)entry->number,
             (long long)json_integer_value(json_object_get(entry->signatures, "count")),
             entry->settings.workers);
    master->handover = (struct handover){entry->number, old ? old->number : 0, now + HANDOVER_MS};
    if (old)
        tell_to_end(old, now + old->settings.scan_seconds * 1000 + END_GRACE_MS);
    else
        finish_handover(master);
}

static json_t *receive(struct generation_entry *entry)
{
    int descriptor = -1;
    json_t *packet = ipc_packet_receive(entry->socket, &descriptor, NULL);
    const char *failed = json_string_value(json_object_get(packet, "failed"));
    if (descriptor >= 0)
        close(descriptor);
    if (failed)
        snprintf(entry->failure, sizeof(entry->failure), "%s", failed);
    return packet;
}

void master_hear(struct master *master, struct generation_entry *entry)
{
    cleanup_json json_t *packet = receive(entry);
    const json_t *ready = json_object_get(packet, "ready");
    if (ready)
        take_over(master, entry, ready);
    else if (!packet)
        kill(entry->pid, SIGKILL); /* it closed its end without a word */
}

static void describe_end(const struct generation_entry *entry, int status, char text[700])
{
    if (*entry->failure)
        snprintf(text, 700, "%s", entry->failure);
    else if (WIFSIGNALED(status))
        snprintf(text, 700, "generation %llu died by signal %d (%s)",
                 (unsigned long long)entry->number, WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, 700, "generation %llu ended with status %d",
                 (unsigned long long)entry->number, WEXITSTATUS(status));
}

static void note_end(struct master *master, struct generation_entry *entry, int status)
{
    enum generation_state state = entry->state;
    uint64_t number = entry->number, fingerprint = entry->fingerprint;
    char text[700];
    if (state == GENERATION_LOADING && !*entry->failure)
        json_decref(receive(entry)); /* why it failed may still be there */
    describe_end(entry, status, text);
    master->ended_scans += atomic_load(&entry->board->scans);
    board_free(entry->board);
    json_decref(entry->signatures);
    if (entry->socket >= 0)
        close(entry->socket);
    *entry = (struct generation_entry){.socket = -1};
    scratch_sweep(master->state, false);
    if (number == master->handover.old)
        finish_handover(master);
    if (master->stopping || state == GENERATION_ENDING)
        return;
    if (state == GENERATION_LOADING) {
        master->failed_fingerprint = fingerprint;
        fail_start(master, number, text);
        return;
    }
    log_error("%s", text);
    master->start_wanted = true;
    master->start_at_ms = timestamp_monotonic_ms() + 100;
}

void master_reap(struct master *master)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        uint64_t number;
        cleanup_json json_t *tried =
            trial_ended(master->trials, master->state, pid, status, &number);
        if (tried)
            control_answer(master->control, number, tried);
        cleanup_json json_t *shown =
            show_message_ended(master->shows, master->state, pid, status, &number);
        if (shown)
            control_answer(master->control, number, shown);
        cleanup_json json_t *ran =
            dry_run_ended(master->dry_runs, master->state, pid, status, &number);
        if (ran)
            control_answer(master->control, number, ran);
        for (size_t i = 0; i < MASTER_GENERATIONS; i++) {
            struct generation_entry *entry = &master->generations[i];
            if (entry->state != GENERATION_NONE && entry->pid == pid)
                note_end(master, entry, status);
        }
    }
}
