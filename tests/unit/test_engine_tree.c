/* The tree of everything in a message: MIME parts, archives in archives, messages in archives, and
 * its limits. Archives are made here; those that no free program writes come from
 * clamav-testfiles. */
#include "scanner/engine/tree.h"
#include "scanner/engine/type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_engine_archives.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEST_FILES "/usr/share/clamav-testfiles"
#define MINUTE_US 60000000

struct scene {
    struct bytes mail;
    struct message *message;
    struct tree *tree;
};

static struct scene open_mail(struct bytes mail, const struct tree_limits *limits)
{
    struct tree_limits usual = tree_default_limits(MINUTE_US);
    struct scene scene = {.mail = mail};
    scene.message = message_parse(mail.data, mail.length);
    scene.tree = tree_build(scene.message, limits ? limits : &usual);
    assert_non_null(scene.tree);
    return scene;
}

static struct scene open_file(const char *name, struct bytes content,
                              const struct tree_limits *limits)
{
    return open_mail(mail_with(name, "application/octet-stream", content), limits);
}

static void close_scene(struct scene *scene)
{
    tree_free(scene->tree);
    message_free(scene->message);
    g_free(scene->mail.data);
}

static const struct tree_node *find(const struct scene *scene, const char *path)
{
    char own[TREE_PATH_SIZE];
    for (size_t i = 0; i < scene->tree->count; i++)
        if (strcmp(tree_path(scene->tree, i, own), path) == 0)
            return &scene->tree->nodes[i];
    for (size_t i = 0; i < scene->tree->count; i++)
        print_message("  there is %s (%s)\n", tree_path(scene->tree, i, own),
                      scene->tree->nodes[i].type);
    fail_msg("there is no %s", path);
    return NULL;
}

static void expect_content(const struct scene *scene, const char *path, const char *content)
{
    const struct tree_node *node = find(scene, path);
    assert_int_equal(node->length, strlen(content));
    assert_memory_equal(node->data, content, node->length);
}

/* --- tests --- */

static void a_plain_message_is_one_part(void **state)
{
    char path[TREE_PATH_SIZE];
    struct bytes mail = text("Subject: a\r\n\r\nHello\r\n");
    (void)state;
    mail.data = g_strdup(mail.data);
    struct scene scene = open_mail(mail, NULL);
    assert_int_equal(scene.tree->count, 1);
    assert_string_equal(tree_path(scene.tree, 0, path), "body");
    assert_string_equal(scene.tree->nodes[0].type, "text/plain");
    assert_string_equal(tree_limit_text(scene.tree, path, sizeof(path)), "");
    close_scene(&scene);
}

static void every_format_that_can_be_written_is_opened(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(archive_formats); i++) {
        struct bytes packed = pack_one(archive_formats[i].format, archive_formats[i].filter,
                                       "run.exe", text("content of the member"));
        struct scene scene = open_file(archive_formats[i].name, packed, NULL);
        g_autofree char *path = g_strdup_printf("%s/run.exe", archive_formats[i].name);
        expect_content(&scene, path, "content of the member");
        assert_true(find(&scene, archive_formats[i].name)->container);
        assert_false(find(&scene, archive_formats[i].name)->damaged);
        close_scene(&scene);
        g_free(packed.data);
    }
}

static void archives_of_others_are_opened(void **state)
{
    static const struct {
        const char *file, *member;
    } cases[] = {
        {"clam.7z", "clam.exe"},     {"clam.cab", "clam.exe"},       {"clam.zip", "clam.exe"},
        {"clam.tar.gz", "clam.exe"}, {"clam.newc.cpio", "clam.exe"}, {"clam.odc.cpio", "clam.exe"},
        {"clam.tnef", "clam.exe"},   {"clam.exe.bz2", NULL},
    };
    (void)state;
    if (!g_file_test(TEST_FILES, G_FILE_TEST_IS_DIR)) {
        print_message("clamav-testfiles is not installed: not tested\n");
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *file = g_build_filename(TEST_FILES, cases[i].file, NULL);
        struct bytes content;
        gsize length;
        assert_true(g_file_get_contents(file, &content.data, &length, NULL));
        content.length = length;
        struct scene scene = open_file(cases[i].file, content, NULL);
        g_autofree char *path =
            cases[i].member ? g_strdup_printf("%s/%s", cases[i].file, cases[i].member) : NULL;
        const struct tree_node *found =
            path ? find(&scene, path) : &scene.tree->nodes[scene.tree->count - 1];
        assert_int_equal(found->length, 544); /* of that test program */
        assert_string_equal(found->type, "application/vnd.microsoft.portable-executable");
        close_scene(&scene);
        g_free(content.data);
    }
}

static void a_rar_file_is_opened(void **state)
{
    struct member members[] = {{"docs/a.txt", text("first")}, {"b.txt", text("second")}};
    (void)state;
    struct bytes packed = rar_of(members, 2);
    struct scene scene = open_file("a.rar", packed, NULL);
    expect_content(&scene, "a.rar/docs/a.txt", "first");
    expect_content(&scene, "a.rar/b.txt", "second");
    assert_false(find(&scene, "a.rar")->damaged);
    close_scene(&scene);
    g_free(packed.data);
}

static void a_compressed_file_gives_one_member_without_the_suffix(void **state)
{
    (void)state;
    struct bytes packed =
        pack_one(archive_write_set_format_raw, archive_write_add_filter_gzip, "x", text("report"));
    struct scene scene = open_file("report.txt.gz", packed, NULL);
    expect_content(&scene, "report.txt.gz/report.txt", "report");
    close_scene(&scene);
    g_free(packed.data);
}

static void the_path_goes_through_messages_and_archives(void **state)
{
    (void)state;
    struct bytes inner = zip_of("docs\\..\\/run.exe", text("MZ"));
    struct bytes mail = mail_with("invoice.zip", "application/zip", inner);
    struct bytes outer = zip_of("mail.eml", mail);
    struct scene scene = open_file("all.zip", outer, NULL);
    expect_content(&scene, "all.zip/mail.eml/invoice.zip/docs/run.exe", "MZ");
    assert_string_equal(find(&scene, "all.zip/mail.eml/part 1")->type, "text/plain");
    close_scene(&scene);
    g_free(inner.data);
    g_free(mail.data);
    g_free(outer.data);
}

static void files_in_plain_text_are_found(void **state)
{
    struct bytes mail = text("Subject: a\r\n\r\nSee below.\r\nbegin 644 note.txt\r\n"
                             "#0V%T\r\n`\r\nend\r\nThat was it.\r\n");
    (void)state;
    mail.data = g_strdup(mail.data);
    struct scene scene = open_mail(mail, NULL);
    expect_content(&scene, "body/note.txt", "Cat");
    close_scene(&scene);
}

static void office_documents_are_told_from_zip_files(void **state)
{
    struct member word[] = {{"[Content_Types].xml", text("<Types/>")},
                            {"word/document.xml", text("<w/>")}};
    struct member odt[] = {{"mimetype", text("application/vnd.oasis.opendocument.text")},
                           {"content.xml", text("<a/>")}};
    (void)state;
    struct bytes packed = pack(archive_write_set_format_zip, NULL, NULL, word, 2);
    struct scene scene = open_file("a.docx", packed, NULL);
    assert_string_equal(find(&scene, "a.docx")->type,
                        "application/vnd.openxmlformats-officedocument.wordprocessingml.document");
    close_scene(&scene);
    g_free(packed.data);
    packed = pack(archive_write_set_format_zip, NULL, NULL, odt, 2);
    scene = open_file("a.odt", packed, NULL);
    assert_string_equal(find(&scene, "a.odt")->type, "application/vnd.oasis.opendocument.text");
    close_scene(&scene);
    g_free(packed.data);
}

static void encryption_is_seen_and_not_taken_for_damage(void **state)
{
    struct member members[] = {{"open.txt", text("x")}};
    (void)state;
    struct bytes packed =
        pack(archive_write_set_format_zip, NULL, "zip:encryption=aes256", members, 1);
    struct scene scene = open_file("a.zip", packed, NULL);
    assert_true(find(&scene, "a.zip")->encrypted);
    assert_true(find(&scene, "a.zip/open.txt")->encrypted);
    assert_false(find(&scene, "a.zip")->damaged);
    close_scene(&scene);
    g_free(packed.data);
}

static void every_cut_and_flipped_archive_ends(void **state)
{
    struct member members[] = {{"a.txt", text("the first one the first one the first one")},
                               {"b.txt", text("the second one")}};
    static const struct {
        writer format, filter;
    } cases[] = {
        {archive_write_set_format_zip, NULL},
        {archive_write_set_format_7zip, NULL},
        {archive_write_set_format_pax, archive_write_add_filter_gzip},
        {archive_write_set_format_pax, archive_write_add_filter_xz},
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct bytes packed = pack(cases[i].format, cases[i].filter, NULL, members, 2);
        for (size_t at = 1; at < packed.length; at += 1 + packed.length / 150) {
            struct scene scene = open_file("a", (struct bytes){packed.data, at}, NULL);
            close_scene(&scene);
            packed.data[at] ^= 0x55;
            scene = open_file("a", packed, NULL);
            close_scene(&scene);
            packed.data[at] ^= 0x55;
        }
        g_free(packed.data);
    }
}

/* --- limits --- */

static void expect_limit(const struct scene *scene, enum tree_limit limit, const char *sentence)
{
    char told[TREE_PATH_SIZE + 200];
    assert_int_equal(scene->tree->limit, limit);
    tree_limit_text(scene->tree, told, sizeof(told));
    if (!strstr(told, sentence))
        fail_msg("it says: %s", told);
}

static void a_bomb_is_stopped_by_its_ratio(void **state)
{
    (void)state;
    struct bytes zeros = {calloc(1, 20 << 20), 20 << 20};
    struct bytes packed = zip_of("zeros", zeros);
    struct tree_limits limits = tree_default_limits(MINUTE_US);
    limits.ratio = 100;
    struct scene scene = open_file("bomb.zip", packed, &limits);
    expect_limit(&scene, TREE_LIMIT_RATIO, "(bomb.zip)");
    assert_true(scene.tree->unpacked < 5 << 20);
    close_scene(&scene);
    g_free(packed.data);
    free(zeros.data);
}

static void a_bomb_is_stopped_by_the_bytes_of_all_members(void **state)
{
    struct member members[20];
    (void)state;
    struct bytes zeros = {calloc(1, 4 << 20), 4 << 20};
    for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
        members[i] = (struct member){"zeros", zeros};
    struct bytes inner = pack(archive_write_set_format_zip, NULL, NULL, members, 20);
    struct bytes outer = zip_of("inner.zip", inner);
    struct tree_limits limits = tree_default_limits(MINUTE_US);
    limits.unpacked_bytes = 16 << 20;
    limits.ratio = 100000;
    struct scene scene = open_file("bomb.zip", outer, &limits);
    expect_limit(&scene, TREE_LIMIT_UNPACKED, "(bomb.zip/inner.zip)");
    assert_true(scene.tree->unpacked <= limits.unpacked_bytes);
    close_scene(&scene);
    g_free(outer.data);
    g_free(inner.data);
    free(zeros.data);
}

static void nesting_and_number_are_limited(void **state)
{
    struct member members[200];
    struct tree_limits limits = tree_default_limits(MINUTE_US);
    (void)state;
    struct bytes nested = zip_of("a", text("x"));
    for (size_t i = 0; i < 40; i++) {
        struct bytes outer = zip_of("a.zip", nested);
        g_free(nested.data);
        nested = outer;
    }
    struct scene scene = open_file("a.zip", nested, NULL);
    expect_limit(&scene, TREE_LIMIT_DEPTH, "a.zip/a.zip/a.zip");
    close_scene(&scene);
    g_free(nested.data);

    for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
        members[i] = (struct member){"a", text("x")};
    struct bytes many = pack(archive_write_set_format_zip, NULL, NULL, members, 200);
    limits.parts = 100;
    scene = open_file("many.zip", many, &limits);
    expect_limit(&scene, TREE_LIMIT_PARTS, "(many.zip)");
    assert_int_equal(scene.tree->count, 100);
    close_scene(&scene);
    g_free(many.data);
}

static void nothing_is_opened_once_the_time_is_over(void **state)
{
    struct tree_limits limits = tree_default_limits(0);
    (void)state;
    struct bytes packed = zip_of("a", text("x"));
    struct scene scene = open_file("a.zip", packed, &limits);
    expect_limit(&scene, TREE_LIMIT_TIME, "the time was over");
    close_scene(&scene);
    g_free(packed.data);
}

static void types_are_told_by_content(void **state)
{
    static const struct {
        const char *content, *type;
    } cases[] = {
        {"", "inode/x-empty"},
        {"Hello there", "text/plain"},
        {"gr\xc3\xbc\xc3\x9f", "text/plain"},
        {"<html><body>x", "text/html"},
        {"  <!DOCTYPE html><p>", "text/html"},
        {"%PDF-1.7 x", "application/pdf"},
        {"{\\rtf1 x}", "text/rtf"},
        {"#!/bin/sh\necho\n", "text/x-shellscript"},
        {"GIF89a", "image/gif"},
        {"\x8c\x5f\x96\xf1\x8f\x91", "text/plain"},
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_string_equal(type_of(cases[i].content, strlen(cases[i].content)), cases[i].type);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_message_is_one_part),
        cmocka_unit_test(every_format_that_can_be_written_is_opened),
        cmocka_unit_test(archives_of_others_are_opened),
        cmocka_unit_test(a_rar_file_is_opened),
        cmocka_unit_test(a_compressed_file_gives_one_member_without_the_suffix),
        cmocka_unit_test(the_path_goes_through_messages_and_archives),
        cmocka_unit_test(files_in_plain_text_are_found),
        cmocka_unit_test(office_documents_are_told_from_zip_files),
        cmocka_unit_test(encryption_is_seen_and_not_taken_for_damage),
        cmocka_unit_test(every_cut_and_flipped_archive_ends),
        cmocka_unit_test(a_bomb_is_stopped_by_its_ratio),
        cmocka_unit_test(a_bomb_is_stopped_by_the_bytes_of_all_members),
        cmocka_unit_test(nesting_and_number_are_limited),
        cmocka_unit_test(nothing_is_opened_once_the_time_is_over),
        cmocka_unit_test(types_are_told_by_content),
    };
    return cmocka_run_group_tests(tests, load_types, release_types);
}
