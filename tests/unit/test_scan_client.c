/* The mta's end of the engine's socket, against workers that misbehave. */
#include "common/cleanup.h"
#include "common/ipc.h"
#include "scanner/mta/samples.h"
#include "scanner/mta/scan_client.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* What a worker does with the packet that it got; false ends its connection. */
typedef bool (*worker_behaviour)(int connection, const json_t *scan, int nth);

struct fake_engine {
    char folder[64], path[96];
    int listener;
    pthread_t thread;
    worker_behaviour behaviour;
};

static void serve(struct fake_engine *engine, int connection, int *nth)
{
    cleanup_json json_t *hello = json_pack("{s:{s:i}}", "hello", "pid", 1);
    int fd = -1;
    bool goes_on = ipc_packet_send(connection, hello, -1, NULL);
    while (goes_on) {
        cleanup_json json_t *frame = ipc_packet_receive(connection, &fd, NULL);
        if (fd >= 0)
            close(fd);
        if (!frame)
            break;
        goes_on = engine->behaviour(connection, json_object_get(frame, "scan"), ++*nth);
    }
    close(connection);
}

static void *engine_main(void *argument)
{
    struct fake_engine *engine = argument;
    int connection, nth = 0;
    while ((connection = accept(engine->listener, NULL, NULL)) >= 0)
        serve(engine, connection, &nth);
    return NULL;
}

static void engine_start(struct fake_engine *engine, worker_behaviour behaviour)
{
    strcpy(engine->folder, "/tmp/gatehouse-scan-client-XXXXXX");
    assert_non_null(mkdtemp(engine->folder));
    snprintf(engine->path, sizeof(engine->path), "%s/engine.sock", engine->folder);
    engine->behaviour = behaviour;
    engine->listener = ipc_listen(engine->path, SOCK_SEQPACKET, 0600, NULL);
    assert_true(engine->listener >= 0);
    assert_int_equal(pthread_create(&engine->thread, NULL, engine_main, engine), 0);
}

static void engine_stop(struct fake_engine *engine)
{
    shutdown(engine->listener, SHUT_RDWR);
    pthread_join(engine->thread, NULL);
    close(engine->listener);
    unlink(engine->path);
    rmdir(engine->folder);
}

static bool answer(int connection, const char *id)
{
    cleanup_json json_t *result =
        json_pack("{s:{s:s,s:s,s:[]}}", "result", "id", id, "verdict", "clean", "threats");
    return ipc_packet_send(connection, result, -1, NULL);
}

static bool answers(int connection, const json_t *scan, int nth)
{
    (void)nth;
    return answer(connection, json_string_value(json_object_get(scan, "id")));
}

static bool dies_once(int connection, const json_t *scan, int nth)
{
    return nth > 1 && answers(connection, scan, nth);
}

static bool always_dies(int connection, const json_t *scan, int nth)
{
    (void)connection;
    (void)scan;
    (void)nth;
    return false;
}

static bool answers_for_another(int connection, const json_t *scan, int nth)
{
    (void)scan;
    (void)nth;
    return answer(connection, "0190c3b2-0000-7000-8000-000000000001");
}

static bool says_nothing(int connection, const json_t *scan, int nth)
{
    char byte;
    (void)scan;
    (void)nth;
    return recv(connection, &byte, 1, MSG_PEEK) > 0;
}

struct outcome {
    struct event_base *base;
    char verdict[32];
    int left;
};

static void on_done(void *argument, const struct scan_answer *answer)
{
    assert_int_equal(answer->cleaned, -1);
    struct outcome *outcome = argument;
    const char *verdict = json_string_value(json_object_get(answer->result, "verdict"));
    snprintf(outcome->verdict, sizeof(outcome->verdict), "%s", verdict ? verdict : "none");
    if (--outcome->left == 0)
        event_base_loopbreak(outcome->base);
}

static struct scan_order new_order(int wait_ms)
{
    return (struct scan_order){.id = message_id_new(),
                               .fd = memfd_create("message", MFD_CLOEXEC),
                               .seconds = 5,
                               .wait_ms = wait_ms};
}

static void scan(worker_behaviour behaviour, int wait_ms, int count, struct outcome *outcome)
{
    struct fake_engine engine;
    const struct timeval limit = {.tv_sec = 20};
    outcome->base = event_base_new();
    outcome->left = count;
    engine_start(&engine, behaviour);
    struct scan_client *client = scan_client_new(outcome->base, engine.path, 1);
    for (int i = 0; i < count; i++) {
        struct scan_order order = new_order(wait_ms);
        scan_client_scan(client, &order, on_done, outcome);
    }
    event_base_loopexit(outcome->base, &limit);
    event_base_dispatch(outcome->base);
    scan_client_free(client);
    event_base_free(outcome->base);
    engine_stop(&engine);
}

static void every_message_gets_its_answer(void **state)
{
    struct outcome outcome;
    (void)state;
    scan(answers, 0, 500, &outcome);
    assert_int_equal(outcome.left, 0);
    assert_string_equal(outcome.verdict, "clean");
}

static void a_worker_that_dies_costs_one_retry(void **state)
{
    struct outcome outcome;
    (void)state;
    scan(dies_once, 0, 1, &outcome);
    assert_string_equal(outcome.verdict, "clean");
}

static void a_message_that_kills_two_workers_is_unscannable(void **state)
{
    struct outcome outcome;
    (void)state;
    scan(always_dies, 0, 1, &outcome);
    assert_string_equal(outcome.verdict, "unscannable");
}

/* How many files the folder has, and their bytes. */
static int count_samples(const char *folder, long long *bytes)
{
    struct dirent *entry;
    struct stat status;
    int count = 0;
    DIR *open_folder = opendir(folder);
    assert_non_null(open_folder);
    *bytes = 0;
    while ((entry = readdir(open_folder))) {
        if (entry->d_name[0] == '.')
            continue;
        assert_int_equal(fstatat(dirfd(open_folder), entry->d_name, &status, 0), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        *bytes += status.st_size;
        count++;
    }
    closedir(open_folder);
    return count;
}

static void messages_that_kill_two_workers_are_kept_and_bounded(void **state)
{
    struct outcome outcome = {.base = event_base_new(), .left = SAMPLES_LIMIT + 5};
    struct fake_engine engine;
    char folder[128], command[160];
    long long bytes;
    (void)state;
    engine_start(&engine, always_dies);
    snprintf(folder, sizeof(folder), "%s/samples", engine.folder);
    struct scan_client *client = scan_client_new(outcome.base, engine.path, 1);
    scan_client_keep_samples(client, folder);
    for (int i = 0; i < SAMPLES_LIMIT + 5; i++) {
        struct scan_order order = new_order(0);
        order.size = 5;
        assert_int_equal(write(order.fd, "bytes", 5), 5);
        scan_client_scan(client, &order, on_done, &outcome);
    }
    event_base_dispatch(outcome.base);
    assert_int_equal(count_samples(folder, &bytes), SAMPLES_LIMIT);
    assert_int_equal(bytes, SAMPLES_LIMIT * 5);
    struct stat status;
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    scan_client_free(client);
    event_base_free(outcome.base);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    engine_stop(&engine);
}

static void an_answer_for_another_message_is_never_taken(void **state)
{
    struct outcome outcome;
    (void)state;
    scan(answers_for_another, 0, 1, &outcome);
    assert_string_equal(outcome.verdict, "unscannable");
}

static void no_answer_in_time_is_told_as_none(void **state)
{
    struct outcome outcome;
    (void)state;
    scan(says_nothing, 300, 3, &outcome);
    assert_int_equal(outcome.left, 0);
    assert_string_equal(outcome.verdict, "none");
}

static void an_engine_that_is_away_is_waited_for(void **state)
{
    struct outcome outcome = {.base = event_base_new(), .left = 1};
    struct scan_order order = new_order(400);
    (void)state;
    struct scan_client *client = scan_client_new(outcome.base, "/nonexistent/engine.sock", 2);
    scan_client_scan(client, &order, on_done, &outcome);
    event_base_dispatch(outcome.base);
    assert_string_equal(outcome.verdict, "none");
    scan_client_free(client);
    event_base_free(outcome.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_gets_its_answer),
        cmocka_unit_test(a_worker_that_dies_costs_one_retry),
        cmocka_unit_test(a_message_that_kills_two_workers_is_unscannable),
        cmocka_unit_test(messages_that_kill_two_workers_are_kept_and_bounded),
        cmocka_unit_test(an_answer_for_another_message_is_never_taken),
        cmocka_unit_test(no_answer_in_time_is_told_as_none),
        cmocka_unit_test(an_engine_that_is_away_is_waited_for),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
