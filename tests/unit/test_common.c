/* Errors, logs, buffers, UTF-8, times and identifiers. */
#include "common/buffer.h"
#include "common/error.h"
#include "common/log.h"
#include "common/message_id.h"
#include "common/timestamp.h"
#include "common/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- errors --- */

static void an_error_is_cut_between_characters(void **state)
{
    struct error error;
    char text[1024];
    (void)state;
    for (size_t lead = 500; lead < 520; lead++) {
        memset(text, 'a', lead);
        strcpy(text + lead, "\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9");
        assert_false(error_set(&error, ERROR_INVALID, "field", "%s", text));
        assert_true(utf8_valid(error.message, strlen(error.message)));
        assert_null(strchr(error.message, '?'));
        assert_true(strlen(error.message) >= 508 || strlen(error.message) == strlen(text));
    }
}

static void an_error_holds_no_control_characters_and_no_bad_bytes(void **state)
{
    struct error error;
    (void)state;
    error_set(&error, ERROR_INVALID, "a\r\nb", "x\x01y\xffz\xc2\x85w");
    assert_string_equal(error.where, "a??b");
    assert_string_equal(error.message, "x?y?z?w");
}

static void an_error_can_be_made_from_itself(void **state)
{
    struct error error;
    (void)state;
    error_set(&error, ERROR_IO, "place", "first");
    error_set(&error, ERROR_LIMIT, error.where, "then: %s", error.message);
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_string_equal(error.where, "place");
    assert_string_equal(error.message, "then: first");
}

static void a_full_disk_is_told_apart(void **state)
{
    struct error error;
    (void)state;
    errno = ENOSPC;
    assert_false(error_set_errno(&error, "/x", "cannot write"));
    assert_int_equal(error.code, ERROR_NO_SPACE);
    errno = EDQUOT;
    error_set_errno(&error, "/x", "cannot write");
    assert_int_equal(error.code, ERROR_NO_SPACE);
    errno = EACCES;
    error_set_errno(&error, "/x", "cannot write");
    assert_int_equal(error.code, ERROR_IO);
    assert_string_equal(error.message, "cannot write: Permission denied");
    assert_int_equal(errno, EACCES);
    assert_false(error_set_errno(NULL, NULL, "x"));
    assert_false(error_set(NULL, ERROR_IO, NULL, "x"));
}

static void the_text_of_an_error_names_the_place(void **state)
{
    struct error error;
    char text[64], small[8];
    (void)state;
    error_set(&error, ERROR_INVALID, "smtp.port", "is missing");
    assert_string_equal(error_text(&error, text, sizeof(text)), "smtp.port: is missing");
    assert_string_equal(error_text(&error, small, sizeof(small)), "smtp.po");
    error_set(&error, ERROR_INVALID, NULL, "is missing");
    assert_string_equal(error_text(&error, text, sizeof(text)), "is missing");
}

/* --- logs --- */

/* Runs `write_lines` with standard error in a pipe and returns what came out. */
static char *captured(void (*write_lines)(void), char *text, size_t size)
{
    int ends[2], kept = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    write_lines();
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(ends[1]);
    ssize_t length = read(ends[0], text, size - 1);
    close(ends[0]);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

static void hostile_line(void)
{
    log_open("mta");
    log_info("from=<%s>", "a\r\n2026-01-01T00:00:00.000Z mta[1] error: forged\x1b[2J\xff");
}

static void hostile_text_cannot_forge_a_log_line(void **state)
{
    char text[4096], expected[64];
    int64_t at;
    (void)state;
    captured(hostile_line, text, sizeof(text));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_null(strpbrk(text, "\r\x1b\xff"));
    text[24] = '\0';
    assert_true(timestamp_parse(text, &at));
    snprintf(expected, sizeof(expected), "mta[%d] info: from=<a??2026", (int)getpid());
    assert_memory_equal(text + 25, expected, strlen(expected));
}

static void long_line(void)
{
    char long_text[10000];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    log_error("%s", long_text);
}

static void a_long_log_line_is_cut_and_ends(void **state)
{
    char text[20000];
    (void)state;
    captured(long_line, text, sizeof(text));
    assert_int_equal(strlen(text), 2047);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void all_levels(void)
{
    log_error("1");
    log_warning("2");
    log_info("3");
    log_debug("4");
}

static void the_log_level_holds_back_what_is_below_it(void **state)
{
    char text[4096];
    (void)state;
    setenv("GATEHOUSE_LOG", "warning", 1);
    log_open("test");
    captured(all_levels, text, sizeof(text));
    assert_non_null(strstr(text, "error: 1"));
    assert_non_null(strstr(text, "warning: 2"));
    assert_null(strstr(text, "info: 3"));
    log_set_level(LOG_LEVEL_DEBUG);
    captured(all_levels, text, sizeof(text));
    assert_non_null(strstr(text, "debug: 4"));
    unsetenv("GATEHOUSE_LOG");
    log_set_level(LOG_LEVEL_INFO);
}

/* --- buffers --- */

static void a_buffer_grows_and_stays_a_text(void **state)
{
    struct buffer buffer = BUFFER_INIT;
    (void)state;
    assert_string_equal(buffer_text(&buffer), "");
    for (int i = 0; i < 10000; i++)
        assert_true(buffer_add_format(&buffer, "%d,", i));
    assert_int_equal(strlen(buffer_text(&buffer)), buffer.length);
    assert_memory_equal(buffer.data, "0,1,2,3,", 8);
    assert_string_equal(buffer.data + buffer.length - 5, "9999,");
    buffer_consume(&buffer, 4);
    assert_memory_equal(buffer.data, "2,3,", 4);
    buffer_consume(&buffer, buffer.length + 5);
    assert_int_equal(buffer.length, 0);
    assert_string_equal(buffer_text(&buffer), "");
    buffer_free(&buffer);
}

static void a_buffer_refuses_what_is_over_its_limit_and_stays_whole(void **state)
{
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 10);
    assert_true(buffer_add_text(&buffer, "12345"));
    assert_true(buffer_add_format(&buffer, "%s", "67890"));
    assert_false(buffer.failed);
    assert_false(buffer_add_text(&buffer, "x"));
    assert_true(buffer.failed);
    assert_string_equal(buffer_text(&buffer), "1234567890");
    buffer_consume(&buffer, 5);
    assert_false(buffer_add_text(&buffer, "y"));
    assert_string_equal(buffer_text(&buffer), "67890");
    assert_null(buffer_reserve(&buffer, 1));
    assert_null(buffer_take(&buffer));
    assert_int_equal(buffer.limit, 10);
    assert_true(buffer_add_text(&buffer, "abc"));
    assert_false(buffer_add_format(&buffer, "%s", "45678901"));
    assert_string_equal(buffer_text(&buffer), "abc");
    buffer_clear(&buffer);
    assert_true(buffer_add_text(&buffer, "0123456789"));
    buffer_free(&buffer);
}

static void a_format_within_spare_memory_but_over_the_limit_is_refused(void **state)
{
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 0);
    assert_true(buffer_add_text(&buffer, "1234"));
    buffer.limit = 6;
    assert_false(buffer_add_format(&buffer, "%s", "567"));
    assert_string_equal(buffer_text(&buffer), "1234");
    buffer_free(&buffer);
}

static void a_reserved_length_near_the_end_of_memory_is_refused(void **state)
{
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, SIZE_MAX - 1);
    assert_true(buffer_add_text(&buffer, "abc"));
    assert_null(buffer_reserve(&buffer, SIZE_MAX - 2));
    assert_true(buffer.failed);
    buffer_free(&buffer);
}

static void a_taken_buffer_is_owned_and_the_buffer_is_empty(void **state)
{
    struct buffer buffer = BUFFER_INIT;
    (void)state;
    char *text = buffer_take(&buffer);
    assert_string_equal(text, "");
    free(text);
    memcpy(buffer_reserve(&buffer, 3), "abc", 3);
    buffer.length += 3;
    text = buffer_take(&buffer);
    assert_string_equal(text, "abc");
    assert_null(buffer.data);
    free(text);
}

/* --- UTF-8 --- */

static void only_shortest_forms_of_scalar_values_are_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {
        "\x80",         "\xc0\xaf",         "\xc1\xbf",         "\xc2",
        "\xc2\x41",     "\xe0\x9f\xbf",     "\xed\xa0\x80",     "\xe2\x82",
        "\xe2\x82\x41", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff",         "\xf0\x9f\x98",     "\xf0\x9f\x98\x41"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
}

/* --- times --- */

static void times_agree_with_the_c_library(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (int i = 0; i < 20000; i++) {
        char text[TIMESTAMP_TEXT_SIZE], mail[TIMESTAMP_TEXT_SIZE], expected[64];
        struct tm tm;
        int64_t back;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        time_t seconds = (time_t)((seed >> 16) % 315000000000u) - 62135596800;
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof(expected), "-%m-%dT%H:%M:%S.007Z", &tm);
        timestamp_text((int64_t)seconds * 1000 + 7, text);
        assert_string_equal(text + 4, expected);
        assert_int_equal(atoi(text), tm.tm_year + 1900);
        assert_true(timestamp_parse(text, &back));
        assert_true(back == (int64_t)seconds * 1000 + 7);
        timestamp_rfc5322((int64_t)seconds * 1000, mail);
        strftime(expected, sizeof(expected), "%H:%M:%S +0000", &tm);
        assert_string_equal(mail + strlen(mail) - strlen(expected), expected);
        strftime(expected, sizeof(expected), "%a, ", &tm);
        assert_memory_equal(mail, expected, 5);
    }
}

static void times_have_the_documented_forms(void **state)
{
    char text[TIMESTAMP_TEXT_SIZE];
    int64_t at;
    (void)state;
    assert_string_equal(timestamp_text(1769860800123, text), "2026-01-31T12:00:00.123Z");
    assert_string_equal(timestamp_rfc5322(1769860800123, text), "Sat, 31 Jan 2026 12:00:00 +0000");
    assert_string_equal(timestamp_rfc5322(0, text), "Thu, 1 Jan 1970 00:00:00 +0000");
    assert_true(timestamp_parse("2026-01-31T12:00:00Z", &at));
    assert_true(at == 1769860800000);
    assert_string_equal(timestamp_text(INT64_MAX, text), "9999-12-31T23:59:59.999Z");
    assert_string_equal(timestamp_text(INT64_MIN, text), "0001-01-01T00:00:00.000Z");
    assert_string_equal(timestamp_text(-1, text), "1969-12-31T23:59:59.999Z");
}

static void texts_that_are_no_times_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-02-29T00:00:00Z",
                                      "2100-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-01-32T00:00:00Z",
                                      "2026-01-00T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:60:00Z",
                                      "2026-01-01T00:00:60Z",
                                      "2026-01-01T00:00:00",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00.1Z",
                                      "2026-01-01T00:00:00.1234Z",
                                      "2026-01-01T00:00:00+00:00",
                                      "2026-01-01 00:00:00Z",
                                      "2026-01-01T00:00:00Zx",
                                      "+026-01-01T00:00:00Z",
                                      "0000-01-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t at = 7;
        assert_false(timestamp_parse(bad[i], &at));
        assert_true(at == 7);
    }
    int64_t leap;
    assert_true(timestamp_parse("2000-02-29T00:00:00Z", &leap));
    assert_true(timestamp_parse("2024-02-29T00:00:00Z", &leap));
}

/* --- identifiers --- */

static void identifiers_are_uuids_of_version_7_and_of_now(void **state)
{
    char text[MESSAGE_ID_TEXT_SIZE];
    struct message_id parsed;
    (void)state;
    int64_t before = timestamp_now_ms();
    struct message_id id = message_id_new();
    int64_t after = timestamp_now_ms();
    assert_in_range(message_id_time_ms(&id), before, after);
    message_id_text(&id, text);
    assert_int_equal(strlen(text), 36);
    assert_int_equal(text[14], '7');
    assert_non_null(strchr("89ab", text[19]));
    assert_true(message_id_parse(text, &parsed));
    assert_true(message_id_equal(&id, &parsed));
    for (char *at = text; *at; at++)
        if (*at >= 'a' && *at <= 'f')
            *at = (char)(*at - 32);
    assert_true(message_id_parse(text, &parsed));
    assert_true(message_id_equal(&id, &parsed));
}

static void texts_that_are_no_identifiers_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "0190163d-8694-739b-aea5-966c26f8ad9",
                                      "0190163d-8694-739b-aea5-966c26f8ad911",
                                      "0190163d8694739baea5966c26f8ad91",
                                      "0190163d-8694-739b-aea5-966c26f8ad9g",
                                      "{190163d-8694-739b-aea5-966c26f8ad91",
                                      "0190163d-8694-739b-aea5_966c26f8ad91"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct message_id id = {{1}};
        assert_false(message_id_parse(bad[i], &id));
        assert_int_equal(id.bytes[0], 1);
    }
}

#define IDS 20000
#define ID_THREADS 4

static void *make_ids(void *into)
{
    struct message_id *ids = into;
    for (int i = 0; i < IDS; i++)
        ids[i] = message_id_new();
    return NULL;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct message_id));
}

static void assert_all_different(struct message_id *ids, size_t count)
{
    qsort(ids, count, sizeof(*ids), compare_ids);
    for (size_t i = 1; i < count; i++)
        assert_false(message_id_equal(&ids[i - 1], &ids[i]));
}

static void threads_never_make_the_same_identifier(void **state)
{
    pthread_t threads[ID_THREADS];
    struct message_id *ids = calloc(ID_THREADS * IDS, sizeof(*ids));
    (void)state;
    for (int i = 0; i < ID_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_ids, ids + i * IDS), 0);
    for (int i = 0; i < ID_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_all_different(ids, ID_THREADS * IDS);
    free(ids);
}

/* Only the random bits are compared: the time alone would hide that they are the same. */
static void a_forked_child_does_not_repeat_the_random_bits_of_its_parent(void **state)
{
    struct message_id mine, theirs;
    int ends[2];
    (void)state;
    message_id_new();
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        theirs = message_id_new();
        _exit(write(ends[1], &theirs, sizeof(theirs)) == sizeof(theirs) ? 0 : 1);
    }
    mine = message_id_new();
    assert_int_equal(read(ends[0], &theirs, sizeof(theirs)), sizeof(theirs));
    waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    assert_memory_not_equal(mine.bytes + 6, theirs.bytes + 6, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_is_cut_between_characters),
        cmocka_unit_test(an_error_holds_no_control_characters_and_no_bad_bytes),
        cmocka_unit_test(an_error_can_be_made_from_itself),
        cmocka_unit_test(a_full_disk_is_told_apart),
        cmocka_unit_test(the_text_of_an_error_names_the_place),
        cmocka_unit_test(hostile_text_cannot_forge_a_log_line),
        cmocka_unit_test(a_long_log_line_is_cut_and_ends),
        cmocka_unit_test(the_log_level_holds_back_what_is_below_it),
        cmocka_unit_test(a_buffer_grows_and_stays_a_text),
        cmocka_unit_test(a_buffer_refuses_what_is_over_its_limit_and_stays_whole),
        cmocka_unit_test(a_format_within_spare_memory_but_over_the_limit_is_refused),
        cmocka_unit_test(a_reserved_length_near_the_end_of_memory_is_refused),
        cmocka_unit_test(a_taken_buffer_is_owned_and_the_buffer_is_empty),
        cmocka_unit_test(only_shortest_forms_of_scalar_values_are_utf8),
        cmocka_unit_test(times_agree_with_the_c_library),
        cmocka_unit_test(times_have_the_documented_forms),
        cmocka_unit_test(texts_that_are_no_times_are_refused),
        cmocka_unit_test(identifiers_are_uuids_of_version_7_and_of_now),
        cmocka_unit_test(texts_that_are_no_identifiers_are_refused),
        cmocka_unit_test(threads_never_make_the_same_identifier),
        cmocka_unit_test(a_forked_child_does_not_repeat_the_random_bits_of_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
