/* Deliveries over one relay: what is sent, what is recorded. */
#include "test_delivery_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct scene_options plain = {0};

static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void assert_event(const json_t *event, const char *outcome, const char *reply)
{
    assert_string_equal(scene_text(event, "outcome"), outcome);
    assert_string_equal(scene_text(event, "reply"), reply);
}

static void test_a_message_reaches_the_relay(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene_send(&scene, &(struct scene_message){.recipients = {"to@relay.example"},
                                               .extra_header = "X-Scanned: yes\r\n",
                                               .body = "Subject: a\r\n\r\n.dot\r\nend"});
    json_t *event = scene_await(&scene, "delivery", 1);
    assert_event(event, "delivered", "250 2.0.0 taken");
    assert_string_equal(scene_text(event, "address"), "to@relay.example");
    assert_string_equal(scene_text(event, "ip"), "127.0.0.1");
    assert_int_equal(json_integer_value(json_object_get(event, "port")), scene.peer.port);
    assert_int_equal(json_integer_value(json_object_get(event, "attempt")), 1);
    assert_string_equal(buffer_text(&scene.peer.message),
                        "X-Scanned: yes\nSubject: a\n\n..dot\nend\n");
    assert_contains(buffer_text(&scene.peer.commands), "EHLO gate.example\n"
                                                       "MAIL FROM:<from@sender.example> SIZE=");
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
    assert_event(event, "deferred", "450 4.2.1 come back later");
    assert_true(scene_text(event, "next_attempt")[0] != '\0');
    struct queue_message *message = queue_find(scene.mta.queue, &id);
    assert_non_null(message);
    assert_int_equal(message->recipients[0].attempts, 1);
    assert_false(message->recipients[0].in_delivery);
    assert_string_equal(message->recipients[0].reply, "450 4.2.1 come back later");
    scene_close(&scene);
}

static void test_a_5xx_fails_and_the_sender_is_told(void **state)
{
    static const struct scene_options options = {
        .domains = ",{\"name\":\"sender.example\",\"route\":{\"kind\":\"relay\",\"relays\":"
                   "[{\"host\":\"127.0.0.1\",\"port\":1}]}}"};
    struct scene scene;
    (void)state;
    scene_open(&scene, &options);
    scene.peer.rcpt = "550-5.1.1 nobody\r\n550 5.1.1 of that name\r\n";
    scene_send_to(&scene, "to@relay.example");
    json_t *event = scene_await(&scene, "bounced", 1);
    assert_string_equal(scene_text(event, "reply"), "550 5.1.1 nobody of that name");
    assert_true(scene_text(event, "dsn")[0] != '\0');
    assert_int_equal(scene_count(&scene, "received"), 2);
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_reaches_the_relay),
        cmocka_unit_test(test_a_4xx_defers_with_the_time_of_the_next_attempt),
        cmocka_unit_test(test_a_5xx_fails_and_the_sender_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
