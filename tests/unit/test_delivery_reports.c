/* What the sender is told: bounces, delays, and confirmations (RFC 3464, RFC 3461). */
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

/* Reports go to the same server. */
#define SENDER_TOO                                                                                 \
    ",{\"name\":\"sender.example\",\"route\":{\"kind\":\"relay\",\"relays\":[{\"host\":"           \
    "\"127.0.0.1\",\"port\":%u}]}}"

static const char to_sender[] = "to@relay.example";

/* A scene in which <...@sender.example> is reached at `reports`. */
static void open_scene(struct scene *scene, struct peer *reports, const char *delivery)
{
    static char domains[256], members[256];
    static const struct dns_record records[] = {{.name = "wait.example", .type = "FAIL"},
                                                {.name = NULL}};
    struct scene_options options = {.delivery = members, .domains = domains, .records = records};
    struct event_base *base = event_base_new();
    snprintf(members, sizeof(members), "%s", delivery);
    scene_open_on(scene, base);
    peer_open(reports, base, NULL);
    snprintf(domains, sizeof(domains), SENDER_TOO, (unsigned)reports->port);
    scene_start(scene, &options);
}

static void close_scene(struct scene *scene, struct peer *reports)
{
    peer_close(reports);
    scene_close(scene);
}

static json_int_t sequence_of(const struct scene *scene, const char *type, const char *id)
{
    const json_t *event;
    size_t index;
    json_array_foreach(scene->events, index,
                       event) if (strcmp(scene_text(event, "type"), type) == 0 &&
                                  strcmp(scene_text(event, "id"), id) ==
                                      0) return json_integer_value(json_object_get(event, "seq"));
    fail_msg("there is no such event");
    return 0;
}

static void test_a_5xx_fails_and_the_sender_is_told(void **state)
{
    struct scene scene;
    struct peer reports;
    (void)state;
    open_scene(&scene, &reports, "");
    scene.peer.rcpt = "550-5.1.1 nobody\r\n550 5.1.1 of that name\r\n";
    scene_send(&scene, &(struct scene_message){.recipients = {to_sender},
                                               .envelope_id = "Q+41B",
                                               .original = "rfc822;first+40relay.example"});
    json_t *event = scene_await(&scene, "bounced", 1);
    assert_string_equal(scene_text(event, "reply"), "550 5.1.1 nobody of that name");
    assert_true(scene_text(event, "dsn")[0] != '\0');
    scene_await_number(&scene, &reports.messages, 1);
    scene_await_empty(&scene);
    /* The report was on stable storage before its reason was done with: a crash loses none. */
    assert_true(json_integer_value(json_object_get(event, "seq")) >
                sequence_of(&scene, "received", scene_text(event, "dsn")));
    const char *report = buffer_text(&reports.message);
    scene_assert_contains(buffer_text(&reports.commands), "MAIL FROM:<> ");
    scene_assert_contains(buffer_text(&reports.commands),
                          "RCPT TO:<from@sender.example> NOTIFY=NEVER\n");
    scene_assert_contains(report, "To: <from@sender.example>\n");
    scene_assert_contains(report, "multipart/report; report-type=delivery-status");
    scene_assert_contains(report, "Reporting-MTA: dns; gate.example\nOriginal-Envelope-Id: QAB\n");
    scene_assert_contains(report, "Original-Recipient: rfc822; first@relay.example\n"
                                  "Final-Recipient: rfc822; to@relay.example\n"
                                  "Action: failed\nStatus: 5.1.1\nRemote-MTA: dns; 127.0.0.1\n"
                                  "Diagnostic-Code: smtp; 550 5.1.1 nobody of that name\n");
    scene_assert_contains(report, "text/rfc822-headers");
    scene_assert_contains(report, "Subject: test\n");
    assert_null(strstr(report, "Hello."));
    close_scene(&scene, &reports);
}

static void test_the_whole_message_comes_back_where_it_was_asked_for(void **state)
{
    struct scene scene;
    struct peer reports;
    (void)state;
    open_scene(&scene, &reports, "");
    scene.peer.data = "554 5.7.1 no\r\n";
    scene_send(&scene,
               &(struct scene_message){.recipients = {to_sender}, .flags = QUEUE_FLAG_RET_FULL});
    scene_await_number(&scene, &reports.messages, 1);
    scene_assert_contains(buffer_text(&reports.message), "Content-Type: message/rfc822\n");
    scene_assert_contains(buffer_text(&reports.message), "Hello.\n");
    close_scene(&scene, &reports);
}

static void test_nobody_is_told_of_a_failed_bounce(void **state)
{
    struct scene scene;
    struct peer reports;
    (void)state;
    open_scene(&scene, &reports, "");
    scene.peer.rcpt = "550 5.1.1 nobody\r\n";
    scene_send(&scene, &(struct scene_message){.sender = "", .recipients = {to_sender}});
    json_t *event = scene_await(&scene, "bounced", 1);
    assert_true(json_is_null(json_object_get(event, "dsn")));
    scene_await_empty(&scene);
    assert_int_equal(scene_count(&scene, "received"), 1);
    close_scene(&scene, &reports);
}

static void test_a_bounce_that_fails_ends_there(void **state)
{
    struct scene scene;
    struct peer reports;
    (void)state;
    open_scene(&scene, &reports, "");
    scene.peer.rcpt = reports.rcpt = "550 5.1.1 nobody\r\n";
    scene_send_to(&scene, to_sender);
    json_t *event = scene_await(&scene, "bounced", 2);
    assert_true(json_is_null(json_object_get(event, "dsn")));
    scene_await_empty(&scene);
    assert_int_equal(scene_count(&scene, "received"), 2);
    close_scene(&scene, &reports);
}

static void test_notify_never_is_kept(void **state)
{
    struct scene scene;
    struct peer reports;
    (void)state;
    open_scene(&scene, &reports, "");
    scene.peer.rcpt = "550 5.1.1 nobody\r\n";
    scene_send(&scene,
               &(struct scene_message){.recipients = {to_sender}, .notify = QUEUE_NOTIFY_NEVER});
    json_t *event = scene_await(&scene, "bounced", 1);
    assert_true(json_is_null(json_object_get(event, "dsn")));
    scene_await_empty(&scene);
    assert_int_equal(reports.messages, 0);
    close_scene(&scene, &reports);
}

static void test_one_report_names_all_that_failed_together(void **state)
{
    struct scene scene;
    struct peer reports;
    (void)state;
    open_scene(&scene, &reports, "");
    scene.peer.bad_recipient = "bad";
    struct message_id id = scene_send(
        &scene, &(struct scene_message){.recipients = {"bad1@relay.example", "ok@relay.example",
                                                       "bad2@relay.example", "to@wait.example"}});
    scene_await(&scene, "bounced", 2);
    const struct queue_message *message = queue_find(scene.mta.queue, &id);
    assert_non_null(message); /* waits for the last one */
    assert_int_equal(message->recipients[0].state, QUEUE_RECIPIENT_BOUNCED);
    assert_int_equal(message->recipients[1].state, QUEUE_RECIPIENT_DELIVERED);
    assert_int_equal(message->recipients[2].state, QUEUE_RECIPIENT_BOUNCED);
    assert_int_equal(message->recipients[3].state, QUEUE_RECIPIENT_QUEUED);
    scene_await_number(&scene, &reports.messages, 1);
    scene_run(&scene, 50);
    assert_int_equal(reports.messages, 1);
    scene_assert_contains(buffer_text(&reports.message), "Final-Recipient: rfc822; bad1@");
    scene_assert_contains(buffer_text(&reports.message), "Final-Recipient: rfc822; bad2@");
    assert_null(strstr(buffer_text(&reports.message), "rfc822; ok@"));
    close_scene(&scene, &reports);
}

static void test_a_delay_is_told_once(void **state)
{
    struct scene scene;
    struct peer reports;
    (void)state;
    open_scene(&scene, &reports, "\"retry_seconds\":[1],\"delay_warning_seconds\":60");
    scene.peer.rcpt = "450 4.2.1 later\r\n";
    scene_send(&scene, &(struct scene_message){.recipients = {to_sender}, .age_ms = 61 * 1000});
    scene_await_number(&scene, &reports.messages, 1);
    scene_assert_contains(buffer_text(&reports.message), "Action: delayed\nStatus: 4.2.1\n");
    scene_assert_contains(buffer_text(&reports.message), "Will-Retry-Until: ");
    scene_await(&scene, "delivery", 4); /* three attempts and the report's own */
    scene_run(&scene, 100);
    assert_int_equal(reports.messages, 1);
    close_scene(&scene, &reports);
}

static void test_no_delay_is_told_before_its_time_or_against_notify(void **state)
{
    struct scene scene;
    struct peer reports;
    (void)state;
    open_scene(&scene, &reports, "\"retry_seconds\":[1],\"delay_warning_seconds\":60");
    scene.peer.rcpt = "450 4.2.1 later\r\n";
    scene_send_to(&scene, to_sender);
    scene_send(&scene, &(struct scene_message){.recipients = {to_sender},
                                               .notify = QUEUE_NOTIFY_FAILURE,
                                               .age_ms = 61 * 1000});
    scene_await(&scene, "delivery", 4);
    assert_int_equal(scene_count(&scene, "received"), 2);
    close_scene(&scene, &reports);
}

static void test_a_message_past_its_lifetime_fails_with_the_last_reply(void **state)
{
    struct scene scene;
    struct peer reports;
    (void)state;
    open_scene(&scene, &reports, "\"lifetime_seconds\":3600");
    scene.peer.rcpt = "450 4.2.1 later\r\n";
    scene_send(&scene, &(struct scene_message){.recipients = {to_sender}, .age_ms = 3601 * 1000});
    assert_string_equal(scene_text(scene_await(&scene, "bounced", 1), "reply"), "450 4.2.1 later");
    assert_int_equal(scene_count_outcome(&scene, "failed"), 1);
    scene_await_number(&scene, &reports.messages, 1);
    scene_assert_contains(buffer_text(&reports.message), "Action: failed\nStatus: 4.2.1\n");
    scene_await_empty(&scene);
    close_scene(&scene, &reports);
}

static void test_success_is_confirmed_where_the_server_does_not(void **state)
{
    struct scene scene;
    struct peer reports;
    (void)state;
    open_scene(&scene, &reports, "");
    scene.peer.ehlo = "250-peer\r\n250 PIPELINING\r\n";
    scene_send(&scene,
               &(struct scene_message){.recipients = {to_sender}, .notify = QUEUE_NOTIFY_SUCCESS});
    scene_await_number(&scene, &reports.messages, 1);
    scene_assert_contains(buffer_text(&reports.message), "Action: relayed\nStatus: 2.0.0\n");
    assert_null(strstr(buffer_text(&scene.peer.commands), "NOTIFY"));
    close_scene(&scene, &reports);
}

static void test_a_server_with_dsn_takes_the_duty_over(void **state)
{
    struct scene scene;
    struct peer reports;
    (void)state;
    open_scene(&scene, &reports, "");
    scene_send(&scene, &(struct scene_message){.recipients = {to_sender},
                                               .notify = QUEUE_NOTIFY_SUCCESS | QUEUE_NOTIFY_DELAY,
                                               .original = "rfc822;a+2Bb@relay.example",
                                               .envelope_id = "id1",
                                               .flags = QUEUE_FLAG_RET_HDRS});
    scene_await_empty(&scene);
    scene_assert_contains(buffer_text(&scene.peer.commands), " RET=HDRS ENVID=id1\n");
    scene_assert_contains(buffer_text(&scene.peer.commands),
                          "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@relay.example\n");
    assert_int_equal(scene_count(&scene, "received"), 1);
    close_scene(&scene, &reports);
}

static void test_internationalised_mail_is_reported_in_utf8(void **state)
{
    struct scene scene;
    struct peer reports;
    (void)state;
    open_scene(&scene, &reports, "");
    scene.peer.rcpt = "550 5.1.1 nobody\r\n";
    scene_send(&scene, &(struct scene_message){.recipients = {"zoë@relay.example"},
                                               .flags = QUEUE_FLAG_SMTPUTF8});
    scene_await_number(&scene, &reports.messages, 1);
    scene_assert_contains(buffer_text(&reports.message), "message/global-delivery-status");
    scene_assert_contains(buffer_text(&reports.message),
                          "Final-Recipient: utf-8; zoë@relay.example\n");
    scene_assert_contains(buffer_text(&reports.commands), " SMTPUTF8");
    close_scene(&scene, &reports);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_5xx_fails_and_the_sender_is_told),
        cmocka_unit_test(test_the_whole_message_comes_back_where_it_was_asked_for),
        cmocka_unit_test(test_nobody_is_told_of_a_failed_bounce),
        cmocka_unit_test(test_a_bounce_that_fails_ends_there),
        cmocka_unit_test(test_notify_never_is_kept),
        cmocka_unit_test(test_one_report_names_all_that_failed_together),
        cmocka_unit_test(test_a_delay_is_told_once),
        cmocka_unit_test(test_no_delay_is_told_before_its_time_or_against_notify),
        cmocka_unit_test(test_a_message_past_its_lifetime_fails_with_the_last_reply),
        cmocka_unit_test(test_success_is_confirmed_where_the_server_does_not),
        cmocka_unit_test(test_a_server_with_dsn_takes_the_duty_over),
        cmocka_unit_test(test_internationalised_mail_is_reported_in_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
