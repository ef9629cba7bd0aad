/* What content filters see of a message: header fields, parts and what they are, texts, and the
 * envelope that comes with it. */
#include "scanner/engine/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "scanner/policy/groups.h"
#include "test_engine_archives.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MINUTE_US 60000000

struct scene {
    struct bytes mail;
    struct message *message;
    struct tree *tree;
    struct view view;
};

static const struct policy_needs everything = {true, true, true, true, true};

static struct scene open_mail(struct bytes mail, struct policy_needs needs)
{
    static const struct envelope envelope = {.sender = {.address = "a@example.com"}};
    struct tree_limits limits = tree_default_limits(MINUTE_US);
    struct scene scene = {.mail = mail};
    scene.message = message_parse(mail.data, mail.length);
    scene.tree = tree_build(scene.message, &limits);
    assert_non_null(scene.tree);
    struct view_order order = {.tree = scene.tree,
                               .envelope = &envelope,
                               .needs = needs,
                               .size = mail.length,
                               .stop_us = limits.stop_us};
    view_build(&order, &scene.view);
    return scene;
}

static void close_scene(struct scene *scene)
{
    view_free(&scene->view);
    tree_free(scene->tree);
    message_free(scene->message);
}

/* A mail that was made with mail_with. */
static void close_made(struct scene *scene)
{
    close_scene(scene);
    g_free(scene->mail.data);
}

static const struct policy_node *node(const struct scene *scene, const char *path)
{
    for (size_t i = 0; i < scene->view.message.node_count; i++)
        if (strcmp(scene->view.message.nodes[i].path, path) == 0)
            return &scene->view.message.nodes[i];
    for (size_t i = 0; i < scene->view.message.node_count; i++)
        print_message("  there is %s\n", scene->view.message.nodes[i].path);
    fail_msg("there is no %s", path);
    return NULL;
}

static const char mixed[] =
    "From: =?utf-8?q?M=C3=BCller?= <mueller@example.com>\r\n"
    "Subject: =?utf-8?b?5pel5pys?=\r\n =?utf-8?b?6Kqe?=\r\n"
    "X-Folded : one\r\n two\r\n"
    "X-Twice: 1\r\nX-Twice: 2\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
    "--c\r\nContent-Type: text/plain\r\n\r\nThe plans are in the attachment for you.\r\n"
    "--c\r\nContent-Type: text/html\r\n\r\n<p title=secret>The <b>plans</b> are in the "
    "attachment for you.</p>\r\n--c--\r\n"
    "--b\r\nContent-Type: text/plain; name=notes.txt\r\n"
    "Content-Disposition: attachment; filename=notes.txt\r\n\r\nnotes\r\n"
    "--b\r\nContent-Type: text/plain; name=inline.txt\r\n\r\ninline\r\n"
    "--b\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\n\r\n\x89PNG\r\n\x1a\n\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n"
    "Content-Disposition: attachment; filename=old.eml\r\n\r\n"
    "Subject: old\r\n\r\nold text\r\n"
    "--b--\r\n";

static void header_fields_are_decoded_and_unfolded(void **state)
{
    static const struct policy_header wanted[] = {
        {"From", "Müller <mueller@example.com>"},
        {"Subject", "日本語"},
        {"X-Folded", "one two"},
        {"X-Twice", "1"},
        {"X-Twice", "2"},
        {"Content-Type", "multipart/mixed; boundary=b"},
    };
    (void)state;
    struct scene scene = open_mail(text(mixed), everything);
    assert_int_equal(scene.view.message.header_count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(scene.view.message.headers[i].name, wanted[i].name);
        assert_string_equal(scene.view.message.headers[i].value, wanted[i].value);
    }
    close_scene(&scene);
}

static void parts_are_bodies_attachments_or_members(void **state)
{
    (void)state;
    struct scene scene = open_mail(text(mixed), everything);
    assert_int_equal(node(&scene, "part 1.1")->flags, POLICY_NODE_BODY);
    assert_int_equal(node(&scene, "part 1.2")->flags, POLICY_NODE_BODY);
    assert_int_equal(node(&scene, "notes.txt")->flags, POLICY_NODE_ATTACHMENT);
    assert_int_equal(node(&scene, "inline.txt")->flags, POLICY_NODE_BODY | POLICY_NODE_ATTACHMENT);
    assert_int_equal(node(&scene, "part 4")->flags, POLICY_NODE_ATTACHMENT);
    assert_string_equal(node(&scene, "part 4")->type, "image/png");
    assert_int_equal(node(&scene, "old.eml")->flags, POLICY_NODE_ATTACHMENT);
    assert_string_equal(node(&scene, "old.eml")->type, "message/rfc822");
    assert_int_equal(node(&scene, "old.eml/body")->flags, POLICY_NODE_MEMBER);
    assert_int_equal(scene.view.message.node_count, 7);
    close_scene(&scene);
}

static void only_the_texts_that_are_needed_are_made(void **state)
{
    static const struct policy_needs bodies = {.visible_text = true},
                                     attachments = {.attachment_text = true}, nothing = {0};
    (void)state;
    struct scene scene = open_mail(text(mixed), bodies);
    const struct policy_node *html = node(&scene, "part 1.2");
    assert_string_equal(html->visible, "The plans are in the attachment for you.\n");
    assert_int_equal(html->visible_length, strlen(html->visible));
    assert_null(html->with_tags);
    assert_null(node(&scene, "notes.txt")->visible);
    assert_string_equal(scene.view.message.language, "unknown");
    close_scene(&scene);
    scene = open_mail(text(mixed), attachments);
    assert_null(node(&scene, "part 1.2")->visible);
    assert_string_equal(node(&scene, "notes.txt")->visible, "notes\n");
    assert_string_equal(node(&scene, "old.eml/body")->visible, "old text\n");
    close_scene(&scene);
    scene = open_mail(text(mixed), nothing);
    assert_null(node(&scene, "part 1.1")->visible);
    close_scene(&scene);
    scene = open_mail(text(mixed), everything);
    assert_non_null(strstr(node(&scene, "part 1.2")->with_tags, "title=secret"));
    assert_null(strstr(node(&scene, "part 1.2")->visible, "secret"));
    assert_string_equal(node(&scene, "part 1.1")->with_tags, node(&scene, "part 1.1")->visible);
    assert_string_equal(scene.view.message.language, "en");
    assert_null(scene.view.problem);
    close_scene(&scene);
}

static void a_text_beyond_its_time_is_told(void **state)
{
    static const struct envelope envelope = {0};
    struct tree_limits limits = tree_default_limits(MINUTE_US);
    (void)state;
    struct message *message = message_parse(mixed, sizeof(mixed) - 1);
    struct tree *tree = tree_build(message, &limits);
    struct view_order order = {
        .tree = tree, .envelope = &envelope, .needs = everything, .stop_us = 1};
    struct view view;
    view_build(&order, &view);
    assert_memory_equal(view.problem, "there was no time to read all of a text (", 41);
    view_free(&view);
    tree_free(tree);
    message_free(message);
}

/* --- containers --- */

static void members_of_archives_stand_with_their_folders(void **state)
{
    (void)state;
    struct bytes zip = zip_of("folder/run.txt", text("words in an archive"));
    struct scene scene = open_mail(mail_with("all.zip", "application/zip", zip), everything);
    assert_int_equal(node(&scene, "all.zip")->flags, POLICY_NODE_ATTACHMENT);
    const struct policy_node *member = node(&scene, "all.zip/folder/run.txt");
    assert_int_equal(member->flags, POLICY_NODE_MEMBER);
    assert_string_equal(member->name, "folder/run.txt");
    assert_string_equal(member->visible, "words in an archive\n");
    assert_int_equal(member->size, strlen("words in an archive"));
    close_made(&scene);
    g_free(zip.data);
}

static void a_document_is_one_attachment_and_tells_its_macros(void **state)
{
    static const struct member members[] = {
        {.name = "word/document.xml",
         .content = {(char *)"<document><body><p><t>typed words</t></p></body></document>", 59}},
        {.name = "word/vbaProject.bin", .content = {(char *)"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8}},
        {.name = "word/media/picture.png", .content = {(char *)"\x89PNG\r\n\x1a\n", 8}},
    };
    (void)state;
    struct bytes docm =
        pack(archive_write_set_format_zip, archive_write_add_filter_none, NULL, members, 3);
    struct scene scene =
        open_mail(mail_with("a.docm", "application/octet-stream", docm), everything);
    assert_int_equal(node(&scene, "a.docm")->flags, POLICY_NODE_ATTACHMENT | POLICY_NODE_MACROS);
    assert_non_null(strstr(node(&scene, "a.docm")->visible, "typed words"));
    for (size_t i = 0; i < scene.view.message.node_count; i++) {
        assert_null(strstr(scene.view.message.nodes[i].path, "document.xml"));
        assert_null(strstr(scene.view.message.nodes[i].path, "picture.png"));
    }
    close_made(&scene);
    g_free(docm.data);
}

static void an_encrypted_pdf_is_told(void **state)
{
    (void)state;
    struct scene scene = open_mail(
        mail_with(
            "a.pdf", "application/pdf",
            text("%PDF-1.7\n1 0 obj<</Filter/Standard/V 2>>endobj\ntrailer<</Encrypt 1 0 R>>\n"
                 "%%EOF\n")),
        everything);
    assert_int_equal(node(&scene, "a.pdf")->flags, POLICY_NODE_ATTACHMENT | POLICY_NODE_ENCRYPTED);
    close_made(&scene);
}

/* --- the envelope --- */

static bool parse(const char *document, struct envelope *envelope, struct error *error)
{
    static struct policy_group groups[] = {{.id = (char *)"sales"}, {.id = (char *)"legal"}};
    static const struct policy_set set = {.groups = groups, .group_count = 2};
    cleanup_free char *own = strdup(document);
    for (char *at = own; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    cleanup_json json_t *object = json_parse(own, strlen(own), NULL, NULL);
    return envelope_parse(object, &set, envelope, error);
}

static void an_envelope_names_persons_and_their_groups(void **state)
{
    struct envelope envelope;
    (void)state;
    assert_true(parse("{'direction':'outbound','sender':{'address':'','group':'legal'},"
                      "'recipients':[{'address':'a@b.c','directory_groups':['x','y'],"
                      "'group':'sales'},{'address':'d@e.f','group':'gone','bypass':true},"
                      "{'address':'g@h.i'}]}",
                      &envelope, NULL));
    assert_int_equal(envelope.direction, POLICY_OUTBOUND);
    assert_string_equal(envelope.sender.address, "");
    assert_int_equal(envelope.sender.group, 1);
    assert_int_equal(envelope.recipient_count, 3);
    assert_int_equal(envelope.recipients[0].group, 0);
    assert_int_equal(envelope.recipients[0].directory_group_count, 2);
    assert_string_equal(envelope.recipients[0].directory_groups[1], "y");
    assert_false(envelope.recipients[0].excluded);
    assert_true(envelope.recipients[1].group == POLICY_DEFAULT_GROUP);
    assert_true(envelope.recipients[1].excluded);
    assert_true(envelope.recipients[2].group == POLICY_DEFAULT_GROUP);
    envelope_free(&envelope);
}

static void a_wrong_envelope_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *document, *where;
    } cases[] = {
        {"{'sender':{'address':'a@b'},'recipients':[{'address':'a@b'}]}", "direction"},
        {"{'direction':'up','sender':{'address':'a@b'},'recipients':[{'address':'a@b'}]}",
         "direction"},
        {"{'direction':'inbound','recipients':[{'address':'a@b'}]}", "sender"},
        {"{'direction':'inbound','sender':{},'recipients':[{'address':'a@b'}]}", "sender.address"},
        {"{'direction':'inbound','sender':{'address':'a@b'},'recipients':[]}", "recipients"},
        {"{'direction':'inbound','sender':{'address':'a@b'},'recipients':[{'address':'a@b'},7]}",
         "recipients[1]"},
        {"{'direction':'inbound','sender':{'address':'a@b'},'recipients':[{'address':'a@b',"
         "'directory_groups':[1]}]}",
         "recipients[0].directory_groups"},
        {"{'direction':'inbound','sender':{'address':'a@b'},'recipients':[{'address':'a@b',"
         "'bypass':1}]}",
         "recipients[0].bypass"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct envelope envelope;
        struct error error = {0};
        assert_false(parse(cases[i].document, &envelope, &error));
        assert_string_equal(error.where, cases[i].where);
    }
}

static void an_envelope_that_could_still_change_is_not_read(void **state)
{
    static const char document[] = "{\"direction\":\"inbound\",\"sender\":{\"address\":\"a@b.c\"},"
                                   "\"recipients\":[{\"address\":\"d@e.f\"}]}";
    struct envelope envelope;
    struct error error = {0};
    (void)state;
    cleanup_fd int fd = file_memory_open("envelope", NULL);
    assert_true(file_write_all(fd, document, sizeof(document) - 1, NULL));
    assert_false(envelope_read(fd, NULL, &envelope, &error));
    assert_string_equal(error.message, "is not a read-only file");
    assert_true(file_memory_seal(fd, NULL));
    assert_true(envelope_read(fd, NULL, &envelope, &error));
    assert_string_equal(envelope.recipients[0].address, "d@e.f");
    envelope_free(&envelope);
    assert_false(envelope_read(-1, NULL, &envelope, &error));
}

static int start(void **state)
{
    (void)state;
    g_mime_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_fields_are_decoded_and_unfolded),
        cmocka_unit_test(parts_are_bodies_attachments_or_members),
        cmocka_unit_test(only_the_texts_that_are_needed_are_made),
        cmocka_unit_test(a_text_beyond_its_time_is_told),
        cmocka_unit_test(members_of_archives_stand_with_their_folders),
        cmocka_unit_test(a_document_is_one_attachment_and_tells_its_macros),
        cmocka_unit_test(an_encrypted_pdf_is_told),
        cmocka_unit_test(an_envelope_names_persons_and_their_groups),
        cmocka_unit_test(a_wrong_envelope_is_refused_with_its_place),
        cmocka_unit_test(an_envelope_that_could_still_change_is_not_read),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
