/* Servers that break the rules: every message stays queued, every event tells why. */
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

static const struct scene_options impatient = {.delivery =
                                                   "\"connect_seconds\":1,\"reply_seconds\":1"};

/* One delivery to a server that behaves as `set` makes it; it must be deferred with `reply`. */
static void check_deferred(void (*set)(struct peer *peer), const char *reply)
{
    struct scene scene;
    scene_open(&scene, &impatient);
    set(&scene.peer);
    struct message_id id = scene_send_to(&scene, "to@relay.example");
    scene_assert_event(scene_await(&scene, "delivery", 1), "deferred", reply);
    struct queue_message *message = queue_find(scene.mta.queue, &id);
    assert_non_null(message);
    assert_int_equal(message->recipients[0].state, QUEUE_RECIPIENT_QUEUED);
    assert_int_equal(message->busy, 0);
    scene_close(&scene);
}

static const char not_reached[] = "421 4.4.0 [internal] failed to connect: no mail servers for "
                                  "this domain could be reached at this time";

#define HOSTILE(name, member, value)                                                               \
    static void name(struct peer *peer)                                                            \
    {                                                                                              \
        peer->member = value;                                                                      \
    }
HOSTILE(greet_endlessly, greeting, PEER_ENDLESS)
HOSTILE(greet_with_garbage, greeting, "\x01\xff\x7f HTTP/1.1 200 OK\r\n")
HOSTILE(greet_with_1xx, greeting, "120 wait\r\n")
HOSTILE(greet_with_nothing, greeting, PEER_SILENT)
HOSTILE(greet_by_closing, greeting, PEER_CLOSE)
HOSTILE(greet_with_421, greeting, "421 4.3.2 too busy\r\n")
HOSTILE(close_at_ehlo, ehlo, PEER_CLOSE)
HOSTILE(close_at_mail, mail, PEER_CLOSE)
HOSTILE(close_at_data, data, PEER_CLOSE)
HOSTILE(close_after_the_dot, content, PEER_CLOSE)
HOSTILE(silent_after_the_dot, content, PEER_SILENT)
HOSTILE(silent_at_mail, mail, PEER_SILENT)
HOSTILE(say_421_at_mail, mail, "421 4.3.2 going down\r\n")
HOSTILE(say_421_after_the_dot, content, "421 4.3.2 going down\r\n")
HOSTILE(endless_at_mail, mail, PEER_ENDLESS)
HOSTILE(garbage_at_rcpt, rcpt, "ok\r\n")
HOSTILE(say_354_to_mail, mail, "354 go on\r\n")
HOSTILE(say_250_to_data, data, "250 fine\r\n")
HOSTILE(say_354_to_the_dot, content, "354 more\r\n")
HOSTILE(say_600_to_the_dot, content, "600 what\r\n")
HOSTILE(reply_twice_to_mail, mail, "250 a\r\n250 b\r\n250 c\r\n250 d\r\n")

static void long_line(struct peer *peer)
{
    static char line[9000];
    memset(line, 'x', sizeof(line) - 1);
    memcpy(line, "250 ", 4);
    peer->mail = line;
}

static void test_servers_that_cannot_be_used_are_like_unreachable_ones(void **state)
{
    (void)state;
    check_deferred(greet_endlessly, not_reached);
    check_deferred(greet_with_garbage, not_reached);
    check_deferred(greet_with_1xx, not_reached);
    check_deferred(greet_with_nothing, not_reached);
    check_deferred(greet_by_closing, not_reached);
    check_deferred(close_at_ehlo, not_reached);
    check_deferred(greet_with_421, "421 4.3.2 too busy");
}

static void test_sessions_that_break_off_defer(void **state)
{
    (void)state;
    check_deferred(close_at_mail, "421 4.4.2 [internal] the server closed the connection");
    check_deferred(close_at_data, "421 4.4.2 [internal] the server closed the connection");
    check_deferred(say_421_at_mail, "421 4.3.2 going down");
    check_deferred(say_421_after_the_dot, "421 4.3.2 going down");
    check_deferred(silent_at_mail, "421 4.4.2 [internal] no answer came in time");
}

/* The server may have it, but nobody said so: it is tried again, for a message may come twice but
 * must not be lost. */
static void test_a_message_without_an_answer_stays(void **state)
{
    (void)state;
    check_deferred(close_after_the_dot, "421 4.4.2 [internal] the server closed the connection "
                                        "after the message was sent");
    check_deferred(silent_after_the_dot,
                   "421 4.4.2 [internal] no answer came in time after the message was sent");
}

static void test_answers_out_of_place_defer(void **state)
{
    static const char out_of_place[] = "451 4.5.0 [internal] an answer out of place";
    static const char not_smtp[] = "451 4.5.0 [internal] the answer is not SMTP";
    (void)state;
    check_deferred(endless_at_mail, not_smtp);
    check_deferred(garbage_at_rcpt, not_smtp);
    check_deferred(say_600_to_the_dot, not_smtp);
    check_deferred(say_354_to_mail, out_of_place);
    check_deferred(say_250_to_data, out_of_place);
    check_deferred(say_354_to_the_dot, out_of_place);
    check_deferred(long_line, "451 4.5.0 [internal] a line of the answer is too long");
    check_deferred(reply_twice_to_mail, out_of_place);
}

/* Every answer in the greeting: none of them is for a command that it saw. */
static void say_all_in_the_greeting(struct peer *peer)
{
    peer->greeting = "220 hi\r\n250 e\r\n250 m\r\n250 r\r\n354 d\r\n250 never seen\r\n";
}

static void test_answers_before_their_commands_defer(void **state)
{
    (void)state;
    check_deferred(say_all_in_the_greeting, not_reached);
}

/* What is left over from one transaction is no answer in the next one over that connection. */
static void test_an_answer_too_many_tells_nothing_of_the_next_message(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &(struct scene_options){.delivery = "\"max_connections\":1"});
    scene.peer.content = "250 2.0.0 taken\r\n550 5.1.1 spare\r\n";
    for (int i = 0; i < 20; i++)
        scene_send_to(&scene, "to@relay.example");
    scene_run(&scene, 1500);
    for (size_t i = 0; i < scene_count(&scene, "delivery"); i++) {
        const json_t *event = scene_await(&scene, "delivery", i + 1);
        assert_null(strstr(json_string_value(json_object_get(event, "reply")), "spare"));
    }
    assert_int_equal(scene_count(&scene, "bounced"), 0);
    scene_close(&scene);
}

static void test_a_server_that_refuses_the_sender_and_wants_content_gets_none(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &impatient);
    scene.peer.mail = scene.peer.rcpt = "450 4.7.1 not you\r\n";
    scene_send_to(&scene, "to@relay.example");
    scene_assert_event(scene_await(&scene, "delivery", 1), "deferred", "450 4.7.1 not you");
    scene_run(&scene, 50);
    assert_int_equal(scene.peer.messages, 0);
    scene_close(&scene);
}

static void test_replies_are_made_harmless(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &impatient);
    scene.peer.content = "250-2.0.0 a\x1b[2J\r\n250-2.0.0 b\xff\r\n250 2.0.0 \xc3\xa9\r\n";
    scene_send_to(&scene, "to@relay.example");
    scene_assert_event(scene_await(&scene, "delivery", 1), "delivered",
                       "250 2.0.0 a?[2J b? \xc3\xa9");
    scene_close(&scene);
}

static void test_a_permanent_refusal_of_the_session_fails(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &impatient);
    scene.peer.greeting = "554 5.7.1 you are blocked\r\n";
    scene_send(&scene, &(struct scene_message){.sender = "", .recipients = {"to@relay.example"}});
    scene_assert_event(scene_await(&scene, "delivery", 1), "failed", "554 5.7.1 you are blocked");
    scene_close(&scene);
}

/* CVE-2011-0411: text in clear behind the 220 must not be taken for what comes over TLS. */
static void test_text_behind_starttls_is_not_believed(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &impatient);
    scene.peer.tls = peer_tls_new();
    scene.peer.starttls = "220 go on\r\n250-evil\r\n250 SIZE 1\r\n";
    scene_send_to(&scene, "to@relay.example");
    scene_assert_event(scene_await(&scene, "delivery", 1), "deferred", not_reached);
    SSL_CTX_free(scene.peer.tls);
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_servers_that_cannot_be_used_are_like_unreachable_ones),
        cmocka_unit_test(test_sessions_that_break_off_defer),
        cmocka_unit_test(test_a_message_without_an_answer_stays),
        cmocka_unit_test(test_answers_out_of_place_defer),
        cmocka_unit_test(test_answers_before_their_commands_defer),
        cmocka_unit_test(test_an_answer_too_many_tells_nothing_of_the_next_message),
        cmocka_unit_test(test_a_server_that_refuses_the_sender_and_wants_content_gets_none),
        cmocka_unit_test(test_replies_are_made_harmless),
        cmocka_unit_test(test_a_permanent_refusal_of_the_session_fails),
        cmocka_unit_test(test_text_behind_starttls_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
