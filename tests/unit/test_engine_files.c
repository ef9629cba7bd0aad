/* Files in messages as the sandboxed engine sees them: an infected member of every archive is found
 * at every depth and cleaned away; what is locked, disguised or a bomb is told as such. */
#include "scanner/engine/engine_test_client.h"

#include <setjmp.h>

#include <cmocka.h>

#include "test_engine_archives.h"

static struct test_engine engine;

/* Scans and frees the mail; where `clean` is given, *cleaned gets the file or -1. */
static json_t *scan_mail(struct bytes mail, const char *clean, int *cleaned)
{
    int fd = test_connect(&engine, NULL), none = -1;
    int message = test_memory_file(mail.data, mail.length);
    json_t *frame = json_pack("{s:{s:s,s:I,s:i}}", "scan", "id", TEST_ID, "size",
                              (json_int_t)mail.length, "seconds", 60);
    if (clean)
        json_object_set_new(json_object_get(frame, "scan"), "clean", json_pack("[s]", clean));
    assert_true(ipc_packet_send(fd, frame, message, NULL));
    json_decref(frame);
    close(message);
    frame = ipc_packet_receive(fd, cleaned ? cleaned : &none, NULL);
    assert_non_null(frame);
    assert_int_equal(none, -1);
    json_t *result = json_incref(json_object_get(frame, "result"));
    json_decref(frame);
    close(fd);
    g_free(mail.data);
    return result;
}

static void expect_virus(json_t *result, const char *file)
{
    if (strcmp(test_text(result, "verdict"), "virus") != 0)
        fail_msg("%s: %s (%s)", file, test_text(result, "verdict"), test_text(result, "reason"));
    if (!g_str_has_prefix(test_threat(result, 0, "part"), file))
        fail_msg("%s: found in %s", file, test_threat(result, 0, "part"));
    json_decref(result);
}

static void an_infected_member_is_found_in_every_archive_at_every_depth(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(archive_formats); i++) {
        struct bytes packed = pack_one(archive_formats[i].format, archive_formats[i].filter,
                                       "run.com", text(test_eicar()));
        for (int depth = 0; depth < 5; depth++) {
            struct bytes mail =
                mail_with(archive_formats[i].name, "application/octet-stream", packed);
            expect_virus(scan_mail(mail, NULL, NULL), archive_formats[i].name);
            size_t outer = (i + (size_t)depth) % G_N_ELEMENTS(archive_formats);
            struct bytes more =
                pack_one(archive_formats[outer].format, archive_formats[outer].filter,
                         archive_formats[i].name, packed);
            g_free(packed.data);
            packed = more;
        }
        g_free(packed.data);
    }
}

/* Reads the file and closes it. */
static struct bytes read_cleaned(const json_t *result, int cleaned)
{
    struct bytes bytes = {0};
    const json_t *told = json_object_get(result, "cleaned");
    assert_true(cleaned >= 0);
    bytes.length = (size_t)json_integer_value(json_object_get(told, "size"));
    bytes.data = g_malloc(bytes.length);
    assert_int_equal(pread(cleaned, bytes.data, bytes.length, 0), bytes.length);
    assert_int_equal(lseek(cleaned, 0, SEEK_END), bytes.length);
    close(cleaned);
    return bytes;
}

static void every_archive_is_cleaned_in_the_sandbox(void **state)
{
    struct member members[] = {{"good.txt", text("good bytes")}, {"run.com", text(test_eicar())}};
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(archive_formats); i++) {
        int cleaned = -1;
        struct bytes packed =
            pack(archive_formats[i].format, archive_formats[i].filter, NULL, members, 2);
        struct bytes outer = zip_of(archive_formats[i].name, packed);
        json_t *result =
            scan_mail(mail_with("outer.zip", "application/zip", outer), "virus", &cleaned);
        if (!json_object_get(result, "cleaned"))
            fail_msg("%s: %s", archive_formats[i].name, test_text(result, "not_cleaned"));
        struct bytes clean = read_cleaned(result, cleaned);
        json_decref(result);
        result = scan_mail(clean, NULL, NULL);
        assert_string_equal(test_text(result, "verdict"), "clean");
        json_decref(result);
        g_free(packed.data);
        g_free(outer.data);
    }
}

static void an_infected_member_of_a_rar_file_is_found_and_cleaned_away(void **state)
{
    struct member members[] = {{"good.txt", text("good bytes")}, {"run.com", text(test_eicar())}};
    int cleaned = -1;
    (void)state;
    struct bytes packed = rar_of(members, 2);
    json_t *result = scan_mail(mail_with("a.rar", "application/x-rar", packed), "virus", &cleaned);
    assert_string_equal(test_text(result, "verdict"), "virus");
    assert_string_equal(test_threat(result, 0, "part"), "a.rar/run.com");
    struct bytes clean = read_cleaned(result, cleaned);
    json_decref(result);
    result = scan_mail(clean, NULL, NULL);
    assert_string_equal(test_text(result, "verdict"), "clean");
    json_decref(result);
    g_free(packed.data);
}

static void what_is_not_asked_for_is_not_cleaned(void **state)
{
    int cleaned = -1;
    (void)state;
    struct bytes packed = zip_of("run.com", text(test_eicar()));
    json_t *result = scan_mail(mail_with("a.zip", "application/zip", packed), "worm", &cleaned);
    assert_string_equal(test_text(result, "verdict"), "virus");
    assert_null(json_object_get(result, "cleaned"));
    assert_int_equal(cleaned, -1);
    json_decref(result);
    g_free(packed.data);
}

static void every_verdict_that_applies_is_told(void **state)
{
    struct member secret[] = {{"s.txt", text("secret")}};
    (void)state;
    struct bytes locked =
        pack(archive_write_set_format_zip, NULL, "zip:encryption=traditional", secret, 1);
    struct member both[] = {{"locked.zip", locked}, {"report.pdf.js", text(test_eicar())}};
    struct bytes outer = pack(archive_write_set_format_zip, NULL, NULL, both, 2);
    json_t *result = scan_mail(mail_with("all.zip", "application/zip", outer), NULL, NULL);
    const json_t *verdicts = json_object_get(result, "verdicts");
    assert_int_equal(json_array_size(verdicts), 3);
    assert_string_equal(json_string_value(json_array_get(verdicts, 0)), "virus");
    assert_string_equal(json_string_value(json_array_get(verdicts, 1)), "suspicious_attachment");
    assert_string_equal(json_string_value(json_array_get(verdicts, 2)), "encrypted_attachment");
    json_decref(result);
    g_free(outer.data);
    g_free(locked.data);
}

static void a_bomb_is_unscannable_with_the_limit_and_its_place(void **state)
{
    (void)state;
    struct bytes zeros = {calloc(1, 64 << 20), 64 << 20};
    struct bytes packed = zip_of("zeros", zeros);
    struct bytes outer = zip_of("inner.zip", packed);
    json_t *result = scan_mail(mail_with("bomb.zip", "application/zip", outer), NULL, NULL);
    assert_string_equal(test_text(result, "verdict"), "unscannable");
    if (!strstr(test_text(result, "reason"), "bomb.zip/inner.zip"))
        fail_msg("the reason is %s", test_text(result, "reason"));
    json_decref(result);
    g_free(outer.data);
    g_free(packed.data);
    free(zeros.data);
}

static void a_broken_archive_is_unscannable(void **state)
{
    struct member members[] = {{"a.txt", text("first")}, {"b.txt", text("second")}};
    (void)state;
    struct bytes packed = pack(archive_write_set_format_7zip, NULL, NULL, members, 2);
    packed.length -= 20;
    json_t *result = scan_mail(mail_with("cut.7z", "application/octet-stream", packed), NULL, NULL);
    assert_string_equal(test_text(result, "verdict"), "unscannable");
    assert_non_null(strstr(test_text(result, "reason"), "(cut.7z)"));
    json_decref(result);
    g_free(packed.data);
}

static void names_in_every_script_are_told_and_kept(void **state)
{
    static const writer writers[] = {archive_write_set_format_7zip, archive_write_set_format_pax,
                                     archive_write_set_format_zip};
    struct member members[] = {{"請求書.txt", text("good")}, {"写真.jpg.exe", text("bad")}};
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(writers); i++) {
        int cleaned = -1;
        struct bytes packed = pack(writers[i], NULL, NULL, members, 2);
        json_t *result = scan_mail(mail_with("a", "application/octet-stream", packed),
                                   "suspicious_attachment", &cleaned);
        assert_string_equal(test_text(result, "verdict"), "suspicious_attachment");
        assert_string_equal(test_threat(result, 0, "part"), "a/写真.jpg.exe");
        struct bytes clean = read_cleaned(result, cleaned);
        json_decref(result);
        g_free(clean.data);
        g_free(packed.data);
    }
}

static int start(void **state)
{
    (void)state;
    setlocale(LC_CTYPE, "C.UTF-8");
    test_prepare(&engine);
    test_start(&engine);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    test_stop(&engine);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_infected_member_is_found_in_every_archive_at_every_depth),
        cmocka_unit_test(every_archive_is_cleaned_in_the_sandbox),
        cmocka_unit_test(an_infected_member_of_a_rar_file_is_found_and_cleaned_away),
        cmocka_unit_test(what_is_not_asked_for_is_not_cleaned),
        cmocka_unit_test(every_verdict_that_applies_is_told),
        cmocka_unit_test(a_bomb_is_unscannable_with_the_limit_and_its_place),
        cmocka_unit_test(a_broken_archive_is_unscannable),
        cmocka_unit_test(names_in_every_script_are_told_and_kept),
    };
    return cmocka_run_group_tests_name("engine: files", tests, start, stop);
}
