/* The master's end of a dry run: starting it, and what its end means. */
#include "scanner/engine/dry_run.h"

#include "common/json.h"
#include "common/timestamp.h"
#include "scanner/engine/confined.h"
#include "scanner/engine/scratch.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct dry_run *find(struct dry_run runs[DRY_RUNS_MOST], pid_t pid)
{
    for (size_t i = 0; i < DRY_RUNS_MOST; i++)
        if (runs[i].pid == pid)
            return &runs[i];
    return NULL;
}

static bool check_request(const json_t *request, struct error *error)
{
    const json_t *object;
    const char *base64;
    return json_get_object(request, NULL, "policies", true, &object, error) &&
           json_get_object(request, NULL, "envelope", true, &object, error) &&
           json_get_text(request, NULL, "message", DRY_RUN_BYTES / 3 * 4 + 4, &base64, error);
}

bool dry_run_start(struct dry_run runs[DRY_RUNS_MOST], const char *state, const json_t *request,
                   uint64_t number, struct error *error)
{
    struct dry_run *run = find(runs, 0);
    if (!check_request(request, error))
        return false;
    if (!run)
        return error_set(error, ERROR_LIMIT, NULL, "other messages are being tried; try again");
    int file = memfd_create("gatehouse-dry-run", MFD_CLOEXEC);
    pid_t pid = file >= 0 ? fork() : -1;
    if (pid == 0)
        dry_run_process(state, request, file);
    if (pid < 0) {
        error_set_errno(error, "engine", "a dry run cannot be started");
        if (file >= 0)
            close(file);
        return false;
    }
    *run = (struct dry_run){.pid = pid,
                            .file = file,
                            .number = number,
                            .kill_at_ms = timestamp_monotonic_ms() + DRY_RUN_SECONDS * 1000};
    return true;
}

static json_t *refusal(int status)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    const char *reason = "the policies cannot be tried";
    if (number == SIGKILL || number == SIGALRM || number == SIGXCPU)
        reason = "trying the policies takes longer than it may";
    else if (number)
        reason = "trying the policies takes more memory than it may, or made the process fail";
    return json_pack("{s:b,s:s}", "ok", 0, "error", reason);
}

static json_t *read_answer(int file)
{
    if (lseek(file, 0, SEEK_END) > DRY_RUN_REPLY)
        return json_pack("{s:b,s:s}", "ok", 0, "error",
                         "the answer is too long: name fewer recipients");
    return confined_answer(file, DRY_RUN_REPLY);
}

json_t *dry_run_ended(struct dry_run runs[DRY_RUNS_MOST], const char *state, pid_t pid, int status,
                      uint64_t *number)
{
    struct dry_run *run = pid > 0 ? find(runs, pid) : NULL;
    if (!run)
        return NULL;
    bool ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    json_t *answer = ended_well ? read_answer(run->file) : NULL;
    *number = run->number;
    close(run->file);
    scratch_remove(state, pid);
    *run = (struct dry_run){0};
    return answer ? answer : refusal(status);
}

void dry_runs_kill_late(const struct dry_run runs[DRY_RUNS_MOST])
{
    int64_t now = timestamp_monotonic_ms();
    for (size_t i = 0; i < DRY_RUNS_MOST; i++)
        if (runs[i].pid > 0 && now >= runs[i].kill_at_ms)
            kill(runs[i].pid, SIGKILL);
}
