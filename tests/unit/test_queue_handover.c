/* Messages that wait for the Control Center to take them, and those that it submitted. */
#include "test_queue.h"

#include "common/timestamp.h"

#define INFO "{\"kind\":\"incident\"}"

/* So that many segments come to be. */
static int setup_small_segments(void **state)
{
    struct queue_scene *scene;
    scene_setup(state);
    scene = *state;
    queue_close(scene->queue);
    scene_remove(scene->folder);
    scene->segment_bytes = 128 << 10;
    scene_open(scene);
    return 0;
}

static const struct queue_draft_recipient recipient = {.address = "bob@example.org"};

static enum error_code accept_draft(struct queue_scene *scene, struct queue_draft *draft)
{
    scene->result = ERROR_NONE;
    scene->waiting++;
    queue_accept(scene->queue, draft, scene_answered, scene);
    scene_wait(scene);
    return scene->result;
}

static struct message_id hand_over(struct queue_scene *scene, size_t length)
{
    struct message_id id = message_id_new();
    struct queue_draft draft = scene_draft(scene, &id, &recipient, 1, length);
    draft.state = QUEUE_TO_BE_HANDED_OVER;
    draft.extra_header = INFO;
    assert_int_equal(accept_draft(scene, &draft), ERROR_NONE);
    return id;
}

static struct message_id submit(struct queue_scene *scene, int64_t received_at)
{
    struct message_id id = message_id_new();
    struct queue_draft draft = scene_draft(scene, &id, &recipient, 1, 10);
    draft.state = QUEUE_TO_BE_DELIVERED;
    draft.submitted = true;
    draft.received_at = received_at;
    assert_int_equal(accept_draft(scene, &draft), ERROR_NONE);
    return id;
}

static void assert_list(struct queue_scene *scene, const struct message_id *const *ids)
{
    struct queue_message *message = NULL;
    for (; *ids; ids++) {
        message = queue_handover_next(scene->queue, message);
        assert_non_null(message);
        assert_true(message_id_equal(&message->id, *ids));
    }
    assert_null(queue_handover_next(scene->queue, message));
}

static void lists_what_is_to_be_handed_over_in_the_order_in_which_it_came(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id first = hand_over(scene, 10), second = hand_over(scene, 2 << 20);
    scene_accept(scene, "alice@example.org", 1, 10, QUEUE_TO_BE_DELIVERED);
    struct message_id third = hand_over(scene, 10);
    assert_list(scene, (const struct message_id *[]){&first, &second, &third, NULL});
    scene_finish(scene, queue_find(scene->queue, &second), QUEUE_RECIPIENT_HANDED_OVER);
    assert_list(scene, (const struct message_id *[]){&first, &third, NULL});
    scene_reopen(scene);
    assert_list(scene, (const struct message_id *[]){&first, &third, NULL});
    scene_finish(scene, queue_find(scene->queue, &third), QUEUE_RECIPIENT_DELETED);
    struct message_id fourth = hand_over(scene, 10);
    assert_list(scene, (const struct message_id *[]){&first, &fourth, NULL});
    assert_int_equal(queue_count(scene->queue).delivery, 3);
    assert_int_equal(scene_large_files(scene), 0);
}

static void never_hands_out_what_is_to_be_handed_over(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = hand_over(scene, 10);
    struct queue_message *message = queue_find(scene->queue, &id);
    queue_due_at(scene->queue, message, 0);
    queue_hold_busy(scene->queue, message);
    queue_release_busy(scene->queue, message);
    queue_pause(scene->queue, QUEUE_INBOUND, true);
    queue_pause(scene->queue, QUEUE_INBOUND, false);
    scene_run(scene, 50);
    scene_reopen(scene);
    scene_run(scene, 50);
    assert_int_equal(scene->due_count, 0);
    assert_string_equal(queue_find(scene->queue, &id)->extra_header, INFO);
}

static void refuses_a_handover_without_its_info_or_with_too_much(void **state)
{
    struct queue_scene *scene = *state;
    char *info = calloc(1, QUEUE_HANDOVER_INFO_LIMIT + 2);
    memset(info, ' ', QUEUE_HANDOVER_INFO_LIMIT + 1);
    const char *const wrong[] = {NULL, info};
    for (size_t i = 0; i < 2; i++) {
        struct message_id id = message_id_new();
        struct queue_draft draft = scene_draft(scene, &id, &recipient, 1, 10);
        draft.state = QUEUE_TO_BE_HANDED_OVER;
        draft.extra_header = wrong[i];
        assert_int_equal(accept_draft(scene, &draft), ERROR_LIMIT);
    }
    free(info);
    assert_list(scene, (const struct message_id *[]){NULL});
}

static void moves_what_waits_long_out_of_old_segments_and_keeps_it_in_the_list(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = hand_over(scene, 1000), sent = submit(scene, timestamp_now_ms());
    for (int i = 0; i < 300; i++) {
        struct message_id other = scene_accept(scene, "bob@example.org", 1, 8000, 0);
        scene_finish(scene, queue_find(scene->queue, &other), QUEUE_RECIPIENT_DELIVERED);
        scene_acknowledge_all(scene);
        queue_compact(scene->queue);
    }
    scene_settle(scene);
    assert_true(queue_find(scene->queue, &id)->segment->id > 1);
    assert_list(scene, (const struct message_id *[]){&id, NULL});
    scene_reopen(scene);
    assert_list(scene, (const struct message_id *[]){&id, NULL});
    scene_check_body(scene, queue_find(scene->queue, &id), 1000);
    assert_true(queue_find(scene->queue, &sent)->segment->id > 1);
    assert_true(queue_was_submitted(scene->queue, &sent));
}

static void knows_what_was_submitted_even_after_it_is_delivered_and_reopened(void **state)
{
    struct queue_scene *scene = *state;
    struct message_id id = submit(scene, timestamp_now_ms());
    struct message_id other = scene_accept(scene, "a@example.org", 1, 10, QUEUE_TO_BE_DELIVERED);
    assert_true(queue_was_submitted(scene->queue, &id));
    assert_false(queue_was_submitted(scene->queue, &other));
    scene_finish(scene, queue_find(scene->queue, &id), QUEUE_RECIPIENT_DELIVERED);
    assert_true(queue_was_submitted(scene->queue, &id));
    scene_settle(scene);
    scene_reopen(scene);
    assert_null(queue_find(scene->queue, &id));
    assert_true(queue_was_submitted(scene->queue, &id));
    assert_false(queue_was_submitted(scene->queue, &other));
}

static void forgets_what_was_submitted_over_a_day_ago(void **state)
{
    struct queue_scene *scene = *state;
    const int64_t day = 24 * 3600 * 1000ll;
    struct message_id old = submit(scene, timestamp_now_ms() - day - 1000);
    struct message_id soon_old = submit(scene, timestamp_now_ms() - day + 300);
    assert_false(queue_was_submitted(scene->queue, &old));
    assert_true(queue_was_submitted(scene->queue, &soon_old));
    scene_run(scene, 400);
    struct message_id now = submit(scene, timestamp_now_ms());
    assert_false(queue_was_submitted(scene->queue, &soon_old));
    assert_true(queue_was_submitted(scene->queue, &now));
}

/* The chains of ids have to stay whole while the oldest leave them. */
static void remembers_the_last_of_very_many(void **state)
{
    struct queue_scene *scene = *state;
    const size_t count = 70000, most = 65536;
    struct queue_message message = {.submitted = true, .received_at = timestamp_now_ms()};
    struct message_id *ids = calloc(count, sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        message.id = ids[i] = message_id_new();
        queue_submitted_add(scene->queue, &message);
        queue_submitted_add(scene->queue, &message);
    }
    for (size_t i = 0; i < count; i++)
        assert_int_equal(queue_was_submitted(scene->queue, &ids[i]), i >= count - most);
    free(ids);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(lists_what_is_to_be_handed_over_in_the_order_in_which_it_came),
        TEST(never_hands_out_what_is_to_be_handed_over),
        TEST(refuses_a_handover_without_its_info_or_with_too_much),
        cmocka_unit_test_setup_teardown(
            moves_what_waits_long_out_of_old_segments_and_keeps_it_in_the_list,
            setup_small_segments, scene_teardown),
        TEST(knows_what_was_submitted_even_after_it_is_delivered_and_reopened),
        TEST(forgets_what_was_submitted_over_a_day_ago),
        TEST(remembers_the_last_of_very_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
