#include "scanner/mta/intake_plan.h"

#include "common/timestamp.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define HEADER_MOST (64u << 10) /* bytes of a header that is looked through for its trace */
#define DATE_SIZE 64

static void add_date(struct buffer *out)
{
    char date[DATE_SIZE];
    time_t now = timestamp_now_ms() / 1000;
    struct tm utc;
    if (gmtime_r(&now, &utc) &&
        strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &utc) > 0)
        buffer_add_format(out, "Date: %s\r\n", date);
}

/* The end of the header field that begins at `line`: behind its last continuation line. */
static const char *field_end(const char *line, const char *end)
{
    do {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        line = next ? next + 1 : end;
    } while (line < end && (*line == ' ' || *line == '\t'));
    return line;
}

/* The new message counts the hops of the one within it, or two hosts that forward to each other
 * would never end (RFC 5321 section 6.3). */
static void add_trace(struct buffer *out, const struct intake_body *body)
{
    char header[HEADER_MOST];
    size_t length = intake_body_start(body, header, sizeof(header));
    const char *line = header, *end = header + length;
    while (line < end && *line != '\r' && *line != '\n') {
        const char *next = field_end(line, end);
        if (next - line > 9 && strncasecmp(line, "Received:", 9) == 0 && next[-1] == '\n')
            buffer_add(out, line, (size_t)(next - line));
        line = next;
    }
}

/* Words that may not be ASCII, as RFC 2047 wants them in a header field: encoded in base64, whole
 * characters in each word. */
static void add_encoded(struct buffer *out, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    while (*text) {
        size_t length = 0;
        while (text[length] && (length < 39 || ((unsigned char)text[length] & 0xc0) == 0x80))
            length++;
        buffer_add_text(out, "\r\n =?UTF-8?B?");
        for (size_t i = 0; i < length; i += 3) {
            unsigned char a = (unsigned char)text[i];
            unsigned char b = i + 1 < length ? (unsigned char)text[i + 1] : 0;
            unsigned char c = i + 2 < length ? (unsigned char)text[i + 2] : 0;
            char group[] = {digits[a >> 2], digits[(a & 3) << 4 | b >> 4],
                            i + 1 < length ? digits[(b & 15) << 2 | c >> 6] : '=',
                            i + 2 < length ? digits[c & 63] : '='};
            buffer_add(out, group, sizeof(group));
        }
        buffer_add_text(out, "?=");
        text += length;
    }
}

static void add_head(struct buffer *out, const struct intake_plan *plan,
                     const struct intake_message *message, const struct intake_further *further,
                     const char *boundary)
{
    const char *host = message->config->config->host_name;
    char id[MESSAGE_ID_TEXT_SIZE];
    buffer_add_format(out, "From: Gatehouse <postmaster@%s>\r\nTo: <%s>\r\n", host,
                      further->action->address);
    buffer_add_text(out, "Subject: Fwd:");
    add_encoded(out, intake_plan_text(plan, "subject"));
    buffer_add_text(out, "\r\n");
    add_date(out);
    buffer_add_format(out,
                      "Message-ID: <%s@%s>\r\nAuto-Submitted: auto-generated\r\n"
                      "MIME-Version: 1.0\r\n"
                      "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n",
                      message_id_text(&further->draft.id, id), host, boundary);
}

static void add_words(struct buffer *out, const struct intake_message *message,
                      const struct intake_unit *unit, const char *boundary)
{
    buffer_add_format(out,
                      "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                      "Content-Transfer-Encoding: 8bit\r\n\r\n"
                      "The message that is attached met the content filter \"%s\".\r\n\r\n"
                      "Sender: <%s>\r\n",
                      boundary, unit->outcome->name ? unit->outcome->name : "", message->sender);
    for (size_t i = 0; i < unit->recipient_count && i < 100; i++)
        buffer_add_format(out, "Recipient: <%s>\r\n",
                          message->recipients[unit->recipients[i]].address);
    buffer_add_format(out,
                      "\r\n--%s\r\nContent-Type: message/rfc822\r\n"
                      "Content-Disposition: attachment\r\n\r\n",
                      boundary);
}

bool intake_forward_write(const struct intake_plan *plan, const struct intake_message *message,
                          const struct intake_unit *unit, struct intake_further *further,
                          struct error *error)
{
    struct buffer before = BUFFER_INIT;
    char boundary[MESSAGE_ID_TEXT_SIZE + 16], id[MESSAGE_ID_TEXT_SIZE],
        behind[sizeof(boundary) + 16];
    const struct intake_body *body = intake_plan_body(plan, unit);
    snprintf(boundary, sizeof(boundary), "forward-%s", message_id_text(&further->draft.id, id));
    snprintf(behind, sizeof(behind), "\r\n--%s--\r\n", boundary);
    add_trace(&before, body);
    add_head(&before, plan, message, further, boundary);
    add_words(&before, message, unit, boundary);
    further->draft.flags |= QUEUE_FLAG_8BITMIME;
    bool good = intake_body_copy(message->queue, body, &before, behind, &further->draft, error);
    buffer_free(&before);
    return good;
}
