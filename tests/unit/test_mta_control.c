/* run/mta.sock: requests are answered one after the other, also those that come together. */
#include "test_delivery_scene.h"

#include "common/cleanup.h"
#include "common/ipc.h"
#include "common/json.h"
#include "common/timestamp.h"
#include "scanner/mta/control.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct line {
    struct scene scene;
    struct control *control;
    int fd;
    struct buffer received;
};

/* Configurations are for main.c. */
static void reload(void *argument)
{
    (void)argument;
}

static int open_line(void **state)
{
    struct line *line = calloc(1, sizeof(*line));
    char path[128];
    struct error error = {0};
    scene_open(&line->scene, &(struct scene_options){.delivery = ""});
    line->scene.holding = true;
    snprintf(path, sizeof(path), "%s/mta.sock", line->scene.folder);
    line->control = control_open(&line->scene.mta, path, reload, NULL, &error);
    if (!line->control)
        fail_msg("%s", error.message);
    line->fd = ipc_connect(path, SOCK_STREAM, &error);
    assert_true(line->fd >= 0);
    *state = line;
    return 0;
}

static int close_line(void **state)
{
    struct line *line = *state;
    close(line->fd);
    control_free(line->control);
    buffer_free(&line->received);
    scene_close(&line->scene);
    free(line);
    return 0;
}

static void add_request(struct buffer *out, const char *text)
{
    unsigned char head[IPC_HEAD_SIZE];
    ipc_head_write(head, strlen(text));
    buffer_add(out, head, sizeof(head));
    buffer_add_text(out, text);
}

/* All of them in one write. */
static void say(struct line *line, const char *const *requests)
{
    struct buffer out = BUFFER_INIT;
    for (; *requests; requests++)
        add_request(&out, *requests);
    assert_int_equal(send(line->fd, out.data, out.length, 0), out.length);
    buffer_free(&out);
}

/* The next reply; the test fails where none comes. The caller owns it. */
static json_t *hear(struct line *line)
{
    int64_t end = timestamp_monotonic_ms() + 5000;
    char part[4096];
    for (;;) {
        size_t length = line->received.length < IPC_HEAD_SIZE
                            ? 0
                            : ipc_head_read((const unsigned char *)line->received.data);
        if (length && line->received.length >= IPC_HEAD_SIZE + length) {
            json_t *reply = json_parse(line->received.data + IPC_HEAD_SIZE, length, NULL, NULL);
            buffer_consume(&line->received, IPC_HEAD_SIZE + length);
            assert_non_null(reply);
            return reply;
        }
        if (timestamp_monotonic_ms() > end)
            fail_msg("no reply");
        scene_run(&line->scene, 5);
        ssize_t count = recv(line->fd, part, sizeof(part), MSG_DONTWAIT);
        assert_true(count > 0 || (count < 0 && errno == EAGAIN));
        if (count > 0)
            buffer_add(&line->received, part, (size_t)count);
    }
}

static void assert_has(struct line *line, const char *member)
{
    cleanup_json json_t *reply = hear(line);
    if (!json_object_get(reply, member))
        fail_msg("no %s in %s", member, json_dumps(reply, 0));
}

static void a_request_behind_one_that_waits_needs_no_further_data(void **state)
{
    struct line *line = *state;
    static const char *const requests[] = {
        "{\"op\":\"events\",\"after\":1000,\"max\":10,\"wait_ms\":100}", "{\"op\":\"status\"}",
        "{\"op\":\"queue_list\"}", "{\"op\":\"status\"}", NULL};
    say(line, requests);
    assert_has(line, "events");
    assert_has(line, "queues");
    assert_has(line, "messages");
    assert_has(line, "queues");
}

static void wrong_requests_are_answered_and_the_next_one_served(void **state)
{
    struct line *line = *state;
    static const char *const requests[] = {"{\"op\":\"queue_list\",\"filter\":{\"x\":1}}",
                                           "{\"op\":\"queue_message\",\"id\":\"x\"}",
                                           "{\"op\":\"queue_act\"}",
                                           "{\"op\":\"queue_job\"}",
                                           "{\"op\":\"none\"}",
                                           "[]",
                                           "{\"op\":\"status\"}",
                                           NULL};
    say(line, requests);
    for (int i = 0; i < 6; i++)
        assert_has(line, "error");
    assert_has(line, "queues");
}

static void an_action_and_its_job_go_over_the_socket(void **state)
{
    struct line *line = *state;
    char id[MESSAGE_ID_TEXT_SIZE], request[256];
    struct message_id sent = scene_send_to(&line->scene, "a@relay.example");
    say(line, (const char *const[]){"{\"op\":\"queue_act\",\"action\":\"hold\",\"filter\":{},"
                                    "\"administrator\":\"ada\"}",
                                    NULL});
    cleanup_json json_t *started = hear(line);
    snprintf(request, sizeof(request), "{\"op\":\"queue_job\",\"job\":\"%s\"}",
             json_string_value(json_object_get(started, "job")));
    scene_run(&line->scene, 100);
    say(line, (const char *const[]){request, NULL});
    cleanup_json json_t *job = hear(line);
    assert_true(json_is_true(json_object_get(job, "done")));
    assert_int_equal(json_integer_value(json_object_get(job, "changed")), 1);
    snprintf(request, sizeof(request), "{\"op\":\"queue_message\",\"id\":\"%s\"}",
             message_id_text(&sent, id));
    say(line, (const char *const[]){request, NULL});
    cleanup_json json_t *reply = hear(line);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(reply, "message"), "state")), "held");
}

/* Who goes away while its list is gathered takes nothing along. */
static void a_client_may_go_while_its_list_is_gathered(void **state)
{
    struct line *line = *state;
    char path[128];
    struct error error = {0};
    scene_send_many(&line->scene, "a@relay.example", 2000);
    say(line, (const char *const[]){"{\"op\":\"queue_list\",\"limit\":1000}", NULL});
    event_base_loop(line->scene.mta.base, EVLOOP_ONCE);
    close(line->fd);
    scene_run(&line->scene, 100);
    snprintf(path, sizeof(path), "%s/mta.sock", line->scene.folder);
    line->fd = ipc_connect(path, SOCK_STREAM, &error);
    say(line, (const char *const[]){"{\"op\":\"status\"}", NULL});
    assert_has(line, "queues");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_line, close_line)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_behind_one_that_waits_needs_no_further_data),
        TEST(wrong_requests_are_answered_and_the_next_one_served),
        TEST(an_action_and_its_job_go_over_the_socket),
        TEST(a_client_may_go_while_its_list_is_gathered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
