/* DNS lookups against a name server of the test, and answers that are malformed; and when deferred
 * mail is tried again. */
#include "scanner/mta/resolver.h"

#include "common/timestamp.h"
#include "scanner/mta/resolver_parse.h"
#include "scanner/mta/retry.h"
#include "test_delivery_peers.h"

#include <arpa/nameser.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LONG_TEXT                                                                                  \
    "a text of more than one string, each of which is at most a hundred bytes long in this test, " \
    "and which is one text all the same when it is read"

static const struct dns_record records[] = {
    {"some.example", "MX", 10, "mx1.example", 0},
    {"some.example", "MX", 5, "MX2.Example", 0},
    {"null.example", "MX", 0, "", 0},
    {"odd.example", "MX", 10, "bad_name.example", 0},
    {"alias.example", "CNAME", 0, "some.example", 0},
    {"loop.example", "CNAME", 0, "pool.example", 0},
    {"host.example", "A", 0, "192.0.2.1", 0},
    {"host.example", "AAAA", 0, "2001:db8::1", 0},
    {"four.example", "A", 0, "192.0.2.4", 1},
    {"fails.example", "FAIL", 0, "", 0},
    {"text.example", "TXT", 0, "short", 0},
    {"text.example", "TXT", 0, LONG_TEXT, 0},
    {"_25._tcp.host.example", "TLSA", 0, "3 1 1 00ff", 0},
    {"also.example", "CNAME", 0, "host.example", 0},
    {NULL, NULL, 0, NULL, 0},
};

struct seen {
    unsigned answers;
    enum resolver_status status;
    bool secure;
    char canonical[DOMAIN_SIZE];
    size_t count;
    struct resolver_record records[RESOLVER_RECORDS];
    char data[2][200]; /* of the first ones */
};

struct scene {
    struct event_base *base;
    struct dns_server server;
    struct resolver *resolver;
};

static void on_answer(void *argument, const struct resolver_answer *answer)
{
    struct seen *seen = argument;
    seen->answers++;
    seen->status = answer->status;
    seen->secure = answer->secure;
    memcpy(seen->canonical, answer->canonical, sizeof(seen->canonical));
    for (size_t i = 0; i < answer->count && i < 2; i++)
        memcpy(seen->data[i], answer->records[i].data, answer->records[i].data_length);
    seen->count = answer->count;
    memcpy(seen->records, answer->records, answer->count * sizeof(seen->records[0]));
}

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    struct ip_address server;
    struct error error = {0};
    assert_non_null(scene);
    assert_true(ip_parse("127.0.0.1", &server));
    scene->base = event_base_new();
    dns_open(&scene->server, scene->base, records);
    scene->resolver = resolver_new(scene->base, &server, 1, &error);
    assert_non_null(scene->resolver);
    *state = scene;
    return 0;
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    resolver_free(scene->resolver);
    dns_close(&scene->server);
    event_base_free(scene->base);
    free(scene);
    return 0;
}

static void await(struct scene *scene, struct seen *seen, unsigned answers)
{
    int64_t end = timestamp_monotonic_ms() + 30000;
    while (seen->answers < answers && timestamp_monotonic_ms() < end)
        event_base_loop(scene->base, EVLOOP_ONCE);
    assert_int_equal(seen->answers, answers);
}

static struct seen find_mx(struct scene *scene, const char *name)
{
    struct seen seen = {0};
    resolver_find_mx(scene->resolver, name, on_answer, &seen);
    await(scene, &seen, 1);
    return seen;
}

static struct seen find_addresses(struct scene *scene, const char *name)
{
    struct seen seen = {0};
    resolver_find_addresses(scene->resolver, name, on_answer, &seen);
    await(scene, &seen, 1);
    return seen;
}

static void test_mx_records_are_found(void **state)
{
    struct seen seen = find_mx(*state, "some.example");
    assert_int_equal(seen.status, RESOLVER_FOUND);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.records[0].name, "mx1.example");
    assert_int_equal(seen.records[0].preference, 10);
    assert_string_equal(seen.records[1].name, "mx2.example");
}

static void test_an_alias_is_followed(void **state)
{
    struct seen seen = find_mx(*state, "alias.example");
    assert_int_equal(seen.status, RESOLVER_FOUND);
    assert_int_equal(seen.count, 2);
    assert_int_equal(find_mx(*state, "loop.example").status, RESOLVER_NO_DATA);
}

static void test_a_null_mx_is_an_empty_name(void **state)
{
    struct seen seen = find_mx(*state, "null.example");
    assert_int_equal(seen.status, RESOLVER_FOUND);
    assert_string_equal(seen.records[0].name, "");
}

static void test_names_that_are_no_host_names_are_left_out(void **state)
{
    assert_int_equal(find_mx(*state, "odd.example").status, RESOLVER_NO_DATA);
}

static void test_what_is_missing_is_told_apart(void **state)
{
    assert_int_equal(find_mx(*state, "host.example").status, RESOLVER_NO_DATA);
    assert_int_equal(find_mx(*state, "missing.example").status, RESOLVER_NO_NAME);
    assert_int_equal(find_addresses(*state, "missing.example").status, RESOLVER_NO_NAME);
    assert_int_equal(find_addresses(*state, "some.example").status, RESOLVER_NO_DATA);
    assert_int_equal(find_mx(*state, "fails.example").status, RESOLVER_NO_ANSWER);
    assert_int_equal(find_addresses(*state, "fails.example").status, RESOLVER_NO_ANSWER);
}

static void test_both_families_are_found(void **state)
{
    struct seen seen = find_addresses(*state, "host.example");
    assert_int_equal(seen.count, 2);
    assert_int_not_equal(ip_is_v4(&seen.records[0].address), ip_is_v4(&seen.records[1].address));
}

static void test_texts_and_tlsa_records_are_found(void **state)
{
    struct scene *scene = *state;
    struct seen text = {0}, tlsa = {0};
    resolver_find_text(scene->resolver, "text.example", on_answer, &text);
    await(scene, &text, 1);
    assert_int_equal(text.count, 2);
    assert_string_equal(text.data[0], "short");
    assert_string_equal(text.data[1], LONG_TEXT);
    resolver_find_tlsa(scene->resolver, "_25._tcp.host.example", on_answer, &tlsa);
    await(scene, &tlsa, 1);
    assert_int_equal(tlsa.count, 1);
    assert_int_equal(tlsa.records[0].data_length, 5);
    assert_memory_equal(tlsa.data[0], "\3\1\1\0\xff", 5);
}

static void test_an_answer_is_secure_where_the_server_says_so(void **state)
{
    struct scene *scene = *state;
    assert_false(find_mx(scene, "some.example").secure);
    scene->server.secure = true;
    assert_true(find_addresses(scene, "host.example").secure);
    assert_false(find_mx(scene, "fails.example").secure);
}

static void test_the_name_behind_an_alias_is_told(void **state)
{
    assert_string_equal(find_addresses(*state, "also.example").canonical, "host.example");
    assert_string_equal(find_addresses(*state, "host.example").canonical, "host.example");
}

static void test_those_who_ask_together_share_one_query(void **state)
{
    struct scene *scene = *state;
    struct seen seen = {0};
    for (int i = 0; i < 10; i++)
        resolver_find_mx(scene->resolver, "some.example", on_answer, &seen);
    await(scene, &seen, 10);
    assert_int_equal(scene->server.queries, 1);
}

static void test_an_answer_is_kept_as_long_as_it_says(void **state)
{
    struct scene *scene = *state;
    int64_t end;
    find_addresses(scene, "four.example");
    find_addresses(scene, "four.example");
    assert_int_equal(scene->server.queries, 2); /* A and AAAA */
    for (end = timestamp_monotonic_ms() + 1100; timestamp_monotonic_ms() < end;)
        event_base_loop(scene->base, EVLOOP_NONBLOCK);
    find_addresses(scene, "four.example");
    assert_int_equal(scene->server.queries, 4);
}

static void test_other_servers_answer_what_is_under_way(void **state)
{
    struct scene *scene = *state;
    struct ip_address server;
    struct seen seen = {0};
    assert_true(ip_parse("127.0.0.1", &server));
    resolver_find_mx(scene->resolver, "some.example", on_answer, &seen);
    assert_true(resolver_set_servers(scene->resolver, &server, 1, NULL));
    await(scene, &seen, 1);
    assert_int_equal(seen.status, RESOLVER_FOUND);
}

static void test_who_waits_at_the_end_gets_no_answer(void **state)
{
    struct scene *scene = *state;
    struct seen seen = {0};
    resolver_find_addresses(scene->resolver, "host.example", on_answer, &seen);
    resolver_free(scene->resolver);
    scene->resolver = NULL;
    assert_int_equal(seen.answers, 1);
    assert_int_equal(seen.status, RESOLVER_NO_ANSWER);
}

/* --- answers alone --- */

static const unsigned char answer[] = {
    0,    1,   0x81, 0x80, 0,  1, 0, 2, 0, 0,  0, 0,                   /* header: two answers */
    1,    'a', 0,    0,    15, 0, 1,                                   /* question: a MX */
    0xc0, 12,  0,    15,   0,  1, 0, 0, 0, 60, 0, 5, 0, 10, 1, 'b', 0, /* a MX 10 b */
    0xc0, 12,  0,    15,   0,  1, 0, 0, 0, 30, 0, 5, 0, 20, 1, 'c', 0, /* a MX 20 c */
};

static struct resolver_found parse(const unsigned char *bytes, size_t length)
{
    struct resolver_found found = {.ttl = UINT32_MAX};
    unsigned char *exact = malloc(length ? length : 1);
    memcpy(exact, bytes, length);
    resolver_parse(exact, length, ns_t_mx, &found);
    resolver_parse_absence(exact, length, 60);
    free(exact);
    return found;
}

static void test_an_answer_is_read_as_far_as_it_is_whole(void **state)
{
    (void)state;
    struct resolver_found found = parse(answer, sizeof(answer));
    assert_int_equal(found.count, 2);
    assert_int_equal(found.ttl, 30);
    assert_string_equal(found.records[1].name, "c");
    for (size_t length = 0; length < sizeof(answer); length++)
        assert_int_equal(parse(answer, length).count, length >= 36 ? 1 : 0);
}

static void test_a_name_that_points_at_itself_is_refused(void **state)
{
    unsigned char bytes[sizeof(answer)];
    (void)state;
    memcpy(bytes, answer, sizeof(answer));
    bytes[20] = 19; /* the owner of the first record */
    assert_int_equal(parse(bytes, sizeof(bytes)).count, 0);
}

static void test_no_answer_holds_more_than_is_kept(void **state)
{
    unsigned char bytes[19 + 100 * 17];
    (void)state;
    memcpy(bytes, answer, 19);
    bytes[7] = 100;
    for (size_t i = 0; i < 100; i++)
        memcpy(bytes + 19 + i * 17, answer + 19, 17);
    assert_int_equal(parse(bytes, sizeof(bytes)).count, RESOLVER_RECORDS);
}

/* --- retries --- */

static void test_waits_follow_the_configuration(void **state)
{
    int seconds[] = {60, 120, 600};
    struct config_delivery limits = {
        .retry_seconds = seconds, .retry_count = 3, .lifetime_seconds = 86400};
    (void)state;
    assert_int_equal(retry_next_attempt(&limits, 1, 0, 1000, 0), 61000);
    assert_int_equal(retry_next_attempt(&limits, 2, 0, 1000, 0), 121000);
    assert_int_equal(retry_next_attempt(&limits, 3, 0, 1000, 0), 601000);
    assert_int_equal(retry_next_attempt(&limits, 900, 0, 1000, 0), 601000);
    for (uint32_t random = 0; random < 100000; random += 17)
        assert_in_range(retry_next_attempt(&limits, 1, 0, 0, random), 60000, 66000);
}

static void test_the_last_attempt_is_at_the_end_of_the_lifetime(void **state)
{
    int seconds[] = {3600};
    struct config_delivery limits = {
        .retry_seconds = seconds, .retry_count = 1, .lifetime_seconds = 5000};
    (void)state;
    assert_int_equal(retry_next_attempt(&limits, 2, 0, 4000000, 0), 5000000);
    assert_int_equal(retry_next_attempt(&limits, 3, 0, 5000000, 0), 0);
    assert_int_equal(retry_next_attempt(&limits, 3, 0, 9000000, 0), 0);
}

int main(void)
{
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_mx_records_are_found),
        WITH_SERVER(test_an_alias_is_followed),
        WITH_SERVER(test_a_null_mx_is_an_empty_name),
        WITH_SERVER(test_names_that_are_no_host_names_are_left_out),
        WITH_SERVER(test_what_is_missing_is_told_apart),
        WITH_SERVER(test_both_families_are_found),
        WITH_SERVER(test_texts_and_tlsa_records_are_found),
        WITH_SERVER(test_an_answer_is_secure_where_the_server_says_so),
        WITH_SERVER(test_the_name_behind_an_alias_is_told),
        WITH_SERVER(test_those_who_ask_together_share_one_query),
        WITH_SERVER(test_an_answer_is_kept_as_long_as_it_says),
        WITH_SERVER(test_other_servers_answer_what_is_under_way),
        WITH_SERVER(test_who_waits_at_the_end_gets_no_answer),
        cmocka_unit_test(test_an_answer_is_read_as_far_as_it_is_whole),
        cmocka_unit_test(test_a_name_that_points_at_itself_is_refused),
        cmocka_unit_test(test_no_answer_holds_more_than_is_kept),
        cmocka_unit_test(test_waits_follow_the_configuration),
        cmocka_unit_test(test_the_last_attempt_is_at_the_end_of_the_lifetime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
