/* For tests only: starts an engine on a fresh state directory and speaks to it as the mta does. */
#ifndef GATEHOUSE_SCANNER_ENGINE_ENGINE_TEST_CLIENT_H
#define GATEHOUSE_SCANNER_ENGINE_ENGINE_TEST_CLIENT_H

#include "common/file.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "scanner/engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_ID "0190c3b2-0000-7000-8000-000000000001"

struct test_engine {
    char state[64];
    char scans[128];
    char control[128];
    pid_t pid;
};

static inline bool test_sanitized(void)
{
#ifdef __SANITIZE_ADDRESS__
    return true;
#else
    return false;
#endif
}

/* The EICAR test file, from pieces so that the test program is not taken for it. */
static inline const char *test_eicar(void)
{
    static char text[80];
    snprintf(text, sizeof(text), "%s%s%s", "X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTI",
             "VIRUS-TEST-FILE!$H+H*");
    return text;
}

static inline void test_write(const struct test_engine *engine, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", engine->state, name);
    if (!file_write_atomic(path, text, strlen(text), 0644, NULL))
        abort();
}

static inline void test_folder(const struct test_engine *engine, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", engine->state, name);
    if (!file_make_folder(path, 0755, NULL))
        abort();
}

static inline void test_prepare(struct test_engine *engine)
{
    snprintf(engine->state, sizeof(engine->state), "/tmp/gatehouse-engine-XXXXXX");
    if (!mkdtemp(engine->state))
        abort();
    snprintf(engine->scans, sizeof(engine->scans), "%s/run/engine.sock", engine->state);
    snprintf(engine->control, sizeof(engine->control), "%s/run/engine-control.sock", engine->state);
    test_folder(engine, "signatures/custom");
    test_folder(engine, "empty");
    setenv("GATEHOUSE_SIGNATURES", "/nonexistent", 1);
    if (test_sanitized())
        setenv("GATEHOUSE_ENGINE_SANDBOX", "off", 1);
}

static inline json_t *test_ask(const struct test_engine *engine, const char *op,
                               struct error *error)
{
    json_t *request = json_pack("{s:s}", "op", op);
    json_t *reply = ipc_request(engine->control, request, 60000, error);
    json_decref(request);
    return reply;
}

static inline long long test_status_number(const struct test_engine *engine, const char *name)
{
    json_t *status = test_ask(engine, "status", NULL);
    const json_t *value = json_object_get(status, name);
    if (strcmp(name, "workers") == 0)
        value = json_object_get(value, "count");
    long long number = value ? json_integer_value(value) : -1;
    json_decref(status);
    return number;
}

static inline bool test_wait_for(const struct test_engine *engine, const char *name,
                                 long long wanted, int milliseconds)
{
    int64_t end = timestamp_monotonic_ms() + milliseconds;
    while (test_status_number(engine, name) != wanted) {
        if (timestamp_monotonic_ms() > end)
            return false;
        usleep(10000);
    }
    return true;
}

/* Starts it in a process group of its own; orphans come to this process. */
static inline void test_start(struct test_engine *engine)
{
    struct error error = {0};
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    engine->pid = fork();
    if (engine->pid == 0) {
        setpgid(0, 0);
        if (!getenv("GATEHOUSE_LOG"))
            log_set_level(LOG_LEVEL_ERROR);
        _exit(engine_run(engine->state, &error) ? 0 : 1);
    }
    if (engine->pid <= 1)
        abort(); /* its negative would be signalled later */
    setpgid(engine->pid, engine->pid);
    if (!test_wait_for(engine, "workers", 2, 30000))
        abort();
}

/* Whether all processes of the engine are gone within the time. */
static inline bool test_all_gone(const struct test_engine *engine, int milliseconds)
{
    int64_t end = timestamp_monotonic_ms() + milliseconds;
    for (;;) {
        while (waitpid(-engine->pid, NULL, WNOHANG) > 0)
            ;
        if (kill(-engine->pid, 0) != 0 && errno == ESRCH)
            return true;
        if (timestamp_monotonic_ms() > end)
            return false;
        usleep(10000);
    }
}

static inline void test_stop(struct test_engine *engine)
{
    char command[128];
    kill(engine->pid, SIGTERM);
    if (!test_all_gone(engine, 12000)) {
        kill(-engine->pid, SIGKILL);
        test_all_gone(engine, 5000);
    }
    snprintf(command, sizeof(command), "rm -rf '%s'", engine->state);
    if (system(command) != 0)
        abort();
}

/* --- scans --- */

/* A connection whose hello was read; *pid (may be NULL) is the worker's. -1 where there is none. */
static inline int test_connect(const struct test_engine *engine, pid_t *pid)
{
    struct timeval patience = {.tv_sec = 60};
    int none, fd = ipc_connect(engine->scans, SOCK_SEQPACKET, NULL);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    json_t *hello = ipc_packet_receive(fd, &none, NULL);
    if (!hello) {
        close(fd);
        return -1;
    }
    if (pid)
        *pid = (pid_t)json_integer_value(json_object_get(json_object_get(hello, "hello"), "pid"));
    json_decref(hello);
    return fd;
}

/* A descriptor of a memory file that only reads. */
static inline int test_memory_file(const void *data, size_t length)
{
    char path[64];
    int writable = memfd_create("message", MFD_CLOEXEC);
    if (writable < 0 || !file_write_all(writable, data, length, NULL))
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", writable);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    close(writable);
    return fd;
}

static inline bool test_send(int fd, int message, size_t size, int seconds, struct error *error)
{
    json_t *frame = json_pack("{s:{s:s,s:I,s:i}}", "scan", "id", TEST_ID, "size", (json_int_t)size,
                              "seconds", seconds);
    bool sent = ipc_packet_send(fd, frame, message, error);
    json_decref(frame);
    return sent;
}

/* The member "result", or NULL where the connection was closed. */
static inline json_t *test_receive(int fd)
{
    int none;
    json_t *frame = ipc_packet_receive(fd, &none, NULL);
    json_t *result = json_incref(json_object_get(frame, "result"));
    json_decref(frame);
    return result;
}

static inline json_t *test_scan_on(int fd, const void *data, size_t length, int seconds)
{
    int message = test_memory_file(data, length);
    bool sent = test_send(fd, message, length, seconds, NULL);
    close(message);
    return sent ? test_receive(fd) : NULL;
}

static inline json_t *test_scan(const struct test_engine *engine, const void *data, size_t length)
{
    int fd = test_connect(engine, NULL);
    json_t *result = fd >= 0 ? test_scan_on(fd, data, length, 60) : NULL;
    if (fd >= 0)
        close(fd);
    return result;
}

static inline const char *test_text(const json_t *result, const char *name)
{
    const char *text = json_string_value(json_object_get(result, name));
    return text ? text : "(missing)";
}

static inline const char *test_threat(const json_t *result, size_t index, const char *name)
{
    return test_text(json_array_get(json_object_get(result, "threats"), index), name);
}

#endif
