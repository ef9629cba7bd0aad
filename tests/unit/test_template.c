#include "controlcenter/http/template.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/timestamp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char folder[] = "/tmp/test-template-XXXXXX";

static void path_of(char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/%s", folder, name);
}

static void write_template(const char *name, const void *text, size_t length)
{
    char path[256];
    struct error error;
    path_of(path, sizeof path, name);
    assert_true(file_write_atomic(path, text, length, 0600, &error));
}

static void remove_template(const char *name)
{
    char path[256];
    path_of(path, sizeof path, name);
    unlink(path);
}

static json_t *json_of(const char *text)
{
    json_t *data = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(data);
    return data;
}

/* What `source` as a file `name` renders to over JSON text. */
static char *render_file(const char *name, const char *source, const char *json,
                         struct error *error)
{
    struct buffer out = BUFFER_INIT;
    cleanup_json json_t *data = json_of(json);
    char *text = NULL;
    write_template(name, source, strlen(source));
    struct template_set *set = template_set_load(folder, error);
    const char *known = strcmp(name, "page.html") == 0 ? "page" : name;
    if (set && template_render(set, known, data, &out, error))
        text = buffer_take(&out);
    buffer_free(&out);
    template_set_free(set);
    remove_template(name);
    return text;
}

static void expect(const char *source, const char *json, const char *wanted)
{
    struct error error = {0};
    cleanup_free char *text = render_file("page.html", source, json, &error);
    if (!text)
        fail_msg("%s: %s: %s", source, error.where, error.message);
    assert_string_equal(text, wanted);
}

static void expect_refused(const char *source, const char *where, const char *part)
{
    struct error error = {0};
    cleanup_free char *text = render_file("page.html", source, "{}", &error);
    if (text)
        fail_msg("accepted: %s", source);
    assert_int_equal(error.code, ERROR_INVALID);
    assert_string_equal(error.where, where);
    if (!strstr(error.message, part))
        fail_msg("%s: \"%s\" has no \"%s\"", source, error.message, part);
}

#define HOSTILE "{\"x\":\"<b a='1' c=\\\"2\\\">&amp;</b>\"}"
#define HARMLESS "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;amp;&lt;/b&gt;"

static void values_are_escaped_wherever_they_may_stand(void **state)
{
    (void)state;
    expect("<p>{{x}}</p>", HOSTILE, "<p>" HARMLESS "</p>");
    expect("<a title=\"{{x}}\">", HOSTILE, "<a title=\"" HARMLESS "\">");
    expect("<a title='{{x}}'>", HOSTILE, "<a title='" HARMLESS "'>");
    expect("<title>{{x}}</title>", HOSTILE, "<title>" HARMLESS "</title>");
    expect("<textarea>{{x}}</textarea>", HOSTILE, "<textarea>" HARMLESS "</textarea>");
    expect("{{#x}}{{.}}{{/x}}", HOSTILE, HARMLESS);
    expect("{{a.b}}", "{\"a\":{\"b\":\"<\"}}", "&lt;");
    expect("{{{x}}}", HOSTILE, "<b a='1' c=\"2\">&amp;</b>");
}

static void values_where_escaping_cannot_protect_are_refused(void **state)
{
    (void)state;
    expect_refused("<p>\n<a title={{x}}>", "page.html:2", "without quotes");
    expect_refused("<a title=a{{x}}>", "page.html:1", "without quotes");
    expect_refused("<a {{x}}>", "page.html:1", "between the attributes");
    expect_refused("<a title=\"\"{{x}}>", "page.html:1", "between the attributes");
    expect_refused("<{{x}}>", "page.html:1", "name of an element");
    expect_refused("</{{x}}>", "page.html:1", "name of an element");
    expect_refused("<h{{x}}>", "page.html:1", "name of an element");
    expect_refused("<script>var a = '{{x}}';</script>", "page.html:1", "<script>");
    expect_refused("<SCRIPT type='a'>{{x}}</script>", "page.html:1", "<script>");
    expect_refused("<script>'</scrip>{{x}}'</script>", "page.html:1", "<script>");
    expect_refused("<style>{{x}}</style>", "page.html:1", "<style>");
    expect_refused("<!-- {{x}} -->", "page.html:1", "comment");
    expect_refused("<a onclick=\"{{x}}\">", "page.html:1", "code");
    expect_refused("<a OnClick = '{{x}}'>", "page.html:1", "code");
    expect_refused("<a style=\"{{x}}\">", "page.html:1", "code");
    expect_refused("<iframe srcdoc=\"{{x}}\">", "page.html:1", "code");
    expect_refused("<a title=\"{{{x}}}\">", "page.html:1", "fragment");
    expect_refused("<a {{#x}}title=\"{{/x}}>", "page.html:1", "halfway");
    expect_refused("{{#x}}<a {{/x}}>", "page.html:1", "halfway");
    expect_refused("<a title=\"", "page.html:1", "ends inside");
    /* What a section may leave out must not hide where the value stands. */
    expect_refused("<a onclick{{#s}} title{{/s}}=\"{{x}}\">", "page.html:1", "code");
    expect_refused("<a style=\"{{#s}}\" title=\"{{/s}}{{x}}\">", "page.html:1", "code");
    expect_refused("<a title=\"{{#s}}\" style=\"{{/s}}{{x}}\">", "page.html:1", "code");
    expect_refused("<a{{#s}} b{{/s}}c=\"{{x}}\">", "page.html:1", "name of an element");
    expect_refused("<a {{#s}}><script {{/s}}>{{x}}", "page.html:1", "halfway");
    expect_refused("<{{#s}}p{{/s}}{{#t}}script{{/t}}>{{x}}", "page.html:1", "halfway");
}

static void harmless_markup_is_accepted(void **state)
{
    (void)state;
    expect("<script src=\"{{x}}\"></script>{{x}}", "{\"x\":1}", "<script src=\"1\"></script>1");
    expect("<!-- a > b --><p>{{x}}", "{\"x\":1}", "<!-- a > b --><p>1");
    expect("1 < 2 {{x}}", "{\"x\":1}", "1 < 2 1");
    expect("<!doctype html><br/>{{x}}", "{\"x\":1}", "<!doctype html><br/>1");
    expect("<input {{#on}}checked{{/on}} a = \"{{x}}\">", "{\"x\":1,\"on\":true}",
           "<input checked a = \"1\">");
    expect("<option{{#on}} selected{{/on}}>{{x}}", "{\"x\":1}", "<option>1");
    expect("<i class=\"a{{#on}} b{{/on}}{{^on}} c{{/on}}\">", "{}", "<i class=\"a c\">");
}

static void values_of_every_type_are_shown(void **state)
{
    (void)state;
    expect("{{a}} {{b}} {{c}} {{d}} {{e}}|{{f}}|{{g}}|{{h}}",
           "{\"a\":-12,\"b\":0.1,\"c\":true,\"d\":false,\"e\":null,\"f\":[1],\"g\":{}}",
           "-12 0.1 true false |||");
    expect("{{.}}", "\"<\"", "&lt;");
    expect("{{ x }}", "{\"x\":\"Grüße\"}", "Grüße");
}

static void sections_follow_their_value(void **state)
{
    (void)state;
    static const char *const falsy[] = {"null", "false", "0", "0.0", "\"\"", "[]"};
    static const char *const truthy[] = {"true", "1", "\"a\"", "{}", "[0]"};
    for (size_t i = 0; i < sizeof falsy / sizeof *falsy; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"x\":%s}", falsy[i]);
        expect("{{#x}}yes{{/x}}{{^x}}no{{/x}}", json, "no");
    }
    for (size_t i = 0; i < sizeof truthy / sizeof *truthy; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"x\":%s}", truthy[i]);
        expect("{{#x}}yes{{/x}}{{^x}}no{{/x}}", json, "yes");
    }
    expect("{{#x}}yes{{/x}}{{^x}}no{{/x}}", "{}", "no");
}

static void names_are_looked_up_from_the_inside_out(void **state)
{
    (void)state;
    expect("{{#a}}{{x}}{{y}}{{/a}}", "{\"x\":1,\"y\":2,\"a\":{\"x\":3}}", "32");
    expect("{{#rows}}[{{n}}{{#m}} {{.}}{{/m}}]{{/rows}}",
           "{\"n\":9,\"rows\":[{\"n\":1,\"m\":[\"a\",\"b\"]},{\"m\":[]}]}", "[1 a b][9]");
    expect("{{#a.b}}{{c}}{{/a.b}}", "{\"a\":{\"b\":{\"c\":7}}}", "7");
    /* A dotted name that is found halfway does not start over further out. */
    expect("{{#s}}{{a.c}}{{/s}}", "{\"a\":{\"c\":1},\"s\":{\"a\":{}}}", "");
}

static void standalone_tags_take_their_line_with_them(void **state)
{
    (void)state;
    expect("<ul>\n  {{#r}}\n  <li>{{.}}</li>\n  {{/r}}\n</ul>\n", "{\"r\":[1,2]}",
           "<ul>\n  <li>1</li>\n  <li>2</li>\n</ul>\n");
    expect("a\r\n{{! note\n over lines }}\r\nb", "{}", "a\r\nb");
    expect("a {{! note }} b\n", "{}", "a  b\n");
    expect("  {{x}}\n", "{\"x\":1}", "  1\n");
    expect("{{#x}} {{/x}}\n", "{\"x\":1}", " \n");
}

static void syntax_errors_name_file_and_line(void **state)
{
    (void)state;
    expect_refused("a\n\n{{x", "page.html:3", "closing braces");
    expect_refused("{{{x}}", "page.html:1", "closing braces");
    expect_refused("a\n{{#x}}\n", "page.html:2", "without its end");
    expect_refused("{{/x}}", "page.html:1", "not open");
    expect_refused("{{#x}}\n{{#y}}\n{{/x}}\n{{/y}}", "page.html:3", "line 2");
    expect_refused("{{}}", "page.html:1", "without a name");
    expect_refused("{{a b}}", "page.html:1", "letters");
    expect_refused("{{a..b}}", "page.html:1", "letters");
    expect_refused("{{=<% %>=}}", "page.html:1", "letters");
    expect_refused("{{a.b.c.d.e.f.g}}", "page.html:1", "too many parts");
    expect_refused("x\n{{>nothing}}", "page.html:2", "no such partial: nothing");
    expect_refused("<a {{>nothing}}>", "page.html:1", "inside an HTML tag");
}

static void partials_render_in_place(void **state)
{
    (void)state;
    write_template("row.html", "<td>{{n}}</td>", 14);
    expect("{{#r}}\n  {{>row}}\n{{/r}}\n", "{\"r\":[{\"n\":\"<\"},{\"n\":2}]}",
           "<td>&lt;</td><td>2</td>");
    remove_template("row.html");
}

static void plain_text_is_not_escaped_and_stays_out_of_pages(void **state)
{
    (void)state;
    struct error error = {0};
    cleanup_free char *text = render_file("mail.txt", "Dear {{x}}", "{\"x\":\"A & B\"}", &error);
    assert_string_equal(text, "Dear A & B");
    write_template("mail.txt", "{{x}}", 5);
    expect_refused("{{>mail.txt}}", "page.html:1", "plain text");
    remove_template("mail.txt");
}

static void folders_are_part_of_the_name(void **state)
{
    (void)state;
    struct error error = {0};
    struct buffer out = BUFFER_INIT;
    char path[256], link[256];
    path_of(path, sizeof path, "audit");
    assert_true(file_make_folder(path, 0700, &error));
    write_template("audit/list.html", "L{{>audit/row}}", 15);
    write_template("audit/row.html", "R", 1);
    write_template(".hidden.html", "{{", 2);
    write_template("notes.md", "{{", 2);
    path_of(link, sizeof link, "link.html");
    assert_int_equal(symlink("/etc/passwd", link), 0);
    struct template_set *set = template_set_load(folder, &error);
    assert_non_null(set);
    assert_true(template_render(set, "audit/list", NULL, &out, &error));
    assert_string_equal(buffer_text(&out), "LR");
    assert_false(template_render(set, "link", NULL, &out, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    template_set_free(set);
    buffer_free(&out);
    static const char *const made[] = {"audit/list.html", "audit/row.html", ".hidden.html",
                                       "notes.md", "link.html"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        remove_template(made[i]);
    rmdir(path);
}

static void depth_is_limited(void **state)
{
    (void)state;
    struct error error = {0};
    struct buffer nested = BUFFER_INIT;
    for (int i = 0; i < 32; i++)
        buffer_add_text(&nested, "{{#x}}");
    buffer_add_text(&nested, "deep");
    for (int i = 0; i < 32; i++)
        buffer_add_text(&nested, "{{/x}}");
    expect(buffer_text(&nested), "{\"x\":1}", "deep");
    buffer_clear(&nested);
    for (int i = 0; i < 33; i++)
        buffer_add_text(&nested, "{{#x}}");
    expect_refused(buffer_text(&nested), "page.html:1", "too deeply");
    buffer_free(&nested);
    /* A tree is rendered by a partial of itself, which data can end and the limit must. */
    expect("[{{n}}{{#c}}{{>page}}{{/c}}]",
           "{\"n\":1,\"c\":[{\"n\":2,\"c\":[]},{\"n\":3,\"c\":[]}]}", "[1[2][3]]");
    cleanup_free char *text = render_file("page.html", "{{>page}}", "{}", &error);
    assert_null(text);
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void the_limit_of_the_buffer_ends_rendering(void **state)
{
    (void)state;
    struct error error = {0};
    struct buffer out;
    cleanup_json json_t *data = json_of("{\"r\":[1,2,3,4,5]}");
    buffer_init(&out, 12);
    write_template("page.html", "{{#r}}abc{{/r}}", 15);
    struct template_set *set = template_set_load(folder, &error);
    assert_non_null(set);
    assert_false(template_render(set, "page", data, &out, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    buffer_free(&out);
    template_set_free(set);
    remove_template("page.html");
}

static void files_that_are_too_large_or_binary_are_refused(void **state)
{
    (void)state;
    struct error error = {0};
    size_t size = (1u << 20) + 1;
    cleanup_free char *large = malloc(size);
    assert_non_null(large);
    memset(large, 'a', size);
    write_template("page.html", large, size);
    assert_null(template_set_load(folder, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    write_template("page.html", "a\0b", 3);
    assert_null(template_set_load(folder, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    remove_template("page.html");
}

/* A small generator, so that a failing round can be repeated. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static const char *const pieces[] = {
    "{{x}}",
    "{{#x}}",
    "{{/x}}",
    "{{^x}}",
    "{{y.z}}",
    "{{#y}}",
    "{{/y}}",
    "{{.}}",
    "{{#r}}",
    "{{/r}}",
    "{{!c}}",
    "{{>page}}",
    "\n",
    " ",
    "<a ",
    ">",
    "<p>",
    "</p>",
    "\"",
    "'",
    "=",
    "a=\"",
    "<!--",
    "-->",
    "<script>",
    "</script>",
    "<style>",
    "</style>",
    "text",
    "{{",
    "}}",
    "{",
    "<",
    "/",
    "onclick=\"",
    "&",
    "{{#x}}t{{/x}}",
};

static size_t random_source(uint32_t *seed, char *source, size_t size)
{
    size_t length = 0, count = 1 + next_random(seed) % 12;
    for (size_t i = 0; i < count; i++) {
        const char *piece = pieces[next_random(seed) % (sizeof pieces / sizeof *pieces)];
        size_t piece_length = strlen(piece);
        if (length + piece_length >= size)
            break;
        memcpy(source + length, piece, piece_length);
        length += piece_length;
    }
    return length;
}

/* Whatever is accepted never lets a value end its quotes or open a tag. */
static void random_templates_are_refused_or_escape(void **state)
{
    (void)state;
    cleanup_json json_t *data =
        json_of("{\"x\":\"EVIL<>\\\"'&\",\"y\":{\"z\":\"EVIL\\\"\"},\"r\":[\"EVIL'\",\"EVIL>\"]}");
    uint32_t seed = 20260131;
    unsigned accepted = 0, refused = 0;
    for (int round = 0; round < 20000; round++) {
        char source[512];
        struct error error = {0};
        struct buffer out;
        buffer_init(&out, 1u << 20);
        size_t length = random_source(&seed, source, sizeof source);
        char path[256];
        path_of(path, sizeof path, "page.html");
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fwrite(source, 1, length, file);
        fclose(file);
        struct template_set *set = template_set_load(folder, &error);
        if (!set) {
            assert_int_equal(error.code, ERROR_INVALID);
            assert_non_null(strstr(error.where, "page.html:"));
            refused++;
        } else {
            if (!template_render(set, "page", data, &out, &error))
                assert_int_equal(error.code, ERROR_LIMIT);
            for (const char *at = buffer_text(&out); (at = strstr(at, "EVIL")); at++)
                if (at[4] != '&' || at[5] == 'a')
                    fail_msg("round %d: %.*s -> %s", round, (int)length, source, buffer_text(&out));
            accepted++;
        }
        template_set_free(set);
        buffer_free(&out);
    }
    remove_template("page.html");
    assert_true(accepted > 1000);
    assert_true(refused > 1000);
}

static json_t *many_rows(size_t count)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows,
                              json_pack("{s:I,s:s,s:s,s:s,s:b}", "id", (json_int_t)i, "sender",
                                        "sender@example.org", "recipient", "\"a b\"@example.net",
                                        "subject", "Re: <offer> & \"more\"", "virus", i % 10 == 0));
    return json_pack("{s:o}", "rows", rows);
}

static void a_hundred_thousand_rows_render_fast(void **state)
{
    (void)state;
    static const char source[] =
        "<table>\n{{#rows}}\n<tr{{#virus}} class=\"virus\"{{/virus}}><td>{{id}}</td>"
        "<td>{{sender}}</td><td>{{recipient}}</td><td><a href=\"/audit/{{id}}\">{{subject}}</a>"
        "</td></tr>\n{{/rows}}\n</table>\n";
    struct error error = {0};
    struct buffer out = BUFFER_INIT;
    cleanup_json json_t *data = many_rows(100000);
    write_template("page.html", source, sizeof source - 1);
    struct template_set *set = template_set_load(folder, &error);
    assert_non_null(set);
    int64_t begun = timestamp_monotonic_ms();
    assert_true(template_render(set, "page", data, &out, &error));
    int64_t elapsed = timestamp_monotonic_ms() - begun;
    print_message("100,000 rows, %zu bytes: %lld ms\n", out.length, (long long)elapsed);
    assert_true(out.length > 10000000);
    /* Ten times what it takes, because the machine may be busy or the build instrumented. */
    assert_true(elapsed < 3000);
    template_set_free(set);
    buffer_free(&out);
    remove_template("page.html");
}

static void a_missing_folder_is_an_error(void **state)
{
    (void)state;
    struct error error = {0};
    assert_null(template_set_load("/nowhere/at/all", &error));
    assert_int_equal(error.code, ERROR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_escaped_wherever_they_may_stand),
        cmocka_unit_test(values_where_escaping_cannot_protect_are_refused),
        cmocka_unit_test(harmless_markup_is_accepted),
        cmocka_unit_test(values_of_every_type_are_shown),
        cmocka_unit_test(sections_follow_their_value),
        cmocka_unit_test(names_are_looked_up_from_the_inside_out),
        cmocka_unit_test(standalone_tags_take_their_line_with_them),
        cmocka_unit_test(syntax_errors_name_file_and_line),
        cmocka_unit_test(partials_render_in_place),
        cmocka_unit_test(plain_text_is_not_escaped_and_stays_out_of_pages),
        cmocka_unit_test(folders_are_part_of_the_name),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(the_limit_of_the_buffer_ends_rendering),
        cmocka_unit_test(files_that_are_too_large_or_binary_are_refused),
        cmocka_unit_test(random_templates_are_refused_or_escape),
        cmocka_unit_test(a_hundred_thousand_rows_render_fast),
        cmocka_unit_test(a_missing_folder_is_an_error),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
