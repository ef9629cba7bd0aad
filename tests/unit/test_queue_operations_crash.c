/* The process ends as if by kill -9 at every place between two writes of an administrator's action:
 * afterwards each message is as it was or as it shall be, with the event that tells of it, and none
 * is lost. */
#include "scanner/mta/fault.h"
#include "test_delivery_scene.h"

#include "common/json.h"
#include "common/timestamp.h"
#include "scanner/mta/queue_operations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MESSAGES 3
#define CRASHES_MOST 200

static const struct scene_options options = {.delivery = "\"retry_seconds\":[3600]"};

struct action {
    const char *name, *request;
    const char *event;                                    /* type of the event that it logs */
    bool (*is_done)(const struct queue_message *message); /* NULL message: it is gone */
};

static bool is_held(const struct queue_message *message)
{
    return message && message->flags & QUEUE_FLAG_HELD;
}

static bool is_released(const struct queue_message *message)
{
    return message && !(message->flags & QUEUE_FLAG_HELD);
}

static bool is_gone(const struct queue_message *message)
{
    return !message;
}

static bool is_rerouted(const struct queue_message *message)
{
    return message && message->recipients[0].route && message->recipients[1].route &&
           strcmp(message->recipients[0].route, "new.example:2525") == 0 &&
           strcmp(message->recipients[1].route, "new.example:2525") == 0;
}

static bool is_due(const struct queue_message *message)
{
    return message && message->recipients[0].next_attempt <= timestamp_now_ms() &&
           message->recipients[0].next_attempt > 0;
}

static const struct action actions[] = {
    {"hold", "\"action\":\"hold\"", "queue", is_held},
    {"release", "\"action\":\"release\"", "queue", is_released},
    {"flush", "\"action\":\"flush\"", "queue", is_due},
    {"reroute", "\"action\":\"reroute\",\"route\":\"new.example:2525\"", "queue", is_rerouted},
    {"delete", "\"action\":\"delete\"", "action", is_gone},
    {"bounce", "\"action\":\"bounce\"", "bounced", is_gone},
};

/* --- the child --- */

static void open_here(struct scene *scene, const char *folder)
{
    scene_open_in(scene, event_base_new(), folder);
    scene->holding = true;
    scene_start(scene, &options);
}

/* Messages whose next attempt is far away; held ones for the release. */
static void fill(struct scene *scene, const struct action *action, struct message_id *ids)
{
    for (int i = 0; i < MESSAGES; i++) {
        ids[i] = scene_send(
            scene, &(struct scene_message){.sender = "",
                                           .recipients = {"a@relay.example", "b@relay.example"}});
        struct queue_message *message = queue_find(scene->mta.queue, &ids[i]);
        int64_t later = timestamp_now_ms() + 3600000;
        struct queue_change changes[] = {{0, QUEUE_RECIPIENT_QUEUED, 1, later, "451", NULL},
                                         {1, QUEUE_RECIPIENT_QUEUED, 1, later, "451", NULL}};
        queue_change_recipients(scene->mta.queue, message, changes, 2, NULL);
        if (action->is_done == is_released)
            queue_change_flags(scene->mta.queue, message, QUEUE_FLAG_HELD, NULL);
    }
}

static json_t *parse(const char *format, const char *text)
{
    struct error error = {0};
    struct buffer out = BUFFER_INIT;
    buffer_add_format(&out, "%s%s}", format, text);
    json_t *value = json_parse(out.data, out.length, NULL, &error);
    buffer_free(&out);
    return value;
}

static void run_job(struct scene *scene, const struct action *action)
{
    struct queue_operations *operations = queue_operations_new(&scene->mta);
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    json_t *request = parse("{\"administrator\":\"ada\",\"filter\":{},", action->request);
    if (!request || !queue_operations_act(operations, request, &out, &error))
        _exit(3);
    scene_run(scene, 200);
    json_decref(request);
    buffer_free(&out);
    queue_operations_free(operations);
}

/* Says the ids through `fd` once they are on stable storage, then acts, and ends at the fault. */
static void run_child(const char *folder, const struct action *action, unsigned crash, int fd)
{
    struct scene scene;
    struct message_id ids[MESSAGES];
    char fault[32];
    open_here(&scene, folder);
    fill(&scene, action, ids);
    scene_send(&scene, &(struct scene_message){.recipients = {"last@elsewhere.example"}});
    if (write(fd, ids, sizeof(ids)) != sizeof(ids))
        _exit(2);
    snprintf(fault, sizeof(fault), "*:%u", crash);
    fault_arm(fault);
    run_job(&scene, action);
    _exit(0);
}

static int crash_in_child(const char *folder, const struct action *action, unsigned crash,
                          struct message_id ids[MESSAGES])
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run_child(folder, action, crash, ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], ids, MESSAGES * sizeof(ids[0])), MESSAGES * sizeof(ids[0]));
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* --- afterwards --- */

static size_t events_of(struct scene *scene, const struct message_id *id, const char *type)
{
    char text[MESSAGE_ID_TEXT_SIZE];
    const json_t *event;
    size_t index, count = 0;
    message_id_text(id, text);
    scene_count(scene, type); /* takes them in */
    json_array_foreach(scene->events, index, event)
    {
        count += strcmp(scene_text(event, "type"), type) == 0 &&
                 strcmp(scene_text(event, "id"), text) == 0;
    }
    return count;
}

/* Each message is old, without the event, or new, with it. */
static unsigned check(const char *folder, const struct action *action,
                      const struct message_id ids[MESSAGES])
{
    struct scene scene;
    unsigned done = 0;
    open_here(&scene, folder);
    for (int i = 0; i < MESSAGES; i++) {
        const struct queue_message *message = queue_find(scene.mta.queue, &ids[i]);
        bool is_done = action->is_done(message);
        size_t expected = !is_done ? 0 : strcmp(action->event, "bounced") == 0 ? 2 : 1;
        assert_int_equal(events_of(&scene, &ids[i], action->event), expected);
        assert_true(is_done || (message && message->open_recipients == 2 &&
                                message->recipients[0].attempts == 1));
        done += is_done;
    }
    scene_close(&scene);
    return done;
}

static void check_action(const struct action *action)
{
    unsigned crash = 1, none = 0, some = 0;
    int status = FAULT_STATUS;
    for (; status == FAULT_STATUS && crash < CRASHES_MOST; crash++) {
        char folder[] = "/tmp/gatehouse-delivery-XXXXXX";
        struct message_id ids[MESSAGES];
        assert_non_null(mkdtemp(folder));
        status = crash_in_child(folder, action, crash, ids);
        assert_true(status == FAULT_STATUS || status == 0);
        unsigned done = check(folder, action, ids);
        if (status == 0)
            assert_int_equal(done, MESSAGES);
        none += done == 0;
        some += done > 0;
    }
    assert_int_equal(status, 0);
    print_message("%s: %u places\n", action->name, crash - 2);
    assert_true(none > 0 && some > 0);
}

static void every_action_is_done_or_not_done_after_a_crash(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        check_action(&actions[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_action_is_done_or_not_done_after_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
