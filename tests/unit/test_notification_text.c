/* Templates of notifications, the mail they become, and the tokens in it. */
#include "controlcenter/mail/mailed_link.h"
#include "controlcenter/mail/notification_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

static bool echo(void *argument, const char *name, struct buffer *value, struct error *error)
{
    (void)error;
    return buffer_add_format(value, "%s<%s>", (const char *)argument, name);
}

static void assert_rendered(const char *text, bool html, const char *expected)
{
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    assert_true(notification_render(text, html, echo, "&", &out, &error));
    assert_string_equal(buffer_text(&out), expected);
    buffer_free(&out);
}

static void values_stand_where_their_names_do(void **state)
{
    (void)state;
    assert_rendered("To {{ mailed_to }}: {{subject}}.", false, "To &<mailed_to>: &<subject>.");
    assert_rendered("{{subject}}", true, "&amp;&lt;subject&gt;");
    assert_rendered("nothing } here {", false, "nothing } here {");
    assert_rendered("", true, "");
}

static bool two_lines(void *argument, const char *name, struct buffer *value, struct error *error)
{
    (void)argument;
    (void)name;
    (void)error;
    return buffer_add_text(value, "a\n\"b'");
}

static void lines_of_a_value_are_lines_in_html(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    (void)state;
    assert_true(notification_render("<p>{{matches}}</p>", true, two_lines, NULL, &out, &error));
    assert_string_equal(buffer_text(&out), "<p>a<br>\n&quot;b&#39;</p>");
    buffer_free(&out);
}

static void assert_refused(const char *text, const char *expected)
{
    struct error error = {0};
    assert_false(notification_check(text, "text", &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_string_equal(error.where, "text");
    assert_string_equal(error.message, expected);
}

static void mistakes_are_named_with_their_line(void **state)
{
    struct error error = {0};
    (void)state;
    for (size_t i = 0; notification_names[i]; i++) {
        char text[100];
        snprintf(text, sizeof(text), "{{%s}}", notification_names[i]);
        assert_true(notification_check(text, "text", &error));
    }
    assert_true(
        notification_check("{{link_view}} {{link_approve}} {{console_x-1}}", "text", &error));
    assert_refused("one\ntwo {{subjct}}", "line 2: there is no value \"subjct\"");
    assert_refused("{{link_}}", "line 1: there is no value \"link_\"");
    assert_refused("{{link_a b}}", "line 1: there is no value \"link_a b\"");
    assert_refused("\n\n{{subject", "line 3: \"{{\" is not closed");
    assert_refused("{{}}", "line 1: there is no value \"\"");
}

static void a_text_has_few_links(void **state)
{
    struct error error = {0};
    char text[4000] = "", one[40];
    (void)state;
    for (int i = 0; i < NOTIFICATION_TEXT_LINKS; i++) {
        snprintf(one, sizeof(one), "{{link_a%d}} {{console_a%d}}\n", i, i);
        strcat(text, one);
        strcat(text, one);
    }
    assert_true(notification_check(text, "text", &error));
    strcat(text, "{{link_b}}");
    assert_refused(text, "line 43: there are over 21 links");
}

static void mail_is_automatic_and_encoded(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct notification_mail mail = {.from = "Gatehouse <postmaster@mx.test>",
                                     .to = "a@example.com",
                                     .subject = "件名\r\nBcc: x@example.com",
                                     .text = "line\nnext",
                                     .html = "<p>line</p>",
                                     .mark = "0123456789",
                                     .host = "mx.test"};
    (void)state;
    assert_true(notification_write(&mail, &out));
    const char *text = buffer_text(&out);
    assert_non_null(
        strstr(text, "From: Gatehouse <postmaster@mx.test>\r\nTo: <a@example.com>\r\n"));
    assert_non_null(strstr(text, "\r\nMessage-ID: <0123456789@mx.test>\r\n"));
    assert_non_null(strstr(text, "\r\nAuto-Submitted: auto-generated\r\n"));
    assert_non_null(strstr(text, "Subject: =?UTF-8?B?"));
    assert_null(strstr(text, "\r\nBcc:"));
    assert_non_null(strstr(text, "bGluZQ0KbmV4dA==")); /* with CRLF */
    assert_non_null(strstr(text, "Content-Type: text/html; charset=utf-8"));
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        assert_int_equal(at[-1], '\r');
    buffer_free(&out);
}

static void tokens_are_signed(void **state)
{
    struct mailed_link_key key, other;
    char token[MAILED_LINK_SIZE], again[MAILED_LINK_SIZE], hash[MAILED_LINK_HASH_SIZE];
    (void)state;
    randombytes_buf(&key, sizeof(key));
    randombytes_buf(&other, sizeof(other));
    mailed_link_make(&key, token);
    mailed_link_make(&key, again);
    assert_string_not_equal(token, again);
    assert_true(mailed_link_verify(&key, token));
    assert_false(mailed_link_verify(&other, token));
    assert_false(mailed_link_verify(&key, ""));
    mailed_link_hash(token, hash);
    assert_int_equal(strlen(hash), 64);
    for (size_t i = 0; token[i]; i++) {
        char altered[MAILED_LINK_SIZE + 2];
        snprintf(altered, sizeof(altered), "%s", token);
        altered[i] = altered[i] == 'A' ? 'B' : 'A';
        assert_false(mailed_link_verify(&key, altered));
    }
    token[strlen(token) - 1] = 0;
    assert_false(mailed_link_verify(&key, token));
}

static void notifications_are_known_when_they_come_back(void **state)
{
    struct mailed_link_key key, other;
    char mark[MAIL_MARK_SIZE], id[100];
    (void)state;
    randombytes_buf(&key, sizeof(key));
    randombytes_buf(&other, sizeof(other));
    mail_mark_make(&key, "Boss@example.com", mark);
    snprintf(id, sizeof(id), "<%s@mx.test>", mark);
    assert_true(mail_mark_verify(&key, "boss@example.com", id));
    assert_true(mail_mark_verify(&key, "boss@example.com", id + 1));
    assert_false(mail_mark_verify(&key, "other@example.com", id));
    assert_false(mail_mark_verify(&other, "boss@example.com", id));
    assert_false(mail_mark_verify(&key, "boss@example.com", mark));
    assert_false(mail_mark_verify(&key, "boss@example.com", ""));
    assert_false(mail_mark_verify(&key, "boss@example.com", "<1@mx.test>"));
    id[5] = id[5] == '0' ? '1' : '0';
    assert_false(mail_mark_verify(&key, "boss@example.com", id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_stand_where_their_names_do),
        cmocka_unit_test(lines_of_a_value_are_lines_in_html),
        cmocka_unit_test(mistakes_are_named_with_their_line),
        cmocka_unit_test(mail_is_automatic_and_encoded),
        cmocka_unit_test(tokens_are_signed),
        cmocka_unit_test(a_text_has_few_links),
        cmocka_unit_test(notifications_are_known_when_they_come_back),
    };
    return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
