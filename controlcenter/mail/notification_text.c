#include "controlcenter/mail/notification_text.h"

#include "common/timestamp.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 57 /* of base64: 76 characters (RFC 2045 section 6.8) */
#define WORD_BYTES 42 /* of an encoded word: 75 characters with its ends (RFC 2047 section 2) */
#define SECRET_BYTES 12

const char *const notification_names[] = {
    "subject",  "sender",    "recipients", "from",       "received", "size",
    "verdict",  "direction", "host",       "message_id", "filter",   "matches",
    "incident", "folder",    "mailed_to",  NULL,
};

/* --- names --- */

static bool is_action(const char *action)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(action);
    return length > 0 && length <= 64 && strspn(action, allowed) == length;
}

bool notification_link_name(const char *name, struct notification_link *link)
{
    static const char mailed[] = "link_", console[] = "console_";
    if (strncmp(name, mailed, strlen(mailed)) == 0)
        *link = (struct notification_link){false, name + strlen(mailed)};
    else if (strncmp(name, console, strlen(console)) == 0)
        *link = (struct notification_link){true, name + strlen(console)};
    else
        return false;
    return is_action(link->action);
}

static bool is_known(const char *name)
{
    struct notification_link link;
    for (size_t i = 0; notification_names[i]; i++)
        if (strcmp(name, notification_names[i]) == 0)
            return true;
    return notification_link_name(name, &link);
}

/* --- walking a template --- */

static int line_of(const char *text, const char *at)
{
    int line = 1;
    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

/* Finds the next {{NAME}} from `*at` on: its name, and `*at` behind it; *before is where it begins.
 * False with ERROR_NONE at the end. */
static bool next_name(const char *text, const char **at, const char **before,
                      char name[NOTIFICATION_NAME_SIZE], const char *where, struct error *error)
{
    const char *begin = strstr(*at, "{{");
    if (!begin)
        return false;
    const char *end = strstr(begin + 2, "}}");
    if (!end)
        return error_set(error, ERROR_INVALID, where, "line %d: \"{{\" is not closed",
                         line_of(text, begin));
    size_t length = (size_t)(end - begin) - 2;
    const char *from = begin + 2;
    while (length > 0 && *from == ' ')
        from++, length--;
    while (length > 0 && from[length - 1] == ' ')
        length--;
    if (length >= NOTIFICATION_NAME_SIZE)
        return error_set(error, ERROR_INVALID, where, "line %d: there is no such value",
                         line_of(text, begin));
    memcpy(name, from, length);
    name[length] = 0;
    *before = begin;
    *at = end + 2;
    return true;
}

/* The different links with authority of a text. */
struct links {
    char names[NOTIFICATION_TEXT_LINKS][NOTIFICATION_NAME_SIZE];
    size_t count;
};

/* False where there are too many. */
static bool count_link(struct links *links, const char *name)
{
    struct notification_link link;
    if (!notification_link_name(name, &link) || link.needs_sign_in)
        return true;
    for (size_t i = 0; i < links->count; i++)
        if (strcmp(links->names[i], name) == 0)
            return true;
    if (links->count == NOTIFICATION_TEXT_LINKS)
        return false;
    snprintf(links->names[links->count++], NOTIFICATION_NAME_SIZE, "%s", name);
    return true;
}

bool notification_check(const char *text, const char *where, struct error *error)
{
    const char *at = text, *before;
    char name[NOTIFICATION_NAME_SIZE];
    struct error problem = {0};
    struct links links = {.count = 0};
    while (next_name(text, &at, &before, name, where, &problem)) {
        if (!is_known(name))
            return error_set(error, ERROR_INVALID, where, "line %d: there is no value \"%s\"",
                             line_of(text, before), name);
        if (!count_link(&links, name))
            return error_set(error, ERROR_INVALID, where, "line %d: there are over %d links",
                             line_of(text, before), NOTIFICATION_TEXT_LINKS);
    }
    if (problem.code != ERROR_NONE)
        *error = problem;
    return problem.code == ERROR_NONE;
}

static bool add_escaped(struct buffer *out, const struct buffer *value)
{
    const char *text = buffer_text(value);
    for (; *text; text++) {
        switch (*text) {
        case '&':
            buffer_add_text(out, "&amp;");
            break;
        case '<':
            buffer_add_text(out, "&lt;");
            break;
        case '>':
            buffer_add_text(out, "&gt;");
            break;
        case '"':
            buffer_add_text(out, "&quot;");
            break;
        case '\'':
            buffer_add_text(out, "&#39;");
            break;
        case '\n':
            buffer_add_text(out, "<br>\n");
            break;
        default:
            buffer_add(out, text, 1);
        }
    }
    return !out->failed;
}

static bool add_value(const char *name, bool html, notification_value value, void *argument,
                      struct buffer *out, struct error *error)
{
    struct buffer text = BUFFER_INIT;
    bool made = value(argument, name, &text, error);
    bool fits = html ? add_escaped(out, &text) : buffer_add(out, text.data, text.length);
    buffer_free(&text);
    return made && (fits || error_set(error, ERROR_LIMIT, NULL, "the notification is too long"));
}

bool notification_render(const char *text, bool html, notification_value value, void *argument,
                         struct buffer *out, struct error *error)
{
    const char *at = text, *copied = text, *before;
    char name[NOTIFICATION_NAME_SIZE];
    struct error problem = {0};
    while (next_name(text, &at, &before, name, NULL, &problem)) {
        buffer_add(out, copied, (size_t)(before - copied));
        if (!add_value(name, html, value, argument, out, error))
            return false;
        copied = at;
    }
    if (problem.code != ERROR_NONE) {
        *error = problem;
        return false;
    }
    return buffer_add_text(out, copied) ||
           error_set(error, ERROR_LIMIT, NULL, "the notification is too long");
}

/* --- the message --- */

static void add_base64(struct buffer *out, const char *data, size_t length)
{
    char line[sodium_base64_ENCODED_LEN(LINE_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    for (size_t i = 0; i < length; i += LINE_BYTES) {
        size_t part = length - i < LINE_BYTES ? length - i : LINE_BYTES;
        sodium_bin2base64(line, sizeof(line), (const unsigned char *)data + i, part,
                          sodium_base64_VARIANT_ORIGINAL);
        buffer_add_format(out, "%s\r\n", line);
    }
}

static bool is_plain(const char *text)
{
    size_t length = 0;
    for (; *text; text++, length++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e || length > 60 ||
            (text[0] == '=' && text[1] == '?'))
            return false;
    return true;
}

/* A field's value as encoded words, none of which ends within a character. */
static void add_words(struct buffer *out, const char *text)
{
    char word[sodium_base64_ENCODED_LEN(WORD_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    const char *between = "";
    if (is_plain(text)) {
        buffer_add_text(out, text);
        return;
    }
    for (size_t length = strlen(text); length > 0;) {
        size_t part = length < WORD_BYTES ? length : WORD_BYTES;
        while (part < length && part > 1 && ((unsigned char)text[part] & 0xc0) == 0x80)
            part--;
        sodium_bin2base64(word, sizeof(word), (const unsigned char *)text, part,
                          sodium_base64_VARIANT_ORIGINAL);
        buffer_add_format(out, "%s=?UTF-8?B?%s?=", between, word);
        between = "\r\n ";
        text += part;
        length -= part;
    }
}

/* Lines end in CRLF also before the encoding (RFC 2046 section 4.1.1). */
static void add_text_part(struct buffer *out, const char *type, const char *text)
{
    struct buffer lines = BUFFER_INIT;
    for (; *text; text++) {
        if (*text == '\r')
            continue;
        if (*text == '\n')
            buffer_add(&lines, "\r", 1);
        buffer_add(&lines, text, 1);
    }
    buffer_add_format(out,
                      "Content-Type: %s; charset=utf-8\r\n"
                      "Content-Transfer-Encoding: base64\r\n\r\n",
                      type);
    add_base64(out, lines.data, lines.length);
    out->failed |= lines.failed;
    buffer_free(&lines);
}

static void add_one_line(struct buffer *line, const char *text)
{
    for (; *text; text++)
        buffer_add(line, (unsigned char)*text < 0x20 ? " " : text, 1);
}

static void add_head(const struct notification_mail *mail, struct buffer *out)
{
    char date[TIMESTAMP_TEXT_SIZE];
    struct buffer subject = BUFFER_INIT;
    add_one_line(&subject, mail->subject);
    buffer_add_format(out, "From: %s\r\nTo: <%s>\r\nSubject: ", mail->from, mail->to);
    add_words(out, buffer_text(&subject));
    buffer_free(&subject);
    buffer_add_format(out,
                      "\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n"
                      "Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n"
                      "MIME-Version: 1.0\r\n",
                      timestamp_rfc5322(timestamp_now_ms(), date), mail->mark, mail->host);
}

bool notification_write(const struct notification_mail *mail, struct buffer *out)
{
    unsigned char random[SECRET_BYTES];
    char secret[2 * SECRET_BYTES + 1];
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(secret, sizeof(secret), random, sizeof(random));
    add_head(mail, out);
    if (!*mail->html) {
        add_text_part(out, "text/plain", mail->text);
        return !out->failed;
    }
    buffer_add_format(out,
                      "Content-Type: multipart/alternative; boundary=\"edge-%s\"\r\n\r\n"
                      "--edge-%s\r\n",
                      secret, secret);
    add_text_part(out, "text/plain", mail->text);
    buffer_add_format(out, "--edge-%s\r\n", secret);
    add_text_part(out, "text/html", mail->html);
    buffer_add_format(out, "--edge-%s--\r\n", secret);
    return !out->failed;
}
