/* What a reader sees of messages and documents, and that nothing hostile keeps it from being read
 * in time. */
#include "scanner/engine/charset.h"
#include "scanner/engine/show.h"
#include "scanner/engine/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <locale.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "test_engine_archives.h"

#define MINUTE_US 60000000
#define WORST_SECONDS 10.0 /* of processor time, also under a sanitizer */

struct opened {
    struct message *message;
    struct tree *tree;
    struct text text;
};

static struct opened open_with(struct bytes mail, size_t index, enum text_view view, size_t limit)
{
    struct opened opened;
    struct tree_limits limits = tree_default_limits(MINUTE_US);
    struct text_limits of_text = text_default_limits(MINUTE_US);
    if (limit > 0)
        of_text.bytes = limit;
    opened.message = message_parse(mail.data, mail.length);
    opened.tree = tree_build(opened.message, &limits);
    assert_non_null(opened.tree);
    text_init(&opened.text, &of_text);
    if (index < opened.tree->count)
        text_of_node(opened.tree, index, view, &opened.text);
    return opened;
}

static void close_opened(struct opened *opened)
{
    text_free(&opened->text);
    tree_free(opened->tree);
    message_free(opened->message);
}

static void expect(const struct opened *opened, const char *what, const char *wanted)
{
    if (strcmp(buffer_text(&opened->text.content), wanted) != 0)
        fail_msg("%s is \"%s\"", what, buffer_text(&opened->text.content));
}

static void expect_url(const struct opened *opened, const char *url)
{
    for (size_t i = 0; i < opened->text.url_count; i++)
        if (strcmp(opened->text.urls[i], url) == 0)
            return;
    for (size_t i = 0; i < opened->text.url_count; i++)
        print_message("  there is %s\n", opened->text.urls[i]);
    fail_msg("there is no %s", url);
}

/* The text of a message that is one part. */
static struct opened open_part(const char *type, struct bytes content, enum text_view view)
{
    g_autofree char *header =
        g_strdup_printf("Content-Type: %s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", type);
    size_t length = strlen(header);
    char *mail = g_malloc(length + content.length);
    memcpy(mail, header, length);
    memcpy(mail + length, content.data, content.length);
    /* The content of an unencoded part is borrowed from the mail: what is checked is copied. */
    struct opened opened = open_with((struct bytes){mail, length + content.length}, 0, view, 0);
    tree_free(opened.tree);
    message_free(opened.message);
    opened.tree = NULL;
    opened.message = NULL;
    g_free(mail);
    return opened;
}

static void expect_part(const char *type, const char *content, const char *wanted)
{
    struct opened opened = open_part(type, text(content), TEXT_VISIBLE);
    expect(&opened, type, wanted);
    close_opened(&opened);
}

/* --- plain text --- */

static void every_charset_of_mail_is_read(void **state)
{
    static const struct {
        const char *charset, *utf8;
    } table[] = {
        {"UTF-8", "日本語 Ünï"},         {"ISO-2022-JP", "日本語のメール"},
        {"Shift_JIS", "日本語のメール"}, {"EUC-JP", "日本語のメール"},
        {"GB18030", "简体中文邮件"},     {"GB2312", "简体中文邮件"},
        {"Big5", "繁體中文郵件"},        {"EUC-KR", "한국어 메일"},
        {"KOI8-R", "Русское письмо"},    {"windows-1251", "Русское письмо"},
        {"windows-1252", "Grüße €“”"},   {"windows-1250", "Příliš žluťoučký"},
        {"windows-1253", "Ελληνικά"},    {"windows-1254", "Türkçe ğış"},
        {"windows-1255", "עברית"},       {"windows-1256", "العربية"},
        {"ISO-8859-1", "déjà vu"},       {"ISO-8859-2", "Łódź"},
        {"ISO-8859-15", "5 €"},          {"UTF-16", "wide 日本"},
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        gsize length;
        g_autofree char *bytes =
            g_convert(table[i].utf8, -1, table[i].charset, "UTF-8", NULL, &length, NULL);
        assert_non_null(bytes);
        g_autofree char *type = g_strdup_printf("text/plain; charset=%s", table[i].charset);
        g_autofree char *wanted = g_strdup_printf("%s\n", table[i].utf8);
        struct opened opened = open_part(type, (struct bytes){bytes, length}, TEXT_VISIBLE);
        expect(&opened, table[i].charset, wanted);
        close_opened(&opened);
    }
}

static void undeclared_japanese_russian_and_chinese_are_guessed(void **state)
{
    static const struct {
        const char *charset, *utf8;
    } table[] = {
        {"ISO-2022-JP", "これは日本語のメールです。"},
        {"CP932", "これは日本語のメールです。よろしくお願いします。"},
        {"EUC-JP", "これは日本語のメールです。よろしくお願いします。"},
        {"GB18030", "这是一封中文邮件，请尽快回复我们。"},
        {"KOI8-R", "Это письмо на русском языке"},
        {"windows-1252", "Das ist für größere Übungen"},
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        gsize length;
        g_autofree char *bytes =
            g_convert(table[i].utf8, -1, table[i].charset, "UTF-8", NULL, &length, NULL);
        g_autofree char *wanted = g_strdup_printf("%s\n", table[i].utf8);
        struct opened opened = open_part("text/plain", (struct bytes){bytes, length}, TEXT_VISIBLE);
        expect(&opened, table[i].charset, wanted);
        close_opened(&opened);
    }
}

static void one_broken_byte_does_not_change_what_the_rest_means(void **state)
{
    (void)state;
    expect_part("text/plain; charset=windows-1253",
                "\xc5\xeb\xeb\xe7\xed\xe9\xea\xdc \xd2 "
                "\xe3\xeb\xfe\xf3\xf3\xe1 \xc5\xeb\xeb\xe7\xed\xe9\xea\xdc",
                "Ελληνικά \xef\xbf\xbd γλώσσα Ελληνικά\n");
    struct opened opened =
        open_part("text/plain", (struct bytes){"before\0after", 12}, TEXT_VISIBLE);
    expect(&opened, "text with a NUL", "before after\n");
    close_opened(&opened);
}

static void flowed_lines_are_joined(void **state)
{
    (void)state;
    expect_part("text/plain; format=flowed", "one \r\ntwo\r\n> a \r\n> b\r\n-- \r\n  me\r\n",
                "one two\n> a b\n-- \n me\n");
    expect_part("text/plain; format=flowed; delsp=yes", "一二 \r\n三\r\n", "一二三\n");
    expect_part("text/plain", "one \r\ntwo\r\n", "one \ntwo\n");
}

static void addresses_in_plain_text_are_found(void **state)
{
    (void)state;
    struct opened opened = open_part(
        "text/plain",
        text(
            "see <http://a.example/x>, (https://b.example/y_(z)) www.c.example. HTTP://D.example?q "
            "今すぐhttp://e.example/をクリック xhttp://no.example/ http://日本.example/p"),
        TEXT_VISIBLE);
    expect_url(&opened, "http://a.example/x");
    expect_url(&opened, "https://b.example/y_(z)");
    expect_url(&opened, "www.c.example");
    expect_url(&opened, "HTTP://D.example?q");
    expect_url(&opened, "http://e.example/");
    expect_url(&opened, "http://日本.example/p");
    assert_int_equal(opened.text.url_count, 6);
    close_opened(&opened);
}

/* --- HTML --- */

static const char page[] =
    "<!DOCTYPE html><html><head><title>not here</title><style>p { color: red }</style></head>"
    "<body background='http://bg.example/'><h1>Big&nbsp;news</h1><p>one &amp; two&#8364;&#x65E5;"
    "<br>next</p><script>var no = '<p>';</script><!-- no -> <p>no</p> --><div "
    "style='DISPLAY : /* x */ none'>no<div>no</div></div><span style=\"font-size:0px\">no</span>"
    "<span style=font-size:0.9em>small</span><p hidden>no</p><a "
    "href=\" http://link.ex\nample/?a=1&amp;b=2 \">li\n  nk</a>"
    "<img src=http://pic.example/p.gif alt='a picture'><table><tr><td>c1<td>c2</table>1 < 2";

static void html_is_what_a_reader_sees(void **state)
{
    (void)state;
    struct opened opened = open_part("text/html", text(page), TEXT_VISIBLE);
    expect(&opened, "the page",
           "Big news\none & two€日\nnext\nsmall\nli nk a picture\nc1 c2\n1 < 2\n");
    expect_url(&opened, "http://link.example/?a=1&b=2");
    expect_url(&opened, "http://pic.example/p.gif");
    expect_url(&opened, "http://bg.example/");
    close_opened(&opened);
}

static void html_with_tags_is_its_source(void **state)
{
    (void)state;
    struct opened opened = open_part("text/html", text("<p class=x>a</p>"), TEXT_WITH_TAGS);
    expect(&opened, "the source", "<p class=x>a</p>\n");
    close_opened(&opened);
    opened = open_part("text/html", text("<a href=http://l.example/>x"), TEXT_WITH_TAGS);
    expect_url(&opened, "http://l.example/");
    close_opened(&opened);
}

static void html_may_name_its_charset_itself(void **state)
{
    (void)state;
    expect_part("text/html", "<meta charset=windows-1253><p>\xc5\xeb\xeb\xe7\xed\xe9\xea\xdc",
                "Ελληνικά\n");
    expect_part("text/html",
                "<META HTTP-EQUIV='Content-Type' CONTENT='text/html; charset=koi8-u'><p>"
                "\xe7\xd2\xc9\xd7\xd4\xa6\xce",
                "Гривтін\n");
}

static void tricks_with_comments_and_ends_hide_nothing(void **state)
{
    (void)state;
    expect_part("text/html", "a<!-->b<!--->c<!--x--!>d<p/style='x'>e</ p>f<", "abcd\nef<\n");
    expect_part("text/html", "<br style='display:none'>a<img hidden>b", "ab\n");
    expect_part("text/html", "<svg/onload=x>v&i&#97;g&#x72;a", "v&iagra\n");
}

/* --- documents --- */

static const char content_types[] = "<?xml version=\"1.0\"?><Types/>";

static struct bytes make_docx(void)
{
    struct member members[] = {
        {"[Content_Types].xml", text(content_types)},
        {"word/document.xml",
         text("<?xml version=\"1.0\" "
              "encoding=\"UTF-8\"?><w:document><w:body><w:p><w:r><w:t>con</w:t>"
              "</w:r><w:r><w:t>fidential &amp; </w:t><w:tab/><w:t>x</w:t></w:r></w:p><w:p><w:r>"
              "<w:t>第二</w:t></w:r></w:p></w:body></w:document>")},
        {"word/header1.xml", text("<w:hdr><w:p><w:r><w:t>header</w:t></w:r></w:p></w:hdr>")},
        {"word/comments.xml", text("<w:comments><w:p><w:t>remark</w:t></w:p></w:comments>")},
        {"word/styles.xml", text("<w:styles><w:t>style</w:t></w:styles>")},
        {"word/_rels/document.xml.rels",
         text("<Relationships><Relationship Target=\"http://doc.example/\" "
              "TargetMode=\"External\"/><Relationship Target=\"styles.xml\"/></Relationships>")},
    };
    return pack(archive_write_set_format_zip, NULL, NULL, members, G_N_ELEMENTS(members));
}

static struct bytes make_xlsx(void)
{
    struct member members[] = {
        {"[Content_Types].xml", text(content_types)},
        {"xl/workbook.xml", text("<workbook/>")},
        {"xl/sharedStrings.xml", text("<sst><si><t>shared</t></si></sst>")},
        {"xl/worksheets/sheet1.xml",
         text("<worksheet><row><c t=\"s\"><v>0</v></c><c><v>4111111111111111</v></c>"
              "<c t=\"inlineStr\"><is><t>inline</t></is></c></row></worksheet>")},
    };
    return pack(archive_write_set_format_zip, NULL, NULL, members, G_N_ELEMENTS(members));
}

static struct bytes make_pptx(void)
{
    struct member members[] = {
        {"[Content_Types].xml", text(content_types)},
        {"ppt/presentation.xml", text("<p:presentation/>")},
        {"ppt/slides/slide1.xml", text("<p:sld><a:p><a:r><a:t>slide</a:t></a:r></a:p></p:sld>")},
        {"ppt/notesSlides/n.xml", text("<p:notes><a:p><a:t>note</a:t></a:p></p:notes>")},
    };
    return pack(archive_write_set_format_zip, NULL, NULL, members, G_N_ELEMENTS(members));
}

static struct bytes make_odt(void)
{
    struct member members[] = {
        {"mimetype", text("application/vnd.oasis.opendocument.text")},
        {"content.xml",
         text("<office:document-content><text:h>head</text:h><text:p>a<text:s/>b<text:a "
              "xlink:href=\"http://odt.example/\">l</text:a></text:p></office:document-content>")},
        {"styles.xml", text("<office:document-styles><text:p>foot</text:p>"
                            "</office:document-styles>")},
    };
    return pack(archive_write_set_format_zip, NULL, NULL, members, G_N_ELEMENTS(members));
}

static const char pages_before[] =
    "%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[3 0 R]"
    "/Count 1/Resources<</Font<</F1 4 0 R/F2 5 0 R/F3 8 0 R>>>>>>\nendobj\n3 0 obj\n<</Type/Page"
    "/Parent 2 0 R/Contents 6 0 R/Annots[<</A<</S/URI/URI(http://pdf.example/)>>>>]>>\nendobj\n"
    "4 0 obj\n<</Type/Font/Subtype/Type1/Encoding<</Differences[1/Eacute/uni65E5]>>>>\nendobj\n"
    "5 0 obj\n<</Type/Font/Subtype/Type0/Encoding/Identity-H/ToUnicode 7 0 R>>\nendobj\n"
    "8 0 obj\n<</Type/Font/Subtype/Type0/Encoding/90ms-RKSJ-H>>\nendobj\n";

static void add_stream(GByteArray *pdf, const char *object, const char *content, bool deflated)
{
    uLongf length = compressBound(strlen(content));
    g_autofree Bytef *packed = g_malloc(length);
    compress(packed, &length, (const Bytef *)content, strlen(content));
    const Bytef *data = deflated ? packed : (const Bytef *)content;
    length = deflated ? length : strlen(content);
    g_autofree char *head = g_strdup_printf("%s 0 obj\n<</Length %lu%s>>\nstream\n", object, length,
                                            deflated ? "/Filter/FlateDecode" : "");
    g_byte_array_append(pdf, (const guint8 *)head, (guint)strlen(head));
    g_byte_array_append(pdf, data, (guint)length);
    g_byte_array_append(pdf, (const guint8 *)"\nendstream\nendobj\n", 18);
}

static struct bytes make_pdf(bool deflated)
{
    static const char map[] = "1 begincodespacerange <0000> <FFFF> endcodespacerange 2 beginbfchar "
                              "<0001> <65E5> <0002> <672C> endbfchar 1 beginbfrange <0010> <0012> "
                              "<0041> endbfrange";
    static const char content[] =
        "BT /F1 12 Tf 100 700 Td (Hel\\154o \\001\\002) Tj 0 -14 Td [(Wor) -20 (ld) -300 (here)] "
        "TJ "
        "/F2 12 Tf 0 -14 Td <00010002001000110012> Tj /F3 9 Tf 1 0 0 1 50 600 Tm <93FA967B> Tj ET";
    GByteArray *pdf = g_byte_array_new();
    g_byte_array_append(pdf, (const guint8 *)pages_before, sizeof(pages_before) - 1);
    add_stream(pdf, "6", content, deflated);
    add_stream(pdf, "7", map, deflated);
    g_byte_array_append(pdf, (const guint8 *)"trailer\n<</Root 1 0 R>>\n", 24);
    return finish(pdf);
}

static const char rtf[] =
    "{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0\\fcharset0 Arial;}{\\f1\\fcharset128 Mincho;}}"
    "{\\*\\generator no;}{\\info{\\title no}}\\f0 Caf\\'e9 \\f1\\'93\\'fa\\'96\\'7b\\f0  "
    "\\u26085?{\\uc0\\u-10179\\u-8704}{\\v no}\\par {\\pict ffd8\\bin3 }}}"
    "}{\\field{\\*\\fldinst HYPERLINK \"http://rtf.example/a\"}{\\fldrslt click}}\\{\\}}";

struct sample {
    const char *name, *text, *url;
    struct bytes content;
};

#define SAMPLES 7

static void make_samples(struct sample samples[SAMPLES])
{
    const struct sample made[SAMPLES] = {
        {"a.docx", "confidential & x\n第二\nheader\nremark\n", "http://doc.example/", make_docx()},
        {"a.xlsx", "shared\n4111111111111111 inline\n", NULL, make_xlsx()},
        {"a.pptx", "slide\nnote\n", NULL, make_pptx()},
        {"a.odt", "head\na bl\nfoot\n", "http://odt.example/", make_odt()},
        {"a.pdf", "Hello É日\nWorld here\n日本ABC\n日本\n", "http://pdf.example/", make_pdf(false)},
        {"b.pdf", "Hello É日\nWorld here\n日本ABC\n日本\n", "http://pdf.example/", make_pdf(true)},
        {"a.rtf",
         "Café 日本 日😀\nclick{}\n",
         "http://rtf.example/a",
         {g_memdup2(rtf, sizeof(rtf) - 1), sizeof(rtf) - 1}},
    };
    memcpy(samples, made, sizeof(made));
}

static void free_samples(struct sample samples[SAMPLES])
{
    for (size_t i = 0; i < SAMPLES; i++)
        g_free(samples[i].content.data);
}

/* Nodes of mail_with: the multipart, its text, the file. */
#define FILE_NODE 2

static void documents_give_their_text_and_links(void **state)
{
    struct sample samples[SAMPLES];
    (void)state;
    make_samples(samples);
    for (size_t i = 0; i < SAMPLES; i++) {
        struct bytes mail =
            mail_with(samples[i].name, "application/octet-stream", samples[i].content);
        struct opened opened = open_with(mail, FILE_NODE, TEXT_VISIBLE, 0);
        expect(&opened, samples[i].name, samples[i].text);
        if (samples[i].url)
            expect_url(&opened, samples[i].url);
        /* The members are not text a second time. */
        for (size_t j = FILE_NODE + 1; j < opened.tree->count; j++)
            assert_false(text_of_node(opened.tree, j, TEXT_VISIBLE, &opened.text));
        close_opened(&opened);
        g_free(mail.data);
    }
    free_samples(samples);
}

static void entities_that_a_document_declares_are_never_made_larger(void **state)
{
    GString *xml = g_string_new("<!DOCTYPE x [<!ENTITY e0 \"lol\"><!ENTITY ext SYSTEM "
                                "\"file:///etc/passwd\">");
    (void)state;
    for (int i = 1; i < 10; i++)
        g_string_append_printf(xml,
                               "<!ENTITY e%d \"&e%d;&e%d;&e%d;&e%d;&e%d;&e%d;&e%d;&e%d;&e%d;\">", i,
                               i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    g_string_append(xml, "]><w:document><w:p><w:t>&e9;&ext;</w:t></w:p></w:document>");
    struct member members[] = {{"[Content_Types].xml", text(content_types)},
                               {"word/document.xml", {xml->str, xml->len}}};
    struct bytes packed = pack(archive_write_set_format_zip, NULL, NULL, members, 2);
    struct bytes mail = mail_with("a.docx", "application/octet-stream", packed);
    struct opened opened = open_with(mail, FILE_NODE, TEXT_VISIBLE, 0);
    expect(&opened, "the bomb", "&e9;&ext;\n");
    close_opened(&opened);
    g_string_free(xml, TRUE);
    g_free(packed.data);
    g_free(mail.data);
}

static void an_encrypted_pdf_says_that_it_cannot_be_read(void **state)
{
    static const char pdf[] = "%PDF-1.4\n1 0 obj <</Type/Page/Contents 2 0 R>> endobj 2 0 obj "
                              "<</Length 9>>stream\n(x) Tj   \nendstream endobj\ntrailer "
                              "<</Root 1 0 R/Encrypt 3 0 R>>\n";
    (void)state;
    struct opened opened = open_part("application/pdf", text(pdf), TEXT_VISIBLE);
    assert_true(opened.text.unreadable);
    expect(&opened, "the text", "");
    close_opened(&opened);
}

/* --- hostile input --- */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* All texts of a mail with this file; it must end in time and be UTF-8. */
static void read_everything(const char *name, struct bytes content)
{
    double begin = seconds_now();
    struct bytes mail = mail_with(name, "application/octet-stream", content);
    struct opened opened = open_with(mail, SIZE_MAX, TEXT_VISIBLE, 0);
    for (size_t i = 0; i < opened.tree->count; i++) {
        text_of_node(opened.tree, i, TEXT_VISIBLE, &opened.text);
        text_of_node(opened.tree, i, TEXT_WITH_TAGS, &opened.text);
    }
    assert_true(g_utf8_validate(buffer_text(&opened.text.content), -1, NULL));
    close_opened(&opened);
    g_free(mail.data);
    if (seconds_now() - begin > WORST_SECONDS)
        fail_msg("%s took %.1f s", name, seconds_now() - begin);
}

static void a_sample_that_is_cut_or_damaged_anywhere_ends_in_time(void **state)
{
    struct sample samples[SAMPLES];
    (void)state;
    make_samples(samples);
    for (size_t i = 0; i < SAMPLES; i++) {
        struct bytes content = samples[i].content;
        for (size_t at = 0; at < content.length; at += 7) {
            read_everything(samples[i].name, (struct bytes){content.data, at});
            content.data[at] = (char)(content.data[at] ^ (1 << at % 8));
            read_everything(samples[i].name, content);
            content.data[at] = (char)(content.data[at] ^ (1 << at % 8));
        }
    }
    free_samples(samples);
}

static struct bytes repeat(const char *head, const char *piece, size_t times)
{
    size_t length = strlen(piece), begin = strlen(head);
    struct bytes bytes = {g_malloc(begin + length * times), begin + length * times};
    memcpy(bytes.data, head, begin);
    for (size_t i = 0; i < times; i++)
        memcpy(bytes.data + begin + i * length, piece, length);
    return bytes;
}

static void what_is_made_to_take_long_ends_in_time(void **state)
{
    static const struct {
        const char *name, *head, *piece;
    } tricks[] = {
        {"deep.html", "<html>", "<b>"},
        {"ends.html", "<html><b><b>", "</i></b>"},
        {"attributes.html", "<html><a ", "a b=c "},
        {"quotes.html", "<html><a x=\"", "<a x='"},
        {"comments.html", "<html>", "<!-- "},
        {"scripts.html", "<html>", "<script></scrip"},
        {"references.html", "<html>", "&a;&#1"},
        {"deep.rtf", "{\\rtf1", "{"},
        {"unicode.rtf", "{\\rtf1", "\\uc16\\u9\\'41"},
        {"deep.pdf", "%PDF-1.4\n1 0 obj ", "<<["},
        {"objects.pdf", "%PDF-1.4\n", "1 0 obj<<"},
        {"strings.pdf", "%PDF-1.4\n1 0 obj <</Contents 1 0 R>> stream\n", "(("},
        {"trailers.pdf", "%PDF-1.4\n", "trailer<<"},
    };
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(tricks); i++) {
        size_t length = strlen(tricks[i].piece);
        struct bytes bytes = repeat(tricks[i].head, tricks[i].piece, (1u << 20) / length);
        read_everything(tricks[i].name, bytes);
        g_free(bytes.data);
    }
}

static void text_stays_within_its_limit_and_says_so(void **state)
{
    (void)state;
    struct bytes lines = repeat("", "日本 ", 100000);
    g_autofree char *mail = g_strdup_printf("Content-Type: text/plain; charset=utf-8\r\n\r\n%.*s",
                                            (int)lines.length, lines.data);
    struct opened opened = open_with(text(mail), 0, TEXT_VISIBLE, 1000);
    assert_true(opened.text.cut);
    assert_in_range(opened.text.content.length, 990, 1000);
    assert_true(g_utf8_validate(buffer_text(&opened.text.content), -1, NULL));
    close_opened(&opened);
    g_free(lines.data);
}

/* --- gatehouse-engine --show --- */

/* What --show prints about the file; NULL where it fails. */
static json_t *show_file(const char *path)
{
    int out[2], status;
    assert_int_equal(pipe(out), 0);
    pid_t child = fork();
    if (child == 0) {
        struct error error = {0};
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        _exit(engine_show(NULL, path, &error) ? 0 : 1);
    }
    close(out[1]);
    FILE *stream = fdopen(out[0], "r");
    json_t *shown = json_loadf(stream, 0, NULL);
    fclose(stream);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return shown;
    json_decref(shown);
    return NULL;
}

static void the_engine_shows_a_message_read_in_the_sandbox(void **state)
{
    struct sample samples[SAMPLES];
    char path[] = "/tmp/gatehouse-show-test-XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    setenv("GATEHOUSE_SIGNATURES", "/nonexistent", 1);
#ifdef __SANITIZE_ADDRESS__
    setenv("GATEHOUSE_ENGINE_SANDBOX", "off", 1);
#endif
    make_samples(samples);
    for (size_t i = 0; i < SAMPLES; i++) {
        struct bytes mail =
            mail_with(samples[i].name, "application/octet-stream", samples[i].content);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, mail.data, mail.length, 0), mail.length);
        json_t *shown = show_file(path);
        const json_t *node = json_array_get(json_object_get(shown, "nodes"), FILE_NODE);
        const char *content = json_string_value(json_object_get(node, "text"));
        if (!content || strcmp(content, samples[i].text) != 0)
            fail_msg("%s shows %s", samples[i].name, content ? content : "nothing");
        assert_non_null(json_object_get(json_object_get(shown, "result"), "verdict"));
        /* Three words tell nothing. */
        assert_string_equal(json_string_value(json_object_get(shown, "language")), "unknown");
        json_decref(shown);
        g_free(mail.data);
    }
    free_samples(samples);
    close(fd);
    unlink(path);
    assert_null(show_file(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_charset_of_mail_is_read),
        cmocka_unit_test(undeclared_japanese_russian_and_chinese_are_guessed),
        cmocka_unit_test(one_broken_byte_does_not_change_what_the_rest_means),
        cmocka_unit_test(flowed_lines_are_joined),
        cmocka_unit_test(addresses_in_plain_text_are_found),
        cmocka_unit_test(html_is_what_a_reader_sees),
        cmocka_unit_test(html_with_tags_is_its_source),
        cmocka_unit_test(html_may_name_its_charset_itself),
        cmocka_unit_test(tricks_with_comments_and_ends_hide_nothing),
        cmocka_unit_test(documents_give_their_text_and_links),
        cmocka_unit_test(entities_that_a_document_declares_are_never_made_larger),
        cmocka_unit_test(an_encrypted_pdf_says_that_it_cannot_be_read),
        cmocka_unit_test(a_sample_that_is_cut_or_damaged_anywhere_ends_in_time),
        cmocka_unit_test(what_is_made_to_take_long_ends_in_time),
        cmocka_unit_test(text_stays_within_its_limit_and_says_so),
        cmocka_unit_test(the_engine_shows_a_message_read_in_the_sandbox),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    g_mime_init();
    return cmocka_run_group_tests_name("engine: text", tests, NULL, NULL);
}
