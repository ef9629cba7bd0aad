/* The queue on a disk that is full: a small file system of its own, which only root can mount. */
#include "test_queue.h"

#include "common/timestamp.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <time.h>

#define DISK_BYTES "33554432"

static int full_setup(void **state)
{
    struct queue_scene *scene = calloc(1, sizeof *scene);
    snprintf(scene->folder, sizeof scene->folder, "/tmp/gatehouse-queue-XXXXXX");
    assert_non_null(mkdtemp(scene->folder));
    assert_int_equal(mount("tmpfs", scene->folder, "tmpfs", 0, "size=" DISK_BYTES), 0);
    scene->base = event_base_new();
    scene_open(scene);
    *state = scene;
    return 0;
}

static int full_teardown(void **state)
{
    struct queue_scene *scene = *state;
    queue_close(scene->queue);
    event_base_free(scene->base);
    assert_int_equal(umount(scene->folder), 0);
    assert_int_equal(rmdir(scene->folder), 0);
    free(scene);
    return 0;
}

/* Fills what is left of the disk with somebody else's file. */
static void fill(struct queue_scene *scene)
{
    char path[128];
    snprintf(path, sizeof path, "%s/filler", scene->folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(fd >= 0);
    char block[4096] = "x";
    while (write(fd, block, sizeof block) > 0)
        ;
    close(fd);
}

static void unfill(struct queue_scene *scene)
{
    char path[128];
    snprintf(path, sizeof path, "%s/filler", scene->folder);
    unlink(path);
}

static bool accept_waiting(struct queue_scene *scene, size_t length)
{
    scene->result = ERROR_NONE;
    scene_begin_accept(scene, "alice@example.org", 1, length, 0);
    scene_wait(scene);
    if (scene->result != ERROR_NONE)
        assert_int_equal(scene->result, ERROR_NO_SPACE);
    return scene->result == ERROR_NONE;
}

static uint64_t accept_until_full(struct queue_scene *scene)
{
    uint64_t count = 0;
    while (accept_waiting(scene, 30000))
        count++;
    return count;
}

static bool defer(void *argument, struct queue_message *message)
{
    struct queue_scene *scene = argument;
    struct queue_change change = {0,
                                  QUEUE_RECIPIENT_QUEUED,
                                  message->recipients[0].attempts + 1,
                                  timestamp_now_ms() + 1000000,
                                  "451 later",
                                  NULL};
    queue_change_recipients(scene->queue, message, &change, 1,
                            scene_event("delivery", &message->id));
    return true;
}

static bool make_due(void *argument, struct queue_message *message)
{
    struct queue_scene *scene = argument;
    queue_due_at(scene->queue, message, 0);
    return true;
}

static bool count_deferred(void *argument, struct queue_message *message)
{
    struct queue_scene *scene = argument;
    scene->visited += message->recipients[0].attempts;
    scene_check_body(scene, message, 30000);
    return true;
}

static void refuses_messages_keeps_the_others_and_goes_on_with_their_states(void **state)
{
    struct queue_scene *scene = *state;
    assert_true(queue_has_space(scene->queue, 30000));
    uint64_t accepted = accept_until_full(scene);
    assert_true(accepted > 100);
    assert_false(queue_has_space(scene->queue, 1));
    queue_each(scene->queue, defer, scene);
    scene->result = ERROR_NONE;
    scene_settle(scene);
    assert_int_equal(scene->result, ERROR_NONE);
    assert_false(queue_log_blocked(queue_log_of(scene->queue)));
    scene_reopen(scene);
    assert_int_equal(queue_count(scene->queue).inbound, accepted);
    queue_each(scene->queue, count_deferred, scene);
    assert_int_equal(scene->visited, accepted);
    assert_int_equal(scene_check_events(scene), 2 * accepted);
    assert_false(accept_waiting(scene, 30000));
}

static void takes_messages_again_when_there_is_room_again(void **state)
{
    struct queue_scene *scene = *state;
    accept_until_full(scene);
    queue_each(scene->queue, scene_deliver, scene);
    scene_acknowledge_all(scene);
    scene_run(scene, 300);
    assert_true(queue_has_space(scene->queue, 30000));
    assert_true(accept_waiting(scene, 30000));
    accept_until_full(scene);
    assert_false(queue_has_space(scene->queue, 1));
}

static void hands_nothing_out_while_not_even_states_can_be_written(void **state)
{
    struct queue_scene *scene = *state;
    struct queue_log *log = queue_log_of(scene->queue);
    uint64_t accepted = 40, rounds = 0;
    for (uint64_t i = 0; i < accepted; i++)
        assert_true(accept_waiting(scene, 30000));
    fill(scene);
    while (!queue_log_blocked(log)) {
        for (int i = 0; i < 20; i++, rounds++)
            queue_each(scene->queue, defer, scene);
        scene_run(scene, 1);
        assert_true(rounds < 10000);
    }
    queue_each(scene->queue, make_due, scene);
    scene->due_count = 0;
    scene_run(scene, 300);
    assert_int_equal(scene->due_count, 0);
    unfill(scene);
    scene_run(scene, 1500);
    assert_false(queue_log_blocked(log));
    assert_true(scene->due_count >= accepted);
    scene_reopen(scene);
    assert_int_equal(queue_count(scene->queue).inbound, accepted);
    queue_each(scene->queue, count_deferred, scene);
    assert_int_equal(scene->visited, accepted * rounds);
    assert_int_equal(scene_check_events(scene), accepted * (rounds + 1));
}

static void frees_old_segments_on_a_full_disk_by_moving_what_is_left_in_them(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id first = scene_accept(scene, "alice@example.org", 1, 30000, 0);
    accept_until_full(scene);
    scene->visited = 0;
    struct queue_message *message = queue_find(scene->queue, &first);
    queue_hold_busy(scene->queue, message);
    for (struct queue_segment *segment = queue_log_segments(queue_log_of(scene->queue)); segment;
         segment = segment->next)
        for (struct queue_message *each = segment->messages, *next; each; each = next) {
            next = each->segment_next;
            if (each != message)
                scene_finish(scene, each, QUEUE_RECIPIENT_DELIVERED);
        }
    scene_acknowledge_all(scene);
    assert_false(queue_has_space(scene->queue, 1));
    for (int i = 0; i < 30 && !queue_has_space(scene->queue, 1); i++)
        scene_run(scene, 100);
    assert_true(queue_has_space(scene->queue, 30000));
    queue_release_busy(scene->queue, message);
    scene_reopen(scene);
    message = queue_find(scene->queue, &first);
    assert_non_null(message);
    scene_check_body(scene, message, 30000);
}

static void leaves_no_file_of_a_large_body_that_was_refused(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = message_id_new();
    struct queue_draft_recipient recipient = {.address = "a@example.org"};
    struct queue_draft draft = scene_draft(scene, &id, &recipient, 1, (1 << 20) + 1);
    accept_until_full(scene);
    scene->waiting++;
    scene->result = ERROR_NONE;
    queue_accept(scene->queue, &draft, scene_answered, scene);
    scene_wait(scene);
    assert_int_equal(scene->result, ERROR_NO_SPACE);
    assert_null(queue_find(scene->queue, &id));
    assert_int_equal(scene_large_files(scene), 0);
}

#define full_test(name) cmocka_unit_test_setup_teardown(name, full_setup, full_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        full_test(refuses_messages_keeps_the_others_and_goes_on_with_their_states),
        full_test(takes_messages_again_when_there_is_room_again),
        full_test(hands_nothing_out_while_not_even_states_can_be_written),
        full_test(leaves_no_file_of_a_large_body_that_was_refused),
        full_test(frees_old_segments_on_a_full_disk_by_moving_what_is_left_in_them),
    };
    /* The mounts are this process's own and go with it. */
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        printf("skipped: a file system of its own needs root\n");
        return 77;
    }
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
