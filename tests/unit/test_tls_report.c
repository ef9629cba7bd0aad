/* TLS reports (RFC 8460): the record that asks, what is counted, and the reports by mail and HTTPS.
 */
#include "test_delivery_https.h"
#include "test_delivery_scene.h"

#include "common/timestamp.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "scanner/mta/delivery_private.h"
#include "scanner/mta/tls_report_record.h"

/* --- the record --- */

static size_t read_record(const char *text, struct tls_report_target *targets)
{
    return tls_report_read_record(text, strlen(text), targets);
}

static void test_records_name_who_gets_reports(void **state)
{
    struct tls_report_target targets[TLS_REPORT_TARGETS];
    (void)state;
    assert_int_equal(read_record("v=TLSRPTv1; rua=mailto:tls%2Breports@example.com?subject=x,"
                                 "https://reporting.example.com/v1/tlsrpt",
                                 targets),
                     2);
    assert_true(targets[0].is_mail);
    assert_string_equal(targets[0].text, "tls+reports@example.com");
    assert_false(targets[1].is_mail);
    assert_string_equal(targets[1].text, "https://reporting.example.com/v1/tlsrpt");
    assert_int_equal(read_record("v=TLSRPTv1;rua=mailto:a@example.com", targets), 1);
}

static void test_records_that_are_none_name_nobody(void **state)
{
    static const char *const texts[] = {
        "",
        "v=TLSRPTv1",
        "v=TLSRPTv1;",
        "v=TLSRPTv12; rua=mailto:a@example.com",
        "rua=mailto:a@example.com; v=TLSRPTv1",
        "v=TLSRPTv1; rua=ftp://example.com/",
        "v=TLSRPTv1; rua=http://example.com/",
        "v=TLSRPTv1; rua=mailto:a@example.com%0d%0aBcc:b@example.com",
        "v=TLSRPTv1; rua=https://example.com/a b",
    };
    struct tls_report_target targets[TLS_REPORT_TARGETS];
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(read_record(texts[i], targets), 0);
}

/* --- counting and sending --- */

#define DAY_MS (24 * 3600 * 1000LL)

struct report_scene {
    struct scene scene;
    struct peer mx, mailbox;
    struct authority authority;
    struct https_server https;
    char route[64], domains[400];
    struct scene_options options;
    struct dns_record records[10];
};

static void open_reports(struct report_scene *at, const char *rua)
{
    memset(at, 0, sizeof(*at));
    authority_open(&at->authority);
    scene_open_on(&at->scene, event_base_new());
    peer_open(&at->mx, at->scene.mta.base, NULL);
    peer_open(&at->mailbox, at->scene.mta.base, NULL);
    https_open(&at->https, at->scene.mta.base, &at->authority, "reports.example", at->scene.folder);
    snprintf(at->route, sizeof(at->route), "mx:some.example:%u", (unsigned)at->mx.port);
    snprintf(at->domains, sizeof(at->domains),
             ",{\"name\":\"reports.example\",\"route\":{\"kind\":\"relay\",\"relays\":"
             "[{\"host\":\"127.0.0.1\",\"port\":%u}]}}",
             (unsigned)at->mailbox.port);
    at->records[0] = (struct dns_record){"some.example", "MX", 10, "mx.some.example", 0};
    at->records[1] = (struct dns_record){"mx.some.example", "A", 0, "127.0.0.1", 0};
    at->records[2] = (struct dns_record){"reports.example", "A", 0, "127.0.0.1", 0};
    at->records[3] = (struct dns_record){"_smtp._tls.some.example", "TXT", 0, rua, 0};
    at->options = (struct scene_options){
        .records = at->records,
        .domains = at->domains,
        .delivery = "\"tls_reports\":{\"from\":\"tls@gate.example\",\"organization\":\"Gate\","
                    "\"contact\":\"postmaster@gate.example\"}"};
    scene_start(&at->scene, &at->options);
}

static void close_reports(struct report_scene *at)
{
    https_close(&at->https);
    peer_close(&at->mx);
    peer_close(&at->mailbox);
    scene_close(&at->scene);
    SSL_CTX_free(at->mx.tls);
    authority_close(&at->authority);
}

static void send_one(struct report_scene *at)
{
    struct queue_draft_recipient to = {.address = "to@some.example", .route = at->route};
    size_t before = scene_count(&at->scene, "delivery");
    scene_send_draft(&at->scene, &to, 1);
    scene_await(&at->scene, "delivery", before + 1);
}

/* Two sessions: one in clear for want of STARTTLS, and one in TLS. */
static void make_sessions(struct report_scene *at)
{
    send_one(at);
    at->mx.tls = peer_tls_new();
    scene_run(&at->scene, 6500); /* the connection in clear is given up */
    send_one(at);
}

/* As the loop does once a second, when the day is over. */
static void pass_midnight(struct report_scene *at)
{
    tls_reports_tick(at->scene.mta.delivery->tls_reports, timestamp_now_ms() + DAY_MS + DAY_MS / 4);
}

static json_t *unpack(const unsigned char *gzip, size_t length)
{
    static char text[65536];
    z_stream stream = {.next_in = (Bytef *)gzip,
                       .avail_in = (uInt)length,
                       .next_out = (Bytef *)text,
                       .avail_out = sizeof(text)};
    json_error_t error;
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    json_t *report = json_loadb(text, stream.total_out, 0, &error);
    inflateEnd(&stream);
    assert_non_null(report);
    return report;
}

static void check_report(const json_t *report, int successes, int failures)
{
    const char *organization, *contact, *id, *begin, *end, *type, *domain;
    int good, bad;
    json_t *details;
    json_error_t error;
    if (json_unpack_ex((json_t *)report, &error, 0,
                       "{s:s,s:s,s:s,s:{s:s,s:s},s:[{s:{s:s,s:s},s:{s:i,s:i},s:o}]}",
                       "organization-name", &organization, "contact-info", &contact, "report-id",
                       &id, "date-range", "start-datetime", &begin, "end-datetime", &end,
                       "policies", "policy", "policy-type", &type, "policy-domain", &domain,
                       "summary", "total-successful-session-count", &good,
                       "total-failure-session-count", &bad, "failure-details", &details) != 0)
        fail_msg("%s", error.text);
    assert_string_equal(organization, "Gate");
    assert_string_equal(contact, "postmaster@gate.example");
    assert_int_equal(strlen(begin), strlen("2016-04-01T00:00:00Z"));
    scene_assert_contains(begin, "T00:00:00Z");
    scene_assert_contains(end, "T23:59:59Z");
    assert_string_equal(type, "no-policy-found");
    assert_string_equal(domain, "some.example");
    assert_int_equal(good, successes);
    assert_int_equal(bad, failures);
    const json_t *detail = json_array_get(details, 0);
    assert_string_equal(scene_text(detail, "result-type"), "starttls-not-supported");
    assert_string_equal(scene_text(detail, "receiving-mx-hostname"), "mx.some.example");
    assert_string_equal(scene_text(detail, "receiving-ip"), "127.0.0.1");
    assert_string_equal(scene_text(detail, "sending-mta-ip"), "127.0.0.1");
    assert_int_equal(json_integer_value(json_object_get(detail, "failed-session-count")), failures);
}

static json_t *report_of_mail(const char *message)
{
    static unsigned char gzip[65536];
    char line[128];
    size_t length = 0;
    const char *at = strstr(message, "Content-Type: application/tlsrpt+gzip");
    assert_non_null(at);
    at = strstr(at, "\n\n");
    assert_non_null(at);
    for (at += 2; *at && *at != '\n' && *at != '-'; at = strchr(at, '\n') + 1) {
        size_t size = strcspn(at, "\n");
        assert_true(size < sizeof(line));
        memcpy(line, at, size);
        line[size] = '\0';
        int count = EVP_DecodeBlock(gzip + length, (unsigned char *)line, (int)size);
        assert_true(count > 0);
        length += (size_t)count - (line[size - 1] == '=') - (line[size - 2] == '=');
    }
    return unpack(gzip, length);
}

static void test_a_report_is_sent_by_mail(void **state)
{
    struct report_scene at;
    (void)state;
    open_reports(&at, "v=TLSRPTv1; rua=mailto:to@reports.example");
    make_sessions(&at);
    pass_midnight(&at);
    assert_int_equal(at.mailbox.messages, 0);
    pass_midnight(&at);
    scene_await_number(&at.scene, &at.mailbox.messages, 1);
    const char *message = buffer_text(&at.mailbox.message);
    scene_assert_contains(buffer_text(&at.mailbox.commands), "MAIL FROM:<tls@gate.example>");
    scene_assert_contains(message, "From: <tls@gate.example>\nTo: <to@reports.example>\n");
    scene_assert_contains(message, "TLS-Report-Domain: some.example\n"
                                   "TLS-Report-Submitter: gate.example\n");
    scene_assert_contains(message, "Content-Type: multipart/report; report-type=\"tlsrpt\";\n");
    scene_assert_contains(message, "filename=\"gate.example!some.example!");
    json_t *report = report_of_mail(message);
    check_report(report, 1, 1);
    json_decref(report);
    pass_midnight(&at);
    scene_run(&at.scene, 300);
    assert_int_equal(at.mailbox.messages, 1);
    close_reports(&at);
}

static void test_a_report_is_posted(void **state)
{
    struct report_scene at;
    (void)state;
    open_reports(&at, "v=TLSRPTv1; rua=https://reports.example/tls");
    send_one(&at);
    pass_midnight(&at);
    pass_midnight(&at);
    scene_await_number(&at.scene, &at.https.requests, 1);
    assert_string_equal(at.https.path, "/tls");
    json_t *report = unpack((const unsigned char *)at.https.posted.data, at.https.posted.length);
    check_report(report, 0, 1);
    json_decref(report);
    close_reports(&at);
}

static void test_counts_outlive_a_restart(void **state)
{
    struct report_scene at;
    (void)state;
    open_reports(&at, "v=TLSRPTv1; rua=https://reports.example/tls");
    send_one(&at);
    scene_restart(&at.scene, &at.options);
    send_one(&at);
    scene_restart(&at.scene, &at.options);
    pass_midnight(&at);
    pass_midnight(&at);
    scene_await_number(&at.scene, &at.https.requests, 1);
    json_t *report = unpack((const unsigned char *)at.https.posted.data, at.https.posted.length);
    check_report(report, 0, 2);
    json_decref(report);
    close_reports(&at);
}

static void test_a_report_that_was_not_taken_is_sent_again(void **state)
{
    struct report_scene at;
    (void)state;
    open_reports(&at, "v=TLSRPTv1; rua=https://reports.example/tls");
    at.records[3].type = "FAIL"; /* who asks is not known now */
    send_one(&at);
    pass_midnight(&at);
    pass_midnight(&at);
    scene_run(&at.scene, 300);
    assert_int_equal(at.https.requests, 0);
    at.records[3].type = "TXT";
    scene_run(&at.scene, 5500); /* as long as that is remembered */
    at.https.status = 503;
    pass_midnight(&at);
    scene_await_number(&at.scene, &at.https.requests, 1);
    scene_run(&at.scene, 200);
    at.https.status = 0;
    pass_midnight(&at);
    scene_await_number(&at.scene, &at.https.requests, 2);
    scene_run(&at.scene, 200);
    pass_midnight(&at);
    scene_run(&at.scene, 300);
    assert_int_equal(at.https.requests, 2);
    close_reports(&at);
}

static void test_domains_that_do_not_ask_get_none(void **state)
{
    struct report_scene at;
    (void)state;
    open_reports(&at, "v=spf1 -all");
    send_one(&at);
    pass_midnight(&at);
    pass_midnight(&at);
    scene_run(&at.scene, 300);
    assert_int_equal(at.mailbox.messages + at.https.requests, 0);
    close_reports(&at);
}

static void test_nothing_is_counted_without_a_sender(void **state)
{
    struct report_scene at;
    (void)state;
    open_reports(&at, "v=TLSRPTv1; rua=https://reports.example/tls");
    at.options.delivery = "";
    scene_restart(&at.scene, &at.options);
    send_one(&at);
    pass_midnight(&at);
    pass_midnight(&at);
    scene_run(&at.scene, 300);
    assert_int_equal(at.https.requests, 0);
    close_reports(&at);
}

/* RFC 8460 section 3: what a report tells of must not keep it from being delivered. */
static void test_a_report_goes_out_although_tls_fails(void **state)
{
    struct report_scene at;
    (void)state;
    open_reports(&at, "v=TLSRPTv1; rua=mailto:to@reports.example");
    send_one(&at);
    pass_midnight(&at);
    at.mailbox.tls = peer_tls_new();
    at.mailbox.break_tls = true;
    pass_midnight(&at);
    scene_await_number(&at.scene, &at.mailbox.messages, 1);
    SSL_CTX_free(at.mailbox.tls);
    close_reports(&at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_name_who_gets_reports),
        cmocka_unit_test(test_records_that_are_none_name_nobody),
        cmocka_unit_test(test_a_report_is_sent_by_mail),
        cmocka_unit_test(test_a_report_is_posted),
        cmocka_unit_test(test_counts_outlive_a_restart),
        cmocka_unit_test(test_a_report_that_was_not_taken_is_sent_again),
        cmocka_unit_test(test_domains_that_do_not_ask_get_none),
        cmocka_unit_test(test_nothing_is_counted_without_a_sender),
        cmocka_unit_test(test_a_report_goes_out_although_tls_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
