/* The queue as the mta uses it: accept, change, recover, due times, bodies, events. */
#include "test_queue.h"

#include "common/timestamp.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>

static void accepts_and_finds_a_message_again_after_reopening(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = scene_accept(scene, "alice@example.org", 2, 4096, 0);
    scene_reopen(scene);
    struct queue_message *message = queue_find(scene->queue, &id);
    assert_non_null(message);
    assert_string_equal(message->sender, "sender@example.net");
    assert_int_equal(message->recipient_count, 2);
    assert_string_equal(message->recipients[1].address, "alice@example.org");
    assert_int_equal(message->state, QUEUE_TO_BE_SCANNED);
    scene_check_body(scene, message, 4096);
    assert_int_equal(queue_count(scene->queue).inbound, 1);
}

static void keeps_a_large_body_in_its_own_file_until_the_message_is_gone(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = scene_accept(scene, "alice@example.org", 1, 3 << 20, 0);
    scene_reopen(scene);
    struct queue_message *message = queue_find(scene->queue, &id);
    assert_non_null(message);
    assert_true(message->large);
    scene_check_body(scene, message, 3 << 20);
    assert_int_equal(scene_large_files(scene), 1);
    scene_finish(scene, message, QUEUE_RECIPIENT_DELIVERED);
    scene_settle(scene);
    assert_int_equal(scene_large_files(scene), 0);
    scene_reopen(scene);
    assert_null(queue_find(scene->queue, &id));
}

static void remembers_every_change_after_reopening(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = scene_accept(scene, "alice@example.org", 3, 100, 0);
    struct queue_message *message = queue_find(scene->queue, &id);
    queue_change_scanned(scene->queue, message, "X-Verdict: clean\r\n",
                         scene_event("scanned", &id));
    int64_t later = timestamp_now_ms() + 3600000;
    struct queue_change changes[] = {
        {0, QUEUE_RECIPIENT_DELIVERED, 1, 0, "250 ok", NULL},
        {1, QUEUE_RECIPIENT_QUEUED, 1, later, "451 later", "relay.example:25"},
        {2, QUEUE_RECIPIENT_BOUNCED, 1, 0, "550 no", NULL},
    };
    queue_change_recipients(scene->queue, message, changes, 3, scene_event("delivery", &id));
    queue_change_flags(scene->queue, message, QUEUE_FLAG_HELD | QUEUE_FLAG_8BITMIME, NULL);
    scene_settle(scene);
    scene_reopen(scene);
    message = queue_find(scene->queue, &id);
    assert_non_null(message);
    assert_int_equal(message->state, QUEUE_TO_BE_DELIVERED);
    assert_string_equal(message->extra_header, "X-Verdict: clean\r\n");
    assert_int_equal(message->open_recipients, 1);
    assert_int_equal(message->recipients[0].state, QUEUE_RECIPIENT_DELIVERED);
    assert_string_equal(message->recipients[1].reply, "451 later");
    assert_string_equal(message->recipients[1].route, "relay.example:25");
    assert_int_equal(message->recipients[1].next_attempt, later);
    assert_int_equal(message->recipients[1].attempts, 1);
    assert_int_equal(message->recipients[2].state, QUEUE_RECIPIENT_BOUNCED);
    assert_int_equal(message->flags, QUEUE_FLAG_HELD | QUEUE_FLAG_8BITMIME);
    struct queue_counts counts = queue_count(scene->queue);
    assert_int_equal(counts.inbound, 0);
    assert_int_equal(counts.delivery, 1);
    assert_int_equal(scene_check_events(scene), 3);
}

static void forgets_a_message_whose_recipients_are_all_final(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = scene_accept(scene, "alice@example.org", 2, 100, 0);
    struct queue_message *message = queue_find(scene->queue, &id);
    queue_hold_busy(scene->queue, message);
    scene_finish(scene, message, QUEUE_RECIPIENT_DELIVERED);
    assert_null(queue_find(scene->queue, &id));
    assert_true(message->removed);
    assert_int_equal(queue_count(scene->queue).inbound, 0);
    queue_release_busy(scene->queue, message);
    scene_reopen(scene);
    assert_null(queue_find(scene->queue, &id));
}

static void hands_out_a_message_that_is_to_be_scanned_at_once_and_from_the_loop(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = scene_accept(scene, "alice@example.org", 1, 100, 0);
    scene_run(scene, 50);
    assert_int_equal(scene->due_count, 1);
    assert_true(message_id_equal(&scene->due_id, &id));
    scene_reopen(scene);
    scene_run(scene, 50);
    assert_int_equal(scene->due_count, 2);
}

static void hands_out_a_deferred_recipient_at_its_next_attempt(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = scene_accept(scene, "alice@example.org", 1, 100, QUEUE_TO_BE_DELIVERED);
    scene->hold = true;
    scene_run(scene, 20);
    assert_int_equal(scene->due_count, 1);
    struct queue_message *message = queue_find(scene->queue, &id);
    struct queue_change change = {0,   QUEUE_RECIPIENT_QUEUED, 1, timestamp_now_ms() + 300, "451 x",
                                  NULL};
    queue_change_recipients(scene->queue, message, &change, 1, NULL);
    queue_release_busy(scene->queue, message);
    assert_int_equal(scene->due_count, 1);
    scene_run(scene, 150);
    assert_int_equal(scene->due_count, 1);
    scene_run(scene, 300);
    assert_int_equal(scene->due_count, 2);
}

static void does_not_hand_out_a_held_message_until_it_is_released(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = scene_accept(scene, "alice@example.org", 1, 100, 0);
    struct queue_message *message = queue_find(scene->queue, &id);
    queue_change_flags(scene->queue, message, QUEUE_FLAG_HELD, NULL);
    queue_due_at(scene->queue, message, 0);
    scene_run(scene, 50);
    assert_int_equal(scene->due_count, 0);
    scene_reopen(scene);
    scene_run(scene, 50);
    assert_int_equal(scene->due_count, 0);
    queue_change_flags(scene->queue, queue_find(scene->queue, &id), 0, NULL);
    scene_run(scene, 50);
    assert_int_equal(scene->due_count, 1);
}

static void brings_a_message_again_that_its_hook_did_not_take(void **state)
{
    struct queue_scene *scene = *state;
    scene_accept(scene, "alice@example.org", 1, 100, 0);
    scene_run(scene, 100);
    assert_int_equal(scene->due_count, 1);
    scene_run(scene, 1100);
    assert_int_equal(scene->due_count, 2);
}

static void lets_the_hook_finish_the_message_that_it_was_given(void **state)
{
    struct queue_scene *scene = *state;
    scene->finish = true;
    struct message_id id = scene_accept(scene, "alice@example.org", 1, 100, 0);
    scene_run(scene, 50);
    assert_int_equal(scene->due_count, 1);
    assert_null(queue_find(scene->queue, &id));
}

static void gives_a_body_as_a_descriptor_that_nobody_can_write(void **state)
{
    struct queue_scene *scene = *state;
    static const size_t sizes[] = {0, 1, 5000, 1 << 20, 2 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct error error;
        struct message_id id = scene_accept(scene, "alice@example.org", 1, sizes[i], 0);
        struct queue_message *message = queue_find(scene->queue, &id);
        int fd = queue_body_descriptor(scene->queue, message, &error);
        assert_true(fd >= 0);
        struct stat status;
        assert_int_equal(fstat(fd, &status), 0);
        assert_int_equal(status.st_size, sizes[i]);
        char *body = malloc(sizes[i] + 1);
        assert_int_equal(pread(fd, body, sizes[i] + 1, 0), sizes[i]);
        scene_check_bytes(body, sizes[i], 0);
        free(body);
        assert_int_equal(write(fd, "x", 1), -1);
        assert_int_not_equal(ftruncate(fd, 10000000), 0);
        if (!message->large)
            assert_int_equal(fcntl(fd, F_GET_SEALS),
                             F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
        close(fd);
    }
}

static void numbers_events_without_gaps_over_reopening(void **state)
{
    struct queue_scene *scene = *state;
    for (int i = 0; i < 5; i++) {
        scene_accept(scene, "alice@example.org", 1, 100, 0);
        struct message_id id = message_id_new();
        queue_log_only(scene->queue, &id, scene_event("refused", &id), NULL, NULL);
        scene_reopen(scene);
    }
    assert_int_equal(scene_check_events(scene), 10);
}

static void forgets_acknowledged_events_no_earlier_than_told(void **state)
{
    struct queue_scene *scene = *state;
    struct queue_log *log = queue_log_of(scene->queue);
    for (int i = 0; i < 5; i++)
        scene_accept(scene, "alice@example.org", 1, 100, 0);
    queue_log_ack(log, 3);
    assert_int_equal(queue_log_acked(log), 3);
    queue_log_ack(log, 2);
    assert_int_equal(queue_log_acked(log), 3);
    queue_log_ack(log, 99);
    assert_int_equal(queue_log_acked(log), 3);
    assert_int_equal(scene_check_events(scene), 5);
}

static bool change_flags(void *argument, struct queue_message *message)
{
    struct queue_scene *scene = argument;
    scene->visited++;
    if (scene->visited % 2)
        scene_finish(scene, message, QUEUE_RECIPIENT_DELETED);
    return scene->visited < 3000;
}

static void visits_each_message_once_while_some_are_removed(void **state)
{
    struct queue_scene *scene = *state;
    scene_accept_many(scene, 3000);
    queue_each(scene->queue, change_flags, scene);
    assert_int_equal(scene->visited, 3000);
    assert_int_equal(queue_count(scene->queue).inbound, 1500);
    scene_reopen(scene);
    assert_int_equal(queue_count(scene->queue).inbound, 1500);
}

#define queue_test(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        queue_test(accepts_and_finds_a_message_again_after_reopening),
        queue_test(keeps_a_large_body_in_its_own_file_until_the_message_is_gone),
        queue_test(remembers_every_change_after_reopening),
        queue_test(forgets_a_message_whose_recipients_are_all_final),
        queue_test(hands_out_a_message_that_is_to_be_scanned_at_once_and_from_the_loop),
        queue_test(hands_out_a_deferred_recipient_at_its_next_attempt),
        queue_test(does_not_hand_out_a_held_message_until_it_is_released),
        queue_test(brings_a_message_again_that_its_hook_did_not_take),
        queue_test(lets_the_hook_finish_the_message_that_it_was_given),
        queue_test(gives_a_body_as_a_descriptor_that_nobody_can_write),
        queue_test(numbers_events_without_gaps_over_reopening),
        queue_test(forgets_acknowledged_events_no_earlier_than_told),
        queue_test(visits_each_message_once_while_some_are_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
