/* A queue in a private folder, for the tests of it. Each test program includes it once. */
#ifndef GATEHOUSE_TESTS_UNIT_TEST_QUEUE_H
#define GATEHOUSE_TESTS_UNIT_TEST_QUEUE_H

#include "common/log.h"
#include "scanner/mta/queue_private.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct queue_scene {
    char folder[64];
    struct event_base *base;
    struct queue *queue;
    size_t segment_bytes; /* 0: as the mta does */
    unsigned due_count;
    struct message_id due_id;
    bool hold, finish; /* what the due hook does with the message */
    int waiting;       /* accepts that have not been answered */
    enum error_code result;
    int visited;
};

__attribute__((unused)) static struct buffer *scene_event(const char *type,
                                                          const struct message_id *id)
{
    static struct buffer events;
    char text[MESSAGE_ID_TEXT_SIZE];
    events = (struct buffer)BUFFER_INIT;
    buffer_add_format(&events, "{\"type\":\"%s\",\"id\":\"%s\"}\n", type,
                      message_id_text(id, text));
    return &events;
}

static char scene_byte(size_t at)
{
    return (char)('a' + (at * 7 + at / 251) % 26);
}

__attribute__((unused)) static void scene_check_bytes(const char *data, size_t length,
                                                      size_t offset)
{
    for (size_t i = 0; i < length; i++)
        assert_int_equal(data[i], scene_byte(offset + i));
}

__attribute__((unused)) static void scene_finish(struct queue_scene *scene,
                                                 struct queue_message *message,
                                                 enum queue_recipient_state state)
{
    struct queue_change changes[16];
    uint32_t count = message->recipient_count;
    assert_true(count <= 16);
    for (uint32_t i = 0; i < count; i++)
        changes[i] = (struct queue_change){.recipient = i, .state = state, .attempts = 1};
    queue_change_recipients(scene->queue, message, changes, count,
                            scene_event("delivery", &message->id));
}

static void scene_due(void *argument, struct queue_message *message)
{
    struct queue_scene *scene = argument;
    scene->due_count++;
    scene->due_id = message->id;
    if (scene->hold)
        queue_hold_busy(scene->queue, message);
    if (scene->finish)
        scene_finish(scene, message, QUEUE_RECIPIENT_DELIVERED);
}

static void scene_open(struct queue_scene *scene)
{
    struct error error = {0};
    struct queue_hooks hooks = {scene_due, scene};
    scene->queue = queue_open_sized(
        scene->folder, scene->base, &hooks,
        scene->segment_bytes ? scene->segment_bytes : QUEUE_LOG_SEGMENT_BYTES, &error);
    if (!scene->queue)
        fail_msg("%s: %s", error.where, error.message);
}

__attribute__((unused)) static void scene_reopen(struct queue_scene *scene)
{
    queue_close(scene->queue);
    scene_open(scene);
}

__attribute__((unused)) static int scene_setup(void **state)
{
    struct queue_scene *scene = calloc(1, sizeof *scene);
    snprintf(scene->folder, sizeof scene->folder, "/tmp/gatehouse-queue-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    scene->base = event_base_new();
    scene_open(scene);
    *state = scene;
    return 0;
}

static void scene_remove(const char *folder)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf -- '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", folder);
}

__attribute__((unused)) static int scene_teardown(void **state)
{
    struct queue_scene *scene = *state;
    queue_close(scene->queue);
    event_base_free(scene->base);
    scene_remove(scene->folder);
    free(scene);
    return 0;
}

static void scene_answered(void *argument, enum error_code result)
{
    struct queue_scene *scene = argument;
    scene->waiting--;
    if (result != ERROR_NONE)
        scene->result = result;
}

/* Runs the loop for so many milliseconds. */
__attribute__((unused)) static void scene_run(struct queue_scene *scene, int milliseconds)
{
    event_base_loopexit(scene->base, &(struct timeval){.tv_sec = milliseconds / 1000,
                                                       .tv_usec = milliseconds % 1000 * 1000});
    event_base_dispatch(scene->base);
}

/* Runs the loop until everything appended so far is on stable storage. */
static void scene_settle(struct queue_scene *scene)
{
    struct message_id id = message_id_new();
    struct buffer none = BUFFER_INIT;
    scene->waiting++;
    queue_log_only(scene->queue, &id, &none, scene_answered, scene);
    while (scene->waiting)
        event_base_loop(scene->base, EVLOOP_ONCE);
}

static int scene_large(struct queue_scene *scene, size_t length)
{
    struct error error;
    int fd = queue_log_large_open(queue_log_of(scene->queue), &error);
    assert_true(fd >= 0);
    char *body = malloc(length);
    for (size_t i = 0; i < length; i++)
        body[i] = scene_byte(i);
    assert_int_equal(write(fd, body, length), length);
    free(body);
    return fd;
}

static struct queue_draft scene_draft(struct queue_scene *scene, const struct message_id *id,
                                      const struct queue_draft_recipient *recipients, size_t count,
                                      size_t length)
{
    struct queue_draft draft = {
        .id = *id,
        .sender = "sender@example.net",
        .recipients = recipients,
        .recipient_count = count,
        .large_fd = -1,
        .events = *scene_event("received", id),
    };
    if (length > QUEUE_LOG_INLINE_LIMIT) {
        draft.large_fd = scene_large(scene, length);
        draft.large_length = length;
        return draft;
    }
    char *into = buffer_reserve(&draft.body, length + 1);
    for (size_t i = 0; i < length; i++)
        into[i] = scene_byte(i);
    draft.body.length = length;
    return draft;
}

/* Hands a message over; scene->waiting counts down when it is answered. */
__attribute__((unused)) static struct message_id
scene_begin_accept(struct queue_scene *scene, const char *recipient, size_t recipients,
                   size_t length, enum queue_message_state state)
{
    struct queue_draft_recipient list[16];
    assert_true(recipients <= 16);
    for (size_t i = 0; i < recipients; i++)
        list[i] = (struct queue_draft_recipient){.address = recipient, .notify = QUEUE_NOTIFY_FAILURE};
    struct message_id id = message_id_new();
    struct queue_draft draft = scene_draft(scene, &id, list, recipients, length);
    draft.state = state;
    scene->waiting++;
    queue_accept(scene->queue, &draft, scene_answered, scene);
    return id;
}

__attribute__((unused)) static void scene_wait(struct queue_scene *scene)
{
    while (scene->waiting)
        event_base_loop(scene->base, EVLOOP_ONCE);
}

__attribute__((unused)) static struct message_id scene_accept(struct queue_scene *scene,
                                                              const char *recipient,
                                                              size_t recipients, size_t length,
                                                              enum queue_message_state state)
{
    struct message_id id = scene_begin_accept(scene, recipient, recipients, length, state);
    scene->result = ERROR_NONE;
    while (scene->waiting)
        event_base_loop(scene->base, EVLOOP_ONCE);
    assert_int_equal(scene->result, ERROR_NONE);
    return id;
}

__attribute__((unused)) static void scene_accept_many(struct queue_scene *scene, int count)
{
    for (int i = 0; i < count; i++)
        scene_begin_accept(scene, "bob@example.org", 1, 100, QUEUE_TO_BE_SCANNED);
    scene_wait(scene);
    assert_int_equal(scene->result, ERROR_NONE);
}

__attribute__((unused)) static void scene_check_body(struct queue_scene *scene,
                                                     struct queue_message *message, size_t length)
{
    struct error error;
    assert_int_equal(message->body_length, length);
    char *part = malloc(10000);
    size_t at = 0;
    for (long count; (count = queue_read_body(scene->queue, message, at, part, 10000, &error));) {
        assert_true(count > 0);
        scene_check_bytes(part, (size_t)count, at);
        at += (size_t)count;
    }
    free(part);
    assert_int_equal(at, length);
}

__attribute__((unused)) static int scene_large_files(struct queue_scene *scene)
{
    char path[128];
    int count = 0;
    snprintf(path, sizeof path, "%s/large", scene->folder);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* Reads the events in small bites and checks that each seq comes once and in order from `after` on.
 * Returns the last one. */
__attribute__((unused)) static uint64_t scene_check_events_after(struct queue_scene *scene,
                                                                 uint64_t after)
{
    struct queue_log *log = queue_log_of(scene->queue);
    struct error error;
    for (;;) {
        struct buffer out = BUFFER_INIT;
        size_t count;
        if (!queue_log_events(log, after, 7, 100000, &out, &count, &error))
            fail_msg("%s", error.message);
        assert_true(count <= 7);
        const char *at = buffer_text(&out);
        for (size_t i = 0; i < count; i++) {
            char expected[40];
            snprintf(expected, sizeof expected, "{\"seq\":%llu,", (unsigned long long)++after);
            at = strstr(at, "{\"seq\":");
            assert_non_null(at);
            assert_memory_equal(at, expected, strlen(expected));
            at++;
        }
        assert_true(!at || !strstr(at, "{\"seq\":"));
        buffer_free(&out);
        if (!count)
            break;
    }
    assert_int_equal(after, queue_log_last_seq(log));
    return after;
}

__attribute__((unused)) static uint64_t scene_check_events(struct queue_scene *scene)
{
    return scene_check_events_after(scene, 0);
}

/* For queue_each: every recipient is delivered. */
__attribute__((unused)) static bool scene_deliver(void *argument, struct queue_message *message)
{
    scene_finish(argument, message, QUEUE_RECIPIENT_DELIVERED);
    return true;
}

__attribute__((unused)) static void scene_acknowledge_all(struct queue_scene *scene)
{
    struct queue_log *log = queue_log_of(scene->queue);
    scene_settle(scene);
    queue_log_ack(log, queue_log_last_seq(log));
}

#endif
