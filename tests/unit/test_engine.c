/* The life of the engine's processes: time-outs, deaths, reloads, the end. */
#include "scanner/engine/engine_test_client.h"

#include "common/signing.h"
#include "scanner/engine/last_word.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_engine_running.h"

#define LARGE (24u << 20) /* bytes whose scan takes long enough to be disturbed */

/* Many lines of base64 that is not the same twice: libclamav has to decode and to search all. */
static char *large_message(void)
{
    static const char head[] = "From: a@example.com\r\nContent-Type: application/octet-stream\r\n"
                               "Content-Transfer-Encoding: base64\r\n\r\n";
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc(LARGE);
    uint64_t seed = 88172645463325252u;
    assert_non_null(text);
    memcpy(text, head, sizeof(head) - 1);
    for (size_t i = sizeof(head) - 1; i < LARGE; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        text[i] = i % 78 == 0 ? '\r' : i % 78 == 1 ? '\n' : letters[seed & 63];
    }
    return text;
}

static void expect_clean(int fd)
{
    static const char text[] = "Subject: x\r\n\r\nhello\r\n";
    json_t *result = test_scan_on(fd, text, sizeof(text) - 1, 30);
    assert_non_null(result);
    assert_string_equal(test_text(result, "verdict"), "clean");
    json_decref(result);
}

static void expect_serving(void)
{
    int fd = test_connect(&engine, NULL);
    assert_true(fd >= 0);
    expect_clean(fd);
    close(fd);
}

/* Never 0 or -1, which would reach far more than the process that is meant. */
static void signal_process(pid_t pid, int number)
{
    assert_true(pid > 1);
    assert_int_equal(kill(pid, number), 0);
}

static bool scratch_exists(pid_t pid)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/scratch/%d", engine.state, (int)pid);
    return access(path, F_OK) == 0;
}

/* --- what is said about it --- */

static void status_tells_signatures_workers_and_scans(void **state)
{
    (void)state;
    expect_serving();
    json_t *status = test_ask(&engine, "status", NULL);
    const json_t *signatures = json_object_get(status, "signatures");
    const json_t *workers = json_object_get(status, "workers");
    assert_string_equal(test_text(signatures, "source"), "builtin");
    assert_int_equal(json_integer_value(json_object_get(signatures, "version")), 1);
    assert_int_equal(json_integer_value(json_object_get(signatures, "count")), 2);
    assert_int_equal(strlen(test_text(signatures, "built_at")), 24);
    assert_int_equal(json_integer_value(json_object_get(workers, "count")), 2);
    assert_int_equal(json_integer_value(json_object_get(workers, "busy")), 0);
    assert_int_equal(json_integer_value(json_object_get(status, "generation")), 1);
    assert_int_equal(json_integer_value(json_object_get(status, "scans")), 1);
    assert_string_equal(test_text(status, "problem"), "");
    json_decref(status);
}

static void a_busy_worker_is_counted(void **state)
{
    (void)state;
    char *text = large_message();
    int message = test_memory_file(text, LARGE), fd = test_connect(&engine, NULL);
    long long busy = 0;
    assert_true(test_send(fd, message, LARGE, 60, NULL));
    for (int i = 0; i < 50 && busy == 0; i++) {
        json_t *status = test_ask(&engine, "status", NULL);
        busy = json_integer_value(json_object_get(json_object_get(status, "workers"), "busy"));
        json_decref(status);
        usleep(2000);
    }
    assert_int_equal(busy, 1);
    json_decref(test_receive(fd));
    close(fd);
    close(message);
    free(text);
}

static void unknown_operations_are_refused(void **state)
{
    (void)state;
    struct error error = {0};
    assert_null(test_ask(&engine, "explode", &error));
    assert_string_equal(error.message, "op must be status, reload, try_signatures, "
                                       "show_message or dry_run");
    int fd = ipc_connect(engine.control, SOCK_STREAM, NULL);
    assert_true(send(fd, "\xff\xff\xff\xff", 4, 0) == 4);
    assert_null(ipc_receive(fd, 5000, NULL)); /* such a length ends the connection */
    close(fd);
    assert_int_equal(test_status_number(&engine, "workers"), 2);
}

static long long proc_number(pid_t pid, const char *name)
{
    char path[64], line[256];
    long long number = -1;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            number = strtoll(line + strlen(name) + 1, NULL, 16);
    if (file)
        fclose(file);
    return number;
}

static void a_worker_that_serves_is_in_the_sandbox(void **state)
{
    (void)state;
    pid_t worker = 0;
    if (test_sanitized()) {
        print_message("the sandbox is off under a sanitizer: not tested\n");
        skip();
    }
    int fd = test_connect(&engine, &worker);
    assert_int_equal(proc_number(worker, "Seccomp"), 2);
    assert_int_equal(proc_number(worker, "NoNewPrivs"), 1);
    assert_int_equal(proc_number(worker, "CapEff"), 0);
    assert_int_equal(proc_number(worker, "CapPrm"), 0);
    close(fd);
}

static bool may_mount(void)
{
    pid_t child = fork();
    int status = -1;
    if (child == 0)
        _exit(unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0);
    return waitpid(child, &status, 0) == child && status == 0;
}

static void temporary_files_are_in_memory_that_only_the_worker_sees(void **state)
{
    (void)state;
    char path[64];
    pid_t worker = 0;
    int fd = test_connect(&engine, &worker);
    assert_true(fd >= 0);
    snprintf(path, sizeof(path), "/proc/%d/mounts", (int)worker);
    char *inside = file_read(path, 1 << 20, NULL, NULL);
    char *outside = file_read("/proc/self/mounts", 1 << 20, NULL, NULL);
    bool is_in_memory = inside && strstr(inside, "gatehouse-scratch");
    bool is_seen = !outside || strstr(outside, engine.state);
    free(inside);
    free(outside);
    close(fd);
    if (!may_mount())
        skip();
    assert_true(is_in_memory);
    assert_false(is_seen);
}

/* --- deaths --- */

static void a_worker_that_is_killed_is_replaced(void **state)
{
    (void)state;
    pid_t worker = 0, next = 0;
    char *text = large_message();
    int message = test_memory_file(text, LARGE), fd = test_connect(&engine, &worker);
    assert_true(test_send(fd, message, LARGE, 60, NULL));
    usleep(50000);
    assert_true(scratch_exists(worker));
    signal_process(worker, SIGKILL);
    assert_null(test_receive(fd));
    close(fd);
    for (int i = 0; i < 500 && scratch_exists(worker); i++)
        usleep(10000);
    assert_false(scratch_exists(worker));
    assert_true(test_wait_for(&engine, "workers", 2, 5000));
    fd = test_connect(&engine, &next);
    assert_true(fd >= 0);
    json_t *result = test_scan_on(fd, text, LARGE, 60);
    assert_non_null(result);
    json_decref(result);
    close(fd);
    close(message);
    free(text);
}

/* Stopped in the middle, the worker cannot end the scan itself. */
static void a_scan_beyond_its_time_kills_the_worker(void **state)
{
    (void)state;
    pid_t worker = 0;
    char *text = large_message();
    int message = test_memory_file(text, LARGE), fd = test_connect(&engine, &worker);
    assert_true(test_send(fd, message, LARGE, 1, NULL));
    usleep(50000);
    signal_process(worker, SIGSTOP);
    usleep(1100000);
    signal_process(worker, SIGCONT);
    assert_null(test_receive(fd));
    close(fd);
    close(message);
    free(text);
    assert_true(test_wait_for(&engine, "workers", 2, 5000));
    expect_serving();
}

/* The other side of it: libclamav is told to give up before the timer kills. It looks at the clock
 * between files, hence the many parts. A machine that others use too may need more than the tenth
 * of the time that is kept for giving up, hence the longer limits. */
static void a_slow_scan_is_unscannable_in_time(void **state)
{
    (void)state;
    static const char part[] = "\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    static const char head[] = "From: a@example.com\r\n"
                               "Content-Type: multipart/mixed; boundary=b\r\n";
    if (test_sanitized()) {
        print_message("a sanitizer is too slow for so short a limit: not tested\n");
        skip();
    }
    char *text = large_message();
    memcpy(text, head, sizeof(head) - 1);
    for (size_t at = sizeof(head) - 1; at + 4096 < LARGE; at += 4096)
        memcpy(text + at, part, sizeof(part) - 1);
    json_t *result = NULL;
    for (int seconds = 1; !result && seconds <= 16; seconds *= 2) {
        int fd = test_connect(&engine, NULL);
        result = test_scan_on(fd, text, LARGE, seconds);
        close(fd);
    }
    assert_non_null(result);
    if (strcmp(test_text(result, "verdict"), "clean") != 0) {
        assert_string_equal(test_text(result, "verdict"), "unscannable");
        const char *reason = test_text(result, "reason");
        if (strcmp(reason, "Heuristics.Limits.Exceeded.MaxScanTime") != 0 &&
            !strstr(reason, "the time was over") && !strstr(reason, "too many parts"))
            fail_msg("the reason is %s", reason);
    }
    json_decref(result);
    free(text);
    expect_serving();
}

static void a_generation_that_is_killed_is_replaced(void **state)
{
    (void)state;
    pid_t worker = 0;
    int fd = test_connect(&engine, &worker);
    long long parent = -1;
    char path[64], line[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)worker);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof(line), file));
    fclose(file);
    assert_int_equal(sscanf(strrchr(line, ')'), ") %*c %lld", &parent), 1);
    signal_process((pid_t)parent, SIGKILL);
    assert_null(test_receive(fd));
    close(fd);
    assert_true(test_wait_for(&engine, "generation", 2, 10000));
    expect_serving();
}

static void nothing_remains_when_the_master_is_killed(void **state)
{
    (void)state;
    int fd = test_connect(&engine, NULL);
    signal_process(engine.pid, SIGKILL);
    assert_null(test_receive(fd));
    close(fd);
    assert_true(test_all_gone(&engine, 5000));
    test_start(&engine); /* over what the dead one left */
    expect_serving();
}

static void told_to_stop_it_finishes_the_scan(void **state)
{
    (void)state;
    static const char text[] = "Subject: x\r\n\r\nhello\r\n";
    char *large = large_message();
    int message = test_memory_file(large, LARGE), fd = test_connect(&engine, NULL);
    int idle = test_connect(&engine, NULL), status;
    assert_true(test_send(fd, message, LARGE, 60, NULL));
    usleep(20000);
    signal_process(engine.pid, SIGTERM);
    json_t *result = test_receive(fd);
    assert_non_null(result);
    json_decref(result);
    assert_null(test_receive(idle));
    assert_int_equal(waitpid(engine.pid, &status, 0), engine.pid);
    assert_int_equal(status, 0);
    assert_true(test_all_gone(&engine, 2000));
    assert_int_not_equal(access(engine.scans, F_OK), 0);
    assert_null(test_scan(&engine, text, sizeof(text) - 1));
    close(idle);
    close(fd);
    close(message);
    free(large);
    test_start(&engine);
}

/* --- reloads --- */

static void a_reload_without_change_keeps_the_generation(void **state)
{
    (void)state;
    json_t *reply = test_ask(&engine, "reload", NULL);
    assert_non_null(reply);
    assert_true(json_is_false(json_object_get(reply, "changed")));
    json_decref(reply);
    assert_int_equal(test_status_number(&engine, "generation"), 1);
}

static void a_signal_reloads_anyhow(void **state)
{
    (void)state;
    signal_process(engine.pid, SIGHUP);
    assert_true(test_wait_for(&engine, "generation", 2, 10000));
    expect_serving();
}

static void a_custom_signature_works_after_a_reload(void **state)
{
    (void)state;
    static const char text[] = "Subject: x\r\n\r\nfind this sentence here\r\n";
    test_write(&engine, "signatures/custom/own.ndb",
               "Own-Rule:0:*:66696e6420746869732073656e74656e6365\n");
    json_t *reply = test_ask(&engine, "reload", NULL);
    assert_non_null(reply);
    json_decref(reply);
    json_t *result = test_scan(&engine, text, sizeof(text) - 1);
    assert_string_equal(test_text(result, "verdict"), "virus");
    assert_string_equal(test_threat(result, 0, "name"), "Own-Rule");
    json_decref(result);
}

static void broken_signatures_are_refused_and_the_old_stay(void **state)
{
    (void)state;
    struct error error = {0};
    test_write(&engine, "signatures/custom/broken.ndb", "this is no signature\n");
    assert_null(test_ask(&engine, "reload", &error));
    assert_non_null(strstr(error.message, "signatures/custom"));
    assert_int_equal(test_status_number(&engine, "generation"), 1);
    json_t *status = test_ask(&engine, "status", NULL);
    assert_non_null(strstr(test_text(status, "problem"), "signatures/custom"));
    json_decref(status);
    expect_serving();
}

static void broken_custom_signatures_do_not_keep_it_from_starting(void **state)
{
    (void)state;
    test_write(&engine, "signatures/custom/broken.ndb", "this is no signature\n");
    signal_process(engine.pid, SIGTERM);
    assert_true(test_all_gone(&engine, 10000));
    test_start(&engine);
    expect_serving();
    json_t *status = test_ask(&engine, "status", NULL);
    assert_non_null(strstr(test_text(status, "problem"), "custom signatures are left out"));
    json_decref(status);
}

static void a_broken_configuration_is_refused_and_the_old_stays(void **state)
{
    (void)state;
    struct error error = {0};
    test_folder(&engine, "config");
    test_write(&engine, "config/current.json", "{\"document\":\"{}\",\"signature\":\"x\"}");
    test_write(&engine, "config/configuration.pub", "no key");
    assert_null(test_ask(&engine, "reload", &error));
    assert_true(strlen(error.message) > 0);
    expect_serving();
}

/* As the agent leaves it: a signed document and the key beside it. */
static void write_configuration(int workers)
{
    char public_key[SIGNING_KEY_TEXT_SIZE], secret_key[SIGNING_SECRET_TEXT_SIZE], document[1024];
    snprintf(document, sizeof(document),
             "{\"format\":1,\"version\":7,\"scanner_id\":\"" TEST_ID "\","
             "\"issued_at\":\"2026-01-31T12:00:00.000Z\",\"host_name\":\"mail.example.com\","
             "\"smtp\":{\"inbound\":{\"listeners\":[{\"address\":\"127.0.0.1\",\"port\":2525}]},"
             "\"outbound\":{\"listeners\":[]},\"delivery\":{}},\"domains\":[],\"policies\":{},"
             "\"engine\":{\"workers\":%d,\"scan_seconds\":5}}",
             workers);
    assert_true(signing_new_keys(public_key, secret_key, NULL));
    char *envelope = signing_seal(document, secret_key, NULL);
    assert_non_null(envelope);
    test_folder(&engine, "config");
    test_write(&engine, "config/current.json", envelope);
    test_write(&engine, "config/configuration.pub", public_key);
    free(envelope);
}

static void the_configuration_sets_the_number_of_workers(void **state)
{
    (void)state;
    struct error error = {0};
    write_configuration(3);
    json_t *reply = test_ask(&engine, "reload", &error);
    if (!reply)
        fail_msg("%s: %s", error.where, error.message);
    json_decref(reply);
    assert_int_equal(test_status_number(&engine, "workers"), 3);
    expect_serving();
}

struct load {
    atomic_bool stop;
    atomic_int scans, failures;
};

/* As the mta does: a connection that was closed while idle is opened again; a scan that was sent
 * and not answered is a failure. */
static void *keep_scanning(void *context)
{
    static const char text[] = "Subject: x\r\n\r\nhello\r\n";
    struct load *load = context;
    int fd = -1, message = test_memory_file(text, sizeof(text) - 1);
    while (!atomic_load(&load->stop)) {
        if (fd < 0)
            fd = test_connect(&engine, NULL);
        bool sent = fd >= 0 && test_send(fd, message, sizeof(text) - 1, 10, NULL);
        json_t *result = sent ? test_receive(fd) : NULL;
        if (strcmp(test_text(result, "verdict"), "clean") == 0)
            atomic_fetch_add(&load->scans, 1);
        else if (sent)
            atomic_fetch_add(&load->failures, 1);
        json_decref(result);
        if (!sent && fd >= 0) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
    close(message);
    return NULL;
}

static void reloads_under_load_fail_no_scan(void **state)
{
    (void)state;
    struct load load = {0};
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_scanning, &load), 0);
    for (int i = 0; i < 8; i++) {
        long long next = test_status_number(&engine, "generation") + 1;
        signal_process(engine.pid, SIGHUP);
        assert_true(test_wait_for(&engine, "generation", next, 20000));
        usleep(30000);
    }
    atomic_store(&load.stop, true);
    test_stop(&engine); /* the third thread may wait for a worker; this ends its wait */
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    print_message("%d scans during 8 reloads\n", atomic_load(&load.scans));
    assert_true(atomic_load(&load.scans) > 50);
    assert_int_equal(atomic_load(&load.failures), 0);
}

/* --- the last word --- */

static void a_known_verdict_outlives_the_process(void **state)
{
    (void)state;
    const int deaths[] = {SIGALRM, SIGSEGV, SIGABRT, SIGBUS};
    for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
        int pair[2], none, status;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
        pid_t child = fork();
        if (child == 0) {
            json_t *known = json_pack("{s:s}", "verdict", "virus");
            _exit(last_word_set(pair[1], known) ? raise(deaths[i]) : 1);
        }
        json_t *said = ipc_packet_receive(pair[0], &none, NULL);
        assert_string_equal(test_text(said, "verdict"), "virus");
        json_decref(said);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), deaths[i]);
        close(pair[0]);
        close(pair[1]);
    }
}

static int begin_with_short_lives(void **state)
{
    setenv("GATEHOUSE_ENGINE_SCANS", "3", 1);
    return start_engine(state);
}

static int end_with_short_lives(void **state)
{
    unsetenv("GATEHOUSE_ENGINE_SCANS");
    return stop_engine(state);
}

static void a_worker_ends_after_its_scans_and_loses_none(void **state)
{
    pid_t first, second;
    int none;
    (void)state;
    int fd = test_connect(&engine, &first);
    for (int i = 0; i < 3; i++)
        expect_clean(fd);
    assert_null(ipc_packet_receive(fd, &none, NULL));
    close(fd);
    for (int i = 0; i < 20; i++) {
        fd = test_connect(&engine, &second);
        assert_true(fd >= 0);
        assert_int_not_equal(first, second);
        expect_clean(fd);
        close(fd);
    }
}

#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, start_engine, stop_engine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENGINE(status_tells_signatures_workers_and_scans),
        WITH_ENGINE(a_busy_worker_is_counted),
        WITH_ENGINE(unknown_operations_are_refused),
        WITH_ENGINE(a_worker_that_serves_is_in_the_sandbox),
        WITH_ENGINE(temporary_files_are_in_memory_that_only_the_worker_sees),
        WITH_ENGINE(a_worker_that_is_killed_is_replaced),
        cmocka_unit_test_setup_teardown(a_worker_ends_after_its_scans_and_loses_none,
                                        begin_with_short_lives, end_with_short_lives),
        WITH_ENGINE(a_scan_beyond_its_time_kills_the_worker),
        WITH_ENGINE(a_slow_scan_is_unscannable_in_time),
        WITH_ENGINE(a_generation_that_is_killed_is_replaced),
        WITH_ENGINE(nothing_remains_when_the_master_is_killed),
        WITH_ENGINE(told_to_stop_it_finishes_the_scan),
        WITH_ENGINE(a_reload_without_change_keeps_the_generation),
        WITH_ENGINE(a_signal_reloads_anyhow),
        WITH_ENGINE(a_custom_signature_works_after_a_reload),
        WITH_ENGINE(broken_signatures_are_refused_and_the_old_stay),
        WITH_ENGINE(broken_custom_signatures_do_not_keep_it_from_starting),
        WITH_ENGINE(the_configuration_sets_the_number_of_workers),
        WITH_ENGINE(a_broken_configuration_is_refused_and_the_old_stays),
        cmocka_unit_test_setup(reloads_under_load_fail_no_scan, start_engine),
        cmocka_unit_test(a_known_verdict_outlives_the_process),
    };
    return cmocka_run_group_tests_name("engine: processes", tests, NULL, NULL);
}
