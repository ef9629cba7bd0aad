/* A control socket over a real queue and delivery, and a client of it; each test program includes
 * it once. */
#ifndef GATEHOUSE_TESTS_UNIT_TEST_MTA_LINE_H
#define GATEHOUSE_TESTS_UNIT_TEST_MTA_LINE_H

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

__attribute__((unused)) static void assert_has(struct line *line, const char *member)
{
    cleanup_json json_t *reply = hear(line);
    if (!json_object_get(reply, member))
        fail_msg("no %s in %s", member, json_dumps(reply, 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_line, close_line)

#endif
