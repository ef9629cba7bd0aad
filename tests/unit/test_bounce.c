/* Delivery status notifications: well formed whatever stands in the addresses and replies. */
#include "scanner/mta/bounce.h"

#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char header[] = "Subject: first\r\nX-Other: yes\r\n";

static struct bounce_recipient make_recipient(void)
{
    return (struct bounce_recipient){.address = "to@example.net",
                                     .reply = "550 5.1.1 nobody of that name",
                                     .host = "mx.example.net",
                                     .attempted_at = 1769860800000};
}

static struct bounce_report make_report(const struct bounce_recipient *recipients, size_t count)
{
    struct bounce_report report = {.kind = BOUNCE_FAILED,
                                   .reporting_host = "gate.example",
                                   .to = "from@example.org",
                                   .arrived_at = 1769857200000,
                                   .now = 1769860801000,
                                   .tried_until = 1770292801000,
                                   .recipients = recipients,
                                   .recipient_count = count,
                                   .content = header,
                                   .content_length = sizeof(header) - 1};
    message_id_parse("0190a5d8-1111-7222-8333-444455556666", &report.id);
    return report;
}

/* Every line ends in CRLF, is short enough for SMTP, and has no NUL. */
static void assert_lines(const struct buffer *text)
{
    for (size_t at = 0; at < text->length;) {
        const char *end = memchr(text->data + at, '\n', text->length - at);
        assert_non_null(end);
        size_t length = (size_t)(end - (text->data + at));
        assert_true(length > 0 && end[-1] == '\r');
        assert_in_range(length, 1, 998);
        assert_null(memchr(text->data + at, '\0', length));
        assert_null(memchr(text->data + at, '\r', length - 1));
        at += length + 1;
    }
}

static size_t count(const char *text, const char *part)
{
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        found++;
    return found;
}

static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static struct buffer write_report(const struct bounce_report *report)
{
    struct buffer out = BUFFER_INIT;
    assert_true(bounce_write(report, &out));
    assert_lines(&out);
    assert_int_equal(count(out.data, "\r\n--=_0190a5d8-1111-7222-8333-444455556666\r\n"), 3);
    assert_int_equal(count(out.data, "\r\n--=_0190a5d8-1111-7222-8333-444455556666--\r\n"), 1);
    return out;
}

static void test_a_bounce_has_three_parts(void **state)
{
    struct bounce_recipient recipient = make_recipient();
    struct bounce_report report = make_report(&recipient, 1);
    (void)state;
    struct buffer out = write_report(&report);
    assert_contains(out.data, "From: Mail Delivery System <MAILER-DAEMON@gate.example>\r\n"
                              "To: <from@example.org>\r\n");
    assert_contains(out.data, "Auto-Submitted: auto-replied\r\n");
    assert_contains(out.data, "Content-Type: multipart/report; report-type=delivery-status;\r\n");
    assert_contains(out.data,
                    "Content-Type: message/delivery-status\r\n"
                    "Content-Transfer-Encoding: 7bit\r\n\r\n"
                    "Reporting-MTA: dns; gate.example\r\n"
                    "Arrival-Date: Sat, 31 Jan 2026 11:00:00 +0000\r\n\r\n"
                    "Final-Recipient: rfc822; to@example.net\r\n"
                    "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.net\r\n"
                    "Diagnostic-Code: smtp; 550 5.1.1 nobody of that name\r\n"
                    "Last-Attempt-Date: Sat, 31 Jan 2026 12:00:00 +0000\r\n\r\n");
    assert_contains(out.data, "Content-Type: text/rfc822-headers\r\n"
                              "Content-Transfer-Encoding: 7bit\r\n\r\n"
                              "Subject: first\r\nX-Other: yes\r\n");
    buffer_free(&out);
}

static void test_nothing_from_outside_makes_a_line(void **state)
{
    static const char evil[] = "x\r\nBcc: victim@example.com\r\n\r\n--=_0190a5d8\r\n\x01\x7f\xff";
    struct bounce_recipient recipient = {
        .address = evil, .original = evil, .reply = evil, .host = evil};
    struct bounce_report report = make_report(&recipient, 1);
    (void)state;
    for (int utf8 = 0; utf8 <= 1; utf8++) {
        report.to = report.envelope_id = evil;
        report.utf8 = utf8;
        struct buffer out = write_report(&report);
        assert_null(strstr(out.data, "\nBcc:"));
        assert_null(strstr(out.data, "\n--=_0190a5d8\r"));
        assert_true(utf8_valid(out.data, out.length));
        buffer_free(&out);
    }
}

/* An escaped line end must not become one by being decoded. */
static void test_escapes_are_decoded_to_text_only(void **state)
{
    struct bounce_recipient recipient = make_recipient();
    (void)state;
    recipient.original = "rfc822;a+0D+0AAction:+20relayed+00b+2Bc@example.net";
    struct bounce_report report = make_report(&recipient, 1);
    report.envelope_id = "q+0D+0AX+3D1";
    struct buffer out = write_report(&report);
    assert_contains(out.data,
                    "Original-Recipient: rfc822; a??Action: relayed+00b+c@example.net\r\n");
    assert_contains(out.data, "Original-Envelope-Id: q??X=1\r\n");
    assert_int_equal(count(out.data, "\r\nAction:"), 1);
    buffer_free(&out);
}

static void test_an_original_recipient_without_a_type_is_left_out(void **state)
{
    static const char *const originals[] = {"", "plain", ";x", "rf c;x", "rfc822", "\xff;x"};
    struct bounce_recipient recipient = make_recipient();
    (void)state;
    for (size_t i = 0; i < sizeof(originals) / sizeof(originals[0]); i++) {
        recipient.original = originals[i];
        struct bounce_report report = make_report(&recipient, 1);
        struct buffer out = write_report(&report);
        assert_null(strstr(out.data, "Original-Recipient"));
        buffer_free(&out);
    }
}

static void check_status(enum bounce_kind kind, const char *reply, const char *status)
{
    struct bounce_recipient recipient = make_recipient();
    char line[64];
    recipient.reply = reply;
    struct bounce_report report = make_report(&recipient, 1);
    report.kind = kind;
    struct buffer out = write_report(&report);
    snprintf(line, sizeof(line), "\r\nStatus: %s\r\n", status);
    assert_contains(out.data, line);
    buffer_free(&out);
}

static void test_the_status_is_that_of_the_reply(void **state)
{
    (void)state;
    check_status(BOUNCE_FAILED, "550 5.7.26 unauthenticated", "5.7.26");
    check_status(BOUNCE_FAILED, "550 5.7.26", "5.7.26");
    check_status(BOUNCE_FAILED, "450 4.2.1 later", "4.2.1");
    check_status(BOUNCE_FAILED, "550 no such user", "5.0.0");
    check_status(BOUNCE_FAILED, "550", "5.0.0");
    check_status(BOUNCE_FAILED, "550 5.1 x", "5.0.0");
    check_status(BOUNCE_FAILED, "550 5.1.1x", "5.0.0");
    check_status(BOUNCE_FAILED, "550 5.1.1234 x", "5.0.0");
    check_status(BOUNCE_FAILED, "", "5.0.0");
    check_status(BOUNCE_DELAYED, "nothing", "4.0.0");
    check_status(BOUNCE_DELAYED, "421 4.4.0 [internal] away", "4.4.0");
    check_status(BOUNCE_RELAYED, "250 2.0.0 taken", "2.0.0");
    check_status(BOUNCE_RELAYED, "250 5.0.0 odd", "2.0.0");
}

static void test_long_text_is_folded(void **state)
{
    char reply[1000], word[1000];
    struct bounce_recipient recipients[2] = {make_recipient(), make_recipient()};
    (void)state;
    strcpy(reply, "550 5.1.1");
    while (strlen(reply) < 900)
        strcat(reply, " a few words");
    memset(word, 'x', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    recipients[0].reply = reply;
    recipients[1].reply = word;
    struct bounce_report report = make_report(recipients, 2);
    struct buffer out = write_report(&report);
    size_t longest = 0, length;
    for (const char *at = strstr(out.data, "Diagnostic-Code: smtp; 550"); *at != 'L';
         at += length + 2) {
        length = strcspn(at, "\r");
        longest = length > longest ? length : longest;
    }
    assert_in_range(longest, 40, 78);
    buffer_free(&out);
}

static void test_a_delay_says_how_long_it_is_tried(void **state)
{
    struct bounce_recipient recipient = make_recipient();
    struct bounce_report report = make_report(&recipient, 1);
    (void)state;
    report.kind = BOUNCE_DELAYED;
    struct buffer out = write_report(&report);
    assert_contains(out.data, "Action: delayed\r\n");
    assert_contains(out.data, "Will-Retry-Until: Thu, 5 Feb 2026 12:00:01 +0000\r\n");
    assert_contains(out.data, "Subject: Your message is delayed\r\n");
    buffer_free(&out);
}

static void test_our_own_reasons_are_not_said_to_be_smtp(void **state)
{
    struct bounce_recipient recipient = make_recipient();
    (void)state;
    recipient.host = NULL;
    recipient.own_reason = true;
    struct bounce_report report = make_report(&recipient, 1);
    struct buffer out = write_report(&report);
    assert_null(strstr(out.data, "Remote-MTA"));
    assert_contains(out.data, "Diagnostic-Code: x-gatehouse; 550 5.1.1");
    buffer_free(&out);
}

static void test_utf8_is_written_as_the_sender_can_take_it(void **state)
{
    struct bounce_recipient recipient = make_recipient();
    (void)state;
    recipient.address = "zo\xc3\xab+x@example.net";
    recipient.reply = "550 5.1.1 caf\xc3\xa9";
    struct bounce_report report = make_report(&recipient, 1);
    struct buffer out = write_report(&report);
    assert_contains(out.data, "Final-Recipient: utf-8; zo\\x{EB}\\x{2B}x@example.net\r\n");
    assert_contains(out.data, "550 5.1.1 caf??\r\n");
    for (size_t i = 0; i < out.length; i++)
        assert_true((unsigned char)out.data[i] < 0x80);
    buffer_free(&out);
    report.utf8 = true;
    out = write_report(&report);
    assert_contains(out.data, "report-type=global-delivery-status");
    assert_contains(out.data, "Content-Type: message/global-delivery-status\r\n");
    assert_contains(out.data, "Content-Type: message/global-headers\r\n");
    assert_contains(out.data, "Final-Recipient: utf-8; zo\xc3\xab+x@example.net\r\n");
    buffer_free(&out);
}

static void test_content_is_sent_back_with_sound_lines(void **state)
{
    static const char content[] = "A: b\nC: d\r\ne\0f\n\0\0\nlast";
    struct bounce_recipient recipient = make_recipient();
    struct bounce_report report = make_report(&recipient, 1);
    (void)state;
    report.content = content;
    report.content_length = sizeof(content) - 1;
    report.content_whole = true;
    struct buffer out = write_report(&report);
    assert_contains(out.data, "Content-Type: message/rfc822\r\n");
    assert_contains(out.data, "\r\n\r\nA: b\r\nC: d\r\ne?f\r\n??\r\nlast\r\n");
    buffer_free(&out);
}

static void test_a_report_that_does_not_fit_is_refused(void **state)
{
    struct bounce_recipient recipient = make_recipient();
    struct bounce_report report = make_report(&recipient, 1);
    struct buffer out = {.limit = 300};
    (void)state;
    assert_false(bounce_write(&report, &out));
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bounce_has_three_parts),
        cmocka_unit_test(test_nothing_from_outside_makes_a_line),
        cmocka_unit_test(test_escapes_are_decoded_to_text_only),
        cmocka_unit_test(test_an_original_recipient_without_a_type_is_left_out),
        cmocka_unit_test(test_the_status_is_that_of_the_reply),
        cmocka_unit_test(test_long_text_is_folded),
        cmocka_unit_test(test_a_delay_says_how_long_it_is_tried),
        cmocka_unit_test(test_our_own_reasons_are_not_said_to_be_smtp),
        cmocka_unit_test(test_utf8_is_written_as_the_sender_can_take_it),
        cmocka_unit_test(test_content_is_sent_back_with_sound_lines),
        cmocka_unit_test(test_a_report_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
