/* Where mail goes: MX records, relays, addresses; and what is recorded where it cannot go. */
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

#include "scanner/mta/destination.h"

static const char no_mx[] =
    "421 4.4.0 [internal] no MXs for this domain could be reached at this time";
static const char no_servers[] = "421 4.4.0 [internal] failed to connect: no mail servers for this "
                                 "domain could be reached at this time";
static const char too_many[] = "451 4.4.1 [internal] No valid hosts (too many connection failures)";

/* MX hosts are reached at port 25 and nowhere else, so each test program has its own addresses. */
static char addresses[4][32];

static void make_addresses(void)
{
    unsigned number = (unsigned)getpid();
    for (unsigned i = 0; i < 4; i++)
        snprintf(addresses[i], sizeof(addresses[i]), "127.%u.%u.%u", 64 + number / 256 % 128,
                 number % 256, i + 1);
}

static void open_mx(struct peer *peer, struct scene *scene, unsigned address)
{
    char text[64];
    snprintf(text, sizeof(text), "%s:25", addresses[address]);
    peer_open(peer, scene->mta.base, text);
}

static void needs_root(void)
{
    if (geteuid() != 0)
        skip();
}

static const struct dns_record *some_records(void)
{
    static struct dns_record records[] = {
        {"two.example", "MX", 20, "mx2.example", 0},
        {"two.example", "MX", 10, "mx1.example", 0},
        {"equal.example", "MX", 10, "mx1.example", 0},
        {"equal.example", "MX", 10, "mx2.example", 0},
        {"null.example", "MX", 0, "", 0},
        {"fails.example", "FAIL", 0, "", 0},
        {"own.example", "MX", 10, "gate.example", 0},
        {"own.example", "MX", 20, "mx2.example", 0},
        {"backup.example", "MX", 5, "mx1.example", 0},
        {"backup.example", "MX", 10, "Gate.Example", 0},
        {"backup.example", "MX", 20, "mx2.example", 0},
        {"alias.example", "CNAME", 0, "two.example", 0},
        {"implicit.example", "A", 0, addresses[0], 0},
        {"nothing.example", "CNAME", 0, "empty.example", 0},
        {"empty.example", "TXT", 0, "", 0},
        {"lost.example", "MX", 10, "nowhere.example", 0},
        {"xn--bcher-kva.example", "MX", 10, "mx1.example", 0},
        {"both.example", "MX", 10, "both-hosts.example", 0},
        {"both-hosts.example", "AAAA", 0, "::1", 0},
        {"both-hosts.example", "A", 0, addresses[0], 0},
        {"mx1.example", "A", 0, addresses[0], 0},
        {"mx2.example", "A", 0, addresses[1], 0},
        {"gate.example", "A", 0, addresses[1], 0},
        {NULL, NULL, 0, NULL, 0},
    };
    return records;
}

static void open_scene(struct scene *scene, const char *delivery)
{
    scene_open(scene, &(struct scene_options){.records = some_records(), .delivery = delivery});
}

static void send_null(struct scene *scene, const char *recipient)
{
    scene_send(scene, &(struct scene_message){.sender = "", .recipients = {recipient}});
}

static void check_failed(const char *recipient, const char *reply)
{
    struct scene scene;
    open_scene(&scene, NULL);
    send_null(&scene, recipient);
    scene_assert_event(scene_await(&scene, "delivery", 1), "failed", reply);
    scene_close(&scene);
}

static void test_the_preferred_host_is_taken_first(void **state)
{
    struct scene scene;
    struct peer first, second;
    (void)state;
    needs_root();
    open_scene(&scene, NULL);
    open_mx(&first, &scene, 0);
    open_mx(&second, &scene, 1);
    scene_send_to(&scene, "to@two.example");
    json_t *event = scene_await(&scene, "delivery", 1);
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    assert_string_equal(scene_text(event, "host"), "mx1.example");
    peer_close(&first);
    first.listener = NULL;
    scene_send_to(&scene, "to@two.example");
    event = scene_await(&scene, "delivery", 2);
    assert_string_equal(scene_text(event, "host"), "mx2.example");
    peer_close(&second);
    scene_close(&scene);
}

static void test_equal_hosts_share_the_load(void **state)
{
    struct scene scene;
    struct peer first, second;
    (void)state;
    needs_root();
    open_scene(&scene, "\"messages_per_connection\":1");
    open_mx(&first, &scene, 0);
    open_mx(&second, &scene, 1);
    scene_send_many(&scene, "to@equal.example", 40);
    scene_await_empty(&scene);
    assert_in_range(first.messages, 1, 39);
    assert_int_equal(first.messages + second.messages, 40);
    peer_close(&first);
    peer_close(&second);
    scene_close(&scene);
}

static void check_delivered_to(const char *recipient, unsigned address)
{
    struct scene scene;
    struct peer peer;
    open_scene(&scene, NULL);
    open_mx(&peer, &scene, address);
    scene_send(&scene,
               &(struct scene_message){.recipients = {recipient}, .flags = QUEUE_FLAG_SMTPUTF8});
    json_t *event = scene_await(&scene, "delivery", 1);
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    assert_string_equal(scene_text(event, "ip"), addresses[address]);
    peer_close(&peer);
    scene_close(&scene);
}

static void test_every_form_of_a_domain_finds_its_host(void **state)
{
    char literal[64];
    (void)state;
    needs_root();
    check_delivered_to("to@implicit.example", 0);
    check_delivered_to("to@alias.example", 0);
    check_delivered_to("to@b\xc3\xbc"
                       "cher.example",
                       0);
    check_delivered_to("to@two.example", 1); /* nobody listens at the first */
    snprintf(literal, sizeof(literal), "to@[%s]", addresses[2]);
    check_delivered_to(literal, 2);
}

static void test_the_other_family_is_tried(void **state)
{
    (void)state;
    needs_root();
    check_delivered_to("to@both.example", 0);
}

static void test_domains_that_take_no_mail_fail(void **state)
{
    (void)state;
    check_failed("to@null.example",
                 "556 5.1.10 [internal] the domain null.example takes no mail (null MX)");
    check_failed("to@missing.example",
                 "550 5.1.2 [internal] the domain missing.example does not exist");
    check_failed("to@nothing.example",
                 "550 5.1.2 [internal] the domain nothing.example has no mail server");
    check_failed("to@bad_name.example",
                 "553 5.1.3 [internal] the recipient's address has no usable domain");
}

static void test_mail_for_this_host_itself_does_not_loop(void **state)
{
    struct scene scene;
    struct peer second;
    (void)state;
    check_failed("to@own.example",
                 "554 5.4.6 [internal] mail for the domain own.example loops back to this host");
    needs_root();
    open_scene(&scene, NULL);
    open_mx(&second, &scene, 1); /* is behind this host in the list */
    scene_send_to(&scene, "to@backup.example");
    scene_assert_event(scene_await(&scene, "delivery", 1), "deferred", no_mx);
    assert_int_equal(second.connections, 0);
    peer_close(&second);
    scene_close(&scene);
}

/* The name in the MX record is not that of the configuration, but the address is. */
static void test_this_host_knows_itself_by_its_addresses(void **state)
{
    static const char *const listeners[] = {"127.0.0.1", "0.0.0.0"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene scene;
        char listener[96];
        const struct dns_record self[] = {{"self.example", "MX", 10, "alias.gate.example", 0},
                                          {"self.example", "MX", 10, "mx2.example", 0},
                                          {"alias.gate.example", "A", 0, "127.0.0.1", 0},
                                          {"mx2.example", "A", 0, addresses[1], 0},
                                          {NULL, NULL, 0, NULL, 0}};
        snprintf(listener, sizeof(listener), "{\"address\":\"%s\",\"port\":25}", listeners[i]);
        scene_open(&scene, &(struct scene_options){.records = self, .listeners = listener});
        send_null(&scene, "to@self.example");
        scene_assert_event(scene_await(&scene, "delivery", 1), "failed",
                           "554 5.4.6 [internal] mail for the domain self.example loops back to "
                           "this host");
        scene_close(&scene);
    }
}

/* What listens at the loopback address may trust whoever comes from there. */
static void test_strangers_names_and_addresses_do_not_lead_to_this_host(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "127.77.1.2", "0.0.0.0", "::1", "::"};
    static const char *const literals[] = {"to@[127.0.0.1]", "to@[IPv6:::1]", "to@[0.0.0.0]",
                                           "to@[IPv6:::ffff:127.0.0.1]"};
    (void)state;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct scene scene;
        const struct dns_record records[] = {
            {"here.example", "MX", 10, "mx.here.example", 0},
            {"mx.here.example", strchr(hosts[i], ':') ? "AAAA" : "A", 0, hosts[i], 0},
            {NULL, NULL, 0, NULL, 0}};
        scene_open(&scene, &(struct scene_options){.records = records});
        unsetenv("GATEHOUSE_MX_AT_LOOPBACK");
        send_null(&scene, "to@here.example");
        scene_assert_event(scene_await(&scene, "delivery", 1), "failed",
                           "554 5.4.6 [internal] mail for the domain here.example loops back to "
                           "this host");
        scene_close(&scene);
    }
    for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++) {
        struct scene scene;
        open_scene(&scene, NULL);
        unsetenv("GATEHOUSE_MX_AT_LOOPBACK");
        send_null(&scene, literals[i]);
        scene_assert_event(scene_await(&scene, "delivery", 1), "failed",
                           "554 5.4.6 [internal] the recipient's address names this host itself");
        scene_close(&scene);
    }
}

static void check_deferred(const char *delivery, const char *recipient, const char *reply)
{
    struct scene scene;
    open_scene(&scene, delivery);
    scene_send_to(&scene, recipient);
    scene_assert_event(scene_await(&scene, "delivery", 1), "deferred", reply);
    scene_close(&scene);
}

static void test_a_name_server_that_fails_defers(void **state)
{
    (void)state;
    check_deferred(NULL, "to@fails.example",
                   "451 4.4.3 [internal] the name servers give no answer for the domain "
                   "fails.example at this time");
}

static void test_no_mx_host_is_reachable(void **state)
{
    (void)state;
    check_deferred(NULL, "to@two.example", no_mx);
    check_deferred(NULL, "to@lost.example", no_mx);
}

static void test_a_host_that_does_not_answer_in_time(void **state)
{
    struct scene scene;
    struct peer silent;
    (void)state;
    needs_root();
    open_scene(&scene, "\"connect_seconds\":1,\"reply_seconds\":1");
    open_mx(&silent, &scene, 0);
    silent.greeting = PEER_SILENT;
    scene_send_to(&scene, "to@implicit.example");
    scene_assert_event(scene_await(&scene, "delivery", 1), "deferred", no_servers);
    peer_close(&silent);
    scene_close(&scene);
}

static void test_no_relay_is_reachable(void **state)
{
    struct scene scene;
    (void)state;
    open_scene(&scene, NULL);
    peer_close(&scene.peer);
    scene.peer.listener = NULL;
    scene_send_to(&scene, "to@relay.example");
    scene_assert_event(scene_await(&scene, "delivery", 1), "deferred", no_servers);
    scene_close(&scene);
}

static void test_relays_are_tried_in_order(void **state)
{
    struct scene scene;
    struct peer first, second;
    char domains[512];
    (void)state;
    scene_open_on(&scene, event_base_new());
    peer_open(&first, scene.mta.base, NULL);
    peer_open(&second, scene.mta.base, NULL);
    snprintf(domains, sizeof(domains),
             ",{\"name\":\"pair.example\",\"route\":{\"kind\":\"relay\",\"relays\":["
             "{\"host\":\"127.0.0.1\",\"port\":%u},{\"host\":\"127.0.0.1\",\"port\":%u}]}}",
             (unsigned)first.port, (unsigned)second.port);
    scene_start(&scene, &(struct scene_options){.domains = domains});
    scene_send_to(&scene, "to@pair.example");
    scene_await(&scene, "delivery", 1);
    assert_int_equal(first.messages, 1);
    peer_close(&first);
    first.listener = NULL;
    scene_send_to(&scene, "to@pair.example");
    scene_assert_event(scene_await(&scene, "delivery", 2), "delivered", "250 2.0.0 taken");
    assert_int_equal(second.messages, 1);
    peer_close(&second);
    scene_close(&scene);
}

/* Standard error goes to a file meanwhile. */
static int capture_log(const struct scene *scene, char *path, size_t size)
{
    int kept = dup(2);
    snprintf(path, size, "%s/log", scene->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    dup2(fileno(file), 2);
    fclose(file);
    return kept;
}

static void end_capture(int kept, const char *path, struct buffer *text)
{
    char piece[4096];
    size_t count;
    dup2(kept, 2);
    close(kept);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while ((count = fread(piece, 1, sizeof(piece), file)) > 0)
        buffer_add(text, piece, count);
    fclose(file);
}

static void test_a_dead_destination_is_left_alone(void **state)
{
    struct scene scene;
    struct buffer text = BUFFER_INIT;
    char path[128];
    (void)state;
    open_scene(&scene, NULL);
    peer_close(&scene.peer);
    scene.peer.listener = NULL;
    for (size_t i = 1; i <= 5; i++) {
        scene_send_to(&scene, "to@relay.example");
        scene_assert_event(scene_await(&scene, "delivery", i), "deferred", no_servers);
    }
    int kept = capture_log(&scene, path, sizeof(path));
    scene_send_to(&scene, "to@relay.example");
    json_t *event = scene_await(&scene, "delivery", 6);
    end_capture(kept, path, &text);
    scene_assert_event(event, "deferred", too_many);
    assert_true(json_is_null(json_object_get(event, "host")));
    scene_assert_contains(text.data,
                          "Temporary delivery failure, sender: from@sender.example, recipient: "
                          "to@relay.example, Detail: 451 4.4.1 [internal] No valid hosts (too many "
                          "connection failures)\n");
    buffer_free(&text);
    scene_close(&scene);
}

static void test_many_messages_for_a_dead_destination_cost_one_attempt(void **state)
{
    struct scene scene;
    (void)state;
    open_scene(&scene, "\"reply_seconds\":1,\"max_connections\":1");
    scene.peer.greeting = PEER_SILENT;
    scene_send_many(&scene, "to@relay.example", 200);
    scene_await(&scene, "delivery", 200);
    assert_int_equal(scene_count_outcome(&scene, "deferred"), 200);
    assert_in_range(scene.peer.connections, 1, 3);
    scene_close(&scene);
}

static void test_answers_are_asked_for_once(void **state)
{
    struct scene scene;
    struct peer peer;
    (void)state;
    needs_root();
    open_scene(&scene, "\"messages_per_connection\":1");
    open_mx(&peer, &scene, 0);
    for (size_t i = 1; i <= 5; i++) {
        scene_send_to(&scene, "to@two.example");
        scene_await(&scene, "delivery", i);
    }
    assert_int_equal(peer.messages, 5);
    assert_int_equal(scene.dns.queries, 6); /* MX, A and AAAA of both hosts, MTA-STS */
    peer_close(&peer);
    scene_close(&scene);
}

/* --- routes alone --- */

static void check_own_route(const char *text, enum config_route_kind kind, const char *host,
                            unsigned port)
{
    struct scanner_config config = {0};
    struct destination_route route;
    char own[300];
    snprintf(own, sizeof(own), "%s", text);
    struct queue_recipient recipient = {.address = "to@home.example", .route = own};
    assert_null(destination_find_route(&config, &recipient, &route));
    assert_int_equal(route.kind, kind);
    if (kind == CONFIG_ROUTE_MX) {
        assert_string_equal(route.domain, host);
        assert_int_equal(route.port, port);
    } else {
        assert_int_equal(route.relay_count, 1);
        assert_string_equal(route.relays[0].host, host);
        assert_int_equal(route.relays[0].port, port);
    }
}

static void test_an_administrators_route_is_read(void **state)
{
    (void)state;
    check_own_route("relay.example:2525", CONFIG_ROUTE_RELAY, "relay.example", 2525);
    check_own_route("Relay.Example", CONFIG_ROUTE_RELAY, "relay.example", 25);
    check_own_route("192.0.2.1:26", CONFIG_ROUTE_RELAY, "192.0.2.1", 26);
    check_own_route("192.0.2.1", CONFIG_ROUTE_RELAY, "192.0.2.1", 25);
    check_own_route("[2001:db8::1]:26", CONFIG_ROUTE_RELAY, "2001:db8::1", 26);
    check_own_route("2001:db8::1", CONFIG_ROUTE_RELAY, "2001:db8::1", 25);
    check_own_route("mx", CONFIG_ROUTE_MX, "home.example", 25);
    check_own_route("mx:other.example", CONFIG_ROUTE_MX, "other.example", 25);
    check_own_route("mx:other.example:2525", CONFIG_ROUTE_MX, "other.example", 2525);
}

static void test_a_malformed_route_of_an_administrator_defers(void **state)
{
    static const char *const texts[] = {"",         ":25",  "host:",  "host:0", "host:65536",
                                        "host:25x", "[::1", "a b:25", "mx:",    "host:+5"};
    struct scanner_config config = {0};
    struct destination_route route;
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char own[64];
        snprintf(own, sizeof(own), "%s", texts[i]);
        struct queue_recipient recipient = {.address = "to@home.example", .route = own};
        const char *refusal = destination_find_route(&config, &recipient, &route);
        if (!refusal || refusal[0] != '4')
            fail_msg("\"%s\" is taken", texts[i]);
    }
}

static void test_an_administrators_mistake_bounces_nothing(void **state)
{
    struct scene scene;
    (void)state;
    open_scene(&scene, NULL);
    scene.peer.rcpt = "450 4.2.1 later\r\n";
    struct message_id id = scene_send_to(&scene, "to@relay.example");
    scene_await(&scene, "delivery", 1);
    queue_change_recipients(scene.mta.queue, queue_find(scene.mta.queue, &id),
                            &(struct queue_change){.state = QUEUE_RECIPIENT_QUEUED,
                                                   .attempts = 1,
                                                   .route = "mx:missing.example"},
                            1, NULL);
    scene_assert_event(scene_await(&scene, "delivery", 2), "deferred",
                       "451 4.1.2 [internal] the domain missing.example does not exist");
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_preferred_host_is_taken_first),
        cmocka_unit_test(test_equal_hosts_share_the_load),
        cmocka_unit_test(test_every_form_of_a_domain_finds_its_host),
        cmocka_unit_test(test_the_other_family_is_tried),
        cmocka_unit_test(test_domains_that_take_no_mail_fail),
        cmocka_unit_test(test_mail_for_this_host_itself_does_not_loop),
        cmocka_unit_test(test_this_host_knows_itself_by_its_addresses),
        cmocka_unit_test(test_strangers_names_and_addresses_do_not_lead_to_this_host),
        cmocka_unit_test(test_a_name_server_that_fails_defers),
        cmocka_unit_test(test_no_mx_host_is_reachable),
        cmocka_unit_test(test_a_host_that_does_not_answer_in_time),
        cmocka_unit_test(test_no_relay_is_reachable),
        cmocka_unit_test(test_relays_are_tried_in_order),
        cmocka_unit_test(test_a_dead_destination_is_left_alone),
        cmocka_unit_test(test_many_messages_for_a_dead_destination_cost_one_attempt),
        cmocka_unit_test(test_answers_are_asked_for_once),
        cmocka_unit_test(test_an_administrators_route_is_read),
        cmocka_unit_test(test_a_malformed_route_of_an_administrator_defers),
        cmocka_unit_test(test_an_administrators_mistake_bounces_nothing),
    };
    make_addresses();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
