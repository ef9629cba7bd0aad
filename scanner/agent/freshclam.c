#include "scanner/agent/freshclam.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/timestamp.h"
#include "scanner/agent/freshclam_files.h"
#include "scanner/agent/node.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEP_MS 100
#define OUTPUT_MOST (64u << 10) /* bytes of what it says that are looked at */
#define LINE_MOST 300
#define ADDRESS_SPACE (8ull << 30) /* it loads what it fetched to test it */

const char *freshclam_program(void)
{
    const char *named = getenv("GATEHOUSE_FRESHCLAM");
    const char *program = named && *named ? named : "/usr/bin/freshclam";
    return access(program, X_OK) == 0 ? program : NULL;
}

static int64_t most_ms(void)
{
    const char *named = getenv("GATEHOUSE_FRESHCLAM_SECONDS");
    long seconds = named ? strtol(named, NULL, 10) : 0;
    return (seconds > 0 && seconds < 86400 ? seconds : FRESHCLAM_SECONDS) * INT64_C(1000);
}

/* --- the child --- */

struct run {
    pid_t pid;
    int output;
    char said[OUTPUT_MOST + 1];
    size_t length;
    int status;
};

/* Between fork and exec of a process with threads: system calls only. */
static void become(const char *program, char *const *arguments, int output, pid_t parent)
{
    static char *const environment[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL};
    struct rlimit memory = {ADDRESS_SPACE, ADDRESS_SPACE};
    struct rlimit core = {0, 0};
    sigset_t none;
    sigemptyset(&none);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
        getppid() != parent || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        setrlimit(RLIMIT_AS, &memory) != 0 || setrlimit(RLIMIT_CORE, &core) != 0 || null < 0 ||
        dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0 || close_range(3, ~0U, 0) != 0)
        _exit(126);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(program, arguments, environment);
    _exit(127);
}

static bool start(struct run *run, const char *program, char *const *arguments, struct error *error)
{
    int ends[2];
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set_errno(error, "freshclam", "cannot be started");
    run->pid = fork();
    if (run->pid == 0)
        become(program, arguments, ends[1], parent);
    close(ends[1]);
    run->output = ends[0];
    if (run->pid > 0 && fcntl(run->output, F_SETFL, O_NONBLOCK) == 0)
        return true;
    error_set_errno(error, "freshclam", "cannot be started");
    close(run->output);
    return false;
}

/* Keeps the beginning; the rest is read away, so that the child never waits for room. */
static void hear(struct run *run)
{
    char chunk[4096];
    ssize_t count;
    while ((count = read(run->output, chunk, sizeof(chunk))) > 0) {
        size_t room = OUTPUT_MOST - run->length;
        size_t taken = (size_t)count < room ? (size_t)count : room;
        memcpy(run->said + run->length, chunk, taken);
        run->length += taken;
    }
    run->said[run->length] = '\0';
}

static bool has_ended(struct run *run)
{
    return waitpid(run->pid, &run->status, WNOHANG) == run->pid;
}

/* False with *error where it did not end by itself. */
static bool await(struct run *run, const struct stop *stop, struct error *error)
{
    int64_t end = timestamp_monotonic_ms() + most_ms();
    bool stopped = false;
    while (!has_ended(run)) {
        hear(run);
        stopped = stop_wait(stop, STEP_MS);
        if (!stopped && timestamp_monotonic_ms() < end)
            continue;
        kill(-run->pid, SIGKILL);
        kill(run->pid, SIGKILL);
        waitpid(run->pid, &run->status, 0);
        return error_set(error, ERROR_TIMEOUT, NULL,
                         stopped ? "was stopped" : "took longer than it may and was ended");
    }
    kill(-run->pid, SIGKILL); /* whatever it left behind */
    hear(run);
    return true;
}

/* --- what it said --- */

static void hide(char *text, const char *secret)
{
    size_t length = secret ? strlen(secret) : 0;
    char *at = text;
    while (length > 0 && (at = strstr(at, secret))) {
        memset(at, '*', length);
        at += length;
    }
}

/* Its first complaint says most. */
static bool complain(struct run *run, const struct config_signature_update *update,
                     struct error *error)
{
    char line[LINE_MOST];
    hide(run->said, update->proxy_password);
    const char *complaint = strstr(run->said, "ERROR: ");
    if (complaint) {
        snprintf(line, sizeof(line), "%.*s", (int)strcspn(complaint + 7, "\r\n"), complaint + 7);
        return error_set(error, ERROR_UNAVAILABLE, NULL, "%s", line);
    }
    if (WIFSIGNALED(run->status))
        return error_set(error, ERROR_INTERNAL, NULL, "freshclam died by signal %d",
                         WTERMSIG(run->status));
    return error_set(error, ERROR_UNAVAILABLE, NULL, "freshclam ended with status %d",
                     WEXITSTATUS(run->status));
}

bool freshclam_run(const char *state, const struct config_signature_update *update,
                   const struct stop *stop, struct error *error)
{
    struct freshclam_files files;
    const char *program = freshclam_program();
    struct run *run = calloc(1, sizeof(*run));
    bool ok = false;
    if (!run)
        return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    if (!program) {
        error_set(error, ERROR_NOT_FOUND, NULL, "freshclam is not installed on this host");
    } else if (!update->official && update->url_count == 0) {
        ok = freshclam_files_prepare(state, update, &files, error); /* nothing is wanted */
    } else if (freshclam_files_prepare(state, update, &files, error)) {
        char option[NODE_PATH_SIZE + 32];
        snprintf(option, sizeof(option), "--config-file=%s", files.configuration);
        char *const arguments[] = {(char *)program, option, "--stdout", NULL};
        ok = start(run, program, arguments, error) && await(run, stop, error) &&
             ((WIFEXITED(run->status) && WEXITSTATUS(run->status) == 0) ||
              complain(run, update, error));
        if (run->pid > 0)
            close(run->output);
    }
    free(run);
    return ok;
}
