/* What the mta's end of the engine's socket makes of signatures that change, and of descriptors. */
#include "common/cleanup.h"
#include "common/error.h"
#include "common/file.h"
#include "common/ipc.h"
#include "common/timestamp.h"
#include "scanner/mta/scan_client.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 10000

/* The engine is the test itself, on the loop of the client. */
struct scene {
    char folder[64], path[96];
    int listener;
    struct event_base *base;
    struct scan_client *client;
    unsigned changes, answers;
    char cleaned[64]; /* what stood in the clean file; "none" without one */
};

static struct scene scene;

static void on_changed(void *argument)
{
    (void)argument;
    scene.changes++;
}

static int open_scene(void **state)
{
    (void)state;
    scene = (struct scene){.folder = "/tmp/gatehouse-scan-client-XXXXXX"};
    assert_non_null(mkdtemp(scene.folder));
    snprintf(scene.path, sizeof(scene.path), "%s/engine.sock", scene.folder);
    scene.listener = ipc_listen(scene.path, SOCK_SEQPACKET, 0600, NULL);
    assert_true(scene.listener >= 0);
    assert_int_equal(fcntl(scene.listener, F_SETFL, O_NONBLOCK), 0);
    scene.base = event_base_new();
    scene.client = scan_client_new(scene.base, scene.path, 2);
    scan_client_watch_signatures(scene.client, on_changed, NULL);
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    scan_client_free(scene.client);
    event_base_free(scene.base);
    close(scene.listener);
    unlink(scene.path);
    return rmdir(scene.folder);
}

static void turn(int milliseconds)
{
    struct timeval time = timestamp_interval(milliseconds);
    event_base_loopexit(scene.base, &time);
    event_base_dispatch(scene.base);
}

/* A worker's: the next connection of the client. */
static int take_connection(void)
{
    int64_t end = timestamp_monotonic_ms() + PATIENCE_MS;
    int connection = -1;
    while (connection < 0 && timestamp_monotonic_ms() < end) {
        turn(5);
        connection = accept4(scene.listener, NULL, NULL, SOCK_NONBLOCK);
    }
    assert_true(connection >= 0);
    return connection;
}

static void greet(int connection, int count)
{
    cleanup_json json_t *hello = json_pack("{s:{s:i,s:{s:s,s:i}}}", "hello", "pid", 1, "signatures",
                                           "source", "clamav", "count", count);
    assert_true(ipc_packet_send(connection, hello, -1, NULL));
    turn(50);
}

/* The id of the scan that stands in the connection; false where none comes soon. */
static bool take_scan(int connection, char id[MESSAGE_ID_TEXT_SIZE])
{
    for (int i = 0; i < 50; i++) {
        struct error error = {0};
        cleanup_fd int message = -1;
        cleanup_json json_t *frame = ipc_packet_receive(connection, &message, &error);
        const char *asked =
            json_string_value(json_object_get(json_object_get(frame, "scan"), "id"));
        if (asked) {
            snprintf(id, MESSAGE_ID_TEXT_SIZE, "%s", asked);
            return true;
        }
        if (error.code != ERROR_TIMEOUT)
            return false;
        turn(5);
    }
    return false;
}

static bool is_closed(int connection)
{
    char byte;
    turn(50);
    return recv(connection, &byte, 1, MSG_PEEK) == 0;
}

static void on_done(void *argument, const struct scan_answer *answer)
{
    int cleaned = answer->cleaned;
    (void)argument;
    assert_non_null(answer->result);
    scene.answers++;
    snprintf(scene.cleaned, sizeof(scene.cleaned), "none");
    if (cleaned < 0)
        return;
    ssize_t count = pread(cleaned, scene.cleaned, sizeof(scene.cleaned) - 1, 0);
    assert_true(count >= 0);
    scene.cleaned[count] = '\0';
}

static void ask(void)
{
    struct scan_order order = {
        .id = message_id_new(), .fd = file_memory_open("message", NULL), .seconds = 5};
    scan_client_scan(scene.client, &order, on_done, NULL);
}

/* `file` (-1: none) comes with the answer, which has "cleaned" where `told`. */
static void answer(int connection, const char *id, bool told, int file)
{
    cleanup_json json_t *frame =
        json_pack("{s:{s:s,s:s,s:[]}}", "result", "id", id, "verdict", "virus", "threats");
    if (told)
        json_object_set_new(json_object_get(frame, "result"), "cleaned",
                            json_pack("{s:i}", "size", 5));
    unsigned before = scene.answers;
    assert_true(ipc_packet_send(connection, frame, file, NULL));
    for (int i = 0; i < 200 && scene.answers == before; i++)
        turn(5);
    assert_int_equal(scene.answers, before + 1);
}

/* --- signatures --- */

static void new_signatures_are_heard_of_while_there_is_no_work(void **state)
{
    (void)state;
    int first = take_connection();
    greet(first, 10);
    assert_int_equal(scene.changes, 1);
    close(first);
    int second = take_connection();
    greet(second, 11);
    assert_int_equal(scene.changes, 2);
    close(second);
}

static void an_engine_that_starts_again_with_the_same_is_no_change(void **state)
{
    (void)state;
    int first = take_connection();
    greet(first, 10);
    close(first);
    int second = take_connection();
    greet(second, 10);
    assert_int_equal(scene.changes, 1);
    close(second);
}

/* Two connections, of which both have had a scan. */
static void open_two(int *first, int *second, char ids[2][MESSAGE_ID_TEXT_SIZE])
{
    *first = take_connection();
    greet(*first, 10);
    ask();
    assert_true(take_scan(*first, ids[0]));
    ask();
    *second = take_connection();
    greet(*second, 10);
    assert_true(take_scan(*second, ids[1]));
}

static void an_idle_worker_with_the_old_signatures_gets_nothing_more(void **state)
{
    char ids[2][MESSAGE_ID_TEXT_SIZE];
    int first, second;
    (void)state;
    open_two(&first, &second, ids);
    answer(first, ids[0], false, -1);
    answer(second, ids[1], false, -1);
    close(first);
    int third = take_connection();
    greet(third, 11);
    assert_true(is_closed(second));
    ask();
    assert_true(take_scan(third, ids[0]));
    close(second);
    close(third);
}

static void a_busy_worker_with_the_old_signatures_ends_with_its_answer(void **state)
{
    char ids[2][MESSAGE_ID_TEXT_SIZE];
    int first, second;
    (void)state;
    open_two(&first, &second, ids);
    answer(first, ids[0], false, -1);
    close(first);
    int third = take_connection();
    greet(third, 11);
    assert_false(is_closed(second));
    answer(second, ids[1], false, -1);
    assert_true(is_closed(second));
    close(second);
    close(third);
}

/* --- descriptors --- */

static int file_with(const char *text)
{
    int fd = file_memory_open("cleaned", NULL);
    assert_true(fd >= 0 && file_write_all(fd, text, strlen(text), NULL));
    return fd;
}

static void the_clean_file_comes_with_the_answer_that_tells_of_it(void **state)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    cleanup_fd int file = file_with("clean");
    (void)state;
    int connection = take_connection();
    greet(connection, 10);
    ask();
    assert_true(take_scan(connection, id));
    answer(connection, id, true, file);
    assert_string_equal(scene.cleaned, "clean");
    ask();
    assert_true(take_scan(connection, id));
    answer(connection, id, true, -1);
    assert_string_equal(scene.cleaned, "none");
    ask();
    assert_true(take_scan(connection, id));
    answer(connection, id, false, file);
    assert_string_equal(scene.cleaned, "none");
    close(connection);
}

static size_t count_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void no_descriptor_stays_open_whatever_comes(void **state)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    cleanup_fd int file = file_with("clean");
    (void)state;
    int connection = take_connection();
    greet(connection, 10);
    size_t before = count_descriptors();
    for (int i = 0; i < 50; i++) {
        ask();
        assert_true(take_scan(connection, id));
        answer(connection, id, i % 2 == 0, file);
    }
    assert_int_equal(count_descriptors(), before);
    close(connection);
}

/* Before any scan, and as an answer that belongs to nobody. */
static void a_descriptor_out_of_place_is_closed(void **state)
{
    cleanup_fd int file = file_with("clean");
    cleanup_json json_t *nonsense = json_pack("{s:{s:s}}", "result", "id", "x");
    (void)state;
    int connection = take_connection();
    greet(connection, 10);
    size_t before = count_descriptors();
    assert_true(ipc_packet_send(connection, nonsense, file, NULL));
    assert_true(is_closed(connection));
    close(connection);
    int next = take_connection();
    assert_int_equal(count_descriptors(), before);
    close(next);
}

#define client_test(function) cmocka_unit_test_setup_teardown(function, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        client_test(new_signatures_are_heard_of_while_there_is_no_work),
        client_test(an_engine_that_starts_again_with_the_same_is_no_change),
        client_test(an_idle_worker_with_the_old_signatures_gets_nothing_more),
        client_test(a_busy_worker_with_the_old_signatures_ends_with_its_answer),
        client_test(the_clean_file_comes_with_the_answer_that_tells_of_it),
        client_test(no_descriptor_stays_open_whatever_comes),
        client_test(a_descriptor_out_of_place_is_closed),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
