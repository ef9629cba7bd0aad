/* Messages without their infected parts: what goes, what stays byte for byte, and what the notes
 * say. A file is infected here where it holds the word EVIL. */
#include "scanner/engine/clean.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_engine_archives.h"
#include "test_engine_opened.h"

#define EVIL "some EVIL bytes"
#define THREAT "Test.Evil"

static size_t find(const struct tree *tree, const char *path)
{
    char own[TREE_PATH_SIZE];
    for (size_t i = 0; i < tree->count; i++)
        if (strcmp(tree_path(tree, i, own), path) == 0)
            return i;
    for (size_t i = 0; i < tree->count; i++)
        print_message("  there is %s (%s)\n", tree_path(tree, i, own), tree->nodes[i].type);
    fail_msg("there is no %s", path);
    return 0;
}

static void expect_content(const struct tree *tree, const char *path, const char *content)
{
    const struct tree_node *node = &tree->nodes[find(tree, path)];
    if (node->length != strlen(content) || memcmp(node->data, content, node->length) != 0)
        fail_msg("%s is: %.*s", path, (int)node->length, node->data);
}

static void expect_words(const struct tree *tree, const char *path, const char *words)
{
    const struct tree_node *node = &tree->nodes[find(tree, path)];
    if (!memmem(node->data, node->length, words, strlen(words)))
        fail_msg("%s is: %.*s", path, (int)node->length, node->data);
}

/* Cleans the mail (freed) of its evil files, which must have gone, and opens the result. */
static struct opened clean_mail(struct bytes mail, struct buffer *out)
{
    struct opened before = open_bytes(mail.data, mail.length);
    const char **threats = calloc(before.tree->count, sizeof(*threats));
    struct error error = {0};
    for (size_t i = 0; i < before.tree->count; i++) {
        const struct tree_node *node = &before.tree->nodes[i];
        if (node->data && !node->container && memmem(node->data, node->length, EVIL, strlen(EVIL)))
            threats[i] = THREAT;
    }
    struct clean clean = {before.tree, threats};
    if (!clean_message(&clean, out, &error))
        fail_msg("%s", error.message);
    free(threats);
    close_opened(&before);
    g_free(mail.data);
    struct opened after = open_bytes(out->data, out->length);
    for (size_t i = 0; i < after.tree->count; i++) {
        const struct tree_node *node = &after.tree->nodes[i];
        assert_false(node->damaged);
        assert_true(!node->data || !memmem(node->data, node->length, EVIL, strlen(EVIL)));
    }
    return after;
}

static void close_clean(struct opened *opened, struct buffer *out)
{
    close_opened(opened);
    buffer_free(out);
}

/* --- tests --- */

static void an_infected_attachment_is_replaced_by_a_note(void **state)
{
    struct buffer out = BUFFER_INIT;
    (void)state;
    struct bytes mail = mail_with("run.exe", "application/octet-stream", text(EVIL));
    struct opened after = clean_mail(mail, &out);
    expect_words(after.tree, "part 2", "run.exe was removed from this message because of: " THREAT);
    expect_content(after.tree, "part 1", "Here it is.");
    assert_string_equal(after.message->subject, "files");
    close_clean(&after, &out);
}

static void the_rest_of_the_message_keeps_its_bytes(void **state)
{
    static const char before[] = "Subject: =?utf-8?q?a?=\r\nX-Odd:  folded\r\n\tfield \r\n"
                                 "Content-Type: multipart/mixed;\r\n boundary=\"b\"\r\n\r\n"
                                 "preamble\r\n--b\r\n\r\nFirst text \r\n--b\r\n"
                                 "Content-Type: text/x-evil\r\n\r\n";
    static const char behind[] = "\r\n--b\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n"
                                 "\r\n--b--\r\nepilogue\r\n";
    struct buffer out = BUFFER_INIT;
    (void)state;
    struct bytes mail = {g_strconcat(before, EVIL, behind, NULL), 0};
    mail.length = strlen(mail.data);
    struct opened after = clean_mail(mail, &out);
    size_t kept = strlen(before) - strlen("Content-Type: text/x-evil\r\n\r\n");
    assert_memory_equal(out.data, before, kept);
    assert_memory_equal(out.data + out.length - strlen(behind), behind, strlen(behind));
    close_clean(&after, &out);
}

static void a_message_that_is_the_infected_file_keeps_its_header(void **state)
{
    struct buffer out = BUFFER_INIT;
    (void)state;
    struct bytes mail = {g_strdup("From: a@example.com\r\nSubject: all of it\r\n"
                                  "Content-Type: application/x-evil\r\n\r\n" EVIL),
                         0};
    mail.length = strlen(mail.data);
    struct opened after = clean_mail(mail, &out);
    assert_string_equal(after.message->subject, "all of it");
    assert_string_equal(after.message->parts[0].type, "text/plain");
    expect_words(after.tree, "body", THREAT);
    close_clean(&after, &out);
}

static void every_format_loses_the_infected_member_alone(void **state)
{
    struct member members[] = {{"docs/good.txt", text("good bytes")},
                               {"docs/bad.exe", text(EVIL)},
                               {"also good.txt", text("more good bytes")}};
    /* ar knows no folders, and the two behind it become ZIP files. */
    const size_t count = G_N_ELEMENTS(archive_formats) - 3;
    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct buffer out = BUFFER_INIT;
        struct bytes packed =
            pack(archive_formats[i].format, archive_formats[i].filter, NULL, members, 3);
        struct opened after = clean_mail(
            mail_with(archive_formats[i].name, "application/octet-stream", packed), &out);
        g_autofree char *good = g_strdup_printf("%s/docs/good.txt", archive_formats[i].name);
        g_autofree char *also = g_strdup_printf("%s/also good.txt", archive_formats[i].name);
        g_autofree char *note = g_strdup_printf("%s/docs/bad.exe.txt", archive_formats[i].name);
        expect_content(after.tree, good, "good bytes");
        expect_content(after.tree, also, "more good bytes");
        expect_words(after.tree, note, THREAT);
        close_clean(&after, &out);
        g_free(packed.data);
    }
}

static void nested_archives_are_cleaned_at_every_depth(void **state)
{
    struct member inner_members[] = {{"keep.txt", text("deep and good")}, {"bad", text(EVIL)}};
    struct buffer out = BUFFER_INIT;
    (void)state;
    struct bytes inner = pack(archive_write_set_format_7zip, NULL, NULL, inner_members, 2);
    struct bytes mail = mail_with("inner.7z", "application/x-7z-compressed", inner);
    struct member outer_members[] = {{"mail.eml", mail}, {"beside.txt", text("beside")}};
    struct bytes outer =
        pack(archive_write_set_format_pax, archive_write_add_filter_gzip, NULL, outer_members, 2);
    struct bytes top = zip_of("outer.tar.gz", outer);
    struct opened after = clean_mail(mail_with("top.zip", "application/zip", top), &out);
    expect_content(after.tree, "top.zip/outer.tar.gz/mail.eml/inner.7z/keep.txt", "deep and good");
    expect_content(after.tree, "top.zip/outer.tar.gz/beside.txt", "beside");
    expect_words(after.tree, "top.zip/outer.tar.gz/mail.eml/inner.7z/bad.txt", THREAT);
    close_clean(&after, &out);
    g_free(top.data);
    g_free(outer.data);
    g_free(mail.data);
    g_free(inner.data);
}

static void what_cannot_be_written_becomes_a_zip_file_and_says_so(void **state)
{
    struct member members[] = {{"good.txt", text("good bytes")}, {"bad.exe", text(EVIL)}};
    struct buffer out = BUFFER_INIT;
    (void)state;
    struct bytes packed = pack(archive_write_set_format_iso9660, NULL, NULL, members, 2);
    struct opened after =
        clean_mail(mail_with("disk.iso", "application/x-iso9660-image", packed), &out);
    expect_content(after.tree, "disk.zip/good.txt", "good bytes");
    expect_words(after.tree, "disk.zip/bad.exe.txt", THREAT);
    expect_words(after.tree, "disk.zip/READ ME.txt", "disk.iso was written anew as a ZIP file");
    assert_string_equal(after.tree->nodes[find(after.tree, "disk.zip")].declared_type,
                        "application/zip");
    close_clean(&after, &out);
    g_free(packed.data);
}

static void a_rar_file_becomes_a_zip_file_without_its_infected_member(void **state)
{
    struct member members[] = {{"good.txt", text("good bytes")},
                               {"bad.exe", text(EVIL)},
                               {"more/good.txt", text("more good bytes")}};
    struct buffer out = BUFFER_INIT;
    (void)state;
    struct bytes packed = rar_of(members, 3);
    struct opened after = clean_mail(mail_with("files.rar", "application/x-rar", packed), &out);
    expect_content(after.tree, "files.zip/good.txt", "good bytes");
    expect_content(after.tree, "files.zip/more/good.txt", "more good bytes");
    expect_words(after.tree, "files.zip/bad.exe.txt", THREAT);
    expect_words(after.tree, "files.zip/READ ME.txt", "files.rar was written anew as a ZIP file");
    close_clean(&after, &out);
    g_free(packed.data);
}

static void an_encrypted_archive_is_kept_as_it_is(void **state)
{
    struct member evil[] = {{"bad", text(EVIL)}}, secret[] = {{"s", text("secret")}};
    struct buffer out = BUFFER_INIT;
    (void)state;
    struct bytes locked =
        pack(archive_write_set_format_zip, NULL, "zip:encryption=aes256", secret, 1);
    struct bytes open = pack(archive_write_set_format_zip, NULL, NULL, evil, 1);
    struct member both[] = {{"locked.zip", locked}, {"open.zip", open}};
    struct bytes outer = pack(archive_write_set_format_zip, NULL, NULL, both, 2);
    struct opened after = clean_mail(mail_with("outer.zip", "application/zip", outer), &out);
    assert_true(after.tree->nodes[find(after.tree, "outer.zip/locked.zip")].encrypted);
    assert_int_equal(after.tree->nodes[find(after.tree, "outer.zip/locked.zip")].length,
                     locked.length);
    expect_words(after.tree, "outer.zip/open.zip/bad.txt", THREAT);
    close_clean(&after, &out);
    g_free(outer.data);
    g_free(locked.data);
    g_free(open.data);
}

static void a_signed_message_is_told_so(void **state)
{
    struct buffer out = BUFFER_INIT;
    (void)state;
    struct bytes mail = {
        g_strdup("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n"
                 "Content-Type: application/x; name=bad\r\n\r\n" EVIL "\r\n--b\r\n"
                 "Content-Type: application/pgp-signature\r\n\r\nsignature\r\n--b--\r\n"),
        0};
    mail.length = strlen(mail.data);
    struct opened after = clean_mail(mail, &out);
    expect_words(after.tree, "part 1", "its signature does not fit any more");
    close_clean(&after, &out);
}

static void nothing_to_remove_is_said(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    (void)state;
    struct opened opened = open_bytes("a: b\r\n\r\nc", 9);
    const char *threats[] = {NULL};
    struct clean clean = {opened.tree, threats};
    assert_false(clean_message(&clean, &out, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    close_opened(&opened);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_infected_attachment_is_replaced_by_a_note),
        cmocka_unit_test(the_rest_of_the_message_keeps_its_bytes),
        cmocka_unit_test(a_message_that_is_the_infected_file_keeps_its_header),
        cmocka_unit_test(every_format_loses_the_infected_member_alone),
        cmocka_unit_test(nested_archives_are_cleaned_at_every_depth),
        cmocka_unit_test(what_cannot_be_written_becomes_a_zip_file_and_says_so),
        cmocka_unit_test(a_rar_file_becomes_a_zip_file_without_its_infected_member),
        cmocka_unit_test(an_encrypted_archive_is_kept_as_it_is),
        cmocka_unit_test(a_signed_message_is_told_so),
        cmocka_unit_test(nothing_to_remove_is_said),
    };
    return cmocka_run_group_tests(tests, load_types, release_types);
}
