/* What becomes of messages by what the engine says of malware. */
#include "intake_scene.h"

#include "common/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- quarantine --- */

static void a_suspect_message_waits_and_is_on_record(void **state)
{
    (void)state;
    struct message_id id = submit_one();
    answer(VIRUS "}", -1);
    await_answers(1);
    assert_memory_equal(scene.reply, "250 ", 4);
    turn(1300); /* the queue hands it out, and again a second later at the latest */
    assert_true(is_suspect(&id));
    assert_int_equal(scene.scans, 1);
    assert_int_equal(scene.due, 0);
    assert_action(&id, "quarantine", "Eicar in a.zip/b.com");
}

static void a_message_that_was_queued_unscanned_can_become_suspect(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    assert_false(is_suspect(&id));
    answer(VIRUS "}", -1);
    turn(50);
    assert_true(is_suspect(&id));
    assert_action(&id, "quarantine", "Eicar");
    assert_int_equal(scene.asked_count, 0);
}

static void new_signatures_let_a_clean_message_go(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    answer(VIRUS "}", -1);
    intake_signatures_changed(scene.mta.intake);
    await_scan(1);
    answer(CLEAN, -1);
    turn(50);
    assert_true(is_going_out(&id));
    assert_null(queue_find(scene.mta.queue, &id)->extra_header);
    assert_int_equal(scene.due, 1);
    assert_action(&id, "deliver", "");
}

static void other_policies_are_for_those_in_quarantine_too(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    answer(VIRUS "}", -1);
    struct config_ref *before = config_ref_take(scene.mta.config);
    configure("\"virus\":{\"action\":\"quarantine\"}");
    intake_configured(scene.mta.intake, before->config);
    turn(50);
    assert_int_equal(scene.asked_count, 0);
    configure("\"virus\":{\"action\":\"deliver\"}");
    intake_configured(scene.mta.intake, before->config);
    config_ref_drop(before);
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(50);
    assert_true(is_going_out(&id));
}

static void signatures_that_change_during_a_scan_make_another_one(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    intake_signatures_changed(scene.mta.intake);
    answer(VIRUS "}", -1);
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(50);
    assert_int_equal(scene.asked_count, 0);
    assert_true(is_suspect(&id));
}

static void when_its_time_is_over_it_is_deleted_by_default(void **state)
{
    (void)state;
    struct message_id id = queue_one(6 * HOUR + 1000);
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(50);
    assert_null(queue_find(scene.mta.queue, &id));
    assert_action(&id, "delete", "Eicar");
}

static void when_its_time_is_over_it_is_delivered_where_the_policy_says_so(void **state)
{
    (void)state;
    configure("\"virus\":{\"action\":\"quarantine\",\"hours\":1,\"then\":\"deliver\"}");
    struct message_id id = queue_one(HOUR + 1000);
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(50);
    assert_true(is_going_out(&id));
    assert_non_null(strstr(queue_find(scene.mta.queue, &id)->extra_header,
                           "X-Gatehouse-Verdict: virus; Eicar in a.zip/b.com"));
}

static void the_end_comes_by_itself(void **state)
{
    (void)state;
    struct message_id id = queue_one(6 * HOUR - 1500);
    await_scan(1);
    answer(VIRUS "}", -1);
    assert_true(is_suspect(&id));
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(50);
    assert_null(queue_find(scene.mta.queue, &id));
}

static void a_suspect_message_outlives_a_restart_without_being_scanned_at_once(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    answer(VIRUS "}", -1);
    turn(100);
    stop();
    start();
    turn(1300);
    assert_true(is_suspect(&id));
    assert_int_equal(scene.asked_count, 0);
    intake_signatures_changed(scene.mta.intake); /* as the first worker's greeting says */
    await_scan(1);
}

static void a_held_message_is_not_looked_at_again(void **state)
{
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    answer(VIRUS "}", -1);
    struct queue_message *message = queue_find(scene.mta.queue, &id);
    queue_change_flags(scene.mta.queue, message, message->flags | QUEUE_FLAG_HELD, NULL);
    intake_signatures_changed(scene.mta.intake);
    turn(50);
    assert_int_equal(scene.asked_count, 0);
}

static void what_is_deleted_while_it_is_scanned_stays_deleted(void **state)
{
    struct queue_change deleted[2] = {{.recipient = 0, .state = QUEUE_RECIPIENT_DELETED},
                                      {.recipient = 1, .state = QUEUE_RECIPIENT_DELETED}};
    (void)state;
    struct message_id id = queue_one(0);
    await_scan(1);
    queue_change_recipients(scene.mta.queue, queue_find(scene.mta.queue, &id), deleted, 2, NULL);
    answer(CLEAN, -1);
    turn(50);
    assert_null(queue_find(scene.mta.queue, &id));
    assert_int_equal(scene.due, 0);
}

static void only_a_few_scans_are_asked_for_at_a_time(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        queue_one(0);
    turn(100);
    assert_int_equal(scene.asked_count, 2); /* two for each worker */
    while (scene.asked_count > 0)
        answer(CLEAN, -1);
    assert_int_equal(scene.scans, 20);
}

/* The sanitizers tell whether anything is left. */
static void a_stop_in_the_midst_of_scans_leaves_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        queue_one(0);
    await_scan(2);
    stop();
    start();
    await_scan(2);
}

/* --- cleaning --- */

static void a_clean_body_takes_the_place_of_the_one_that_came(void **state)
{
    (void)state;
    configure("\"virus\":{\"action\":\"clean\"}");
    struct message_id id = submit_one();
    assert_int_equal(scene.asked[0].clean, 1u << CONFIG_VERDICT_VIRUS);
    answer(virus_cleaned(strlen(CLEAN_BODY)), file_with(CLEAN_BODY));
    await_answers(1);
    assert_true(is_going_out(&id));
    expect_body(queue_find(scene.mta.queue, &id), CLEAN_BODY);
    assert_non_null(strstr(queue_find(scene.mta.queue, &id)->extra_header, "virus removed"));
    assert_action(&id, "clean", "Eicar in a.zip/b.com");
}

static void a_queued_message_goes_on_as_a_clean_new_one(void **state)
{
    struct queue_change delivered = {.recipient = 0, .state = QUEUE_RECIPIENT_DELIVERED};
    (void)state;
    configure("\"virus\":{\"action\":\"clean\"}");
    struct message_id id = queue_one(HOUR), new_id;
    await_scan(1);
    queue_change_recipients(scene.mta.queue, queue_find(scene.mta.queue, &id), &delivered, 1, NULL);
    answer(virus_cleaned(strlen(CLEAN_BODY)), file_with(CLEAN_BODY));
    turn(200);
    assert_null(queue_find(scene.mta.queue, &id));
    assert_action(&id, "move", "goes on without it as message ");
    const char *detail = json_string_value(json_object_get(last_event("action", &id), "detail"));
    assert_true(message_id_parse(strstr(detail, "as message ") + 11, &new_id));
    const struct queue_message *message = queue_find(scene.mta.queue, &new_id);
    assert_non_null(message);
    expect_body(message, CLEAN_BODY);
    assert_int_equal(message->recipient_count, 1);
    assert_string_equal(message->recipients[0].address, "b@example.test");
    assert_string_equal(message->recipients[0].route, "127.0.0.1:2525");
    assert_string_equal(message->envelope_id, "env1");
    assert_true(message->received_at <= timestamp_now_ms() - HOUR);
    assert_action(&new_id, "clean", "Eicar");
}

/* What an engine could say that somebody took over. */
static void no_lie_about_a_clean_file_gets_a_message_through(void **state)
{
    long size = strlen(CLEAN_BODY);
    const struct {
        long told;
        int file;
    } lies[] = {
        {size, -1},
        {size + 1, file_with(CLEAN_BODY)},
        {size - 1, file_with(CLEAN_BODY)},
        {0, file_with("")},
        {-1, file_with(CLEAN_BODY)},
        {1L << 40, file_with(CLEAN_BODY)},
        {size, open("/dev/zero", O_RDONLY)},
        {size, open("/", O_RDONLY)},
    };
    (void)state;
    configure("\"virus\":{\"action\":\"clean\"}");
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct message_id id = submit_one();
        int again = lies[i].file >= 0 ? dup(lies[i].file) : -1;
        answer(virus_cleaned(lies[i].told), lies[i].file);
        await_answers(2 * (unsigned)i + 1);
        assert_string_equal(scene.reply, "250 2.0.0 Ok");
        assert_action(&id, "delete", "it could not be cleaned: ");
        id = queue_one(0);
        await_scan(1);
        answer(virus_cleaned(lies[i].told), again);
        turn(50);
        assert_null(queue_find(scene.mta.queue, &id));
        assert_action(&id, "delete", "it could not be cleaned: ");
    }
    assert_int_equal(scene.due, 0);
}

/* A file of /sys says that it is larger than what can be read of it, as one that is cut meanwhile.
 */
static void a_clean_file_that_ends_early_is_not_taken(void **state)
{
    struct stat status;
    struct intake_body body = INTAKE_BODY_INIT;
    struct error error = {0};
    cleanup_fd int file = open("/sys/kernel/uevent_seqnum", O_RDONLY);
    (void)state;
    if (file < 0 || fstat(file, &status) != 0)
        skip();
    cleanup_json json_t *result = json_loads(virus_cleaned(status.st_size), 0, NULL);
    assert_false(
        intake_body_read_cleaned(scene.mta.queue, result, file, strlen(BODY), &body, &error));
    assert_int_equal(error.code, ERROR_PROTOCOL);
    assert_string_equal(error.message, "the clean file ends early");
    assert_int_equal(body.memory.length, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        intake_test(a_suspect_message_waits_and_is_on_record),
        intake_test(a_message_that_was_queued_unscanned_can_become_suspect),
        intake_test(new_signatures_let_a_clean_message_go),
        intake_test(other_policies_are_for_those_in_quarantine_too),
        intake_test(signatures_that_change_during_a_scan_make_another_one),
        intake_test(when_its_time_is_over_it_is_deleted_by_default),
        intake_test(when_its_time_is_over_it_is_delivered_where_the_policy_says_so),
        intake_test(the_end_comes_by_itself),
        intake_test(a_suspect_message_outlives_a_restart_without_being_scanned_at_once),
        intake_test(a_held_message_is_not_looked_at_again),
        intake_test(what_is_deleted_while_it_is_scanned_stays_deleted),
        intake_test(only_a_few_scans_are_asked_for_at_a_time),
        intake_test(a_stop_in_the_midst_of_scans_leaves_nothing),
        intake_test(a_clean_body_takes_the_place_of_the_one_that_came),
        intake_test(a_queued_message_goes_on_as_a_clean_new_one),
        intake_test(no_lie_about_a_clean_file_gets_a_message_through),
        intake_test(a_clean_file_that_ends_early_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
