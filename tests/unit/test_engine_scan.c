/* Verdicts of a running engine with its builtin and custom signatures. */
#include "scanner/engine/engine_test_client.h"

#include <dirent.h>
#include <glib.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#define TEST_FILES "/usr/share/clamav-testfiles"

static struct test_engine engine;

/* --- messages --- */

static const char top[] = "Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n"
                          "From: sender@example.com\r\nSubject: test\r\nMIME-Version: 1.0\r\n";

/* A message with a text and one attachment. */
static GString *with_attachment(const char *header, const char *name, const void *data,
                                size_t length)
{
    g_autofree char *encoded = g_base64_encode(data, length);
    GString *text = g_string_new(header);
    g_string_append(text, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                          "Content-Type: text/plain\r\n\r\nhello\r\n--b\r\n");
    g_string_append_printf(text,
                           "Content-Type: application/octet-stream\r\n"
                           "Content-Disposition: attachment; filename=\"%s\"\r\n"
                           "Content-Transfer-Encoding: base64\r\n\r\n",
                           name);
    for (size_t at = 0, all = strlen(encoded); at < all; at += 76)
        g_string_append_printf(text, "%.76s\r\n", encoded + at);
    g_string_append(text, "--b--\r\n");
    return text;
}

static uint32_t crc32_of(const unsigned char *data, size_t length)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void put(GString *out, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        g_string_append_c(out, i < 4 ? (char)(value >> 8 * i) : 0);
}

static void put_entry(GString *out, const char *name, const GString *data)
{
    put(out, 20, 2); /* version, flags, method, time, date */
    put(out, 0, 8);
    put(out, crc32_of((const unsigned char *)data->str, data->len), 4);
    put(out, (uint32_t)data->len, 4);
    put(out, (uint32_t)data->len, 4);
    put(out, (uint32_t)strlen(name), 2);
    put(out, 0, 2);
}

/* A zip archive with one stored member. */
static GString *zip_of(const char *name, const GString *data)
{
    GString *out = g_string_new("PK\003\004");
    put_entry(out, name, data);
    g_string_append(out, name);
    g_string_append_len(out, data->str, (gssize)data->len);
    uint32_t directory = (uint32_t)out->len;
    g_string_append(out, "PK\001\002");
    put(out, 20, 2);
    put_entry(out, name, data);
    put(out, 0, 10); /* comment, disk, attributes */
    put(out, 0, 4);  /* offset of the member */
    g_string_append(out, name);
    uint32_t size = (uint32_t)out->len - directory;
    g_string_append(out, "PK\005\006");
    put(out, 0, 4);
    put(out, 1, 2);
    put(out, 1, 2);
    put(out, size, 4);
    put(out, directory, 4);
    put(out, 0, 2);
    return out;
}

static json_t *scan(const GString *message)
{
    json_t *result = test_scan(&engine, message->str, message->len);
    assert_non_null(result);
    assert_string_equal(test_text(result, "id"), TEST_ID);
    return result;
}

static json_t *scan_text(const char *text)
{
    json_t *result = test_scan(&engine, text, strlen(text));
    assert_non_null(result);
    return result;
}

static void expect_eicar(json_t *result, const char *part)
{
    assert_string_equal(test_text(result, "verdict"), "virus");
    assert_int_equal(json_array_size(json_object_get(result, "threats")), 1);
    assert_string_equal(test_threat(result, 0, "name"), "Eicar-Test-Signature");
    assert_string_equal(test_threat(result, 0, "part"), part);
    json_decref(result);
}

/* --- verdicts --- */

static void a_clean_message_shows_its_header(void **state)
{
    (void)state;
    json_t *result = scan_text("Subject: =?ISO-2022-JP?B?GyRCRnxLXDhsJE43b0w+GyhC?=\r\n"
                               "From: =?UTF-8?B?5bGx55Sw?= <yamada@example.jp>\r\n"
                               "Message-ID: <a.b@example.jp>\r\n\r\nhello\r\n");
    assert_string_equal(test_text(result, "verdict"), "clean");
    assert_string_equal(test_text(result, "subject"), "日本語の件名");
    assert_string_equal(test_text(result, "from"), "山田 <yamada@example.jp>");
    assert_string_equal(test_text(result, "message_id"), "<a.b@example.jp>");
    assert_string_equal(test_text(result, "reason"), "");
    assert_int_equal(json_array_size(json_object_get(result, "threats")), 0);
    assert_int_equal(json_integer_value(json_object_get(result, "parts")), 1);
    assert_true(json_integer_value(json_object_get(result, "elapsed_us")) > 0);
    json_decref(result);
}

/* Each in its own worker connection: the converters must be there inside the sandbox. */
static void undeclared_japanese_is_read_in_the_sandbox(void **state)
{
    (void)state;
    json_t *result = scan_text("Subject: \x93\xfa\x96{\x8c\xea\x82\xcc\x8c\x8f\x96\xbc\r\n\r\nx");
    assert_string_equal(test_text(result, "subject"), "日本語の件名");
    json_decref(result);
    result = scan_text("Subject: =?gb18030?B?xOO6ww==?= =?koi8-r?B?8NLJ18XU?= "
                       "=?big5?B?p0GmbqTR?=\r\n\r\nx");
    assert_string_equal(test_text(result, "subject"), "你好Привет你好天");
    json_decref(result);
}

static void an_empty_message_is_clean(void **state)
{
    (void)state;
    json_t *result = test_scan(&engine, "", 0);
    assert_non_null(result);
    assert_string_equal(test_text(result, "verdict"), "clean");
    json_decref(result);
}

static void the_test_virus_is_found_in_the_text(void **state)
{
    (void)state;
    g_autofree char *text = g_strconcat(top, "\r\n", test_eicar(), "\r\n", NULL);
    expect_eicar(scan_text(text), "body");
}

static void the_test_virus_is_found_in_an_attachment(void **state)
{
    (void)state;
    GString *message = with_attachment(top, "eicar.com", test_eicar(), 68);
    expect_eicar(scan(message), "eicar.com");
    g_string_free(message, TRUE);
}

static void the_test_virus_is_found_in_an_archive(void **state)
{
    (void)state;
    GString *file = g_string_new(test_eicar());
    GString *inner = zip_of("run.exe", file);
    GString *outer = zip_of("deep/inner.zip", inner);
    GString *message = with_attachment(top, "invoice.zip", inner->str, inner->len);
    expect_eicar(scan(message), "invoice.zip/run.exe");
    g_string_free(message, TRUE);
    message = with_attachment(top, "invoice.zip", outer->str, outer->len);
    expect_eicar(scan(message), "invoice.zip/inner.zip/run.exe");
    g_string_free(message, TRUE);
    g_string_free(outer, TRUE);
    g_string_free(inner, TRUE);
    g_string_free(file, TRUE);
}

static void the_test_virus_is_found_in_a_forwarded_message(void **state)
{
    (void)state;
    GString *inner = with_attachment(top, "eicar.com", test_eicar(), 68);
    g_autofree char *text =
        g_strconcat(top,
                    "Content-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\n"
                    "Content-Type: message/rfc822; name=mail.eml\r\n\r\n",
                    inner->str, "\r\n--outer--\r\n", NULL);
    expect_eicar(scan_text(text), "mail.eml/eicar.com");
    g_string_free(inner, TRUE);
}

/* libclamav does not take text that begins like this for a message. */
static void the_test_virus_is_found_under_an_unusual_header(void **state)
{
    (void)state;
    GString *message = with_attachment("!: ?\r\nZ9:\r\n", "eicar.com", test_eicar(), 68);
    expect_eicar(scan(message), "eicar.com");
    g_string_free(message, TRUE);
}

static void malformed_messages_are_clean(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "Content-Type: multipart/mixed\r\n\r\n--\r\n",
        "Content-Type: multipart/mixed; boundary=\"a\r\n\r\n--a\r\n\r\n--a",
        "Content-Transfer-Encoding: base64\r\n\r\n!!!!====\r\n",
        "Subject: =?utf-8?B?/////w==?= =?x?\r\nFrom: <<<>>\r\n\r\n",
        "\r\n\r\n\r\n",
        "\xff\xfe\x80",
        "no header",
    };
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        json_t *result = scan_text(malformed[i]);
        assert_string_equal(test_text(result, "verdict"), "clean");
        json_decref(result);
    }
}

/* --- what cannot be scanned --- */

static void a_reached_limit_is_unscannable_and_named(void **state)
{
    (void)state;
    GString *data = g_string_new("x");
    for (int level = 0; level < 25; level++) {
        GString *outer = zip_of("a.zip", data);
        g_string_free(data, TRUE);
        data = outer;
    }
    GString *message = with_attachment(top, "deep.zip", data->str, data->len);
    json_t *result = scan(message);
    assert_string_equal(test_text(result, "verdict"), "unscannable");
    const char *reason = test_text(result, "reason");
    if (!g_str_has_prefix(reason, "too many containers in each other (deep.zip/a.zip/a.zip"))
        fail_msg("the reason is: %s", reason);
    json_decref(result);
    g_string_free(message, TRUE);
    g_string_free(data, TRUE);
}

static json_t *scan_descriptor(int message, size_t size)
{
    int fd = test_connect(&engine, NULL);
    assert_true(fd >= 0);
    assert_true(test_send(fd, message, size, 10, NULL));
    json_t *result = test_receive(fd);
    assert_non_null(result);
    close(fd);
    return result;
}

static void a_message_over_the_limit_is_unscannable(void **state)
{
    (void)state;
    int fd = memfd_create("large", MFD_CLOEXEC);
    char path[64];
    size_t size = (size_t)60 << 20;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    assert_int_equal(pwrite(fd, "Subject: large\r\n\r\n", 18, 0), 18);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    int readable = open(path, O_RDONLY);
    json_t *result = scan_descriptor(readable, size);
    assert_string_equal(test_text(result, "verdict"), "unscannable");
    assert_string_equal(test_text(result, "reason"), "the message is larger than the limit");
    assert_string_equal(test_text(result, "subject"), "large");
    json_decref(result);
    close(readable);
    close(fd);
}

static void expect_refused(int message, size_t size, const char *reason)
{
    json_t *result = scan_descriptor(message, size);
    assert_string_equal(test_text(result, "verdict"), "unscannable");
    assert_string_equal(test_text(result, "reason"), reason);
    json_decref(result);
}

static void descriptors_that_are_no_safe_file_are_refused(void **state)
{
    (void)state;
    const char *unsafe = "the message is not a read-only file";
    int ends[2], writable = memfd_create("writable", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(writable, "a", 1), 1);
    expect_refused(ends[0], 1, unsafe);
    expect_refused(writable, 1, unsafe);
    expect_refused(-1, 1, unsafe);
    assert_int_equal(fcntl(writable, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
    json_t *result = scan_descriptor(writable, 1);
    assert_string_equal(test_text(result, "verdict"), "clean");
    json_decref(result);
    expect_refused(writable, 2, "the message does not have the size that was announced");
    close(writable);
    close(ends[0]);
    close(ends[1]);
}

static void a_bad_frame_ends_the_connection_only(void **state)
{
    (void)state;
    static const char *const bad[] = {"{",
                                      "[]",
                                      "{}",
                                      "{\"scan\":1}",
                                      "{\"scan\":{\"id\":\"\",\"size\":-1,\"seconds\":1}}",
                                      "{\"scan\":{\"id\":\"x\",\"size\":1,\"seconds\":0}}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int fd = test_connect(&engine, NULL);
        assert_true(fd >= 0);
        assert_true(send(fd, bad[i], strlen(bad[i]), 0) > 0);
        assert_null(test_receive(fd));
        close(fd);
    }
    an_empty_message_is_clean(state);
}

/* --- files of others --- */

static GString *read_whole(const char *path)
{
    size_t length;
    char *text = file_read(path, 16u << 20, &length, NULL);
    assert_non_null(text);
    GString *data = g_string_new_len(text, (gssize)length);
    free(text);
    return data;
}

static void expect_found(const char *name)
{
    g_autofree char *path = g_build_filename(TEST_FILES, name, NULL);
    GString *data = read_whole(path);
    GString *message = with_attachment(top, name, data->str, data->len);
    json_t *result = scan(message);
    if (strcmp(test_text(result, "verdict"), "virus") != 0)
        fail_msg("%s: %s %s", name, test_text(result, "verdict"), test_text(result, "reason"));
    if (!g_str_has_prefix(test_threat(result, 0, "part"), name))
        fail_msg("%s: found in %s", name, test_threat(result, 0, "part"));
    json_decref(result);
    g_string_free(message, TRUE);
    g_string_free(data, TRUE);
}

/* Our builtin database knows none of these: their own test program is made a custom signature, by
 * the bytes of its code and by its hash, and must be found through every packer and container. */
static void add_clam_signatures(void)
{
    GString *program = read_whole(TEST_FILES "/clam.exe");
    GString *body = g_string_new("Clam-Test-Code:0:*:");
    g_autofree char *digest =
        g_compute_checksum_for_data(G_CHECKSUM_MD5, (const guchar *)program->str, program->len);
    g_autofree char *hash = g_strdup_printf("%s:%zu:Clam-Test-Hash\n", digest, program->len);
    for (size_t i = 0x46; i < 0x78; i++)
        g_string_append_printf(body, "%02x", (unsigned char)program->str[i]);
    test_write(&engine, "signatures/custom/clam.ndb", body->str);
    test_write(&engine, "signatures/custom/clam.hdb", hash);
    g_string_free(body, TRUE);
    g_string_free(program, TRUE);
}

static void debians_test_files_are_found_by_their_signature(void **state)
{
    (void)state;
    size_t count = 0;
    DIR *folder = opendir(TEST_FILES);
    const struct dirent *entry;
    if (!folder) {
        print_message("clamav-testfiles is not installed: not tested\n");
        skip();
    }
    add_clam_signatures();
    json_t *reply = test_ask(&engine, "reload", NULL);
    assert_non_null(reply);
    assert_true(json_is_true(json_object_get(reply, "changed")));
    json_decref(reply);
    while ((entry = readdir(folder)))
        if (entry->d_name[0] != '.') {
            expect_found(entry->d_name);
            count++;
        }
    closedir(folder);
    print_message("%zu test files found\n", count);
    assert_true(count > 0);
}

static int start(void **state)
{
    (void)state;
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
        cmocka_unit_test(a_clean_message_shows_its_header),
        cmocka_unit_test(undeclared_japanese_is_read_in_the_sandbox),
        cmocka_unit_test(an_empty_message_is_clean),
        cmocka_unit_test(the_test_virus_is_found_in_the_text),
        cmocka_unit_test(the_test_virus_is_found_in_an_attachment),
        cmocka_unit_test(the_test_virus_is_found_in_an_archive),
        cmocka_unit_test(the_test_virus_is_found_in_a_forwarded_message),
        cmocka_unit_test(the_test_virus_is_found_under_an_unusual_header),
        cmocka_unit_test(malformed_messages_are_clean),
        cmocka_unit_test(a_reached_limit_is_unscannable_and_named),
        cmocka_unit_test(a_message_over_the_limit_is_unscannable),
        cmocka_unit_test(descriptors_that_are_no_safe_file_are_refused),
        cmocka_unit_test(a_bad_frame_ends_the_connection_only),
        cmocka_unit_test(debians_test_files_are_found_by_their_signature),
    };
    return cmocka_run_group_tests_name("engine: scan", tests, start, stop);
}
