/* How sessions are used: reuse, pipelining, extensions, TLS. */
#include "test_delivery_scene.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static const struct scene_options plain = {0};

static size_t count_lines(const char *text, const char *start)
{
    size_t count = 0;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        count += strncmp(line, start, strlen(start)) == 0;
    return count;
}

static void test_a_thousand_messages_over_ten_connections(void **state)
{
    static const struct scene_options options = {
        .delivery = "\"max_connections\":10,\"messages_per_connection\":1000"};
    struct scene scene;
    (void)state;
    scene_open(&scene, &options);
    scene_send_many(&scene, "to@relay.example", 1000);
    scene_await_number(&scene, &scene.peer.messages, 1000);
    scene_await_empty(&scene);
    scene_await(&scene, "delivery", 1000);
    assert_int_equal(scene.peer.messages, 1000);
    assert_int_equal(scene_count_outcome(&scene, "delivered"), 1000);
    assert_in_range(scene.peer.connections, 1, 10);
    scene_close(&scene);
}

static void test_a_connection_takes_as_many_messages_as_configured(void **state)
{
    static const struct scene_options options = {
        .delivery = "\"max_connections\":1,\"messages_per_connection\":10"};
    struct scene scene;
    (void)state;
    scene_open(&scene, &options);
    scene_send_many(&scene, "to@relay.example", 50);
    scene_await_empty(&scene);
    scene_run(&scene, 100); /* the last one's farewell */
    assert_int_equal(scene.peer.connections, 5);
    assert_int_equal(count_lines(buffer_text(&scene.peer.commands), "QUIT"), 5);
    scene_close(&scene);
}

static void test_an_idle_connection_is_used_again_and_closed_after_a_while(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene_send_to(&scene, "to@relay.example");
    scene_await(&scene, "delivery", 1);
    scene_send_to(&scene, "to@relay.example");
    scene_await(&scene, "delivery", 2);
    assert_int_equal(scene.peer.connections, 1);
    scene_run(&scene, 7000);
    assert_int_equal(scene.peer.open, 0);
    assert_int_equal(count_lines(buffer_text(&scene.peer.commands), "QUIT"), 1);
    scene_close(&scene);
}

static void check_closing_server(bool announce)
{
    static const struct scene_options options = {.delivery = "\"max_connections\":2"};
    struct scene scene;
    scene_open(&scene, &options);
    scene.peer.messages_a_connection = 3;
    scene.peer.announce_close = announce;
    scene_send_many(&scene, "to@relay.example", 60);
    scene_await(&scene, "delivery", 60);
    assert_int_equal(scene_count_outcome(&scene, "delivered"), 60);
    assert_int_equal(scene.peer.messages, 60);
    scene_close(&scene);
}

static void test_a_server_that_closes_kept_connections_defers_nothing(void **state)
{
    (void)state;
    check_closing_server(false);
    check_closing_server(true);
}

static void test_commands_go_in_one_group_only_where_the_server_allows(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.ehlo = "250 peer\r\n";
    scene.peer.bad_recipient = "bad@";
    scene_send(&scene,
               &(struct scene_message){.recipients = {"bad@relay.example", "a@relay.example"},
                                       .sender = "",
                                       .flags = QUEUE_FLAG_8BITMIME});
    scene_await(&scene, "delivery", 2);
    scene_send(&scene, &(struct scene_message){.recipients = {"bad@relay.example"}, .sender = ""});
    scene_await(&scene, "delivery", 3);
    scene_send_to(&scene, "a@relay.example");
    scene_await(&scene, "delivery", 4);
    assert_string_equal(buffer_text(&scene.peer.commands),
                        "EHLO gate.example\nMAIL FROM:<>\nRCPT TO:<bad@relay.example>\n"
                        "RCPT TO:<a@relay.example>\nDATA\nMAIL FROM:<>\n"
                        "RCPT TO:<bad@relay.example>\nRSET\nMAIL FROM:<from@sender.example>\n"
                        "RCPT TO:<a@relay.example>\nDATA\n");
    assert_int_equal(scene.peer.connections, 1);
    scene_close(&scene);
}

static void test_a_refused_transaction_leaves_the_connection_usable(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.rcpt = "450 4.2.1 later\r\n";
    scene.peer.data = "503 5.5.1 no recipients\r\n";
    scene_send_to(&scene, "to@relay.example");
    scene_assert_event(scene_await(&scene, "delivery", 1), "deferred", "450 4.2.1 later");
    scene.peer.rcpt = scene.peer.data = NULL;
    scene_send_to(&scene, "to@relay.example");
    scene_assert_event(scene_await(&scene, "delivery", 2), "delivered", "250 2.0.0 taken");
    assert_int_equal(scene.peer.connections, 1);
    scene_assert_contains(buffer_text(&scene.peer.commands), "RSET\nMAIL");
    scene_close(&scene);
}

static void test_a_server_without_ehlo_gets_helo(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.ehlo = "502 5.5.1 not known\r\n";
    scene_send(&scene, &(struct scene_message){.recipients = {"to@relay.example"},
                                               .flags = QUEUE_FLAG_8BITMIME | QUEUE_FLAG_RET_FULL});
    scene_await(&scene, "delivery", 1);
    assert_string_equal(buffer_text(&scene.peer.commands),
                        "EHLO gate.example\nHELO gate.example\n"
                        "MAIL FROM:<from@sender.example>\nRCPT TO:<to@relay.example>\nDATA\n");
    scene_close(&scene);
}

static void test_a_message_beyond_the_servers_size_is_not_sent(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.ehlo = "250-peer\r\n250 SIZE 20\r\n";
    scene_send(&scene, &(struct scene_message){.sender = "", .recipients = {"to@relay.example"}});
    scene_assert_event(scene_await(&scene, "delivery", 1), "failed",
                       "552 5.3.4 [internal] the message has 25 bytes, the server takes 20");
    assert_int_equal(count_lines(buffer_text(&scene.peer.commands), "MAIL"), 0);
    scene_close(&scene);
}

static void test_internationalised_mail_needs_a_server_that_takes_it(void **state)
{
    static const char refusal[] = "553 5.6.7 [internal] the server does not take "
                                  "internationalised mail (SMTPUTF8)";
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.ehlo = "250-peer\r\n250 8BITMIME\r\n";
    scene_send(&scene, &(struct scene_message){.sender = "",
                                               .recipients = {"zoë@relay.example"},
                                               .flags = QUEUE_FLAG_SMTPUTF8});
    scene_assert_event(scene_await(&scene, "delivery", 1), "failed", refusal);
    scene_send(&scene, &(struct scene_message){.sender = "",
                                               .recipients = {"to@relay.example"},
                                               .body = "Subject: zoë\r\n\r\n",
                                               .flags = QUEUE_FLAG_SMTPUTF8});
    scene_assert_event(scene_await(&scene, "delivery", 2), "failed", refusal);
    /* Nothing of it is internationalised, whatever its sender declared. */
    scene_send(&scene, &(struct scene_message){.sender = "",
                                               .recipients = {"to@relay.example"},
                                               .body = "Subject: z\r\n\r\nzoë\r\n",
                                               .flags = QUEUE_FLAG_SMTPUTF8});
    scene_assert_event(scene_await(&scene, "delivery", 3), "delivered", "250 2.0.0 taken");
    scene_close(&scene);
}

static void test_what_was_declared_is_declared_again(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene_send(&scene, &(struct scene_message){.recipients = {"zoë@relay.example"},
                                               .flags = QUEUE_FLAG_SMTPUTF8 | QUEUE_FLAG_8BITMIME});
    scene_await(&scene, "delivery", 1);
    scene_assert_contains(buffer_text(&scene.peer.commands),
                          "MAIL FROM:<from@sender.example> SIZE=25 BODY=8BITMIME SMTPUTF8\n"
                          "RCPT TO:<zoë@relay.example>\n");
    scene_close(&scene);
}

static void test_a_long_body_arrives_whole(void **state)
{
    enum { LINES = 12000 };
    struct scene scene;
    struct buffer body = BUFFER_INIT, wanted = BUFFER_INIT;
    (void)state;
    buffer_add_text(&body, "Subject: long\r\n\r\n");
    for (int i = 0; i < LINES; i++)
        buffer_add_format(&body, "%sline %d of a body that is longer than what is read at once\r\n",
                          i % 7 ? "" : ".", i);
    for (const char *at = body.data; *at; at++) {
        if (*at == '.' && at > body.data && at[-1] == '\n')
            buffer_add(&wanted, ".", 1);
        if (*at != '\r')
            buffer_add(&wanted, at, 1);
    }
    scene_open(&scene, &plain);
    scene_send(&scene,
               &(struct scene_message){.recipients = {"to@relay.example"}, .body = body.data});
    scene_await(&scene, "delivery", 1);
    assert_int_equal(scene.peer.message.length, wanted.length);
    assert_memory_equal(scene.peer.message.data, wanted.data, wanted.length);
    buffer_free(&body);
    buffer_free(&wanted);
    scene_close(&scene);
}

static void test_tls_is_used_where_the_server_has_it(void **state)
{
    static const struct scene_options options = {.delivery = "\"max_connections\":1"};
    struct scene scene;
    (void)state;
    scene_open(&scene, &options);
    scene.peer.tls = peer_tls_new();
    scene_send_many(&scene, "to@relay.example", 20);
    json_t *event = scene_await(&scene, "delivery", 20);
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    scene_assert_contains(scene_text(event, "tls"), "TLSv1.3 TLS_");
    scene_assert_contains(buffer_text(&scene.peer.commands), "STARTTLS\nEHLO gate.example\nMAIL");
    SSL_CTX_free(scene.peer.tls);
    scene_close(&scene);
}

static void test_a_failed_handshake_falls_back_to_clear(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.tls = peer_tls_new();
    scene.peer.break_tls = true;
    scene_send_to(&scene, "to@relay.example");
    json_t *event = scene_await(&scene, "delivery", 1);
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    assert_string_equal(scene_text(event, "tls"), "");
    assert_int_equal(scene.peer.connections, 2);
    SSL_CTX_free(scene.peer.tls);
    scene_close(&scene);
}

static void test_a_message_that_requires_tls_is_not_sent_in_clear(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene_send(&scene, &(struct scene_message){.recipients = {"to@relay.example"},
                                               .flags = QUEUE_FLAG_REQUIRE_TLS});
    scene_assert_event(scene_await(&scene, "delivery", 1), "deferred",
                       "451 4.7.4 [internal] 127.0.0.1 does not offer TLS (STARTTLS)");
    assert_int_equal(scene.peer.messages, 0);
    scene_close(&scene);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* The queue prepares its next segment in the background, for which it needs a descriptor too. */
static void wait_until_nothing_is_opened(struct scene *scene)
{
    size_t before = 0;
    for (int steady = 0; steady < 10; steady++) {
        size_t now = open_descriptors();
        if (now != before)
            steady = 0;
        before = now;
        scene_run(scene, 30);
    }
}

/* Where this host itself has no sockets left, mail waits and nobody's server is blamed. */
static void test_mail_waits_for_sockets(void **state)
{
    struct scene scene;
    struct rlimit before, none;
    (void)state;
    scene_open(&scene, &plain);
    wait_until_nothing_is_opened(&scene);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    int next = dup(0);
    close(next);
    none.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    scene_send_to(&scene, "to@relay.example");
    scene_run(&scene, 300);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(scene_count(&scene, "delivery"), 0);
    scene_assert_event(scene_await(&scene, "delivery", 1), "delivered", "250 2.0.0 taken");
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thousand_messages_over_ten_connections),
        cmocka_unit_test(test_a_connection_takes_as_many_messages_as_configured),
        cmocka_unit_test(test_an_idle_connection_is_used_again_and_closed_after_a_while),
        cmocka_unit_test(test_a_server_that_closes_kept_connections_defers_nothing),
        cmocka_unit_test(test_commands_go_in_one_group_only_where_the_server_allows),
        cmocka_unit_test(test_a_refused_transaction_leaves_the_connection_usable),
        cmocka_unit_test(test_a_server_without_ehlo_gets_helo),
        cmocka_unit_test(test_a_message_beyond_the_servers_size_is_not_sent),
        cmocka_unit_test(test_internationalised_mail_needs_a_server_that_takes_it),
        cmocka_unit_test(test_what_was_declared_is_declared_again),
        cmocka_unit_test(test_a_long_body_arrives_whole),
        cmocka_unit_test(test_tls_is_used_where_the_server_has_it),
        cmocka_unit_test(test_a_failed_handshake_falls_back_to_clear),
        cmocka_unit_test(test_a_message_that_requires_tls_is_not_sent_in_clear),
        cmocka_unit_test(test_mail_waits_for_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
