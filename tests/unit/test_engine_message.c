/* The tree of parts and the text of header fields, from well-formed to hostile. */
#include "scanner/engine/charset.h"
#include "scanner/engine/header_text.h"
#include "scanner/engine/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect_subject(const char *value, const char *expected)
{
    char *text = header_text_decode(value, strlen(value), NULL);
    assert_string_equal(text, expected);
    g_free(text);
}

static struct message *parse(const char *text)
{
    return message_parse(text, strlen(text));
}

static void expect_path(const struct message *message, size_t index, const char *expected)
{
    char path[MESSAGE_PATH_SIZE];
    assert_string_equal(message_part_path(message, index, path), expected);
}

static void expect_content(const struct message *message, size_t index, const char *expected)
{
    size_t length;
    char *owned;
    const char *content = message_part_content(message, index, &length, &owned);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(content, expected, length);
    g_free(owned);
}

/* --- texts --- */

static void encoded_words_in_japanese_are_decoded(void **state)
{
    (void)state;
    expect_subject(" =?ISO-2022-JP?B?GyRCRnxLXDhsJE43b0w+GyhC?=", "日本語の件名");
    expect_subject(" =?UTF-8?B?5pel5pys6Kqe44Gu5Lu25ZCN?=", "日本語の件名");
    expect_subject(" =?Shift_JIS?B?k/qWe4zqgsyMj5a8?=", "日本語の件名");
    expect_subject(" =?EUC-JP?B?xvzL3LjspM6378y+?=", "日本語の件名");
    expect_subject(" =?utf-8?Q?=E8=AB=8B=E6=B1=82=E6=9B=B8_1?=", "請求書 1");
}

static void neighbouring_encoded_words_are_joined(void **state)
{
    (void)state;
    expect_subject(" =?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=\r\n =?ISO-2022-JP?B?GyRCOGwbKEI=?=",
                   "日本語");
    expect_subject(" =?UTF-8?B?5pel5g==?= =?UTF-8?B?nKw=?=", "日本"); /* cut in a character */
    expect_subject(" a =?UTF-8?Q?b?= c", "a b c");
    expect_subject(" =?utf-8?Q?a?=\t=?ISO-8859-1?Q?=E9?=", "aé");
    expect_subject(" =?utf-8?Q?a?= =?utf-8?Q?b", "a =?utf-8?Q?b");
}

static void characters_that_vendors_added_are_known(void **state)
{
    (void)state;
    expect_subject(" =?ISO-2022-JP?B?GyRCLSFGfBsoQg==?=", "①日"); /* NEC row 13 */
    expect_subject(" =?Shift_JIS?B?h0CT+g==?=", "①日");
    expect_subject(" =?ISO-2022-JP?B?GyhJMTIbKEI=?=", "ｱｲ");
    expect_subject(" =?gb2312?B?6UY=?=", "镕");
}

static void undeclared_charsets_are_guessed(void **state)
{
    (void)state;
    expect_subject(" \x1b$BF|K\\8l\x1b(B", "日本語");
    expect_subject(" 日本語", "日本語");
    expect_subject(" \x93\xfa\x96{\x8c\xea\x82\xcc\x8c\x8f\x96\xbc", "日本語の件名");
    expect_subject(" \xc6\xfc\xcb\xdc\xb8\xec\xa4\xce\xb7\xef\xcc\xbe", "日本語の件名");
    expect_subject(" R\xe9sum\xe9 f\xfcr M\xfcller", "Résumé für Müller");
    expect_subject(" \xf0\xd2\xc9\xd7\xc5\xd4 \xcd\xc9\xd2", "Привет мир");
    expect_subject(" \xcf\xf0\xe8\xe2\xe5\xf2 \xec\xe8\xf0", "Привет мир");
    expect_subject(" \xc4\xfa\xba\xc3\xa3\xac\xd5\xe2\xca\xc7\xd2\xbb\xb8\xf6\xb2\xe2\xca\xd4",
                   "您好，这是一个测试");
}

static void a_declared_charset_goes_before_a_guess(void **state)
{
    (void)state;
    struct message *message = parse("Subject: \xcb\xe1\xeb\xe7\r\n"
                                    "Content-Type: text/plain; charset=windows-1253\r\n\r\nx");
    assert_string_equal(message->subject, "Λαλη");
    message_free(message);
}

static void text_is_always_valid_and_without_controls(void **state)
{
    (void)state;
    expect_subject(" a\x01\x7f\tb\r\n c", "a b c");
    expect_subject(" \xe2\x80\xae"
                   "exe.fdp",
                   "exe.fdp"); /* right-to-left override */
    expect_subject(" =?utf-8?B?AQIbCg==?= x", "x");
    expect_subject("", "");
    expect_subject(" =?no-such-charset?B?QUJD?=", "ABC");
    for (int byte = 0x80; byte < 0x100; byte++) {
        char value[] = {' ', 'a', (char)byte, '\0'};
        char *text = header_text_decode(value, strlen(value), "no/such\\charset");
        assert_true(g_utf8_validate(text, -1, NULL));
        g_free(text);
    }
}

static void long_text_is_cut_at_998_characters(void **state)
{
    (void)state;
    GString *value = g_string_new(NULL);
    for (int i = 0; i < 2000; i++)
        g_string_append(value, "語");
    char *text = header_text_decode(value->str, value->len, NULL);
    assert_int_equal(g_utf8_strlen(text, -1), 998);
    g_free(text);
    g_string_free(value, TRUE);
}

/* --- trees --- */

static const char nested[] =
    "Subject: s\r\nFrom: =?utf-8?Q?B=C3=B6b?= <b@example.com>\r\n"
    "Message-ID: <1@example.com>\r\n"
    "Content-Type: multipart/mixed; boundary=\"out er\"\r\n\r\npreamble\r\n"
    "--out er\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n"
    "--in\r\n\r\nplain\r\n--in\r\nContent-Type: text/html\r\n\r\n<p>\r\n"
    "--in--\r\n"
    "--out er\r\nContent-Type: message/rfc822; name=mail.eml\r\n\r\n"
    "Content-Type: multipart/mixed; boundary=third\r\n\r\n--third\r\n"
    "Content-Type: application/zip\r\n"
    "Content-Disposition: attachment;\r\n filename*=utf-8''%E8%AB%8B.zip\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--third--\r\n"
    "--out er--\r\nepilogue";

static void parts_are_found_with_their_paths(void **state)
{
    (void)state;
    struct message *message = parse(nested);
    assert_string_equal(message->subject, "s");
    assert_string_equal(message->from, "Böb <b@example.com>");
    assert_string_equal(message->message_id, "<1@example.com>");
    assert_int_equal(message_leaf_count(message), 3);
    assert_int_equal(message->count, 7);
    expect_path(message, 3, "part 1.1");
    expect_content(message, 3, "plain");
    expect_path(message, 4, "part 1.2");
    expect_content(message, 4, "<p>");
    expect_path(message, 6, "mail.eml/請.zip");
    expect_content(message, 6, "hello");
    assert_false(message->cut);
    message_free(message);
}

static void a_plain_message_has_one_part(void **state)
{
    (void)state;
    struct message *message =
        parse("Content-Transfer-Encoding: quoted-printable\r\n\r\na=3Db=\r\nc");
    assert_int_equal(message_leaf_count(message), 1);
    expect_path(message, 0, "body");
    expect_content(message, 0, "a=bc");
    message_free(message);
}

static void an_empty_message_has_none(void **state)
{
    (void)state;
    struct message *message = parse("");
    assert_int_equal(message_leaf_count(message), 0);
    assert_string_equal(message->subject, "");
    message_free(message);
}

static void a_name_cannot_leave_its_place_in_the_path(void **state)
{
    (void)state;
    struct message *message =
        parse("Content-Type: a/b; name=\"../../etc\\\\x\x01/passwd\"\r\n\r\nx");
    expect_path(message, 0, ".._.._etc\\x_passwd");
    message_free(message);
}

static void a_file_name_in_encoded_words_is_read(void **state)
{
    (void)state;
    struct message *message =
        parse("Content-Type: a/b; name=\"=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=\r\n"
              " =?ISO-2022-JP?B?GyRCOGwbKEI=?= =?utf-8?Q?=22;x.zip?=\"\r\n\r\nx");
    expect_path(message, 0, "日本語_;x.zip");
    message_free(message);
}

static void a_boundary_ends_at_the_outer_one(void **state)
{
    (void)state;
    struct message *message =
        parse("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n"
              "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n1\r\n"
              "--a\r\n\r\n2\r\n--a--\r\n");
    assert_int_equal(message_leaf_count(message), 2);
    expect_content(message, 2, "2");
    expect_content(message, 3, "1");
    message_free(message);
}

static void a_longer_boundary_is_another_one(void **state)
{
    (void)state;
    struct message *message =
        parse("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\n1\r\n"
              "--ab\r\n2\r\n--a--\r\n");
    assert_int_equal(message_leaf_count(message), 1);
    expect_content(message, 1, "1\r\n--ab\r\n2");
    message_free(message);
}

static void broken_structures_are_plain_parts(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "Content-Type: multipart/mixed\r\n\r\nx",
        "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nx",
        "Content-Type: multipart/mixed; boundary=a\r\n\r\nno boundary",
        "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a--\r\n",
        "Content-Type: multipart/mixed; boundary=a",
        "Content-Type: ;;;===\r\nContent-Disposition: \xff\r\n\r\nx",
        "Content-Type: message/rfc822\r\n\r\n",
        "no header at all",
        "\r\n",
        ":\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct message *message = parse(broken[i]);
        assert_int_equal(message_leaf_count(message), 1);
        message_free(message);
    }
}

static void limits_keep_the_tree_small(void **state)
{
    (void)state;
    GString *wide = g_string_new("Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    GString *deep = g_string_new(NULL);
    for (int i = 0; i < 100000; i++)
        g_string_append(wide, "--b\r\n\r\n");
    for (int i = 0; i < 1000; i++)
        g_string_append_printf(deep, "Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n",
                               i, i);
    struct message *message = message_parse(wide->str, wide->len);
    assert_int_equal(message->count, MESSAGE_PART_LIMIT);
    assert_true(message->cut);
    message_free(message);
    message = message_parse(deep->str, deep->len);
    assert_int_equal(message->count, MESSAGE_DEPTH_LIMIT + 1);
    assert_true(message->cut);
    message_free(message);
    g_string_free(wide, TRUE);
    g_string_free(deep, TRUE);
}

static void fields_beyond_the_header_limit_are_not_read(void **state)
{
    (void)state;
    GString *text = g_string_new("Subject: first\r\n");
    while (text->len <= MESSAGE_HEADER_LIMIT)
        g_string_append(text, "X: y\r\n");
    g_string_append(text, "From: late@example.com\r\n\r\nbody");
    struct message *message = message_parse(text->str, text->len);
    assert_string_equal(message->subject, "first");
    assert_string_equal(message->from, "");
    assert_true(message->cut);
    expect_content(message, 0, "body");
    message_free(message);
    g_string_free(text, TRUE);
}

/* Every way of cutting and of damaging a real structure; the sanitizers watch. */
static void damaged_messages_are_parsed_to_the_end(void **state)
{
    (void)state;
    size_t size = sizeof(nested) - 1;
    unsigned seed = 1;
    for (size_t length = 0; length <= size; length++) {
        char *copy = malloc(length + 1);
        memcpy(copy, nested, length);
        for (int change = 0; change < 3 && length > 0; change++) {
            seed = seed * 1103515245u + 12345u;
            copy[seed / 65536 % length] = "\r\n-=;:\"\0\x80 "[seed >> 8 & 7];
        }
        struct message *message = message_parse(copy, length);
        for (size_t i = 0; i < message->count; i++) {
            size_t out;
            char *owned, path[MESSAGE_PATH_SIZE];
            assert_true(message->parts[i].begin <= message->parts[i].body);
            assert_true(message->parts[i].body <= message->parts[i].end);
            assert_true(message->parts[i].end <= length);
            message_part_content(message, i, &out, &owned);
            g_free(owned);
            assert_true(g_utf8_validate(message_part_path(message, i, path), -1, NULL));
        }
        message_free(message);
        free(copy);
    }
}

static int start_libraries(void **state)
{
    g_mime_init();
    *state = charset_preload();
    return 0;
}

static int stop_libraries(void **state)
{
    charset_release(*state);
    g_mime_shutdown();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded_words_in_japanese_are_decoded),
        cmocka_unit_test(neighbouring_encoded_words_are_joined),
        cmocka_unit_test(characters_that_vendors_added_are_known),
        cmocka_unit_test(undeclared_charsets_are_guessed),
        cmocka_unit_test(a_declared_charset_goes_before_a_guess),
        cmocka_unit_test(text_is_always_valid_and_without_controls),
        cmocka_unit_test(long_text_is_cut_at_998_characters),
        cmocka_unit_test(parts_are_found_with_their_paths),
        cmocka_unit_test(a_plain_message_has_one_part),
        cmocka_unit_test(an_empty_message_has_none),
        cmocka_unit_test(a_name_cannot_leave_its_place_in_the_path),
        cmocka_unit_test(a_file_name_in_encoded_words_is_read),
        cmocka_unit_test(a_boundary_ends_at_the_outer_one),
        cmocka_unit_test(a_longer_boundary_is_another_one),
        cmocka_unit_test(broken_structures_are_plain_parts),
        cmocka_unit_test(limits_keep_the_tree_small),
        cmocka_unit_test(fields_beyond_the_header_limit_are_not_read),
        cmocka_unit_test(damaged_messages_are_parsed_to_the_end),
    };
    return cmocka_run_group_tests_name("engine: message", tests, start_libraries, stop_libraries);
}
