/* Messages that are made to take all time or memory: the sandboxed engine answers each within
 * bounds, as unscannable and with the limit named where not everything could be looked at. */
#include "scanner/engine/engine_test_client.h"

#include <setjmp.h>

#include <cmocka.h>

#include <locale.h>
#include <zlib.h>

#include "test_engine_archives.h"

#define MOST_SECONDS 40.0 /* on a busy machine; the scan's own limit is 60 */
#define MOST_MEBIBYTES 1200
#define OVERLAPPING 2000
#define KERNEL (1u << 20)
#define NAME_LENGTH 8

static struct test_engine engine;

/* The most that the process ever held, in MiB; -1 where it is gone. */
static long peak_mebibytes(pid_t pid)
{
    char path[64], line[256];
    long kibibytes = -1024;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kibibytes = strtol(line + 6, NULL, 10);
    if (file)
        fclose(file);
    return kibibytes / 1024;
}

/* Scans and frees the mail; prints what it took. */
static json_t *scan_bomb(const char *name, struct bytes mail)
{
    pid_t worker = 0;
    int fd = test_connect(&engine, &worker);
    int64_t begin = timestamp_monotonic_ms();
    json_t *result = test_scan_on(fd, mail.data, mail.length, 60);
    double seconds = (double)(timestamp_monotonic_ms() - begin) / 1000;
    long peak = peak_mebibytes(worker);
    print_message("%s: %zu bytes, %.2f s, at most %ld MiB: %s (%s)\n", name, mail.length, seconds,
                  peak, result ? test_text(result, "verdict") : "no answer",
                  result ? test_text(result, "reason") : "");
    close(fd);
    g_free(mail.data);
    assert_non_null(result);
    if (seconds > MOST_SECONDS)
        fail_msg("%s took %.1f s", name, seconds);
    if (!test_sanitized() && peak > MOST_MEBIBYTES)
        fail_msg("%s took %ld MiB", name, peak);
    return result;
}

static void expect_limit(const char *name, struct bytes mail, const char *limit)
{
    json_t *result = scan_bomb(name, mail);
    assert_string_equal(test_text(result, "verdict"), "unscannable");
    if (!strstr(test_text(result, "reason"), limit))
        fail_msg("%s: the reason is %s", name, test_text(result, "reason"));
    json_decref(result);
}

/* The same where a find may be worse than that something was not looked at. */
static void expect_unscannable(const char *name, struct bytes mail)
{
    json_t *result = scan_bomb(name, mail), *verdict;
    bool unscannable = false;
    size_t index;
    json_array_foreach(json_object_get(result, "verdicts"), index, verdict)
    {
        unscannable |= strcmp(json_string_value(verdict), "unscannable") == 0;
    }
    assert_true(unscannable);
    assert_string_not_equal(test_text(result, "reason"), "");
    json_decref(result);
}

static struct bytes take(GString *text)
{
    struct bytes bytes = {.length = text->len};
    bytes.data = g_string_free(text, FALSE);
    return bytes;
}

/* --- archives --- */

/* To a reader a file that holds itself is one that never ends: archive in archive in archive. */
static void archives_without_an_end_are_left_at_the_depth_limit(void **state)
{
    (void)state;
    struct bytes packed = zip_of("innermost.txt", text("never seen"));
    for (int i = 0; i < 60; i++) {
        struct bytes outer = zip_of("again.zip", packed);
        g_free(packed.data);
        packed = outer;
    }
    expect_limit("60 archives in each other", mail_with("a.zip", "application/zip", packed),
                 "too many containers in each other");
    g_free(packed.data);
}

static void put(GByteArray *out, unsigned long value, unsigned width)
{
    for (unsigned i = 0; i < width; i++) {
        guint8 byte = (guint8)(value >> 8 * i);
        g_byte_array_append(out, &byte, 1);
    }
}

struct overlapping {
    unsigned long crc, packed, unpacked, offset;
};

/* What a local header and a central record have in common. */
static void put_common(GByteArray *out, const struct overlapping *file)
{
    put(out, 20, 2);
    put(out, 0, 2);
    put(out, 8, 2); /* deflated */
    put(out, 0, 4);
    put(out, file->crc, 4);
    put(out, file->packed, 4);
    put(out, file->unpacked, 4);
    put(out, NAME_LENGTH, 2);
    put(out, 0, 2);
}

static void put_name(GByteArray *out, size_t index)
{
    char name[NAME_LENGTH + 1];
    snprintf(name, sizeof(name), "%08zu", index);
    g_byte_array_append(out, (const guint8 *)name, NAME_LENGTH);
}

static GByteArray *local_header(const struct overlapping *file, size_t index)
{
    GByteArray *out = g_byte_array_new();
    put(out, 0x04034b50, 4);
    put_common(out, file);
    put_name(out, index);
    return out;
}

static GByteArray *deflated_zeros(size_t length)
{
    z_stream stream = {0};
    guint8 *zeros = g_malloc0(length), *out = g_malloc(length);
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = zeros;
    stream.avail_in = (uInt)length;
    stream.next_out = out;
    stream.avail_out = (uInt)length;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    GByteArray *packed = g_byte_array_new();
    g_byte_array_append(packed, out, (guint)stream.total_out);
    deflateEnd(&stream);
    g_free(zeros);
    g_free(out);
    return packed;
}

/* Each file is a stored block that holds the next one's header, and then the next one's data: all
 * of them share the bytes that unpack to the most. Built from the last to the first. */
static struct bytes make_overlapping(void)
{
    static struct overlapping files[OVERLAPPING];
    GByteArray *pieces[OVERLAPPING], *kernel = deflated_zeros(KERNEL);
    guint8 *zeros = g_malloc0(KERNEL);
    struct overlapping last = {.packed = kernel->len, .unpacked = KERNEL};
    last.crc = crc32(0, zeros, KERNEL);
    g_free(zeros);
    for (size_t i = OVERLAPPING; i-- > 0;) {
        files[i] = last;
        pieces[i] = local_header(&last, i);
        guint length = pieces[i]->len;
        last.crc =
            crc32_combine(crc32(0, pieces[i]->data, length), last.crc, (z_off_t)last.unpacked);
        last.packed += 5 + length;
        last.unpacked += length;
    }
    GByteArray *out = g_byte_array_new();
    for (size_t i = 0; i < OVERLAPPING; i++) {
        files[i].offset = out->len;
        g_byte_array_append(out, pieces[i]->data, pieces[i]->len);
        if (i + 1 < OVERLAPPING) {
            put(out, 0, 1);
            put(out, pieces[i + 1]->len, 2);
            put(out, ~pieces[i + 1]->len & 0xffff, 2);
        }
        g_byte_array_unref(pieces[i]);
    }
    g_byte_array_append(out, kernel->data, kernel->len);
    g_byte_array_unref(kernel);
    size_t directory = out->len;
    for (size_t i = 0; i < OVERLAPPING; i++) {
        put(out, 0x02014b50, 4);
        put(out, 20, 2);
        put_common(out, &files[i]);
        put(out, 0, 2);
        put(out, 0, 2);
        put(out, 0, 2);
        put(out, 0, 4);
        put(out, files[i].offset, 4);
        put_name(out, i);
    }
    size_t length = out->len - directory;
    put(out, 0x06054b50, 4);
    put(out, 0, 4);
    put(out, OVERLAPPING, 2);
    put(out, OVERLAPPING, 2);
    put(out, length, 4);
    put(out, directory, 4);
    put(out, 0, 2);
    return finish(out);
}

static void files_that_overlap_in_an_archive_are_left_at_a_limit(void **state)
{
    (void)state;
    struct bytes packed = make_overlapping();
    expect_unscannable("2000 files of one another's bytes",
                       mail_with("a.zip", "application/zip", packed));
    g_free(packed.data);
}

static struct bytes gzip_of(const char *data, size_t length, size_t times)
{
    z_stream stream = {0};
    GByteArray *out = g_byte_array_new();
    g_autofree guint8 *block = g_malloc(65536);
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    for (size_t i = 0; i < times; i++) {
        stream.next_in = (Bytef *)data;
        stream.avail_in = (uInt)length;
        do {
            stream.next_out = block;
            stream.avail_out = 65536;
            deflate(&stream, i + 1 == times ? Z_FINISH : Z_NO_FLUSH);
            g_byte_array_append(out, block, 65536 - stream.avail_out);
        } while (stream.avail_out == 0);
    }
    deflateEnd(&stream);
    return finish(out);
}

static void compressed_files_in_compressed_files_are_left_at_a_limit(void **state)
{
    (void)state;
    struct bytes zeros = {g_malloc0(1 << 20), 1 << 20};
    struct bytes inner = gzip_of(zeros.data, zeros.length, 600);
    struct bytes middle = gzip_of(inner.data, inner.length, 1);
    struct bytes outer = gzip_of(middle.data, middle.length, 1);
    print_message("%zu bytes stand for 600 MiB\n", outer.length);
    expect_unscannable("gzip of gzip of gzip", mail_with("a.gz", "application/gzip", outer));
    g_free(zeros.data);
    g_free(inner.data);
    g_free(middle.data);
    g_free(outer.data);
}

/* --- messages --- */

static struct bytes nested_parts(size_t depth, bool equal)
{
    GString *mail = g_string_new("From: a@example.com\r\nMIME-Version: 1.0\r\n");
    for (size_t i = 0; i < depth; i++) {
        size_t number = equal ? 0 : i;
        g_string_append_printf(
            mail, "Content-Type: multipart/mixed; boundary=b%zu\r\n\r\n--b%zu\r\n", number, number);
    }
    g_string_append(mail, "Content-Type: text/plain\r\n\r\ninnermost\r\n");
    for (size_t i = depth; i-- > 0;)
        g_string_append_printf(mail, "--b%zu--\r\n", equal ? 0 : i);
    return take(mail);
}

static void parts_in_parts_are_left_at_the_limit(void **state)
{
    (void)state;
    expect_limit("10000 parts in each other", nested_parts(10000, false),
                 "too many containers in each other");
    expect_limit("10000 parts with one boundary", nested_parts(10000, true), "too many");
}

static void parts_beside_each_other_are_left_at_the_limit(void **state)
{
    GString *mail = g_string_new("From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: "
                                 "multipart/mixed; boundary=b\r\n\r\n");
    (void)state;
    for (int i = 0; i < 50000; i++)
        g_string_append(mail, "--b\r\n\r\nx\r\n");
    g_string_append(mail, "--b--\r\n");
    expect_limit("50000 parts", take(mail), "too many parts");
}

static void a_million_header_lines_take_no_time(void **state)
{
    GString *mail = g_string_new("From: a@example.com\r\n");
    (void)state;
    for (int i = 0; i < 1000000; i++)
        g_string_append(mail, "X-A: b\r\n");
    g_string_append_printf(mail, "Subject: last\r\n\r\n%s\r\n", test_eicar());
    json_t *result = scan_bomb("1000000 header lines", take(mail));
    assert_string_not_equal(test_text(result, "verdict"), "clean");
    json_decref(result);
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
        cmocka_unit_test(archives_without_an_end_are_left_at_the_depth_limit),
        cmocka_unit_test(files_that_overlap_in_an_archive_are_left_at_a_limit),
        cmocka_unit_test(compressed_files_in_compressed_files_are_left_at_a_limit),
        cmocka_unit_test(parts_in_parts_are_left_at_the_limit),
        cmocka_unit_test(parts_beside_each_other_are_left_at_the_limit),
        cmocka_unit_test(a_million_header_lines_take_no_time),
    };
    return cmocka_run_group_tests_name("engine: bombs", tests, start, stop);
}
