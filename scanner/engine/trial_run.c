/* The process of a trial. What it reads is as hostile as mail: a signature may make libclamav take
 * all the memory or time, or crash it. */
#include "scanner/engine/trial.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/utf8.h"
#include "scanner/engine/malware.h"
#include "scanner/engine/sandbox.h"
#include "scanner/engine/scratch.h"

#include <clamav.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MESSAGE_LIMIT (1u << 20)
#define SCAN_MS 3000 /* of a message of a few lines */
#define REASON_SIZE 300

/* No message at all, and one like any other: signatures that take these for malware would stop all
 * mail. */
static const char empty_message[] = "\r\n";
static const char ordinary_message[] =
    "Received: from mail.example.com by mx.example.org; Thu, 1 Jan 2026 00:00:00 +0000\r\n"
    "From: Somebody <somebody@example.com>\r\n"
    "To: somebody.else@example.org\r\n"
    "Subject: The minutes of our meeting\r\n"
    "Message-ID: <ordinary@example.com>\r\n"
    "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/alternative; boundary=b\r\n"
    "\r\n"
    "--b\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "\r\n"
    "Good morning,\r\nhere is what we agreed upon. Kind regards\r\n"
    "--b\r\n"
    "Content-Type: text/html; charset=utf-8\r\n"
    "\r\n"
    "<html><body><p>Good morning,</p><p>here is what we agreed upon.</p></body></html>\r\n"
    "--b--\r\n";

struct trial_answer {
    json_t *files;
    char reason[REASON_SIZE]; /* "": no complaint */
    int line;                 /* 0: unknown */
    int socket;
};

/* libclamav's callback for messages has no context of its own; this process does one trial. */
static struct trial_answer answer;

/* --- what libclamav says --- */

static int line_in(const char *text)
{
    const char *at = strstr(text, " line ");
    long line = at ? strtol(at + 6, NULL, 10) : 0;
    return line > 0 && line < 100000000 ? (int)line : 0;
}

/* "yyerror(): FILE line 2 undefined string": the file and line are told apart from it. */
static const char *without_place(const char *text)
{
    const char *at = strncmp(text, "yyerror(): ", 11) == 0 ? strstr(text, " line ") : NULL;
    if (at)
        return at + 6 + strspn(at + 6, "0123456789 ");
    at = strncmp(text, "cli_", 4) == 0 ? strstr(text, ": ") : NULL;
    return at ? at + 2 : text;
}

static void take_message(enum cl_msg severity, const char *full, const char *text, void *context)
{
    (void)full, (void)context;
    if (severity < CL_MSG_ERROR)
        return;
    if (answer.line == 0)
        answer.line = line_in(text);
    const char *reason = without_place(text);
    if (*answer.reason || strncmp(reason, "Problem parsing", 15) == 0 ||
        strncmp(reason, "Can't load", 10) == 0)
        return;
    int length = (int)strcspn(reason, "\r\n");
    snprintf(answer.reason, sizeof(answer.reason), "%.*s", length, reason);
    answer.reason[utf8_scrub(answer.reason, strlen(answer.reason))] = '\0';
}

/* --- the answer --- */

static void send_and_end(json_t *refused)
{
    cleanup_json json_t *packet = json_pack("{s:b,s:O,s:o}", "ok", 1, "files", answer.files,
                                            "refused", refused ? refused : json_null());
    if (packet)
        ipc_packet_send(answer.socket, packet, -1, NULL);
    _exit(packet ? 0 : 1);
}

static void refuse(const char *name, int line, const char *reason)
{
    send_and_end(json_pack("{s:s,s:i,s:s}", "name", name, "line", line, "reason", reason));
}

static void fail(const struct error *error)
{
    char text[700];
    json_t *packet =
        json_pack("{s:b,s:s}", "ok", 0, "error", error_text(error, text, sizeof(text)));
    ipc_packet_send(answer.socket, packet, -1, NULL);
    _exit(1);
}

/* --- preparing --- */

static bool close_others(struct error *error)
{
    int high = fcntl(answer.socket, F_DUPFD_CLOEXEC, 100);
    if (high < 0 || close_range(3, 99, 0) != 0)
        return error_set_errno(error, "engine", "descriptors cannot be moved");
    answer.socket = fcntl(high, F_DUPFD_CLOEXEC, 3);
    return (answer.socket >= 0 && close_range((unsigned)answer.socket + 1, ~0U, 0) == 0) ||
           error_set_errno(error, "engine", "descriptors cannot be moved");
}

static bool write_files(const char *folder, const json_t *files, struct error *error)
{
    char path[ENGINE_PATH_SIZE];
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        const char *text = json_string_value(json_object_get(file, "text"));
        const char *name = json_string_value(json_object_get(file, "name"));
        cleanup_fd int fd =
            file_join(path, sizeof(path), folder, name, error)
                ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)
                : -1;
        if (fd < 0)
            return error_set_errno(error, name, "cannot be written");
        if (!file_write_all(fd, text, strlen(text), error))
            return false;
    }
    return true;
}

static bool limit_time(struct error *error)
{
    struct rlimit limit = {TRIAL_SECONDS, TRIAL_SECONDS};
    sigset_t none;
    sigemptyset(&none);
    signal(SIGALRM, SIG_DFL);
    alarm(TRIAL_SECONDS);
    return (sigprocmask(SIG_SETMASK, &none, NULL) == 0 && setrlimit(RLIMIT_CPU, &limit) == 0) ||
           error_set_errno(error, "engine", "a trial cannot be limited");
}

static bool prepare(const char *state, const json_t *files, char folder[ENGINE_PATH_SIZE],
                    struct error *error)
{
    const char *off = getenv("GATEHOUSE_ENGINE_SANDBOX"); /* tests under a sanitizer */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || !close_others(error) ||
        !limit_time(error) || !scratch_make(state, getpid(), folder, error) ||
        !write_files(folder, files, error))
        return false;
    cl_set_clcb_msg(take_message);
    if (cl_init(CL_INIT_DEFAULT) != CL_SUCCESS)
        return error_set(error, ERROR_INTERNAL, "libclamav", "cannot start");
    tzset();
    if (off && strcmp(off, "off") == 0)
        return true;
    struct sandbox sandbox = {
        .folder = folder, .memory_limit = TRIAL_MEMORY, .file_limit = CONFIG_SIGNATURE_BYTES * 4};
    return sandbox_enter(&sandbox, error);
}

/* --- trying --- */

static void load(struct cl_engine *engine, const char *folder, const char *name)
{
    char path[ENGINE_PATH_SIZE];
    unsigned count = 0;
    *answer.reason = '\0';
    answer.line = 0;
    cl_error_t code = file_join(path, sizeof(path), folder, name, NULL)
                          ? cl_load(path, engine, &count, CL_DB_STDOPT)
                          : CL_EOPEN;
    if (code != CL_SUCCESS || *answer.reason)
        refuse(name, answer.line, *answer.reason ? answer.reason : cl_strerror(code));
    if (count == 0)
        refuse(name, 0, "there is no signature in it");
    json_array_append_new(answer.files,
                          json_pack("{s:s,s:I}", "name", name, "signatures", (json_int_t)count));
}

static void scan(struct cl_engine *engine, const char *text, const char *what)
{
    char reason[REASON_SIZE];
    struct malware_result result = {0};
    struct malware_scan how = {engine, SCAN_MS, true};
    malware_scan(&how, text, strlen(text), &result);
    if (result.find_count > 0) {
        snprintf(reason, sizeof(reason), "%s takes %s for malware", result.finds[0].name, what);
        refuse("", 0, reason);
    }
    if (*result.reason) {
        snprintf(reason, sizeof(reason), "%s cannot be scanned with them: %.200s", what,
                 result.reason);
        refuse("", 0, reason);
    }
}

void trial_run(const char *state, const json_t *files, _Atomic int *at, int socket)
{
    char folder[ENGINE_PATH_SIZE];
    struct error error = {0};
    size_t count = json_array_size(files);
    answer = (struct trial_answer){.files = json_array(), .socket = socket};
    if (!prepare(state, files, folder, &error))
        fail(&error);
    struct cl_engine *engine = cl_engine_new();
    if (!engine || !malware_prepare(engine, MESSAGE_LIMIT, &error))
        fail(&error);
    cl_engine_set_str(engine, CL_ENGINE_TMPDIR, folder);
    for (size_t i = 0; i < count; i++) {
        atomic_store(at, (int)i);
        load(engine, folder, json_string_value(json_object_get(json_array_get(files, i), "name")));
    }
    atomic_store(at, (int)count);
    *answer.reason = '\0';
    cl_error_t code = cl_engine_compile(engine);
    if (code != CL_SUCCESS)
        refuse("", 0, *answer.reason ? answer.reason : cl_strerror(code));
    scan(engine, empty_message, "an empty message");
    scan(engine, ordinary_message, "an ordinary message");
    send_and_end(NULL);
    _exit(0);
}
