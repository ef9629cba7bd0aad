/* How much goes where at a time: chunks, limits, shared relays, families of addresses, tags. */
#include "test_delivery_scene.h"

#include "common/timestamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct scene_options plain = {0};

static size_t count_lines(const char *text, const char *start)
{
    size_t count = 0;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        count += strncmp(line, start, strlen(start)) == 0;
    return count;
}

/* --- CHUNKING --- */

#define EHLO_CHUNKS "250-peer\r\n250-PIPELINING\r\n250 CHUNKING\r\n"

static void test_a_short_message_is_one_chunk(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.ehlo = EHLO_CHUNKS;
    scene_send(&scene, &(struct scene_message){.recipients = {"to@relay.example"},
                                               .extra_header = "X-Extra: 1\r\n",
                                               .body = "Subject: x\r\n\r\n.dot\r\nlast"});
    scene_assert_event(scene_await(&scene, "delivery", 1), "delivered", "250 2.0.0 taken");
    assert_string_equal(buffer_text(&scene.peer.commands),
                        "EHLO gate.example\nMAIL FROM:<from@sender.example>\n"
                        "RCPT TO:<to@relay.example>\nBDAT 38 LAST\n");
    assert_string_equal(buffer_text(&scene.peer.message),
                        "X-Extra: 1\r\nSubject: x\r\n\r\n.dot\r\nlast\r\n");
    scene_send_to(&scene, "to@relay.example");
    scene_await(&scene, "delivery", 2);
    assert_int_equal(scene.peer.connections, 1);
    scene_close(&scene);
}

static void check_long(const char *ehlo)
{
    enum { LINES = 12000 };
    struct scene scene;
    struct buffer body = BUFFER_INIT;
    buffer_add_text(&body, "Subject: long\r\n\r\n");
    for (int i = 0; i < LINES; i++)
        buffer_add_format(&body, "%sline %d of a body that is longer than a chunk or two\r\n",
                          i % 7 ? "" : ".", i);
    scene_open(&scene, &plain);
    scene.peer.ehlo = ehlo;
    scene_send(&scene,
               &(struct scene_message){.recipients = {"to@relay.example"}, .body = body.data});
    scene_assert_event(scene_await(&scene, "delivery", 1), "delivered", "250 2.0.0 taken");
    assert_int_equal(scene.peer.message.length, body.length);
    assert_memory_equal(scene.peer.message.data, body.data, body.length);
    assert_in_range(count_lines(buffer_text(&scene.peer.commands), "BDAT"), 3, 20);
    buffer_free(&body);
    scene_close(&scene);
}

static void test_a_long_message_arrives_whole_in_chunks(void **state)
{
    (void)state;
    check_long(EHLO_CHUNKS);
    check_long("250-peer\r\n250 CHUNKING\r\n");
}

static void test_a_chunk_for_nobody_leaves_the_connection_usable(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.ehlo = EHLO_CHUNKS;
    scene.peer.bad_recipient = "bad@";
    scene_send(&scene, &(struct scene_message){.recipients = {"bad@relay.example"}, .sender = ""});
    scene_assert_event(scene_await(&scene, "delivery", 1), "failed", "550 5.1.1 nobody");
    scene_send(&scene, &(struct scene_message){
                           .recipients = {"bad@relay.example", "to@relay.example"}, .sender = ""});
    scene_await(&scene, "delivery", 3);
    assert_int_equal(scene_count_outcome(&scene, "delivered"), 1);
    assert_int_equal(scene.peer.messages, 1);
    assert_int_equal(scene.peer.connections, 1);
    scene_close(&scene);
}

static void test_a_refused_chunk_defers(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, &plain);
    scene.peer.ehlo = EHLO_CHUNKS;
    scene.peer.content = "451 4.3.0 not now\r\n";
    scene_send_to(&scene, "to@relay.example");
    scene_assert_event(scene_await(&scene, "delivery", 1), "deferred", "451 4.3.0 not now");
    scene.peer.content = NULL;
    scene_send_to(&scene, "to@relay.example");
    scene_assert_event(scene_await(&scene, "delivery", 2), "delivered", "250 2.0.0 taken");
    assert_int_equal(scene.peer.connections, 1);
    scene_close(&scene);
}

static void test_a_message_refused_in_its_midst_is_not_taken_for_delivered(void **state)
{
    struct scene scene;
    struct buffer body = BUFFER_INIT;
    (void)state;
    buffer_add_text(&body, "Subject: long\r\n\r\n");
    while (body.length < 900000)
        buffer_add_text(&body, "a line of a message that is refused before its end\r\n");
    scene_open(&scene, &plain);
    scene.peer.ehlo = EHLO_CHUNKS;
    scene.peer.chunk = "552 5.3.4 too long\r\n";
    scene_send(&scene, &(struct scene_message){
                           .recipients = {"to@relay.example"}, .sender = "", .body = body.data});
    scene_assert_event(scene_await(&scene, "delivery", 1), "failed", "552 5.3.4 too long");
    scene.peer.chunk = NULL;
    scene_send_to(&scene, "to@relay.example");
    scene_assert_event(scene_await(&scene, "delivery", 2), "delivered", "250 2.0.0 taken");
    buffer_free(&body);
    scene_close(&scene);
}

/* --- how many at a time --- */

static void test_a_server_that_takes_few_sessions_gets_few(void **state)
{
    static const struct scene_options options = {
        .delivery = "\"max_connections\":50,\"messages_per_connection\":5"};
    struct scene scene;
    (void)state;
    scene_open(&scene, &options);
    scene.peer.sessions_at_once = 2;
    scene_send_many(&scene, "to@relay.example", 200);
    scene_await(&scene, "delivery", 200);
    assert_int_equal(scene_count_outcome(&scene, "delivered"), 200);
    /* It was asked for more now and then, and not with every message. */
    assert_in_range(scene.peer.most_open, 2, 8);
    assert_in_range(scene.peer.connections, 40, 80);
    scene_close(&scene);
}

static void test_a_server_that_keeps_up_gets_more(void **state)
{
    static const struct scene_options options = {
        .delivery = "\"max_connections\":20,\"messages_per_connection\":3"};
    struct scene scene;
    (void)state;
    scene_open(&scene, &options);
    scene_send_many(&scene, "to@relay.example", 600);
    scene_await(&scene, "delivery", 600);
    assert_in_range(scene.peer.most_open, 6, 40); /* some of them saying QUIT */
    scene_close(&scene);
}

static void test_messages_a_minute_are_limited(void **state)
{
    static const struct scene_options options = {.delivery = "\"messages_per_minute\":120"};
    struct scene scene;
    (void)state;
    scene_open(&scene, &options);
    scene_send_many(&scene, "to@relay.example", 40);
    scene_run(&scene, 500);
    assert_in_range(scene.peer.messages, 10, 14); /* a tenth at once */
    int64_t start = timestamp_monotonic_ms();
    unsigned before = scene.peer.messages;
    scene_run(&scene, 4000);
    int64_t elapsed = timestamp_monotonic_ms() - start;
    assert_in_range(scene.peer.messages - before, 5, (unsigned)(elapsed / 500) + 2);
    assert_int_equal(scene_count(&scene, "delivery"), scene.peer.messages); /* none is deferred */
    scene_close(&scene);
}

/* --- relays --- */

struct pair {
    struct scene scene;
    struct peer first, second;
    char domains[700], delivery[100];
    struct dns_record records[12];
};

static void prepare_pair(struct pair *pair)
{
    memset(pair, 0, sizeof(*pair));
    scene_open_on(&pair->scene, event_base_new());
    peer_open(&pair->first, pair->scene.mta.base, NULL);
    peer_open(&pair->second, pair->scene.mta.base, NULL);
}

static void start_pair(struct pair *pair)
{
    scene_start(&pair->scene, &(struct scene_options){.domains = pair->domains,
                                                      .delivery = pair->delivery,
                                                      .records = pair->records});
}

static void close_pair(struct pair *pair)
{
    peer_close(&pair->first);
    peer_close(&pair->second);
    scene_close(&pair->scene);
}

static void test_relays_that_share_the_load_get_some_each(void **state)
{
    struct pair pair;
    (void)state;
    prepare_pair(&pair);
    snprintf(pair.delivery, sizeof(pair.delivery), "\"messages_per_connection\":1");
    snprintf(pair.domains, sizeof(pair.domains),
             ",{\"name\":\"pair.example\",\"route\":{\"kind\":\"relay\",\"balance\":\"share\","
             "\"relays\":[{\"host\":\"127.0.0.1\",\"port\":%u},{\"host\":\"127.0.0.1\","
             "\"port\":%u}]}}",
             (unsigned)pair.first.port, (unsigned)pair.second.port);
    start_pair(&pair);
    scene_send_many(&pair.scene, "to@pair.example", 40);
    scene_await_empty(&pair.scene);
    assert_in_range(pair.first.messages, 1, 39);
    assert_int_equal(pair.first.messages + pair.second.messages, 40);
    close_pair(&pair);
}

static void set_mx_relays(struct pair *pair)
{
    snprintf(pair->domains, sizeof(pair->domains),
             ",{\"name\":\"pair.example\",\"route\":{\"kind\":\"relay\",\"mx\":true,"
             "\"relays\":[{\"host\":\"one.example\",\"port\":%u},{\"host\":\"two.example\","
             "\"port\":%u}]}}",
             (unsigned)pair->first.port, (unsigned)pair->second.port);
    pair->records[0] = (struct dns_record){"one.example", "MX", 10, "mx.one.example", 0};
    pair->records[1] = (struct dns_record){"mx.one.example", "A", 0, "127.0.0.1", 0};
    pair->records[2] = (struct dns_record){"two.example", "MX", 5, "mx.two.example", 0};
    pair->records[3] = (struct dns_record){"mx.two.example", "A", 0, "127.0.0.1", 0};
}

static void test_relays_may_be_domains(void **state)
{
    struct pair pair;
    (void)state;
    prepare_pair(&pair);
    set_mx_relays(&pair);
    start_pair(&pair);
    scene_send_to(&pair.scene, "to@pair.example");
    json_t *event = scene_await(&pair.scene, "delivery", 1);
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    assert_string_equal(scene_text(event, "host"), "mx.one.example");
    peer_close(&pair.first);
    pair.first.listener = NULL;
    scene_send_to(&pair.scene, "to@pair.example");
    event = scene_await(&pair.scene, "delivery", 2);
    assert_string_equal(scene_text(event, "host"), "mx.two.example");
    close_pair(&pair);
}

static void test_answers_that_are_not_to_be_kept_are_used_once(void **state)
{
    struct pair pair;
    (void)state;
    prepare_pair(&pair);
    set_mx_relays(&pair);
    pair.records[0].ttl = pair.records[1].ttl = DNS_TTL_NONE;
    start_pair(&pair);
    scene_send_to(&pair.scene, "to@pair.example");
    scene_assert_event(scene_await(&pair.scene, "delivery", 1), "delivered", "250 2.0.0 taken");
    assert_in_range(pair.scene.dns.queries, 2, 10);
    close_pair(&pair);
}

static void test_relays_that_do_not_exist_bounce_nothing(void **state)
{
    struct pair pair;
    (void)state;
    prepare_pair(&pair);
    set_mx_relays(&pair);
    memset(pair.records, 0, sizeof(pair.records));
    start_pair(&pair);
    scene_send_to(&pair.scene, "to@pair.example");
    scene_assert_event(scene_await(&pair.scene, "delivery", 1), "deferred",
                       "421 4.4.0 [internal] failed to connect: no mail servers for this domain "
                       "could be reached at this time");
    close_pair(&pair);
}

/* --- families --- */

/* The host both.example has ::1 and 127.0.0.1; only the latter has a server. */
static void check_family(const char *preference, const char *ip, const char *outcome)
{
    struct pair pair;
    prepare_pair(&pair);
    snprintf(pair.delivery, sizeof(pair.delivery), "\"ip_preference\":\"%s\"", preference);
    snprintf(pair.domains, sizeof(pair.domains),
             ",{\"name\":\"pair.example\",\"route\":{\"kind\":\"relay\",\"relays\":"
             "[{\"host\":\"both.example\",\"port\":%u}]}}",
             (unsigned)pair.first.port);
    pair.records[0] = (struct dns_record){"both.example", "A", 0, "127.0.0.1", 0};
    pair.records[1] = (struct dns_record){"both.example", "AAAA", 0, "::1", 0};
    start_pair(&pair);
    scene_send_to(&pair.scene, "to@pair.example");
    json_t *event = scene_await(&pair.scene, "delivery", 1);
    assert_string_equal(scene_text(event, "outcome"), outcome);
    assert_string_equal(scene_text(event, "ip"), ip);
    close_pair(&pair);
}

static void test_the_family_can_be_chosen(void **state)
{
    (void)state;
    check_family("ipv6", "127.0.0.1", "delivered");
    check_family("ipv4", "127.0.0.1", "delivered");
    check_family("ipv4_only", "127.0.0.1", "delivered");
    check_family("ipv6_only", "", "deferred");
}

/* A domain whose only host is of the family that is not used may be reached another day. */
static void test_a_host_of_the_other_family_bounces_nothing(void **state)
{
    static const struct dns_record records[] = {{"six.example", "AAAA", 0, "::1", 0},
                                                {NULL, NULL, 0, NULL, 0}};
    struct scene scene;
    (void)state;
    scene_open(&scene, &(struct scene_options){.delivery = "\"ip_preference\":\"ipv4_only\"",
                                               .records = records});
    scene_send_to(&scene, "to@six.example");
    scene_assert_event(scene_await(&scene, "delivery", 1), "deferred",
                       "421 4.4.0 [internal] no MXs for this domain could be reached at this "
                       "time");
    scene_close(&scene);
}

/* --- tagged senders --- */

static void check_sender(enum queue_direction direction, const char *sender, const char *command)
{
    static const struct scene_options options = {
        .members = ",\"bounce_protection\":{\"mode\":\"tag\",\"keys\":[{\"number\":3,"
                   "\"secret\":\"MDEyMzQ1Njc4OWFiY2RlZg==\"}]}"};
    struct scene scene;
    scene_open(&scene, &options);
    scene.direction = direction;
    scene_send(&scene, &(struct scene_message){.sender = sender,
                                               .recipients = {"to@relay.example"},
                                               .original = "rfc822;to@relay.example"});
    scene_assert_event(scene_await(&scene, "delivery", 1), "delivered", "250 2.0.0 taken");
    scene_assert_contains(buffer_text(&scene.peer.commands), command);
    scene_assert_contains(buffer_text(&scene.peer.commands), "ORCPT=rfc822;to@relay.example");
    scene_close(&scene);
}

static void test_senders_of_outbound_mail_are_tagged(void **state)
{
    (void)state;
    check_sender(QUEUE_OUTBOUND, "from@relay.example", "MAIL FROM:<prvs=3");
    check_sender(QUEUE_INBOUND, "from@relay.example", "MAIL FROM:<from@relay.example>");
    check_sender(QUEUE_OUTBOUND, "from@sender.example", "MAIL FROM:<from@sender.example>");
    check_sender(QUEUE_OUTBOUND, "", "MAIL FROM:<>");
}

/* A report goes to the sender as he is, not as he was tagged. */
static void test_bounces_go_to_the_sender_without_the_tag(void **state)
{
    static const struct scene_options options = {
        .members = ",\"bounce_protection\":{\"mode\":\"tag\",\"keys\":[{\"number\":3,"
                   "\"secret\":\"MDEyMzQ1Njc4OWFiY2RlZg==\"}]}"};
    struct scene scene;
    (void)state;
    scene_open(&scene, &options);
    scene.direction = QUEUE_OUTBOUND;
    scene.peer.bad_recipient = "bad@";
    scene_send(&scene, &(struct scene_message){.sender = "from@relay.example",
                                               .recipients = {"bad@relay.example"}});
    scene_await(&scene, "delivery", 2);
    scene_assert_contains(buffer_text(&scene.peer.commands), "MAIL FROM:<> SIZE=");
    scene_assert_contains(buffer_text(&scene.peer.commands), "RCPT TO:<from@relay.example>");
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_short_message_is_one_chunk),
        cmocka_unit_test(test_a_long_message_arrives_whole_in_chunks),
        cmocka_unit_test(test_a_chunk_for_nobody_leaves_the_connection_usable),
        cmocka_unit_test(test_a_refused_chunk_defers),
        cmocka_unit_test(test_a_message_refused_in_its_midst_is_not_taken_for_delivered),
        cmocka_unit_test(test_a_server_that_takes_few_sessions_gets_few),
        cmocka_unit_test(test_a_server_that_keeps_up_gets_more),
        cmocka_unit_test(test_messages_a_minute_are_limited),
        cmocka_unit_test(test_relays_that_share_the_load_get_some_each),
        cmocka_unit_test(test_relays_may_be_domains),
        cmocka_unit_test(test_answers_that_are_not_to_be_kept_are_used_once),
        cmocka_unit_test(test_relays_that_do_not_exist_bounce_nothing),
        cmocka_unit_test(test_the_family_can_be_chosen),
        cmocka_unit_test(test_a_host_of_the_other_family_bounces_nothing),
        cmocka_unit_test(test_senders_of_outbound_mail_are_tagged),
        cmocka_unit_test(test_bounces_go_to_the_sender_without_the_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
