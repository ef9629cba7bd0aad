/* Trying custom signatures: what is right is counted, what is broken is named with its line, and
 * what is hostile ends in the trial's own process. */
#include "scanner/engine/engine_test_client.h"

#include "common/cleanup.h"

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_engine_running.h"

#define MESSAGE_WAIT_MS 40000

static json_t *ask(json_t *files, struct error *error)
{
    cleanup_json json_t *request = json_pack("{s:s,s:o}", "op", "try_signatures", "files", files);
    return ipc_request(engine.control, request, MESSAGE_WAIT_MS, error);
}

static json_t *try_one(const char *name, const char *text)
{
    struct error error = {0};
    json_t *reply = ask(json_pack("[{s:s,s:s}]", "name", name, "text", text), &error);
    if (!reply)
        fail_msg("%s: %s", name, error.message);
    return reply;
}

static void good_signatures_are_counted(void **state)
{
    static const struct {
        const char *name, *text;
        int count;
    } cases[] = {
        {"a.ndb", "A:0:*:616263646566\n# a comment\nB:0:*:616263646567\n", 2},
        {"a.hdb", "44d88612fea8a8f36de82e1278abb02f:68:A\r\n", 1},
        {"a.fp", "44d88612fea8a8f36de82e1278abb02f:68:A\n", 1},
        {"a.ldb", "A;Engine:51-255,Target:0;0&1;616263646566;313233343536\n", 1},
        {"a.yar", "rule a { strings: $a = \"abcdef\" condition: $a }\n", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cleanup_json json_t *reply = try_one(cases[i].name, cases[i].text);
        assert_true(json_is_null(json_object_get(reply, "refused")));
        const json_t *file = json_array_get(json_object_get(reply, "files"), 0);
        assert_int_equal(json_integer_value(json_object_get(file, "signatures")), cases[i].count);
    }
    assert_int_equal(test_status_number(&engine, "generation"), 1); /* which serves on */
}

static void expect_refused(const char *name, const char *text, int line, const char *reason)
{
    cleanup_json json_t *reply = try_one(name, text);
    const json_t *refused = json_object_get(reply, "refused");
    assert_true(json_is_object(refused));
    const char *said = json_string_value(json_object_get(refused, "reason"));
    if (!strstr(said, reason) || json_integer_value(json_object_get(refused, "line")) != line)
        fail_msg("%s: line %lld: %s", name,
                 (long long)json_integer_value(json_object_get(refused, "line")), said);
}

static void broken_signatures_are_named_with_their_line(void **state)
{
    (void)state;
    expect_refused("a.ndb", "A:0:*:616263646566\nB:0:*:zz\n", 2, "Malformed");
    expect_refused("a.hdb", "44d88612fea8a8f36de82e1278abb02f:x:A\n", 1, "size field");
    expect_refused("a.ldb", "A;Engine:51-255,Target:0;(0&1;616263646566;313233343536\n", 1,
                   "parenthesis");
    expect_refused("a.yar", "rule a { condition: true }\nrule a { condition: true }\n", 2,
                   "duplicate identifier");
    expect_refused("a.ndb", "", 0, "Empty");
    expect_refused("a.yar", "rule every { condition: filesize > 0 }\n", 0, "no signature");
    expect_refused("a.ndb", "# nothing but a comment\n", 0, "");
}

static void what_would_stop_all_mail_is_refused(void **state)
{
    (void)state;
    expect_refused("a.ndb", "All:0:*:4d6573736167652d4944\n", 0,
                   "All takes an ordinary message for malware");
    expect_refused("a.yar", "rule every { strings: $a = \"Subject\" condition: $a }\n", 0,
                   "for malware");
}

static char *repeat(const char *begin, const char *what, size_t times, const char *end)
{
    size_t length = strlen(what), at = strlen(begin);
    char *text = malloc(at + length * times + strlen(end) + 1);
    assert_non_null(text);
    memcpy(text, begin, at);
    for (size_t i = 0; i < times; i++, at += length)
        memcpy(text + at, what, length);
    memcpy(text + at, end, strlen(end) + 1);
    return text;
}

static void expect_serving(void)
{
    static const char text[] = "Subject: x\r\n\r\nhello\r\n";
    int fd = test_connect(&engine, NULL);
    assert_true(fd >= 0);
    cleanup_json json_t *result = test_scan_on(fd, text, sizeof(text) - 1, 30);
    assert_string_equal(test_text(result, "verdict"), "clean");
    close(fd);
}

/* However it ends, there is an answer, and scanning goes on. */
static void hostile_signatures_end_in_their_own_process(void **state)
{
    static const struct {
        const char *name, *begin, *what;
        size_t times;
        const char *end;
    } cases[] = {
        {"a.yar", "rule r { condition: ", "(", 1000000, " true }"},
        {"a.yar", "rule r { strings: $a = /", "(a|b){1,999}", 20000, "/ condition: $a }"},
        {"a.yar", "rule r { strings: $a = /", "((", 500000, "/ condition: $a }"},
        {"a.yar", "rule r { strings: $a = { ", "61 [0-9999] ", 200000, "} condition: $a }"},
        {"a.yar", "rule r { condition: ", "not ", 1000000, "true }"},
        {"a.ldb", "A;Engine:51-255,Target:0;", "(", 1000000, "0;616263646566"},
        {"a.ndb", "A:0:*:616263646566", "{-}61??62", 200000, "\n"},
        {"a.ndb", "A:0:*:616263646566", "(61|62|63)", 200000, "\n"},
        {"a.hdb", "", "x", 8000000, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cleanup_free char *text =
            repeat(cases[i].begin, cases[i].what, cases[i].times, cases[i].end);
        int64_t began = timestamp_monotonic_ms();
        cleanup_json json_t *reply = try_one(cases[i].name, text);
        const json_t *refused = json_object_get(reply, "refused");
        const char *reason = json_string_value(json_object_get(refused, "reason"));
        print_message("%zu: %.60s: %.120s (%lld ms)\n", i, cases[i].what, reason ? reason : "taken",
                      (long long)(timestamp_monotonic_ms() - began));
        expect_serving();
    }
    assert_int_equal(test_status_number(&engine, "generation"), 1);
}

static void what_breaks_a_limit_is_not_tried(void **state)
{
    (void)state;
    struct error error = {0};
    assert_null(ask(json_array(), &error));
    assert_null(ask(json_pack("[{s:s,s:s}]", "name", "../a.ndb", "text", ""), &error));
    assert_non_null(strstr(error.message, "files[0].name"));
    assert_null(ask(json_pack("[{s:s,s:s}]", "name", "a.cbc", "text", ""), &error));
    assert_null(ask(json_pack("[{s:s}]", "name", "a.ndb"), &error));
    assert_null(ask(json_integer(1), &error));
    cleanup_free char *large = repeat("", "x", CONFIG_SIGNATURE_BYTES, "x");
    assert_null(ask(json_pack("[{s:s,s:s}]", "name", "a.ndb", "text", large), &error));
    expect_serving();
}

#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, start_engine, stop_engine)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        WITH_ENGINE(good_signatures_are_counted),
        WITH_ENGINE(broken_signatures_are_named_with_their_line),
        WITH_ENGINE(what_would_stop_all_mail_is_refused),
        WITH_ENGINE(hostile_signatures_end_in_their_own_process),
        WITH_ENGINE(what_breaks_a_limit_is_not_tried),
    };
    return cmocka_run_group_tests_name("engine: trials", tests, NULL, NULL);
}
