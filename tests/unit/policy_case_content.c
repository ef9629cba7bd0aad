/* Files of policy cases: zip(run.exe=exe, inner.zip=zip(a.txt="text")). */
#include "policy_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "test_engine_archives.h"

#define MEMBERS 64

struct arguments {
    struct member members[MEMBERS]; /* name may be NULL */
    size_t count;
};

static struct bytes read_content(const char **at);

static void skip_blanks(const char **at)
{
    *at += strspn(*at, " \t");
}

static struct bytes take_string(GString *string)
{
    struct bytes bytes = {.length = string->len};
    bytes.data = g_string_free(string, FALSE);
    return bytes;
}

static struct bytes copy_bytes(const void *data, size_t length)
{
    return (struct bytes){g_memdup2(data, length), length};
}

/* --- reading --- */

static struct bytes read_quoted(const char **at)
{
    const char *end = *at + 1;
    while (*end && *end != '"')
        end += *end == '\\' && end[1] ? 2 : 1;
    if (!*end)
        fail_msg("a quotation mark is not closed in a content");
    struct bytes bytes = take_string(case_unescape(*at + 1, end));
    *at = end + 1;
    return bytes;
}

static char *read_name(const char **at, const char *stops)
{
    size_t length = strcspn(*at, stops);
    g_autofree char *raw = g_strndup(*at, length);
    *at += length;
    g_strstrip(raw);
    return g_string_free(case_unescape(raw, NULL), FALSE);
}

static void read_arguments(const char **at, struct arguments *arguments)
{
    (*at)++;
    for (skip_blanks(at); **at && **at != ')'; skip_blanks(at)) {
        struct member *member = &arguments->members[arguments->count];
        if (arguments->count++ == MEMBERS)
            fail_msg("a container of a case has too many members");
        const char *next = *at + strcspn(*at, "=,()\"");
        member->name = NULL;
        if (**at != '"' && *next == '=') {
            member->name = read_name(at, "=");
            (*at)++;
        }
        member->content = read_content(at);
        skip_blanks(at);
        *at += **at == ',';
    }
    if (**at != ')')
        fail_msg("a content is not closed");
    (*at)++;
}

static void free_arguments(struct arguments *arguments)
{
    for (size_t i = 0; i < arguments->count; i++) {
        g_free((char *)arguments->members[i].name);
        g_free(arguments->members[i].content.data);
    }
}

/* --- kinds of files --- */

static struct bytes make_zip(const struct arguments *a)
{
    return pack(archive_write_set_format_zip, NULL, NULL, a->members, a->count);
}

static struct bytes make_locked(const struct arguments *a)
{
    return pack(archive_write_set_format_zip, NULL, "zip:encryption=aes256", a->members, a->count);
}

static struct bytes make_7z(const struct arguments *a)
{
    return pack(archive_write_set_format_7zip, NULL, NULL, a->members, a->count);
}

static struct bytes make_tar(const struct arguments *a)
{
    return pack(archive_write_set_format_ustar, NULL, NULL, a->members, a->count);
}

static struct bytes make_tgz(const struct arguments *a)
{
    return pack(archive_write_set_format_ustar, archive_write_add_filter_gzip, NULL, a->members,
                a->count);
}

static struct bytes make_rar(const struct arguments *a)
{
    return rar_of(a->members, a->count);
}

static struct bytes make_gz(const struct arguments *a)
{
    return pack(archive_write_set_format_raw, archive_write_add_filter_gzip, NULL, a->members, 1);
}

static struct bytes make_exe(const struct arguments *a)
{
    char program[70] = "MZ";
    (void)a;
    program[60] = 64;
    memcpy(program + 64, "PE\0\0\x4c\x01", 6);
    return copy_bytes(program, sizeof(program));
}

static struct bytes make_elf(const struct arguments *a)
{
    static const char program[64] = "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\x3e\0\1";
    (void)a;
    return copy_bytes(program, sizeof(program));
}

static struct bytes make_png(const struct arguments *a)
{
    static const char picture[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0";
    (void)a;
    return copy_bytes(picture, sizeof(picture));
}

static struct bytes make_wav(const struct arguments *a)
{
    (void)a;
    return copy_bytes("RIFF\x24\0\0\0WAVEfmt \x10\0\0\0", 20);
}

static const char *text_of(const struct arguments *a)
{
    return a->count > 0 ? a->members[0].content.data : "";
}

static struct bytes make_word(const struct arguments *a, size_t count)
{
    g_autofree char *xml =
        g_strdup_printf("<document><body><p><t>%s</t></p></body></document>", text_of(a));
    struct member members[] = {{"word/document.xml", text(xml)},
                               {"word/vbaProject.bin", text("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")}};
    return pack(archive_write_set_format_zip, NULL, NULL, members, count);
}

static struct bytes make_docx(const struct arguments *a)
{
    return make_word(a, 1);
}

static struct bytes make_docm(const struct arguments *a)
{
    return make_word(a, 2);
}

/* A compound file; the text stands in it as a name of a storage does. */
static struct bytes make_ole(const struct arguments *a)
{
    GString *file = g_string_new_len("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8);
    for (int i = 0; i < 600; i++)
        g_string_append_c(file, '\0');
    for (const char *at = text_of(a); *at; at++)
        g_string_append_len(file, (const char[]){*at, '\0'}, 2);
    return take_string(file);
}

static struct bytes make_pdf(const struct arguments *a)
{
    GString *pdf = g_string_new(
        "%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages"
        "/Kids[3 0 R]/Count 1/Resources<</Font<</F1 4 0 R>>>>>>\nendobj\n3 0 obj\n<</Type/Page"
        "/Parent 2 0 R/Contents 6 0 R>>\nendobj\n4 0 obj\n<</Type/Font/Subtype/Type1>>\nendobj\n");
    g_autofree char *stream = g_strdup_printf("BT /F1 12 Tf 100 700 Td (%s) Tj ET", text_of(a));
    g_string_append_printf(pdf, "6 0 obj\n<</Length %zu>>\nstream\n%s\nendstream\nendobj\n",
                           strlen(stream), stream);
    g_string_append(pdf, "trailer\n<</Root 1 0 R>>\n");
    return take_string(pdf);
}

static struct bytes make_locked_pdf(const struct arguments *a)
{
    (void)a;
    return take_string(g_string_new("%PDF-1.7\n1 0 obj<</Filter/Standard/V 2>>endobj\n"
                                    "trailer<</Encrypt 1 0 R>>\n%%EOF\n"));
}

static struct bytes make_rtf(const struct arguments *a)
{
    GString *rtf = g_string_new(NULL);
    g_string_printf(rtf, "{\\rtf1\\ansi %s}", text_of(a));
    return take_string(rtf);
}

/* bytes("N"): so many bytes without a meaning. */
static struct bytes make_bytes(const struct arguments *a)
{
    size_t length = (size_t)atoll(text_of(a));
    struct bytes bytes = {g_malloc(length + 1), length};
    memset(bytes.data, 0xa5, length);
    return bytes;
}

static const struct {
    const char *name;
    struct bytes (*make)(const struct arguments *arguments);
} kinds[] = {
    {"zip", make_zip},   {"locked", make_locked}, {"7z", make_7z},
    {"tar", make_tar},   {"tgz", make_tgz},       {"rar", make_rar},
    {"gz", make_gz},     {"exe", make_exe},       {"elf", make_elf},
    {"png", make_png},   {"wav", make_wav},       {"docx", make_docx},
    {"docm", make_docm}, {"ole", make_ole},       {"pdf", make_pdf},
    {"rtf", make_rtf},   {"bytes", make_bytes},   {"locked_pdf", make_locked_pdf},
};

static struct bytes read_content(const char **at)
{
    skip_blanks(at);
    if (**at == '"')
        return read_quoted(at);
    struct arguments arguments = {.count = 0};
    g_autofree char *name = read_name(at, "(,) \t");
    if (**at == '(')
        read_arguments(at, &arguments);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        struct bytes bytes = kinds[i].make(&arguments);
        free_arguments(&arguments);
        return bytes;
    }
    fail_msg("there is no content %s", name);
    return (struct bytes){0};
}

GByteArray *case_content(const char *expression)
{
    struct bytes bytes = read_content(&expression);
    skip_blanks(&expression);
    if (*expression)
        fail_msg("behind a content there is: %s", expression);
    return g_byte_array_new_take((guint8 *)bytes.data, bytes.length);
}
