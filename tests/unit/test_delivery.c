/* Deliveries over one relay: what is sent, what is recorded, what the sender is told. */
#include "test_delivery_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct scene_options plain = {0};

static void test_a_message_reaches_the_relay(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene_send(&scene, &(struct scene_message){.recipients = {"to@relay.example"},
                                               .extra_header = "X-Scanned: yes\r\n",
                                               .body = "Subject: a\r\n\r\n.dot\r\nend"});
    json_t *event = scene_await(&scene, "delivery", 1);
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    assert_string_equal(scene_text(event, "address"), "to@relay.example");
    assert_string_equal(scene_text(event, "ip"), "127.0.0.1");
    assert_int_equal(json_integer_value(json_object_get(event, "port")), scene.peer.port);
    assert_int_equal(json_integer_value(json_object_get(event, "attempt")), 1);
    assert_string_equal(buffer_text(&scene.peer.message),
                        "X-Scanned: yes\nSubject: a\n\n..dot\nend\n");
    scene_assert_contains(buffer_text(&scene.peer.commands),
                          "EHLO gate.example\nMAIL FROM:<from@sender.example> SIZE=");
    scene_await_empty(&scene);
    scene_close(&scene);
}

static void test_a_4xx_defers_with_the_time_of_the_next_attempt(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.rcpt = "450 4.2.1 come back later\r\n";
    struct message_id id = scene_send_to(&scene, "to@relay.example");
    json_t *event = scene_await(&scene, "delivery", 1);
    scene_assert_event(event, "deferred", "450 4.2.1 come back later");
    assert_true(scene_text(event, "next_attempt")[0] != '\0');
    struct queue_message *message = queue_find(scene.mta.queue, &id);
    assert_non_null(message);
    assert_int_equal(message->recipients[0].attempts, 1);
    assert_false(message->recipients[0].in_delivery);
    assert_string_equal(message->recipients[0].reply, "450 4.2.1 come back later");
    scene_close(&scene);
}

static void test_a_deferred_message_is_tried_again_in_time(void **state)
{
    static const struct scene_options options = {.delivery = "\"retry_seconds\":[1,2]"};
    struct scene scene;
    (void)state;
    scene_open(&scene, &options);
    scene.peer.content = "451 4.3.0 not now\r\n";
    scene_send_to(&scene, "to@relay.example");
    scene_assert_event(scene_await(&scene, "delivery", 1), "deferred", "451 4.3.0 not now");
    scene.peer.content = NULL;
    json_t *event = scene_await(&scene, "delivery", 2);
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    assert_int_equal(json_integer_value(json_object_get(event, "attempt")), 2);
    assert_int_equal(scene.peer.messages, 2);
    scene_close(&scene);
}

static void test_a_deferred_message_outlives_a_restart(void **state)
{
    static const struct scene_options options = {.delivery = "\"retry_seconds\":[1]"};
    struct scene scene;
    (void)state;
    scene_open(&scene, &options);
    scene.peer.rcpt = "450 4.2.1 later\r\n";
    scene_send_to(&scene, "to@relay.example");
    scene_await(&scene, "delivery", 1);
    scene.peer.rcpt = NULL;
    scene_restart(&scene, &options);
    json_t *event = scene_await(&scene, "delivery", 2);
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    assert_int_equal(json_integer_value(json_object_get(event, "attempt")), 2);
    scene_close(&scene);
}

static void test_each_recipient_has_its_own_outcome(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.bad_recipient = "bad@";
    scene.peer.bad_reply = "450 4.2.2 mailbox full\r\n";
    scene_send(&scene,
               &(struct scene_message){
                   .recipients = {"one@relay.example", "bad@relay.example", "two@relay.example"}});
    scene_await(&scene, "delivery", 3);
    assert_int_equal(scene.peer.messages, 1);
    assert_int_equal(scene_count_outcome(&scene, "delivered"), 2);
    assert_int_equal(scene_count_outcome(&scene, "deferred"), 1);
    scene_close(&scene);
}

static void test_more_recipients_than_one_transaction_takes(void **state)
{
    struct scene scene;
    struct queue_draft_recipient recipients[250];
    char addresses[250][32];
    (void)state;
    scene_open(&scene, &plain);
    for (size_t i = 0; i < 250; i++) {
        snprintf(addresses[i], sizeof(addresses[i]), "u%zu@relay.example", i);
        recipients[i] = (struct queue_draft_recipient){.address = addresses[i]};
    }
    scene_send_draft(&scene, recipients, 250);
    scene_await(&scene, "delivery", 250);
    assert_int_equal(scene_count_outcome(&scene, "delivered"), 250);
    assert_int_equal(scene.peer.messages, 3);
    scene_await_empty(&scene);
    scene_close(&scene);
}

static void test_a_server_that_takes_few_recipients_gets_more_messages(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.recipients_a_message = 2;
    scene_send(&scene, &(struct scene_message){.recipients = {"a@relay.example", "b@relay.example",
                                                              "c@relay.example", "d@relay.example",
                                                              "e@relay.example"}});
    scene_await(&scene, "delivery", 5);
    assert_int_equal(scene_count_outcome(&scene, "delivered"), 5);
    assert_int_equal(scene.peer.messages, 3);
    scene_await_empty(&scene);
    scene_close(&scene);
}

static void test_a_server_that_takes_no_recipient_now_is_asked_later(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.rcpt = "552 too many\r\n";
    scene_send(&scene,
               &(struct scene_message){.recipients = {"a@relay.example", "b@relay.example"}});
    scene_await(&scene, "delivery", 2);
    assert_int_equal(scene_count_outcome(&scene, "deferred"), 2);
    scene_close(&scene);
}

static void test_a_held_message_is_not_sent(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene_send(&scene, &(struct scene_message){.recipients = {"to@relay.example"},
                                               .flags = QUEUE_FLAG_HELD});
    scene_run(&scene, 200);
    assert_int_equal(scene.peer.connections, 0);
    scene_close(&scene);
}

static void test_nothing_becomes_part_of_a_command(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene_send(&scene, &(struct scene_message){.sender = "",
                                               .recipients = {"a\r\nRSET@relay.example"},
                                               .envelope_id = "x y"});
    scene_await(&scene, "bounced", 1);
    scene_send(&scene, &(struct scene_message){.recipients = {"ok@relay.example"},
                                               .envelope_id = "x\r\nRSET",
                                               .original = "rfc822;a\r\nRSET",
                                               .notify = QUEUE_NOTIFY_FAILURE});
    scene_await(&scene, "delivery", 2);
    assert_null(strstr(buffer_text(&scene.peer.commands), "RSET"));
    assert_null(strstr(buffer_text(&scene.peer.commands), "ENVID"));
    scene_close(&scene);
}

static void test_an_administrators_route_wins(void **state)
{
    struct scene scene;
    struct peer other;
    char route[32];
    (void)state;
    scene_open(&scene, &plain);
    peer_open(&other, scene.mta.base, NULL);
    scene.peer.rcpt = "450 4.2.1 later\r\n";
    struct message_id id = scene_send_to(&scene, "to@relay.example");
    scene_await(&scene, "delivery", 1);
    snprintf(route, sizeof(route), "127.0.0.1:%u", (unsigned)other.port);
    queue_change_recipients(
        scene.mta.queue, queue_find(scene.mta.queue, &id),
        &(struct queue_change){.state = QUEUE_RECIPIENT_QUEUED, .attempts = 1, .route = route}, 1,
        NULL);
    json_t *event = scene_await(&scene, "delivery", 2);
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    assert_int_equal(other.messages, 1);
    peer_close(&other);
    scene_close(&scene);
}

/* Stray line ends are what "SMTP smuggling" is made of. */
static void test_stray_line_ends_do_not_end_the_message(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene_send(&scene, &(struct scene_message){.recipients = {"to@relay.example"},
                                               .body = "A: b\n\n1\n.\n2\r.\r3\r\n.\r\n4\n.\r\n5"});
    scene_await(&scene, "delivery", 1);
    assert_string_equal(buffer_text(&scene.peer.message), "A: b\n\n1\n..\n2 . 3\n..\n4\n..\n5\n");
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_reaches_the_relay),
        cmocka_unit_test(test_a_4xx_defers_with_the_time_of_the_next_attempt),
        cmocka_unit_test(test_a_deferred_message_is_tried_again_in_time),
        cmocka_unit_test(test_a_deferred_message_outlives_a_restart),
        cmocka_unit_test(test_each_recipient_has_its_own_outcome),
        cmocka_unit_test(test_more_recipients_than_one_transaction_takes),
        cmocka_unit_test(test_a_server_that_takes_few_recipients_gets_more_messages),
        cmocka_unit_test(test_a_server_that_takes_no_recipient_now_is_asked_later),
        cmocka_unit_test(test_a_held_message_is_not_sent),
        cmocka_unit_test(test_nothing_becomes_part_of_a_command),
        cmocka_unit_test(test_an_administrators_route_wins),
        cmocka_unit_test(test_stray_line_ends_do_not_end_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
