#include "scanner/engine/worker.h"

#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/log.h"
#include "scanner/engine/malware.h"
#include "scanner/engine/sandbox.h"
#include "scanner/engine/scan.h"
#include "scanner/engine/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_SECONDS 10 /* for the mta to make room for an answer */
#define GIVEN_FILES 2     /* the message and the envelope */
#define SIZE_LIMIT (INT64_C(1) << 40)

/* --- becoming a worker --- */

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* a terminal's Ctrl-C is for the master, which drains */
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool use_scratch(const struct worker *worker, char path[ENGINE_PATH_SIZE],
                        struct error *error)
{
    if (!scratch_make(worker->settings->state, getpid(), path, error))
        return false;
    scratch_use_memory(path, malware_scratch_limit(worker->settings->message_limit),
                       worker->settings->workers);
    cl_error_t code = cl_engine_set_str(worker->engine, CL_ENGINE_TMPDIR, path);
    if (code != CL_SUCCESS)
        return error_set(error, ERROR_INTERNAL, "libclamav", "no folder for temporary files: %s",
                         cl_strerror(code));
    return setenv("TMPDIR", path, 1) == 0 || error_set_errno(error, path, "cannot be used");
}

static bool enter_sandbox(const struct worker *worker, const char *scratch, struct error *error)
{
    uint64_t file_limit = worker->settings->message_limit * 4;
    struct sandbox sandbox = {
        .folder = scratch,
        .memory_limit = worker->settings->memory_limit,
        .file_limit = file_limit > 1u << 30 ? file_limit : 1u << 30,
    };
    return !worker->settings->sandbox || sandbox_enter(&sandbox, error);
}

static bool tie_to_parent(const struct worker *worker, struct error *error)
{
    /* Outlasts the sandbox, which changes no user id and afterwards forbids prctl. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return error_set_errno(error, "worker", "cannot be tied to its parent");
    if (getppid() != worker->parent)
        _exit(0);
    return true;
}

/* --- requests --- */

static bool read_verdicts(const json_t *array, uint32_t *bits, struct error *error)
{
    const json_t *value;
    size_t index;
    *bits = 0;
    json_array_foreach((json_t *)array, index, value)
    {
        enum config_verdict verdict;
        if (!json_is_string(value) || !config_verdict_parse(json_string_value(value), &verdict))
            return error_set(error, ERROR_INVALID, "scan.clean", "has an unknown verdict");
        *bits |= 1u << verdict;
    }
    return true;
}

/* False where the frame is not a scan. */
static bool read_request(const json_t *frame, struct scan_request *request, struct error *error)
{
    const struct json_place top = {.parent = NULL, .name = "scan"};
    const json_t *scan, *clean;
    const char *id;
    int64_t size, seconds;
    if (!json_get_object(frame, NULL, "scan", true, &scan, error) ||
        !json_get_text(scan, &top, "id", SCAN_ID_SIZE - 1, &id, error) ||
        !json_get_integer(scan, &top, "size", 0, SIZE_LIMIT, &size, error) ||
        !json_get_integer(scan, &top, "seconds", 1, INT32_MAX, &seconds, error) ||
        !json_get_integer_or(scan, &top, "age_ms", 0, INT64_MAX, 0, &request->age_ms, error) ||
        !json_get_bool_or(scan, &top, "envelope", false, &request->with_filters, error) ||
        !json_get_array(scan, &top, "clean", false, CONFIG_VERDICT_COUNT, &clean, error) ||
        !read_verdicts(clean, &request->clean, error))
        return false;
    memcpy(request->id, id, strlen(id) + 1);
    request->size = (uint64_t)size;
    request->seconds = (int)seconds;
    return true;
}

static void set_timer(int seconds)
{
    struct itimerval timer = {.it_value = {.tv_sec = seconds}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* libclamav removes its files itself, except where an error kept it from doing so. */
static void tidy_scratch(const struct worker *worker)
{
    const char *folder = cl_engine_get_str(worker->engine, CL_ENGINE_TMPDIR, NULL);
    if (folder)
        scratch_clear(folder);
}

static bool answer_scan(const struct worker *worker, int connection, struct scan_request *request,
                        struct error *error)
{
    if (request->seconds > worker->settings->scan_seconds)
        request->seconds = worker->settings->scan_seconds;
    atomic_store(&worker->board->slots[worker->slot], BOARD_BUSY);
    set_timer(request->seconds);
    const struct scan_tools tools = {worker->engine, worker->settings, worker->filters};
    struct scan_files files;
    cleanup_json json_t *result = scan_message(&tools, request, &files);
    set_timer(0);
    tidy_scratch(worker);
    atomic_fetch_add(&worker->board->scans, 1);
    atomic_store(&worker->board->slots[worker->slot], BOARD_IDLE);
    bool sent = result ? ipc_packet_send_descriptors(connection, result, files.descriptors,
                                                     files.count, error)
                       : error_set(error, ERROR_INTERNAL, NULL, "out of memory");
    scan_files_close(&files);
    return sent;
}

/* Takes one packet and answers it. False ends the connection. */
static bool serve_packet(const struct worker *worker, int connection)
{
    struct error error = {0};
    struct scan_request request = {.answer = connection};
    int given[GIVEN_FILES];
    size_t count;
    cleanup_json json_t *frame =
        ipc_packet_receive_descriptors(connection, given, GIVEN_FILES, &count, &error);
    cleanup_fd int message = count > 0 ? given[0] : -1;
    cleanup_fd int envelope = count > 1 ? given[1] : -1;
    request.message = message;
    request.envelope = envelope;
    if (frame && read_request(frame, &request, &error) &&
        answer_scan(worker, connection, &request, &error))
        return true;
    if (error.code != ERROR_UNAVAILABLE && error.code != ERROR_TIMEOUT) {
        char text[700];
        log_warning("connection closed: %s", error_text(&error, text, sizeof(text)));
    }
    return false;
}

/* --- connections --- */

static bool say_hello(const struct worker *worker, int connection)
{
    cleanup_json json_t *hello = json_pack("{s:{s:i,s:o}}", "hello", "pid", (int)getpid(),
                                           "signatures", signatures_json(worker->signatures));
    return hello && ipc_packet_send(connection, hello, -1, NULL);
}

/* Waits for one of the two; true when `fd` is readable, false when the worker shall end. */
static bool wait_for(const struct worker *worker, int fd)
{
    struct pollfd ready[] = {{.fd = worker->drain, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    for (;;) {
        if (poll(ready, 2, -1) < 0 && errno != EINTR)
            return false;
        if (ready[0].revents)
            return false;
        if (ready[1].revents)
            return true;
    }
}

/* Closes without losing a request: from the shutdown on the mta cannot send (it gets EPIPE and so
 * knows that nothing was taken), and what it has sent before is answered. */
static void finish_connection(const struct worker *worker, int connection)
{
    shutdown(connection, SHUT_RD);
    while (serve_packet(worker, connection))
        ;
}

/* Returns whether the worker shall go on. *left are the scans that it still takes: what libraries
 * remember of hostile mail (GMime keeps each unknown name of a charset) ends with the worker, and
 * another one costs less than a scan. */
static bool serve_connection(const struct worker *worker, int connection, uint64_t *left)
{
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (!say_hello(worker, connection))
        return true;
    for (;;) {
        if (!wait_for(worker, connection)) {
            finish_connection(worker, connection);
            return false;
        }
        if (!serve_packet(worker, connection))
            return true;
        if (--*left == 0) {
            finish_connection(worker, connection);
            return false;
        }
    }
}

static void serve(const struct worker *worker)
{
    bool going = true;
    uint64_t left = worker->settings->worker_scans;
    while (going && wait_for(worker, worker->listener)) {
        cleanup_fd int connection = accept4(worker->listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection >= 0)
            going = serve_connection(worker, connection, &left);
        else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            usleep(
                100000); /* out of descriptors or memory: not for ever, and not in a tight loop */
    }
}

void worker_run(const struct worker *worker)
{
    struct error error = {0};
    char scratch[ENGINE_PATH_SIZE], text[700];
    reset_signals();
    if (!use_scratch(worker, scratch, &error) || !tie_to_parent(worker, &error) ||
        !enter_sandbox(worker, scratch, &error)) {
        log_error("worker cannot start: %s", error_text(&error, text, sizeof(text)));
        _exit(WORKER_EXIT_FAILED);
    }
    atomic_store(&worker->board->slots[worker->slot], BOARD_IDLE);
    serve(worker);
    _exit(0);
}
