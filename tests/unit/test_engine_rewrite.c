/* Messages written anew: each change on each kind of message, what another reader (GMime) finds in
 * the result, and what keeps its bytes. */
#include "scanner/engine/charset.h"
#include "scanner/engine/rewrite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_engine_archives.h"
#include "test_engine_opened.h"

#include <unistd.h>

#define NOTE "Sent from outside."
#define JAPANESE "\xe7\xa4\xbe\xe5\xa4\x96\xe3\x81\x8b\xe3\x82\x89" /* 社外から */

/* --- writing anew, and reading --- */

static struct buffer edit_all(const char *mail, const struct rewrite_edit *edits, size_t count)
{
    struct opened opened = open_bytes(mail, strlen(mail));
    struct rewrite rewrite = {opened.message, opened.tree, edits, count};
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    if (!rewrite_message(&rewrite, &out, &error))
        fail_msg("%s", error.message);
    close_opened(&opened);
    return out;
}

static struct buffer edit_one(const char *mail, struct rewrite_edit edit)
{
    return edit_all(mail, &edit, 1);
}

static struct buffer annotate(const char *mail, const char *text, enum rewrite_place place)
{
    return edit_one(mail,
                    (struct rewrite_edit){.kind = REWRITE_ANNOTATE, .text = text, .place = place});
}

static GMimeMessage *parse(const struct buffer *out)
{
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(out->data, out->length);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
    g_object_unref(parser);
    g_object_unref(stream);
    assert_non_null(message);
    return message;
}

/* The part by its numbers ("1.2"; "" is the root), as GMime sees it. */
static GMimeObject *part_at(GMimeMessage *message, const char *numbers)
{
    GMimeObject *part = g_mime_message_get_mime_part(message);
    while (*numbers) {
        assert_true(GMIME_IS_MULTIPART(part));
        char *end;
        int number = (int)strtol(numbers, &end, 10);
        assert_in_range(number, 1, g_mime_multipart_get_count(GMIME_MULTIPART(part)));
        part = g_mime_multipart_get_part(GMIME_MULTIPART(part), number - 1);
        numbers = *end == '.' ? end + 1 : end;
    }
    return part;
}

static char *type_at(const struct buffer *out, const char *numbers)
{
    GMimeMessage *message = parse(out);
    GMimeContentType *type = g_mime_object_get_content_type(part_at(message, numbers));
    char *text = g_mime_content_type_get_mime_type(type);
    g_object_unref(message);
    return text;
}

static void expect_type(const struct buffer *out, const char *numbers, const char *type)
{
    g_autofree char *found = type_at(out, numbers);
    assert_string_equal(found, type);
}

/* The text as GMime decodes it, in UTF-8, with LF. */
static char *text_at(const struct buffer *out, const char *numbers)
{
    GMimeMessage *message = parse(out);
    GMimeObject *part = part_at(message, numbers);
    if (!GMIME_IS_TEXT_PART(part))
        fail_msg("part %s is no text in: %s", numbers, buffer_text(out));
    char *content = g_mime_text_part_get_text(GMIME_TEXT_PART(part));
    g_auto(GStrv) lines = g_strsplit(content, "\r\n", -1);
    char *text = g_strjoinv("\n", lines);
    g_free(content);
    g_object_unref(message);
    return text;
}

static void expect_text(const struct buffer *out, const char *numbers, const char *text)
{
    g_autofree char *found = text_at(out, numbers);
    assert_string_equal(found, text);
}

static char *field_of(const struct buffer *out, const char *name)
{
    GMimeMessage *message = parse(out);
    char *decoded = g_strdup(g_mime_object_get_header(GMIME_OBJECT(message), name));
    g_object_unref(message);
    return decoded;
}

static void expect_field(const struct buffer *out, const char *name, const char *value)
{
    g_autofree char *found = field_of(out, name);
    if (!found || !value)
        assert_true(!found && !value);
    else
        assert_string_equal(found, value);
}

static const char *body_of(const char *mail)
{
    return strstr(mail, "\r\n\r\n") + 4;
}

static void expect_has(const struct buffer *out, const char *bytes)
{
    if (!strstr(buffer_text(out), bytes))
        fail_msg("there is no \"%s\" in: %s", bytes, buffer_text(out));
}

static void expect_lines_of_mail(const struct buffer *out, size_t most)
{
    g_auto(GStrv) lines = g_strsplit(buffer_text(out), "\r\n", -1);
    for (size_t i = 0; lines[i]; i++) {
        assert_in_range(strlen(lines[i]), 0, most);
        assert_null(strpbrk(lines[i], "\r\n"));
    }
}

/* --- header fields --- */

#define PLAIN "From: a@example.com\r\nX-Old:  folded\r\n\tfield \r\nSubject: Hello\r\n\r\nHi.\r\n"

static void fields_are_added_before_those_that_are_there(void **state)
{
    const struct rewrite_edit edits[] = {
        {.kind = REWRITE_ADD_FIELD, .name = "X-One", .text = "first"},
        {.kind = REWRITE_ADD_FIELD, .name = "X-Two", .text = "second"}};
    (void)state;
    struct buffer out = edit_all(PLAIN, edits, 2);
    assert_string_equal(buffer_text(&out), "X-One: first\r\nX-Two: second\r\n" PLAIN);
    buffer_free(&out);
}

static void values_that_are_not_ascii_are_encoded_and_read_back(void **state)
{
    static const char *const values[] = {
        JAPANESE,
        "Gr\xc3\xbc\xc3\x9f"
        "e aus K\xc3\xb6ln",
        "plain words, then " JAPANESE " " JAPANESE " and plain ones again",
        JAPANESE " <someone@example.com>",
        "=?utf-8?Q?not_a_word?= in truth",
        JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE JAPANESE,
        "\xf0\x9f\x93\xa7 \xf0\x9f\x94\x92",
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        struct buffer out = edit_one(
            PLAIN,
            (struct rewrite_edit){.kind = REWRITE_ADD_FIELD, .name = "X-Value", .text = values[i]});
        expect_field(&out, "X-Value", values[i]);
        for (size_t at = 0; at < out.length; at++)
            assert_false(out.data[at] & 0x80);
        expect_lines_of_mail(&out, 78);
        buffer_free(&out);
    }
}

static void long_values_are_folded_where_words_end(void **state)
{
    g_autofree char *value = g_strnfill(2000, 'x');
    (void)state;
    for (size_t i = 20; i < 1800; i += 20)
        value[i] = ' ';
    struct buffer out = edit_one(
        PLAIN, (struct rewrite_edit){.kind = REWRITE_ADD_FIELD, .name = "X-L", .text = value});
    expect_field(&out, "X-L", value);
    struct buffer no_space = edit_one(
        PLAIN,
        (struct rewrite_edit){.kind = REWRITE_ADD_FIELD, .name = "X-L", .text = value + 1801});
    expect_field(&no_space, "X-L", value + 1801);
    buffer_free(&no_space);
    g_autofree char *one = g_strnfill(5000, 'y');
    struct buffer endless = edit_one(
        PLAIN, (struct rewrite_edit){.kind = REWRITE_ADD_FIELD, .name = "X-L", .text = one});
    expect_lines_of_mail(&endless, 998);
    expect_field(&endless, "X-L", one);
    buffer_free(&endless);
    buffer_free(&out);
}

static void no_value_can_add_a_line(void **state)
{
    (void)state;
    struct buffer out =
        edit_one(PLAIN, (struct rewrite_edit){.kind = REWRITE_ADD_FIELD,
                                              .name = "X-A",
                                              .text = "one\r\nBcc: other@example.com\r\n\r\nbody"});
    expect_field(&out, "Bcc", NULL);
    assert_string_equal(body_of(buffer_text(&out)), "Hi.\r\n");
    buffer_free(&out);
}

static void a_name_that_no_field_can_have_is_refused(void **state)
{
    static const char *const names[] = {"", "two words", "a:b", "a\r\nb", "\xc3\xa4"};
    struct opened opened = open_bytes(PLAIN, strlen(PLAIN));
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        struct rewrite_edit edit = {.kind = REWRITE_ADD_FIELD, .name = names[i], .text = "x"};
        struct rewrite rewrite = {opened.message, opened.tree, &edit, 1};
        struct buffer out = BUFFER_INIT;
        struct error error = {0};
        assert_false(rewrite_message(&rewrite, &out, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        buffer_free(&out);
    }
    close_opened(&opened);
}

static void fields_are_removed_with_the_lines_that_continue_them(void **state)
{
    (void)state;
    struct buffer out =
        edit_one("X-A: 1\r\n 2\r\n\t3\r\nx-b: 4\r\nX-a : 5\r\nX-AB: 6\r\n\r\nX-A: body\r\n",
                 (struct rewrite_edit){.kind = REWRITE_REMOVE_FIELD, .name = "x-a"});
    assert_string_equal(buffer_text(&out), "x-b: 4\r\nX-AB: 6\r\n\r\nX-A: body\r\n");
    buffer_free(&out);
}

static void a_field_is_replaced_by_removing_and_adding_it(void **state)
{
    const struct rewrite_edit edits[] = {
        {.kind = REWRITE_ADD_FIELD, .name = "X-Old", .text = "too early"},
        {.kind = REWRITE_REMOVE_FIELD, .name = "X-OLD"},
        {.kind = REWRITE_ADD_FIELD, .name = "X-Old", .text = "new"}};
    (void)state;
    struct buffer out = edit_all(PLAIN, edits, 3);
    assert_string_equal(buffer_text(&out),
                        "X-Old: new\r\nFrom: a@example.com\r\nSubject: Hello\r\n\r\nHi.\r\n");
    buffer_free(&out);
}

static void a_header_without_a_body_stays_a_header(void **state)
{
    static const char *const mails[] = {"Subject: x", "Subject: x\r\n", "Subject: x\r\n\r\n"};
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(mails); i++) {
        struct buffer out = edit_one(
            mails[i], (struct rewrite_edit){.kind = REWRITE_ADD_FIELD, .name = "A", .text = "b"});
        assert_string_equal(buffer_text(&out), "A: b\r\nSubject: x\r\n\r\n");
        buffer_free(&out);
    }
}

static void a_message_without_a_header_gets_one(void **state)
{
    (void)state;
    struct buffer out = edit_one(
        "\r\nbody", (struct rewrite_edit){.kind = REWRITE_ADD_FIELD, .name = "A", .text = "b"});
    assert_string_equal(buffer_text(&out), "A: b\r\n\r\nbody");
    buffer_free(&out);
}

static void one_field_can_be_made_by_itself(void **state)
{
    struct buffer out = BUFFER_INIT;
    (void)state;
    assert_true(rewrite_add_field(&out, "X-Folder", JAPANESE, NULL));
    assert_string_equal(buffer_text(&out), "X-Folder: =?utf-8?B?56S+5aSW44GL44KJ?=\r\n");
    assert_false(rewrite_add_field(&out, "X Folder", "x", NULL));
    buffer_free(&out);
}

/* --- the subject --- */

#define ISO_SUBJECT "=?ISO-2022-JP?B?GyRCJUYlOSVIGyhC?=" /* テスト */
#define TEST_WORD "\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88"

static void expect_subject(const char *subject, const char *text, enum rewrite_place place,
                           const char *expected)
{
    g_autofree char *mail = g_strdup_printf("From: a@b.c\r\n%s\r\nbody\r\n", subject);
    struct buffer out = edit_one(
        mail, (struct rewrite_edit){.kind = REWRITE_SUBJECT, .text = text, .place = place});
    struct opened opened = open_bytes(out.data, out.length);
    assert_string_equal(opened.message->subject, expected);
    expect_field(&out, "Subject", expected);
    assert_string_equal(body_of(out.data), "body\r\n");
    close_opened(&opened);
    buffer_free(&out);
}

static void a_subject_gets_text_at_its_beginning(void **state)
{
    (void)state;
    expect_subject("Subject: Hello\r\n", "[EXT]", REWRITE_BEGIN, "[EXT] Hello");
    expect_subject("Subject:\r\n Hello\r\n there\r\n", "[EXT]", REWRITE_BEGIN, "[EXT] Hello there");
    expect_subject("Subject:\r\n", "[EXT]", REWRITE_BEGIN, "[EXT]");
    expect_subject("", "[EXT]", REWRITE_BEGIN, "[EXT]");
    expect_subject("Subject: " ISO_SUBJECT "\r\n", "[EXT]", REWRITE_BEGIN, "[EXT] " TEST_WORD);
    expect_subject("Subject: " ISO_SUBJECT "\r\n", JAPANESE, REWRITE_BEGIN, JAPANESE " " TEST_WORD);
    expect_subject("Subject: Hello\r\n", JAPANESE, REWRITE_BEGIN, JAPANESE " Hello");
    expect_subject("Subject: K\xc3\xb6ln\r\n", "[EXT]", REWRITE_BEGIN, "[EXT] K\xc3\xb6ln");
}

static void a_subject_gets_text_at_its_end(void **state)
{
    (void)state;
    expect_subject("Subject: Hello\r\n", "(spam)", REWRITE_END, "Hello (spam)");
    expect_subject("Subject: " ISO_SUBJECT "\r\n", JAPANESE, REWRITE_END, TEST_WORD " " JAPANESE);
    expect_subject("Subject: " ISO_SUBJECT "\r\n", "(spam)", REWRITE_END, TEST_WORD " (spam)");
    expect_subject("", "(spam)", REWRITE_END, "(spam)");
}

static void a_subject_is_replaced(void **state)
{
    (void)state;
    expect_subject("Subject: Hello\r\nSubject: another\r\n", "Removed", REWRITE_REPLACE, "Removed");
    expect_subject("", JAPANESE, REWRITE_REPLACE, JAPANESE);
}

static void a_subject_that_says_it_already_keeps_its_bytes(void **state)
{
    static const char *const subjects[] = {"Subject:  [EXT] a\r\n",
                                           "Subject: =?utf-8?q?[EXT]?= a\r\n",
                                           "Subject: =?utf-8?B?W0VYVF0=?=\r\n =?utf-8?q?_a?=\r\n"};
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(subjects); i++) {
        g_autofree char *mail = g_strdup_printf("%s\r\nbody", subjects[i]);
        struct buffer out =
            edit_one(mail, (struct rewrite_edit){
                               .kind = REWRITE_SUBJECT, .text = "[EXT]", .place = REWRITE_BEGIN});
        assert_string_equal(buffer_text(&out), mail);
        buffer_free(&out);
    }
}

static void what_was_encoded_in_a_subject_stays_as_it_was(void **state)
{
    (void)state;
    struct buffer out = edit_one(
        "Subject: " ISO_SUBJECT "\r\n\r\n",
        (struct rewrite_edit){.kind = REWRITE_SUBJECT, .text = JAPANESE, .place = REWRITE_BEGIN});
    expect_has(&out, "Subject: =?utf-8?");
    expect_has(&out, " " ISO_SUBJECT "\r\n");
    buffer_free(&out);
}

static void a_long_subject_is_folded(void **state)
{
    g_autofree char *words = g_strnfill(70, 'w');
    g_autofree char *mail = g_strdup_printf("Subject: %s\r\n\r\n", words);
    g_autofree char *expected = g_strdup_printf("Subject: [EXTERNAL]\r\n %s\r\n\r\n", words);
    (void)state;
    struct buffer out =
        edit_one(mail, (struct rewrite_edit){
                           .kind = REWRITE_SUBJECT, .text = "[EXTERNAL]", .place = REWRITE_BEGIN});
    assert_string_equal(buffer_text(&out), expected);
    buffer_free(&out);
}

/* --- annotations in plain text --- */

static void plain_text_is_annotated_at_either_end(void **state)
{
    (void)state;
    struct buffer top = annotate(PLAIN, NOTE, REWRITE_BEGIN);
    struct buffer bottom = annotate(PLAIN, NOTE, REWRITE_END);
    assert_string_equal(body_of(buffer_text(&top)), NOTE "\r\n\r\nHi.\r\n");
    assert_string_equal(body_of(buffer_text(&bottom)), "Hi.\r\n\r\n" NOTE "\r\n");
    assert_memory_equal(top.data, PLAIN, strlen(PLAIN) - strlen("Hi.\r\n"));
    buffer_free(&top);
    buffer_free(&bottom);
}

static void annotations_of_several_filters_stand_in_their_order(void **state)
{
    const struct rewrite_edit edits[] = {
        {.kind = REWRITE_ANNOTATE, .text = "one", .place = REWRITE_END},
        {.kind = REWRITE_ANNOTATE, .text = "two\nlines\n", .place = REWRITE_END},
        {.kind = REWRITE_ANNOTATE, .text = "first", .place = REWRITE_BEGIN}};
    (void)state;
    struct buffer out = edit_all(PLAIN, edits, 3);
    assert_string_equal(body_of(buffer_text(&out)),
                        "first\r\n\r\nHi.\r\n\r\none\r\n\r\ntwo\r\nlines\r\n");
    buffer_free(&out);
}

/* Encodes the text into `charset` and `encoding`, annotates it and expects GMime to read both. */
static void expect_annotated(const char *charset, const char *encoding, const char *text,
                             const char *note, const char *new_charset)
{
    gsize length;
    g_autofree char *bytes = g_convert(text, -1, charset, "UTF-8", NULL, &length, NULL);
    assert_non_null(bytes);
    g_autofree char *body = strcmp(encoding, "base64") == 0
                                ? g_base64_encode((const guchar *)bytes, length)
                                : g_strdup(bytes);
    g_autofree char *mail = g_strdup_printf("Content-Type: text/plain;\r\n charset=\"%s\"\r\n"
                                            "Content-Transfer-Encoding: %s\r\n\r\n%s\r\n",
                                            charset, encoding, body);
    g_autofree char *expected = g_strdup_printf("%s\n\n%s", note, text);
    struct buffer out = annotate(mail, note, REWRITE_BEGIN);
    g_autofree char *found = text_at(&out, "");
    assert_string_equal(g_strchomp(found), expected);
    GMimeMessage *message = parse(&out);
    assert_string_equal(g_mime_object_get_content_type_parameter(part_at(message, ""), "charset"),
                        new_charset);
    g_object_unref(message);
    expect_lines_of_mail(&out, 998);
    buffer_free(&out);
}

static void the_charset_stays_where_the_annotation_fits_it(void **state)
{
    static const char *const encodings[] = {"base64", "8bit"};
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(encodings); i++) {
        expect_annotated("Shift_JIS", encodings[i], TEST_WORD, JAPANESE, "Shift_JIS");
        expect_annotated("EUC-JP", encodings[i], TEST_WORD, JAPANESE, "EUC-JP");
        expect_annotated("utf-8", encodings[i], TEST_WORD, JAPANESE, "utf-8");
        expect_annotated("iso-8859-1", encodings[i], "K\xc3\xb6ln",
                         "Gr\xc3\xbc\xc3\x9f"
                         "e",
                         "iso-8859-1");
    }
    expect_annotated("ISO-2022-JP", "7bit", TEST_WORD, JAPANESE, "ISO-2022-JP");
    expect_annotated("ISO-2022-JP", "base64", TEST_WORD, JAPANESE, "ISO-2022-JP");
    expect_annotated("us-ascii", "7bit", "plain", NOTE, "us-ascii");
}

static void the_part_becomes_utf8_where_the_annotation_does_not_fit(void **state)
{
    (void)state;
    expect_annotated("iso-8859-1", "8bit", "K\xc3\xb6ln", JAPANESE, "utf-8");
    expect_annotated("iso-8859-1", "base64", "K\xc3\xb6ln", JAPANESE, "utf-8");
    expect_annotated("us-ascii", "7bit", "plain", JAPANESE, "utf-8");
    expect_annotated("ISO-2022-JP", "7bit", TEST_WORD, "\xf0\x9f\x93\xa7", "utf-8");
    expect_annotated("Shift_JIS", "8bit", TEST_WORD, "\xf0\x9f\x93\xa7 \xe2\x82\xac", "utf-8");
}

static void japanese_text_without_a_charset_is_known_by_its_escapes(void **state)
{
    (void)state;
    struct buffer out = annotate("Subject: x\r\n\r\n\x1b$B%F%9%H\x1b(B\r\n", JAPANESE, REWRITE_END);
    expect_text(&out, "", TEST_WORD "\n\n" JAPANESE "\n");
    expect_field(&out, "MIME-Version", "1.0");
    buffer_free(&out);
}

static void japanese_that_was_left_open_does_not_swallow_the_annotation(void **state)
{
    (void)state;
    struct buffer out = annotate("Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B%F%9",
                                 NOTE, REWRITE_END);
    expect_has(&out, "\x1b(B\r\n\r\n" NOTE);
    buffer_free(&out);
}

static void quoted_printable_is_decoded_and_encoded_again(void **state)
{
    (void)state;
    struct buffer out =
        annotate("Content-Type: text/plain; charset=utf-8\r\n"
                 "Content-Transfer-Encoding: quoted-printable\r\n\r\nK=C3=B6ln =\r\nand more=20\r\n"
                 "a =3D b",
                 JAPANESE, REWRITE_END);
    expect_text(&out, "", "K\xc3\xb6ln and more \na = b\n\n" JAPANESE "\n");
    expect_lines_of_mail(&out, 78);
    expect_has(&out, "and more=20\r\na =3D b\r\n");
    buffer_free(&out);
}

static void flowed_text_keeps_the_annotation_apart(void **state)
{
    (void)state;
    struct buffer out =
        annotate("Content-Type: text/plain; format=flowed\r\n\r\na line that flows \r\n",
                 "first \nFrom here\n> not quoted\n-- \nsign", REWRITE_END);
    assert_string_equal(body_of(buffer_text(&out)),
                        "a line that flows \r\n\r\n\r\nfirst\r\n From here\r\n > not quoted\r\n"
                        "-- \r\nsign\r\n");
    buffer_free(&out);
}

static void parameters_of_the_type_are_kept_when_the_charset_changes(void **state)
{
    (void)state;
    struct buffer out =
        annotate("Content-Type: Text/Plain; format=flowed; delsp=yes\r\n\r\ntext\r\n", JAPANESE,
                 REWRITE_END);
    GMimeMessage *message = parse(&out);
    GMimeObject *part = part_at(message, "");
    assert_string_equal(g_mime_object_get_content_type_parameter(part, "format"), "flowed");
    assert_string_equal(g_mime_object_get_content_type_parameter(part, "delsp"), "yes");
    assert_string_equal(g_mime_object_get_content_type_parameter(part, "charset"), "utf-8");
    g_object_unref(message);
    buffer_free(&out);
}

static void text_that_cannot_be_converted_stands_unchanged_beside_the_annotation(void **state)
{
    static const char *const mails[] = {
        "Content-Type: text/plain; charset=us-ascii\r\n\r\n\xff\xfe broken\r\n",
        "Content-Type: text/plain; charset=x-unknown\r\n\r\n\xff\xfe broken\r\n",
        "Content-Transfer-Encoding: x-own\r\n\r\n1234\r\n",
        "Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        "AGEAYgBj\r\n",
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(mails); i++) {
        struct buffer out = annotate(mails[i], JAPANESE, REWRITE_BEGIN);
        expect_type(&out, "", "multipart/mixed");
        expect_text(&out, "1", JAPANESE);
        expect_has(&out, mails[i]);
        buffer_free(&out);
    }
}

/* --- annotations in HTML --- */

#define HTML_HEAD "Content-Type: text/html; charset=utf-8\r\n\r\n"
#define MARK "<b>outside</b>"
#define DIV                                                                                        \
    "<div style=\"display:block !important;visibility:visible !important;opacity:1 "               \
    "!important\">"

static void expect_html(const char *html, enum rewrite_place place, const char *before,
                        const char *behind)
{
    g_autofree char *mail = g_strconcat(HTML_HEAD, html, NULL);
    g_autofree char *expected = g_strconcat(HTML_HEAD, before, DIV MARK "</div>\r\n", behind, NULL);
    struct buffer out = edit_one(
        mail, (struct rewrite_edit){
                  .kind = REWRITE_ANNOTATE, .text = "outside", .html = MARK, .place = place});
    assert_string_equal(buffer_text(&out), expected);
    buffer_free(&out);
}

static void html_is_annotated_inside_of_its_body(void **state)
{
    (void)state;
    expect_html("<html><body class=a>x</body></html>", REWRITE_BEGIN, "<html><body class=a>",
                "x</body></html>");
    expect_html("<html><body>x</body></html>", REWRITE_END, "<html><body>x", "</body></html>");
    expect_html("<!DOCTYPE html>\r\n<p>x", REWRITE_BEGIN, "<!DOCTYPE html>", "\r\n<p>x");
    expect_html("<p>x", REWRITE_END, "<p>x", "");
    expect_html("<html><head><title>t</title></head>x</html>", REWRITE_BEGIN,
                "<html><head><title>t</title></head>", "x</html>");
    expect_html("<html>x</html>\r\n", REWRITE_END, "<html>x", "</html>\r\n");
}

static void what_only_looks_like_a_body_is_none(void **state)
{
    (void)state;
    expect_html("<!-- <body> --><body title='</body>'>x<script>\"</body>\"</script></BODY >",
                REWRITE_BEGIN, "<!-- <body> --><body title='</body>'>",
                "x<script>\"</body>\"</script></BODY >");
    expect_html("<!-- <body> --><body title='</body>'>x<script>\"</body>\"</script></BODY >",
                REWRITE_END, "<!-- <body> --><body title='</body>'>x<script>\"</body>\"</script>",
                "</BODY >");
    expect_html("<body>one</body>two</body>three", REWRITE_END, "<body>one</body>two",
                "</body>three");
}

static void an_annotation_that_would_be_hidden_goes_to_the_top(void **state)
{
    static const char *const hidden[] = {"x<!-- open",  "x<style>",    "x<script>",
                                         "x<a href=\"", "x<textarea>", "x<title>"};
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(hidden); i++) {
        g_autofree char *html = g_strconcat("<body>", hidden[i], NULL);
        expect_html(html, REWRITE_END, "<body>", hidden[i]);
    }
}

static void text_becomes_html_that_fits_each_charset(void **state)
{
    (void)state;
    struct buffer out = annotate("Content-Type: text/html; charset=iso-8859-1\r\n\r\n<p>\xf6</p>",
                                 JAPANESE " <a> & \"b\"\nline", REWRITE_BEGIN);
    expect_has(&out, DIV "&#31038;&#22806;&#12363;&#12425; &#60;a&#62; &#38; &#34;b&#34;<br>\r\n"
                         "line</div>\r\n<p>\xf6</p>");
    buffer_free(&out);
}

static void each_alternative_is_annotated(void **state)
{
    static const char mail[] =
        "Content-Type: multipart/alternative; boundary=b\r\n\r\npreamble\r\n--b\r\n"
        "Content-Type: text/plain\r\n\r\nHi.\r\n--b\r\n"
        "Content-Type: multipart/related; boundary=c\r\n\r\n--c\r\n"
        "Content-Type: text/html\r\n\r\n<p>Hi.</p>\r\n--c\r\n"
        "Content-Type: image/png\r\n\r\n\x89PNG\r\n--c--\r\n--b--\r\nepilogue\r\n";
    (void)state;
    struct buffer out = annotate(mail, NOTE, REWRITE_END);
    expect_text(&out, "1", "Hi.\n\n" NOTE "\n");
    g_autofree char *html = text_at(&out, "2.1");
    assert_string_equal(html, "<p>Hi.</p>" DIV NOTE "</div>\n");
    expect_has(&out, "\r\n\r\npreamble\r\n--b\r\n");
    expect_has(&out, "\r\n--c\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--c--\r\n--b--\r\n"
                     "epilogue\r\n");
    buffer_free(&out);
}

static void the_text_is_annotated_and_no_attachment(void **state)
{
    static const char mail[] =
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHi.\r\n--b\r\n"
        "Content-Type: text/plain; name=\"notes.txt\"\r\n\r\nnotes\r\n--b\r\n"
        "Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nmore\r\n--b\r\n"
        "Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner\r\n--b--\r\n";
    (void)state;
    struct buffer top = annotate(mail, NOTE, REWRITE_BEGIN);
    struct buffer bottom = annotate(mail, NOTE, REWRITE_END);
    expect_text(&top, "1", NOTE "\n\nHi.");
    expect_text(&bottom, "1", "Hi.\n\n" NOTE "\n");
    assert_string_equal(strstr(top.data, "Hi."), strstr(mail, "Hi."));
    assert_string_equal(strstr(bottom.data, NOTE) + strlen(NOTE) + 2,
                        strstr(mail, "\r\n--b\r\nContent-Type: text/plain; name"));
    buffer_free(&top);
    buffer_free(&bottom);
}

static void a_footer_behind_the_text_carries_what_goes_to_the_bottom(void **state)
{
    static const char mail[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHi.\r\n"
                               "--b\r\nContent-Type: text/plain\r\n\r\n_____\r\nlist\r\n--b--\r\n";
    (void)state;
    struct buffer out = annotate(mail, NOTE, REWRITE_END);
    expect_text(&out, "1", "Hi.");
    expect_text(&out, "2", "_____\nlist\n\n" NOTE "\n");
    buffer_free(&out);
}

/* --- messages that show no text, or are sealed --- */

static void a_message_without_text_gets_a_part_beside_what_it_is(void **state)
{
    static const char mail[] = "From: a@b.c\r\nContent-Type: image/png;\r\n name=a.png\r\n"
                               "Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n";
    (void)state;
    struct buffer out = annotate(mail, JAPANESE, REWRITE_END);
    expect_type(&out, "", "multipart/mixed");
    expect_type(&out, "1", "image/png");
    expect_text(&out, "2", JAPANESE);
    expect_has(&out, "\r\nContent-Type: image/png;\r\n name=a.png\r\n"
                     "Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n\r\n--");
    expect_field(&out, "From", "a@b.c");
    expect_field(&out, "MIME-Version", "1.0");
    buffer_free(&out);
}

static void a_mixed_message_without_text_gets_another_part(void **state)
{
    static const char mail[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                               "Content-Type: image/png\r\n\r\n\x89PNG\r\n--b--\r\n";
    (void)state;
    for (int side = REWRITE_BEGIN; side <= REWRITE_END; side++) {
        struct buffer out = annotate(mail, NOTE, (enum rewrite_place)side);
        expect_text(&out, side == REWRITE_BEGIN ? "1" : "2", NOTE);
        expect_type(&out, side == REWRITE_BEGIN ? "2" : "1", "image/png");
        expect_has(&out, "--b\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--b");
        buffer_free(&out);
    }
}

#define SIGNED_BODY                                                                                \
    "--s\r\nContent-Type: text/plain\r\n\r\nsigned text \r\n--s\r\n"                               \
    "Content-Type: application/pgp-signature; name=signature.asc\r\n\r\nsignature\r\n--s--\r\n"

static void what_is_signed_stays_byte_for_byte_beside_the_annotation(void **state)
{
    static const char type[] = "Content-Type: multipart/signed; micalg=pgp-sha256;\r\n"
                               "\tprotocol=\"application/pgp-signature\"; boundary=s\r\n";
    g_autofree char *mail = g_strconcat("Subject: x\r\n", type, "\r\n", SIGNED_BODY, NULL);
    const struct rewrite_edit edits[] = {
        {.kind = REWRITE_ANNOTATE, .text = "above", .place = REWRITE_BEGIN},
        {.kind = REWRITE_ANNOTATE, .text = "below", .place = REWRITE_END}};
    (void)state;
    struct buffer out = edit_all(mail, edits, 2);
    g_autofree char *part = g_strconcat(type, "\r\n", SIGNED_BODY, NULL);
    expect_type(&out, "", "multipart/mixed");
    expect_text(&out, "1", "above");
    expect_type(&out, "2", "multipart/signed");
    expect_text(&out, "3", "below");
    expect_has(&out, part);
    expect_field(&out, "X-Gatehouse-Note", NULL);
    buffer_free(&out);
}

static void what_is_encrypted_is_annotated_from_outside(void **state)
{
    static const char *const mails[] = {
        "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=s\r\n"
        "\r\n--s\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--s\r\n"
        "Content-Type: application/octet-stream\r\n\r\nsecret\r\n--s--\r\n",
        "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nc2VjcmV0\r\n",
        "Content-Type: text/plain\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nsecret\r\n"
        "-----END PGP MESSAGE-----\r\n",
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(mails); i++) {
        struct buffer out = annotate(mails[i], NOTE, REWRITE_BEGIN);
        expect_type(&out, "", "multipart/mixed");
        expect_text(&out, "1", NOTE);
        expect_has(&out, mails[i]);
        buffer_free(&out);
    }
}

static void a_signed_part_in_a_list_message_is_not_reached_past(void **state)
{
    static const char mail[] =
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        "Content-Type: multipart/signed; boundary=s\r\n\r\n" SIGNED_BODY "\r\n--b\r\n"
        "Content-Type: text/plain\r\n\r\nfooter\r\n--b--\r\n";
    (void)state;
    struct buffer out = annotate(mail, NOTE, REWRITE_BEGIN);
    expect_text(&out, "1", NOTE);
    expect_type(&out, "2", "multipart/signed");
    expect_text(&out, "3", "footer");
    expect_has(&out, "\r\n\r\n" SIGNED_BODY "\r\n--b\r\n");
    buffer_free(&out);
}

static void the_boundary_of_a_new_multipart_stands_nowhere_else(void **state)
{
    (void)state;
    struct buffer first = annotate("Content-Type: image/png\r\n\r\nx\r\n", NOTE, REWRITE_END);
    const char *begin = strstr(first.data, "boundary=\"") + strlen("boundary=\"");
    g_autofree char *boundary = g_strndup(begin, strcspn(begin, "\""));
    g_autofree char *mail =
        g_strdup_printf("Content-Type: image/png\r\n\r\nx\r\n--%s\r\n", boundary);
    struct buffer second = annotate(mail, NOTE, REWRITE_END);
    expect_type(&second, "1", "image/png");
    expect_text(&second, "2", NOTE);
    buffer_free(&first);
    buffer_free(&second);
}

/* --- stripping --- */

static size_t find(const struct tree *tree, const char *path)
{
    char own[TREE_PATH_SIZE];
    for (size_t i = 0; i < tree->count; i++)
        if (strcmp(tree_path(tree, i, own), path) == 0)
            return i;
    fail_msg("there is no %s", path);
    return 0;
}

/* Strips the node at `path`, beside other edits (NULL-kind first one is filled in here). */
static struct buffer strip(struct bytes mail, const char *path, const char *reason,
                           struct rewrite_edit *edits, size_t count, struct tree_limits *limits)
{
    struct tree_limits usual = tree_default_limits(MINUTE_US);
    struct message *message = message_parse(mail.data, mail.length);
    struct tree *tree = tree_build(message, limits ? limits : &usual);
    const char **reasons = calloc(tree->count, sizeof(*reasons));
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    reasons[find(tree, path)] = reason;
    edits[0] = (struct rewrite_edit){.kind = REWRITE_STRIP, .reasons = reasons};
    struct rewrite rewrite = {message, tree, edits, count};
    if (!rewrite_message(&rewrite, &out, &error))
        fail_msg("%s", error.message);
    free(reasons);
    tree_free(tree);
    message_free(message);
    return out;
}

static void an_attachment_is_replaced_by_a_note_and_the_text_annotated(void **state)
{
    struct rewrite_edit edits[3] = {
        {0},
        {.kind = REWRITE_ANNOTATE, .text = NOTE, .place = REWRITE_END},
        {.kind = REWRITE_SUBJECT, .text = "[stripped]", .place = REWRITE_BEGIN}};
    (void)state;
    struct bytes mail = mail_with("run.exe", "application/octet-stream", text("MZ bytes"));
    struct buffer out = strip(mail, "run.exe", "programs are not accepted", edits, 3, NULL);
    expect_text(&out, "1", "Here it is.\n\n" NOTE "\n");
    expect_text(&out, "2",
                "run.exe was removed from this message because of: programs are not accepted.\n");
    expect_field(&out, "Subject", "[stripped] files");
    expect_field(&out, "X-Gatehouse-Note", NULL);
    buffer_free(&out);
    g_free(mail.data);
}

static void a_member_of_an_archive_is_taken_out_of_it(void **state)
{
    struct member members[] = {{"good.txt", text("good bytes")}, {"bad.exe", text("bad bytes")}};
    struct rewrite_edit edits[1];
    (void)state;
    struct bytes zip = pack(archive_write_set_format_zip, NULL, NULL, members, 2);
    struct bytes mail = mail_with("a.zip", "application/zip", zip);
    struct buffer out = strip(mail, "a.zip/bad.exe", "programs", edits, 1, NULL);
    struct opened after = open_bytes(out.data, out.length);
    find(after.tree, "a.zip/good.txt");
    find(after.tree, "a.zip/bad.exe.txt");
    close_opened(&after);
    buffer_free(&out);
    g_free(zip.data);
    g_free(mail.data);
}

static void an_archive_that_was_not_seen_as_a_whole_goes_as_a_whole(void **state)
{
    struct member members[] = {{"a", text("one")}, {"b", text("two")}, {"c", text("three")}};
    struct rewrite_edit edits[1];
    struct tree_limits limits = tree_default_limits(MINUTE_US);
    (void)state;
    struct bytes zip = pack(archive_write_set_format_zip, NULL, NULL, members, 3);
    struct bytes mail = mail_with("a.zip", "application/zip", zip);
    limits.parts = 5; /* the message, its two parts, and two members */
    struct buffer out = strip(mail, "a.zip/b", "of the list", edits, 1, &limits);
    expect_text(&out, "2", "a.zip was removed from this message because of: of the list.\n");
    buffer_free(&out);
    g_free(zip.data);
    g_free(mail.data);
}

static void a_forwarded_message_is_removed_as_a_whole(void **state)
{
    static const char mail[] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHi.\r\n"
                               "--b\r\nContent-Type: message/rfc822; name=inner.eml\r\n\r\n"
                               "Subject: inner\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
                               "--c\r\n\r\none\r\n--c--\r\n\r\n--b--\r\n";
    struct rewrite_edit edits[2] = {{0},
                                    {.kind = REWRITE_ANNOTATE, .text = NOTE, .place = REWRITE_END}};
    (void)state;
    struct opened opened = open_bytes(mail, strlen(mail));
    const char **reasons = calloc(opened.tree->count, sizeof(*reasons));
    for (size_t i = 0; i < opened.tree->count; i++)
        reasons[i] = opened.tree->nodes[i].kind == TREE_MESSAGE && i > 0 ? "forwarded" : NULL;
    edits[0] = (struct rewrite_edit){.kind = REWRITE_STRIP, .reasons = reasons};
    struct rewrite rewrite = {opened.message, opened.tree, edits, 2};
    struct buffer out = BUFFER_INIT;
    assert_true(rewrite_message(&rewrite, &out, NULL));
    expect_text(&out, "1", "Hi.\n\n" NOTE "\n");
    expect_text(&out, "2", "inner.eml was removed from this message because of: forwarded.\n");
    assert_null(strstr(buffer_text(&out), "Subject: inner"));
    buffer_free(&out);
    free(reasons);
    close_opened(&opened);
}

static void a_message_that_is_all_stripped_becomes_its_note(void **state)
{
    static const char mail[] = "From: a@b.c\r\nSubject: x\r\nContent-Type: application/x-a;\r\n"
                               " name=run.exe\r\n\r\nbytes\r\n";
    struct rewrite_edit edits[3] = {{0},
                                    {.kind = REWRITE_ANNOTATE, .text = NOTE, .place = REWRITE_END},
                                    {.kind = REWRITE_ADD_FIELD, .name = "X-A", .text = "b"}};
    (void)state;
    struct buffer out = strip(text(mail), "run.exe", "programs", edits, 3, NULL);
    expect_text(&out, "",
                "run.exe was removed from this message because of: programs.\n\n" NOTE "\n");
    expect_field(&out, "X-A", "b");
    expect_field(&out, "From", "a@b.c");
    buffer_free(&out);
}

static void a_broken_signature_is_told_in_the_header(void **state)
{
    static const char mail[] =
        "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
        "Content-Type: application/x-a; name=run.exe\r\n\r\nbytes\r\n--s\r\n"
        "Content-Type: application/pgp-signature\r\n\r\nsignature\r\n--s--\r\n";
    struct rewrite_edit edits[1];
    (void)state;
    struct buffer out = strip(text(mail), "run.exe", "programs", edits, 1, NULL);
    g_autofree char *note = field_of(&out, "X-Gatehouse-Note");
    assert_non_null(note);
    assert_non_null(strstr(note, "its signature does not fit any more"));
    buffer_free(&out);
}

/* --- all --- */

static void without_edits_nothing_changes(void **state)
{
    static const char mail[] = "Odd line\r\nSubject : x \r\n\r\n--b\r\n\x80\xff\r\n\r\n\r\n";
    (void)state;
    struct buffer out = edit_all(mail, NULL, 0);
    assert_string_equal(buffer_text(&out), mail);
    buffer_free(&out);
}

static void the_message_is_written_to_a_file(void **state)
{
    struct opened opened = open_bytes(PLAIN, strlen(PLAIN));
    struct rewrite_edit edit = {.kind = REWRITE_ADD_FIELD, .name = "A", .text = "b"};
    struct rewrite rewrite = {opened.message, opened.tree, &edit, 1};
    struct error error = {0};
    uint64_t size;
    char bytes[1000];
    (void)state;
    int fd = rewrite_file_write(&rewrite, &size, &error);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), size);
    assert_memory_equal(bytes, "A: b\r\n" PLAIN, size);
    close(fd);
    close_opened(&opened);
}

static void a_full_buffer_is_told(void **state)
{
    struct opened opened = open_bytes(PLAIN, strlen(PLAIN));
    struct rewrite rewrite = {opened.message, opened.tree, NULL, 0};
    struct buffer out;
    struct error error = {0};
    (void)state;
    buffer_init(&out, 20);
    assert_false(rewrite_message(&rewrite, &out, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    buffer_free(&out);
    close_opened(&opened);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_added_before_those_that_are_there),
        cmocka_unit_test(values_that_are_not_ascii_are_encoded_and_read_back),
        cmocka_unit_test(long_values_are_folded_where_words_end),
        cmocka_unit_test(no_value_can_add_a_line),
        cmocka_unit_test(a_name_that_no_field_can_have_is_refused),
        cmocka_unit_test(fields_are_removed_with_the_lines_that_continue_them),
        cmocka_unit_test(a_field_is_replaced_by_removing_and_adding_it),
        cmocka_unit_test(a_header_without_a_body_stays_a_header),
        cmocka_unit_test(a_message_without_a_header_gets_one),
        cmocka_unit_test(one_field_can_be_made_by_itself),
        cmocka_unit_test(a_subject_gets_text_at_its_beginning),
        cmocka_unit_test(a_subject_gets_text_at_its_end),
        cmocka_unit_test(a_subject_is_replaced),
        cmocka_unit_test(a_subject_that_says_it_already_keeps_its_bytes),
        cmocka_unit_test(what_was_encoded_in_a_subject_stays_as_it_was),
        cmocka_unit_test(a_long_subject_is_folded),
        cmocka_unit_test(plain_text_is_annotated_at_either_end),
        cmocka_unit_test(annotations_of_several_filters_stand_in_their_order),
        cmocka_unit_test(the_charset_stays_where_the_annotation_fits_it),
        cmocka_unit_test(the_part_becomes_utf8_where_the_annotation_does_not_fit),
        cmocka_unit_test(japanese_text_without_a_charset_is_known_by_its_escapes),
        cmocka_unit_test(japanese_that_was_left_open_does_not_swallow_the_annotation),
        cmocka_unit_test(quoted_printable_is_decoded_and_encoded_again),
        cmocka_unit_test(flowed_text_keeps_the_annotation_apart),
        cmocka_unit_test(parameters_of_the_type_are_kept_when_the_charset_changes),
        cmocka_unit_test(text_that_cannot_be_converted_stands_unchanged_beside_the_annotation),
        cmocka_unit_test(html_is_annotated_inside_of_its_body),
        cmocka_unit_test(what_only_looks_like_a_body_is_none),
        cmocka_unit_test(an_annotation_that_would_be_hidden_goes_to_the_top),
        cmocka_unit_test(text_becomes_html_that_fits_each_charset),
        cmocka_unit_test(each_alternative_is_annotated),
        cmocka_unit_test(the_text_is_annotated_and_no_attachment),
        cmocka_unit_test(a_footer_behind_the_text_carries_what_goes_to_the_bottom),
        cmocka_unit_test(a_message_without_text_gets_a_part_beside_what_it_is),
        cmocka_unit_test(a_mixed_message_without_text_gets_another_part),
        cmocka_unit_test(what_is_signed_stays_byte_for_byte_beside_the_annotation),
        cmocka_unit_test(what_is_encrypted_is_annotated_from_outside),
        cmocka_unit_test(a_signed_part_in_a_list_message_is_not_reached_past),
        cmocka_unit_test(the_boundary_of_a_new_multipart_stands_nowhere_else),
        cmocka_unit_test(an_attachment_is_replaced_by_a_note_and_the_text_annotated),
        cmocka_unit_test(a_member_of_an_archive_is_taken_out_of_it),
        cmocka_unit_test(an_archive_that_was_not_seen_as_a_whole_goes_as_a_whole),
        cmocka_unit_test(a_forwarded_message_is_removed_as_a_whole),
        cmocka_unit_test(a_message_that_is_all_stripped_becomes_its_note),
        cmocka_unit_test(a_broken_signature_is_told_in_the_header),
        cmocka_unit_test(without_edits_nothing_changes),
        cmocka_unit_test(the_message_is_written_to_a_file),
        cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, load_types, release_types);
}
