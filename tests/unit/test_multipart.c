/* Forms with files, as browsers send them and as others might. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controlcenter/http/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE "multipart/form-data; boundary=X"
#define FIELD(name, value)                                                                         \
    "--X\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FILE_OF(name, content)                                                                     \
    "--X\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"a.bin\"\r\n"             \
    "Content-Type: application/octet-stream\r\n\r\n" content "\r\n"
#define END "--X--\r\n"

/* The status; the request is filled. */
static int parse(struct http_request *request, const char *type, const char *body, size_t length)
{
    *request = (struct http_request){.method = HTTP_POST};
    assert_int_equal(http_request_add_header(request, "Content-Type", 12, type, strlen(type)), 0);
    request->body = malloc(length + 1);
    memcpy(request->body, body, length);
    request->body[length] = '\0';
    request->body_length = length;
    return http_request_finish(request);
}

static int parse_text(struct http_request *request, const char *body)
{
    return parse(request, TYPE, body, strlen(body));
}

static void fields_and_files_are_told_apart(void **state)
{
    struct http_request request;
    (void)state;
    assert_int_equal(parse_text(&request, FIELD("a", "one") FILE_OF("f", "two--Xthree\r\n--")
                                              FIELD("b", "x\r\ny") END),
                     0);
    assert_string_equal(http_form(&request, "a"), "one");
    assert_string_equal(http_form_lines(&request, "b"), "x\ny");
    assert_null(http_form(&request, "f"));
    assert_string_equal(http_file(&request, "f")->data, "two--Xthree\r\n--");
    http_request_clear(&request);
}

static void a_file_may_hold_any_bytes(void **state)
{
    static const char body[] = FILE_OF("f", "\0\xff\r\n\r\n\0") END;
    struct http_request request;
    (void)state;
    assert_int_equal(parse(&request, TYPE, body, sizeof body - 1), 0);
    const struct http_file *file = http_file(&request, "f");
    assert_int_equal(file->length, 7);
    assert_memory_equal(file->data, "\0\xff\r\n\r\n\0", 7);
    http_request_clear(&request);
}

static void a_file_that_was_not_chosen_is_none(void **state)
{
    struct http_request request;
    (void)state;
    assert_int_equal(parse_text(&request, FILE_OF("f", "") FIELD("a", "") END), 0);
    assert_null(http_file(&request, "f"));
    assert_string_equal(http_form(&request, "a"), "");
    http_request_clear(&request);
}

static void a_quoted_boundary_is_understood(void **state)
{
    static const char body[] = "--a b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\nv\r\n"
                               "--a b--";
    struct http_request request;
    (void)state;
    assert_int_equal(
        parse(&request, "Multipart/Form-Data; boundary=\"a b\"", body, sizeof body - 1), 0);
    assert_string_equal(http_form(&request, "n"), "v");
    http_request_clear(&request);
}

static void what_is_malformed_is_refused(void **state)
{
    static const char *const bodies[] = {
        "",
        "--X",
        "--Y\r\n" END,
        FIELD("a", "b"),
        "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb",
        "--X\r\n\r\nb\r\n" END,
        "--X\r\nContent-Disposition: form-data\r\n\r\nb\r\n" END,
        "--X\r\nContent-Disposition: form-data; name=\"a\r\n\r\nb\r\n" END,
        FIELD("a", "\x01"),
        FIELD("a", "\xff"),
        FIELD("a\x7f", "b"),
        "--X\r\nContent-Disposition: form-data; name=a\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct http_request request;
        if (parse_text(&request, bodies[i]) != 400)
            fail_msg("case %zu was taken", i);
        http_request_clear(&request);
    }
}

static void a_boundary_that_is_missing_or_too_long_is_refused(void **state)
{
    struct http_request request;
    char type[200];
    (void)state;
    snprintf(type, sizeof type, "multipart/form-data; boundary=%071d", 0);
    static const char *const types[] = {
        "multipart/form-data; charset=utf-8",
        "multipart/form-data; boundary=", "multipart/form-data; boundary=\"X", NULL};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(parse(&request, types[i] ? types[i] : type, END, strlen(END)), 400);
        http_request_clear(&request);
    }
}

static void a_body_that_is_cut_anywhere_does_no_harm(void **state)
{
    static const char body[] = FIELD("a", "one") FILE_OF("f", "two") END;
    (void)state;
    for (size_t length = 0; length < sizeof body - 5; length++) {
        struct http_request request;
        assert_int_equal(parse(&request, TYPE, body, length), 400);
        http_request_clear(&request);
    }
}

static void more_files_than_a_form_has_are_refused(void **state)
{
    struct buffer body = BUFFER_INIT;
    struct http_request request;
    (void)state;
    for (int i = 0; i < 17; i++)
        buffer_add_text(&body, FILE_OF("f", "x"));
    buffer_add_text(&body, END);
    assert_int_equal(parse(&request, TYPE, body.data, body.length), 400);
    http_request_clear(&request);
    buffer_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_and_files_are_told_apart),
        cmocka_unit_test(a_file_may_hold_any_bytes),
        cmocka_unit_test(a_file_that_was_not_chosen_is_none),
        cmocka_unit_test(a_quoted_boundary_is_understood),
        cmocka_unit_test(what_is_malformed_is_refused),
        cmocka_unit_test(a_boundary_that_is_missing_or_too_long_is_refused),
        cmocka_unit_test(a_body_that_is_cut_anywhere_does_no_harm),
        cmocka_unit_test(more_files_than_a_form_has_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
