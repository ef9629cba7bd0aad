/* The master's end of a trial: starting it, and what its end means. */
#include "scanner/engine/trial.h"

#include "common/cleanup.h"
#include "common/config_model.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "scanner/engine/scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- what is asked --- */

static bool check_file(const json_t *file, const struct json_place *place, size_t *left,
                       struct error *error)
{
    const char *name, *text;
    if (!json_get_text(file, place, "name", 64, &name, error) ||
        !json_get_text(file, place, "text", CONFIG_SIGNATURE_BYTES, &text, error))
        return false;
    if (!config_signature_name_valid(name))
        return json_place_error(place, "name", error, "is no name of a signature file");
    size_t length = strlen(text);
    if (length > *left)
        return json_place_error(place, "text", error, "all of them have over %u bytes",
                                CONFIG_SIGNATURE_BYTES);
    *left -= length;
    return true;
}

static bool check_files(const json_t *files, struct error *error)
{
    struct json_place list = {.name = "files"};
    size_t left = CONFIG_SIGNATURE_BYTES, count = json_array_size(files);
    if (count < 1 || count > CONFIG_SIGNATURE_FILES)
        return error_set(error, ERROR_INVALID, "files", "must be 1 to %d files",
                         CONFIG_SIGNATURE_FILES);
    for (size_t i = 0; i < count; i++) {
        struct json_place place = {.parent = &list, .index = i};
        if (!check_file(json_array_get(files, i), &place, &left, error))
            return false;
    }
    return true;
}

/* --- start --- */

static struct trial *find(struct trial trials[TRIALS_MOST], pid_t pid)
{
    for (size_t i = 0; i < TRIALS_MOST; i++)
        if (trials[i].pid == pid)
            return &trials[i];
    return NULL;
}

static void *shared_counter(void)
{
    void *memory =
        mmap(NULL, sizeof(_Atomic int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool fork_trial(struct trial *trial, const char *state, const json_t *files,
                       struct error *error)
{
    int sockets[2];
    trial->at = shared_counter();
    if (!trial->at ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) != 0)
        return error_set_errno(error, "engine", "a trial cannot be started");
    trial->pid = fork();
    if (trial->pid == 0)
        trial_run(state, files, trial->at, sockets[1]);
    close(sockets[1]);
    trial->socket = sockets[0];
    if (trial->pid > 0)
        return true;
    close(sockets[0]);
    return error_set_errno(error, "engine", "a trial cannot be started");
}

bool trial_start(struct trial trials[TRIALS_MOST], const char *state, const json_t *files,
                 uint64_t number, struct error *error)
{
    struct trial *trial = find(trials, 0);
    if (!check_files(files, error))
        return false;
    if (!trial)
        return error_set(error, ERROR_LIMIT, NULL, "other signatures are being tried; try again");
    *trial = (struct trial){.number = number,
                            .kill_at_ms = timestamp_monotonic_ms() + TRIAL_SECONDS * 1000};
    if (fork_trial(trial, state, files, error)) {
        trial->files = json_incref((json_t *)files);
        return true;
    }
    if (trial->at)
        munmap((void *)trial->at, sizeof(*trial->at));
    *trial = (struct trial){0};
    return false;
}

/* --- end --- */

/* It ended without an answer: whatever it was doing is what cannot be done. */
static const char *reason_of_end(int status)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (number == SIGKILL || number == SIGALRM || number == SIGXCPU)
        return "takes longer than it may";
    if (number == SIGSYS)
        return "does what no signature may do";
    return "makes the scanner fail or takes more memory than it may";
}

static json_t *refusal(const struct trial *trial, int status)
{
    size_t at = (size_t)atomic_load(trial->at);
    const json_t *file = json_array_get(trial->files, at);
    const char *name = json_string_value(json_object_get(file, "name"));
    return json_pack("{s:b,s:[],s:{s:s,s:i,s:s}}", "ok", 1, "files", "refused", "name",
                     name ? name : "", "line", 0, "reason", reason_of_end(status));
}

json_t *trial_ended(struct trial trials[TRIALS_MOST], const char *state, pid_t pid, int status,
                    uint64_t *number)
{
    struct trial *trial = pid > 0 ? find(trials, pid) : NULL;
    int descriptor = -1;
    if (!trial)
        return NULL;
    json_t *answer = ipc_packet_receive(trial->socket, &descriptor, NULL);
    if (descriptor >= 0)
        close(descriptor);
    if (!answer)
        answer = refusal(trial, status);
    *number = trial->number;
    close(trial->socket);
    munmap((void *)trial->at, sizeof(*trial->at));
    json_decref(trial->files);
    scratch_remove(state, pid);
    *trial = (struct trial){0};
    return answer;
}

void trials_kill_late(const struct trial trials[TRIALS_MOST])
{
    int64_t now = timestamp_monotonic_ms();
    for (size_t i = 0; i < TRIALS_MOST; i++)
        if (trials[i].pid > 0 && now >= trials[i].kill_at_ms)
            kill(trials[i].pid, SIGKILL);
}
