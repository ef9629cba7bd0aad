/* MTA-STS (RFC 8461): policies and records as text, and what a policy does to deliveries. */
#include "test_delivery_https.h"
#include "test_delivery_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scanner/mta/mta_sts_policy.h"

/* --- text --- */

static struct mta_sts_policy *read_policy(const char *text)
{
    return mta_sts_policy_read(text, strlen(text), NULL);
}

static void test_a_policy_is_read(void **state)
{
    (void)state;
    struct mta_sts_policy *policy =
        read_policy("version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\n"
                    "mx:*.Example.NET\r\nmx: backup.example.com\r\nfuture: x\r\n"
                    "max_age: 604800\r\n");
    assert_non_null(policy);
    assert_int_equal(mta_sts_mode(policy), MTA_STS_ENFORCE);
    assert_int_equal(mta_sts_max_age(policy), 604800);
    assert_int_equal(mta_sts_mx_count(policy), 3);
    assert_true(mta_sts_has_mx(policy, "mail.example.com"));
    assert_true(mta_sts_has_mx(policy, "one.example.net"));
    assert_false(mta_sts_has_mx(policy, "example.net"));
    assert_false(mta_sts_has_mx(policy, "two.one.example.net"));
    assert_false(mta_sts_has_mx(policy, "mail.example.com.evil.example"));
    mta_sts_policy_drop(policy);
}

static void test_a_policy_is_at_most_a_year_old(void **state)
{
    (void)state;
    struct mta_sts_policy *policy =
        read_policy("version: STSv1\nmode: none\nmax_age: 9999999999\n");
    assert_non_null(policy);
    assert_int_equal(mta_sts_max_age(policy), MTA_STS_AGE_MOST);
    mta_sts_policy_drop(policy);
}

static void test_malformed_policies_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "mode: none\nmax_age: 1\n",
        "version: STSv2\nmode: none\nmax_age: 1\n",
        "version: STSv1\nmode: strict\nmx: a.example\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.example\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 99999999999\n",
        "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 1\nnonsense\n",
        "<html>not found</html>\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_null(read_policy(texts[i]));
}

static bool read_record(const char *text, char id[MTA_STS_ID_SIZE])
{
    return mta_sts_read_record(text, strlen(text), id);
}

static void test_records_are_read(void **state)
{
    char id[MTA_STS_ID_SIZE];
    (void)state;
    assert_true(read_record("v=STSv1; id=20160831085700Z;", id));
    assert_string_equal(id, "20160831085700Z");
    assert_true(read_record("v=STSv1;id=1; future=x", id));
    assert_string_equal(id, "1");
    assert_false(read_record("v=STSv1;", id));
    assert_false(read_record("id=1; v=STSv1", id));
    assert_false(read_record("v=STSv1; id=not-alphanumeric;", id));
    assert_false(read_record("v=STSv1; id=123456789012345678901234567890123;", id));
    assert_false(read_record("v=spf1 -all", id));
}

/* --- deliveries --- */

#define POLICY(mode, mx) "version: STSv1\nmode: " mode "\nmx: " mx "\nmax_age: 86400\n"

/* The domain sts.example has mx.sts.example at a free port, named by the recipient's own route. */
struct sts_scene {
    struct scene scene;
    struct peer mx;
    struct authority authority;
    struct https_server https;
    char route[64];
    char *delivery;
    struct scene_options options;
    struct dns_record records[8];
};

static char *trusting(const struct authority *authority)
{
    char *pem = authority_pem(authority);
    json_t *object = json_pack("{s:s}", "trusted_certificates", pem);
    char *text = json_dumps(object, JSON_COMPACT);
    text[strlen(text) - 1] = '\0';
    memmove(text, text + 1, strlen(text));
    free(pem);
    json_decref(object);
    return text;
}

static void open_sts(struct sts_scene *at, const char *policy)
{
    memset(at, 0, sizeof(*at));
    authority_open(&at->authority);
    at->delivery = trusting(&at->authority);
    scene_open_on(&at->scene, event_base_new());
    peer_open(&at->mx, at->scene.mta.base, NULL);
    at->mx.tls = authority_issue(&at->authority, "mx.sts.example", 10);
    https_open(&at->https, at->scene.mta.base, &at->authority, "mta-sts.sts.example",
               at->scene.folder);
    at->https.answer = policy;
    snprintf(at->route, sizeof(at->route), "mx:sts.example:%u", (unsigned)at->mx.port);
    at->records[0] = (struct dns_record){"sts.example", "MX", 10, "mx.sts.example", 1};
    at->records[1] = (struct dns_record){"mx.sts.example", "A", 0, "127.0.0.1", 1};
    at->records[2] = (struct dns_record){"mta-sts.sts.example", "A", 0, "127.0.0.1", 1};
    at->records[3] = (struct dns_record){"_mta-sts.sts.example", "TXT", 0, "v=STSv1; id=one;", 1};
    at->options = (struct scene_options){.delivery = at->delivery, .records = at->records};
    scene_start(&at->scene, &at->options);
}

static void close_sts(struct sts_scene *at)
{
    https_close(&at->https);
    peer_close(&at->mx);
    scene_close(&at->scene);
    SSL_CTX_free(at->mx.tls);
    authority_close(&at->authority);
    free(at->delivery);
}

static json_t *send_one(struct sts_scene *at)
{
    struct queue_draft_recipient to = {.address = "to@sts.example", .route = at->route};
    size_t before = scene_count(&at->scene, "delivery");
    scene_send_draft(&at->scene, &to, 1);
    return scene_await(&at->scene, "delivery", before + 1);
}

static void check_delivered(struct sts_scene *at, const char *security)
{
    json_t *event = send_one(at);
    scene_assert_event(event, "delivered", "250 2.0.0 taken");
    assert_string_equal(scene_text(event, "security"), security);
}

static void give(struct sts_scene *at, SSL_CTX *tls)
{
    SSL_CTX_free(at->mx.tls);
    at->mx.tls = tls;
}

static void test_an_enforced_policy_wants_a_verified_certificate(void **state)
{
    struct sts_scene at;
    (void)state;
    open_sts(&at, POLICY("enforce", "*.sts.example"));
    check_delivered(&at, "mta-sts");
    assert_string_equal(at.https.path, "/.well-known/mta-sts.txt");
    assert_string_equal(at.https.host, "mta-sts.sts.example");
    close_sts(&at);
    open_sts(&at, POLICY("enforce", "*.sts.example"));
    give(&at, peer_tls_new());
    scene_assert_event(send_one(&at), "deferred",
                       "451 4.7.5 [internal] the certificate of mx.sts.example is not trusted: "
                       "self-signed certificate");
    assert_int_equal(at.mx.messages, 0);
    close_sts(&at);
}

static void test_an_enforced_policy_wants_starttls(void **state)
{
    struct sts_scene at;
    (void)state;
    open_sts(&at, POLICY("enforce", "mx.sts.example"));
    at.mx.ehlo = PEER_EHLO_ALL;
    scene_assert_event(send_one(&at), "deferred",
                       "451 4.7.4 [internal] mx.sts.example does not offer TLS (STARTTLS)");
    assert_int_equal(at.mx.messages, 0);
    close_sts(&at);
}

static void test_a_host_that_the_policy_does_not_name_gets_nothing(void **state)
{
    struct sts_scene at;
    (void)state;
    open_sts(&at, POLICY("enforce", "other.example"));
    scene_assert_event(send_one(&at), "deferred",
                       "451 4.7.5 [internal] mx.sts.example is not among the mail servers of the "
                       "MTA-STS policy of sts.example");
    assert_int_equal(at.mx.connections, 0);
    close_sts(&at);
}

static void test_a_policy_that_is_tested_stops_no_mail(void **state)
{
    struct sts_scene at;
    (void)state;
    open_sts(&at, POLICY("testing", "other.example"));
    give(&at, peer_tls_new());
    check_delivered(&at, "opportunistic");
    close_sts(&at);
}

static void test_a_policy_of_none_stops_no_mail(void **state)
{
    struct sts_scene at;
    (void)state;
    open_sts(&at, POLICY("none", "other.example"));
    give(&at, peer_tls_new());
    check_delivered(&at, "opportunistic");
    close_sts(&at);
}

static void test_a_domain_whose_policy_cannot_be_had_is_served_without(void **state)
{
    struct sts_scene at;
    (void)state;
    open_sts(&at, "");
    https_stop(&at.https);
    check_delivered(&at, "opportunistic");
    close_sts(&at);
    open_sts(&at, "nonsense");
    check_delivered(&at, "opportunistic");
    close_sts(&at);
}

/* The certificate of a policy's server is checked, and redirects are not followed. */
static void test_only_the_right_server_gives_a_policy(void **state)
{
    struct sts_scene at;
    (void)state;
    open_sts(&at, POLICY("enforce", "other.example"));
    at.https.status = 302;
    at.https.location = "https://mta-sts.sts.example/other";
    check_delivered(&at, "opportunistic");
    assert_int_equal(at.https.requests, 1);
    close_sts(&at);
    open_sts(&at, POLICY("enforce", "other.example"));
    SSL_CTX_free(at.https.tls);
    at.https.tls = authority_issue(&at.authority, "sts.example", 10);
    check_delivered(&at, "opportunistic");
    assert_int_equal(at.https.requests, 0);
    close_sts(&at);
    open_sts(&at, POLICY("enforce", "other.example"));
    at.https.content_type = "text/html";
    check_delivered(&at, "opportunistic");
    close_sts(&at);
}

static void test_a_kept_policy_outlives_server_record_and_restart(void **state)
{
    struct sts_scene at;
    (void)state;
    open_sts(&at, POLICY("enforce", "mx.sts.example"));
    check_delivered(&at, "mta-sts");
    https_stop(&at.https);
    at.records[3].data = "v=STSv1; id=two;"; /* a newer one, which cannot be had */
    scene_restart(&at.scene, &at.options);
    check_delivered(&at, "mta-sts");
    at.records[3].name = "elsewhere.example"; /* an attacker takes the record away */
    scene_restart(&at.scene, &at.options);
    give(&at, peer_tls_new());
    json_t *event = send_one(&at);
    assert_string_equal(scene_text(event, "outcome"), "deferred");
    close_sts(&at);
}

static void test_another_id_brings_another_policy(void **state)
{
    struct sts_scene at;
    (void)state;
    open_sts(&at, POLICY("enforce", "mx.sts.example"));
    check_delivered(&at, "mta-sts");
    scene_run(&at.scene, 1200); /* the record's TTL is over */
    check_delivered(&at, "mta-sts");
    assert_int_equal(at.https.requests, 1);
    at.records[3].data = "v=STSv1; id=two;";
    at.https.answer = POLICY("none", "mx.sts.example");
    scene_run(&at.scene, 6500); /* the connection is idle too long */
    check_delivered(&at, "opportunistic");
    assert_int_equal(at.https.requests, 2);
    close_sts(&at);
}

/* RFC 8461 section 2: a policy never weakens what DANE demands. */
static void test_dane_goes_before_a_policy(void **state)
{
    struct sts_scene at;
    char name[64];
    (void)state;
    open_sts(&at, POLICY("none", "mx.sts.example"));
    snprintf(name, sizeof(name), "_%u._tcp.mx.sts.example", (unsigned)at.mx.port);
    at.records[4] = (struct dns_record){
        name, "TLSA", 0, "3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        1};
    char *members = NULL;
    assert_true(asprintf(&members, "\"dns_validates\":true,%s", at.delivery) > 0);
    at.options.delivery = members;
    at.scene.dns.secure = true;
    scene_restart(&at.scene, &at.options);
    json_t *event = send_one(&at);
    assert_string_equal(scene_text(event, "outcome"), "deferred");
    scene_assert_contains(scene_text(event, "reply"), "the certificate of mx.sts.example");
    /* The name in an MX record that is not validated may be anybody's: DANE says nothing of it. */
    at.scene.dns.insecure_name = "sts.example";
    scene_restart(&at.scene, &at.options);
    check_delivered(&at, "opportunistic");
    close_sts(&at);
    free(members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_policy_is_read),
        cmocka_unit_test(test_a_policy_is_at_most_a_year_old),
        cmocka_unit_test(test_malformed_policies_are_refused),
        cmocka_unit_test(test_records_are_read),
        cmocka_unit_test(test_an_enforced_policy_wants_a_verified_certificate),
        cmocka_unit_test(test_an_enforced_policy_wants_starttls),
        cmocka_unit_test(test_a_host_that_the_policy_does_not_name_gets_nothing),
        cmocka_unit_test(test_a_policy_that_is_tested_stops_no_mail),
        cmocka_unit_test(test_a_policy_of_none_stops_no_mail),
        cmocka_unit_test(test_a_domain_whose_policy_cannot_be_had_is_served_without),
        cmocka_unit_test(test_only_the_right_server_gives_a_policy),
        cmocka_unit_test(test_a_kept_policy_outlives_server_record_and_restart),
        cmocka_unit_test(test_another_id_brings_another_policy),
        cmocka_unit_test(test_dane_goes_before_a_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
