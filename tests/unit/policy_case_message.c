/* Lines of policy cases that say what the message is. */
#include "policy_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A text of the message: its lines in UTF-8, and how they are written. */
struct text_part {
    GString *lines; /* NULL: there is none */
    char *options;  /* charset, encoding, "undeclared", apart by blanks */
};

struct case_message {
    GString *raw; /* the whole message as it was given; NULL */
    GString *header;
    struct text_part plain, html;
    GPtrArray *attachments; /* of GString: whole parts */
};

struct case_message *case_message_new(void)
{
    struct case_message *message = g_new0(struct case_message, 1);
    message->header = g_string_new(NULL);
    message->attachments = g_ptr_array_new();
    return message;
}

static void free_text(struct text_part *part)
{
    if (part->lines)
        g_string_free(part->lines, TRUE);
    g_free(part->options);
}

void case_message_free(struct case_message *message)
{
    for (guint i = 0; i < message->attachments->len; i++)
        g_string_free(message->attachments->pdata[i], TRUE);
    g_ptr_array_free(message->attachments, TRUE);
    if (message->raw)
        g_string_free(message->raw, TRUE);
    g_string_free(message->header, TRUE);
    free_text(&message->plain);
    free_text(&message->html);
    g_free(message);
}

/* --- charsets and encodings --- */

static bool has_option(const char *options, const char *option)
{
    g_auto(GStrv) words = g_strsplit(options, " ", -1);
    return g_strv_contains((const char *const *)words, option);
}

/* The first option that is no encoding; "" for none. */
static char *charset_option(const char *options)
{
    static const char *const others[] = {"base64", "quoted-printable", "undeclared", "raw", NULL};
    g_auto(GStrv) words = g_strsplit(options, " ", -1);
    for (size_t i = 0; words[i]; i++)
        if (*words[i] && !g_strv_contains(others, words[i]))
            return g_strdup(words[i]);
    return g_strdup("");
}

static GString *convert(const char *text, gssize length, const char *charset)
{
    gsize written;
    g_autofree char *bytes =
        g_convert(text, length, *charset ? charset : "UTF-8", "UTF-8", NULL, &written, NULL);
    if (!bytes)
        fail_msg("this has no form in %s: %s", charset, text);
    return g_string_new_len(bytes, (gssize)written);
}

static void add_base64(GString *out, const guchar *data, size_t length)
{
    g_autofree char *encoded = g_base64_encode(data, length);
    for (size_t at = 0, size = strlen(encoded); at < size; at += 76)
        g_string_append_printf(out, "%.76s\r\n", encoded + at);
}

static void add_quoted(GString *out, const GString *text)
{
    size_t column = 0;
    for (size_t i = 0; i < text->len; i++) {
        unsigned char c = (unsigned char)text->str[i];
        if (c == '\r' || c == '\n') {
            g_string_append_c(out, (char)c);
            column = 0;
            continue;
        }
        if (column > 68) {
            g_string_append(out, "=\r\n");
            column = 0;
        }
        g_string_append_printf(out, g_ascii_isalnum(c) ? "%c" : "=%02X", c);
        column += g_ascii_isalnum(c) ? 1 : 3;
    }
}

/* The part with its header. */
static void add_text_part(GString *out, const struct text_part *part, const char *type)
{
    g_autofree char *charset = charset_option(part->options);
    GString *bytes = convert(part->lines->str, (gssize)part->lines->len, charset);
    bool base64 = has_option(part->options, "base64");
    bool quoted = has_option(part->options, "quoted-printable");
    if (!has_option(part->options, "undeclared"))
        g_string_append_printf(out, "Content-Type: %s; charset=%s\r\n", type,
                               *charset ? charset : "utf-8");
    g_string_append_printf(out, "Content-Transfer-Encoding: %s\r\n\r\n",
                           base64   ? "base64"
                           : quoted ? "quoted-printable"
                                    : "8bit");
    if (base64)
        add_base64(out, (const guchar *)bytes->str, bytes->len);
    else if (quoted)
        add_quoted(out, bytes);
    else
        g_string_append_len(out, bytes->str, (gssize)bytes->len);
    g_string_free(bytes, TRUE);
}

/* --- lines --- */

/* The text behind "WORD (OPTIONS) "; the options are the caller's. */
static const char *take_options(const char *rest, char **options)
{
    const char *end = *rest == '(' ? strchr(rest, ')') : NULL;
    *options = end ? g_strndup(rest + 1, (gsize)(end - rest - 1)) : g_strdup("");
    if (!end)
        return rest;
    return end[1] == ' ' ? end + 2 : end + 1;
}

static void add_subject(struct case_message *message, const char *rest)
{
    g_autofree char *options = NULL;
    GString *text = case_unescape(take_options(rest, &options), NULL);
    g_autofree char *charset = charset_option(options);
    if (!*charset) {
        g_string_append_printf(message->header, "Subject: %s\r\n", text->str);
    } else {
        GString *bytes = convert(text->str, (gssize)text->len, charset);
        g_autofree char *encoded = g_base64_encode((const guchar *)bytes->str, bytes->len);
        g_string_append_printf(message->header, "Subject: =?%s?B?%s?=\r\n", charset, encoded);
        g_string_free(bytes, TRUE);
    }
    g_string_free(text, TRUE);
}

static void add_field(struct case_message *message, const char *rest)
{
    GString *text = case_unescape(rest, NULL);
    g_string_append_printf(message->header, "%s\r\n", text->str);
    g_string_free(text, TRUE);
}

static void add_text_line(struct text_part *part, const char *rest)
{
    char *options;
    GString *text = case_unescape(take_options(rest, &options), NULL);
    if (!part->lines)
        part->lines = g_string_new(NULL);
    if (*options || !part->options) {
        g_free(part->options);
        part->options = options;
    } else {
        g_free(options);
    }
    g_string_append_len(part->lines, text->str, (gssize)text->len);
    g_string_append(part->lines, "\r\n");
    g_string_free(text, TRUE);
}

static void add_body(struct case_message *message, const char *rest)
{
    add_text_line(&message->plain, rest);
}

static void add_html(struct case_message *message, const char *rest)
{
    add_text_line(&message->html, rest);
}

static void add_raw(struct case_message *message, const char *rest)
{
    GString *text = case_unescape(rest, NULL);
    if (!message->raw)
        message->raw = g_string_new(NULL);
    g_string_append_len(message->raw, text->str, (gssize)text->len);
    g_string_append(message->raw, "\r\n");
    g_string_free(text, TRUE);
}

static char *media_type(const char *options)
{
    g_auto(GStrv) words = g_strsplit(options, " ", -1);
    for (size_t i = 0; words[i]; i++)
        if (strchr(words[i], '/'))
            return g_strdup(words[i]);
    return g_strdup("application/octet-stream");
}

/* attach [(TYPE inline nameless)] NAME = CONTENT */
static void add_attachment(struct case_message *message, const char *rest)
{
    g_autofree char *options = NULL;
    const char *line = take_options(rest, &options), *equals = strstr(line, " = ");
    if (!equals)
        fail_msg("attach NAME = CONTENT: %s", line);
    g_autofree char *raw = g_strndup(line, (gsize)(equals - line));
    GString *name = case_unescape(raw, NULL);
    g_autofree char *escaped = g_uri_escape_string(name->str, NULL, FALSE);
    g_autofree char *type = media_type(options);
    GByteArray *content = case_content(equals + 3);
    GString *part = g_string_new(NULL);
    g_string_printf(part, "Content-Type: %s\r\nContent-Disposition: %s", type,
                    has_option(options, "inline") ? "inline" : "attachment");
    if (!has_option(options, "nameless"))
        g_string_append_printf(part, ";\r\n filename*=utf-8''%s", escaped);
    g_string_append(part, "\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    add_base64(part, content->data, content->len);
    g_ptr_array_add(message->attachments, part);
    g_byte_array_free(content, TRUE);
    g_string_free(name, TRUE);
}

bool case_message_line(struct case_message *message, const char *line)
{
    static const struct {
        const char *word;
        void (*add)(struct case_message *message, const char *rest);
    } lines[] = {
        {"subject", add_subject}, {"header", add_field},      {"body", add_body},
        {"html", add_html},       {"attach", add_attachment}, {"|", add_raw},
    };
    size_t length = strcspn(line, " ");
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        if (strlen(lines[i].word) != length || strncmp(line, lines[i].word, length) != 0)
            continue;
        lines[i].add(message, line[length] == ' ' ? line + length + 1 : line + length);
        return true;
    }
    return false;
}

/* --- the message --- */

static void add_texts(GString *out, const struct case_message *message)
{
    if (!message->html.lines) {
        add_text_part(out, &message->plain, "text/plain");
    } else if (!message->plain.lines) {
        add_text_part(out, &message->html, "text/html");
    } else {
        g_string_append(out, "Content-Type: multipart/alternative; boundary=inner\r\n\r\n");
        g_string_append(out, "--inner\r\n");
        add_text_part(out, &message->plain, "text/plain");
        g_string_append(out, "\r\n--inner\r\n");
        add_text_part(out, &message->html, "text/html");
        g_string_append(out, "\r\n--inner--\r\n");
    }
}

static bool has_field(const GString *header, const char *name)
{
    g_autofree char *line = g_strdup_printf("\n%s:", name);
    return g_ascii_strncasecmp(header->str, line + 1, strlen(line) - 1) == 0 ||
           strcasestr(header->str, line);
}

static void add_header(GString *out, const struct case_message *message)
{
    if (!has_field(message->header, "From"))
        g_string_append(out, "From: Sender <sender@partner.example>\r\n");
    if (!has_field(message->header, "To"))
        g_string_append(out, "To: <user@example.org>\r\n");
    g_string_append(out, message->header->str);
    g_string_append(out, "MIME-Version: 1.0\r\n");
}

GString *case_message_write(const struct case_message *message)
{
    GString *out = g_string_new(NULL);
    bool texts = message->plain.lines || message->html.lines;
    if (message->raw)
        return g_string_append_len(out, message->raw->str, (gssize)message->raw->len);
    add_header(out, message);
    if (message->attachments->len == 0) {
        if (texts)
            add_texts(out, message);
        else
            g_string_append(out, "\r\n");
        return out;
    }
    g_string_append(out, "Content-Type: multipart/mixed; boundary=outer\r\n\r\n");
    if (texts) {
        g_string_append(out, "--outer\r\n");
        add_texts(out, message);
        g_string_append(out, "\r\n");
    }
    for (guint i = 0; i < message->attachments->len; i++) {
        const GString *part = message->attachments->pdata[i];
        g_string_append(out, "--outer\r\n");
        g_string_append_len(out, part->str, (gssize)part->len);
        g_string_append(out, "\r\n");
    }
    g_string_append(out, "--outer--\r\n");
    return out;
}
