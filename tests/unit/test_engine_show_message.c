/* What the Control Center is shown of a message: parts and text, read in the sandbox. */
#include "scanner/engine/engine_test_client.h"
#include "scanner/engine/show_message.h"

#include "common/cleanup.h"

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_engine_running.h"
#include <glib.h>

#define WAIT_MS 40000

static json_t *ask(const char *message, size_t length, int text_bytes, struct error *error)
{
    g_autofree char *base64 = g_base64_encode((const guchar *)message, length);
    cleanup_json json_t *request = json_pack("{s:s,s:s,s:i}", "op", "show_message", "message",
                                             base64, "text_bytes", text_bytes);
    return ipc_request(engine.control, request, WAIT_MS, error);
}

static json_t *show(const char *message, size_t length, int text_bytes)
{
    struct error error = {0};
    json_t *reply = ask(message, length, text_bytes, &error);
    if (!reply)
        fail_msg("%s", error.message);
    return reply;
}

static const char *member(const json_t *reply, size_t part, const char *name)
{
    const json_t *object = json_array_get(json_object_get(reply, "parts"), part);
    return json_string_value(json_object_get(object, name));
}

static const char mixed[] =
    "From: Boss <boss@example.org>\r\nSubject: =?UTF-8?B?44GT44KT44Gr44Gh44Gv?=\r\n"
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    "<p onclick=\"x()\">The <b>salaries</b></p><script>alert(1)</script>\r\n"
    "--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=pay.csv\r\n\r\n"
    "rose,1000\r\n--b--\r\n";

static void parts_and_their_text_are_told(void **state)
{
    (void)state;
    cleanup_json json_t *reply = show(mixed, sizeof(mixed) - 1, SHOW_MESSAGE_TEXT);
    assert_string_equal(json_string_value(json_object_get(reply, "subject")),
                        "\xe3\x81\x93\xe3\x82\x93\xe3\x81\xab\xe3\x81\xa1\xe3\x81\xaf");
    assert_int_equal(json_array_size(json_object_get(reply, "parts")), 2);
    assert_non_null(strstr(member(reply, 0, "text"), "The salaries"));
    assert_null(strstr(member(reply, 0, "text"), "alert"));
    assert_string_equal(member(reply, 1, "path"), "pay.csv");
    assert_non_null(strstr(member(reply, 1, "text"), "rose,1000"));
    assert_true(json_is_false(json_object_get(reply, "text_cut")));
}

static void text_beyond_what_was_asked_for_is_left_out(void **state)
{
    (void)state;
    cleanup_json json_t *reply = show(mixed, sizeof(mixed) - 1, 5);
    assert_true(json_is_true(json_object_get(reply, "text_cut")));
    assert_true(!member(reply, 1, "text") || strlen(member(reply, 1, "text")) < 5);
}

/* Quotation marks take two bytes in the reply, which has to fit all the same. */
static void hostile_messages_get_an_answer(void **state)
{
    (void)state;
    size_t length = 4u << 20;
    cleanup_free char *controls = malloc(length), *parts = calloc(1, length);
    struct error error = {0};
    size_t at = (size_t)snprintf(controls, length, "Subject: x\r\n\r\n");
    for (; at < length; at++)
        controls[at] = "\"\\<a\n"[at % 5];
    cleanup_json json_t *first = show(controls, length, SHOW_MESSAGE_TEXT);
    assert_true(json_is_true(json_object_get(first, "text_cut")));
    strcpy(parts, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    for (at = strlen(parts); at + 64 < length; at += strlen(parts + at))
        strcpy(parts + at, "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n");
    cleanup_json json_t *second = show(parts, at, SHOW_MESSAGE_TEXT);
    assert_true(json_array_size(json_object_get(second, "parts")) <= SHOW_MESSAGE_PARTS);
    assert_true(json_integer_value(json_object_get(second, "parts_left_out")) > 0);
    cleanup_json json_t *third = show("", 0, SHOW_MESSAGE_TEXT);
    assert_non_null(third);
    assert_null(ask("x", 1, -1, &error));
    cleanup_json json_t *none = json_pack("{s:s}", "op", "show_message");
    assert_null(ipc_request(engine.control, none, WAIT_MS, &error));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_and_their_text_are_told),
        cmocka_unit_test(text_beyond_what_was_asked_for_is_left_out),
        cmocka_unit_test(hostile_messages_get_an_answer),
    };
    return cmocka_run_group_tests_name("engine: show_message", tests, start_engine, stop_engine);
}
