#include "scanner/mta/bounce.h"

#include "common/timestamp.h"
#include "common/utf8.h"

#include <stdio.h>
#include <string.h>

#define BOUNDARY_SIZE 64
#define VALUE_LIMIT 1500 /* bytes of one value from outside */
#define FOLD_AT 72
#define FOLD_HARD 500 /* a word without spaces */

struct kind_text {
    const char *subject, *action;
    const char *opening;
};

static const struct kind_text kinds[] = {
    [BOUNCE_FAILED] = {"Your message was not delivered", "failed",
                       "Your message could not be delivered to the recipients below.\r\n"
                       "It will not be tried again."},
    [BOUNCE_DELAYED] = {"Your message is delayed", "delayed",
                        "Your message could not be delivered yet to the recipients below.\r\n"
                        "You need not send it again: it is still being tried."},
    [BOUNCE_RELAYED] = {"Your message was passed on", "relayed",
                        "Your message was passed on for the recipients below to a server\r\n"
                        "that does not confirm deliveries. You may hear nothing further."},
};

/* --- text from outside --- */

/* One line of text: UTF-8 without control characters, and ASCII where `utf8` is false. */
static size_t clean(char *to, size_t size, const char *from, bool utf8)
{
    size_t length = strnlen(from, size - 1);
    memcpy(to, from, length);
    length = utf8_scrub(to, length);
    for (size_t i = 0; i < length && !utf8; i++)
        if ((unsigned char)to[i] >= 0x80)
            to[i] = '?';
    to[length] = '\0';
    return length;
}

/* The longest piece of `text` for one line: up to a space near FOLD_AT, else a whole character. */
static size_t line_piece(const char *text, size_t length, size_t column)
{
    size_t room = column < FOLD_AT ? FOLD_AT - column : 1, space = 0;
    for (size_t i = 1; i < length && i < FOLD_HARD; i++) {
        if (text[i] == ' ' && (space == 0 || i <= room))
            space = i;
        if (i > room && space > 0)
            return space;
    }
    if (length < FOLD_HARD)
        return length;
    size_t cut = FOLD_HARD;
    while (cut > 1 && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--;
    return cut;
}

/* Adds `text` so that lines stay short; further ones begin with `indent`. */
static void add_folded(struct buffer *out, const char *text, size_t length, size_t column,
                       const char *indent)
{
    while (length > 0) {
        size_t piece = column + length <= FOLD_AT ? length : line_piece(text, length, column);
        buffer_add(out, text, piece);
        text += piece;
        length -= piece;
        while (length > 0 && *text == ' ') {
            text++;
            length--;
        }
        if (length > 0)
            buffer_add_format(out, "\r\n%s", indent);
        column = strlen(indent);
    }
    buffer_add_text(out, "\r\n");
}

static void add_field(struct buffer *out, const char *name, const char *type, const char *value,
                      bool utf8)
{
    char text[VALUE_LIMIT];
    size_t length = clean(text, sizeof(text), value, utf8);
    buffer_add_format(out, "%s: %s%s", name, type, *type ? "; " : "");
    add_folded(out, text, length, strlen(name) + strlen(type) + 4, " ");
}

static void add_time(struct buffer *out, const char *name, int64_t when)
{
    char text[TIMESTAMP_TEXT_SIZE];
    buffer_add_format(out, "%s: %s\r\n", name, timestamp_rfc5322(when, text));
}

/* --- addresses in the part for programs --- */

static unsigned code_point(const char *text, size_t length)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned point = (unsigned char)text[0] & masks[length];
    for (size_t i = 1; i < length; i++)
        point = point << 6 | ((unsigned char)text[i] & 0x3f);
    return point;
}

/* utf-8-addr-xtext of RFC 6533 section 3. */
static void add_escaped_address(struct buffer *out, const char *address)
{
    size_t length = strlen(address);
    for (size_t at = 0; at < length;) {
        size_t step = utf8_sequence(address + at, length - at);
        if (step == 0) /* cannot be: the address was cleaned */
            return;
        if (step > 1 || strchr("\\+=", address[at]))
            buffer_add_format(out, "\\x{%X}", code_point(address + at, step));
        else
            buffer_add(out, address + at, 1);
        at += step;
    }
}

static void add_address(struct buffer *out, const char *name, const char *address, bool utf8)
{
    char text[VALUE_LIMIT];
    bool ascii = utf8_is_ascii(text, clean(text, sizeof(text), address, true));
    if (ascii || utf8) {
        add_field(out, name, ascii ? "rfc822" : "utf-8", text, utf8);
        return;
    }
    buffer_add_format(out, "%s: utf-8; ", name);
    add_escaped_address(out, text);
    buffer_add_text(out, "\r\n");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 3461 section 4: "+41" is "A". */
static void decode_xtext(char *to, size_t size, const char *from)
{
    size_t length = 0;
    while (*from && length + 1 < size) {
        int high = *from == '+' ? hex_value(from[1]) : -1;
        int low = high >= 0 ? hex_value(from[2]) : -1;
        bool escaped = low >= 0 && (high | low) != 0;
        to[length++] = escaped ? (char)(high << 4 | low) : *from;
        from += escaped ? 3 : 1;
    }
    to[length] = '\0';
}

/* Whether `text` is "type;..." with an address type as RFC 3461 has it. */
static bool has_type(const char *text, size_t *length)
{
    size_t at = 0;
    while (is_digit(text[at]) || (text[at] >= 'A' && text[at] <= 'Z') ||
           (text[at] >= 'a' && text[at] <= 'z') || text[at] == '-')
        at++;
    *length = at;
    return at > 0 && at < 32 && text[at] == ';';
}

static void add_original(struct buffer *out, const char *original, bool utf8)
{
    char type[32], address[VALUE_LIMIT];
    size_t length;
    if (!original || !has_type(original, &length))
        return;
    memcpy(type, original, length);
    type[length] = '\0';
    decode_xtext(address, sizeof(address), original + length + 1);
    add_field(out, "Original-Recipient", type, address, utf8);
}

/* --- status --- */

/* One to `most` digits at *at, after which `end` (or the end of the text) stands. */
static bool skip_number(const char **at, int most, char end)
{
    int digits = 0;
    while (is_digit((*at)[digits]) && digits < most)
        digits++;
    *at += digits;
    if (digits == 0 || (**at != end && !(end == ' ' && **at == '\0')))
        return false;
    *at += **at != '\0';
    return true;
}

/* "5.1.1" of "550 5.1.1 text", else the class of the reply alone. */
static void add_status(const struct bounce_report *report, const char *reply, struct buffer *out)
{
    static const char class_of[] = {
        [BOUNCE_FAILED] = '5', [BOUNCE_DELAYED] = '4', [BOUNCE_RELAYED] = '2'};
    const char *at = reply, *status;
    bool whole = skip_number(&at, 3, ' ');
    status = at;
    whole = whole && skip_number(&at, 1, '.') && skip_number(&at, 3, '.');
    whole = whole && skip_number(&at, 3, ' ');
    if (whole && report->kind != BOUNCE_RELAYED)
        buffer_add_format(out, "Status: %.*s\r\n", (int)strcspn(status, " "), status);
    else
        buffer_add_format(out, "Status: %c.0.0\r\n",
                          report->kind != BOUNCE_RELAYED && (*reply == '4' || *reply == '5')
                              ? *reply
                              : class_of[report->kind]);
}

/* --- parts --- */

static void add_header(const struct bounce_report *report, const char *boundary, struct buffer *out)
{
    char id[MESSAGE_ID_TEXT_SIZE], to[VALUE_LIMIT];
    clean(to, sizeof(to), report->to, report->utf8);
    buffer_add_format(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n",
                      report->reporting_host);
    buffer_add_format(out, "To: <%s>\r\n", to);
    buffer_add_format(out, "Subject: %s\r\n", kinds[report->kind].subject);
    add_time(out, "Date", report->now);
    buffer_add_format(out, "Message-ID: <%s@%s>\r\n", message_id_text(&report->id, id),
                      report->reporting_host);
    buffer_add_text(out, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
    buffer_add_format(out,
                      "Content-Type: multipart/report; report-type=%sdelivery-status;\r\n"
                      " boundary=\"%s\"\r\n\r\n",
                      report->utf8 ? "global-" : "", boundary);
}

static void begin_part(struct buffer *out, const char *boundary, const char *description,
                       const char *type, bool eight_bit)
{
    buffer_add_format(out,
                      "--%s\r\nContent-Description: %s\r\nContent-Type: %s\r\n"
                      "Content-Transfer-Encoding: %s\r\n\r\n",
                      boundary, description, type, eight_bit ? "8bit" : "7bit");
}

static void add_recipient_for_people(const struct bounce_report *report,
                                     const struct bounce_recipient *recipient, struct buffer *out)
{
    char text[VALUE_LIMIT];
    clean(text, sizeof(text), recipient->address, report->utf8);
    buffer_add_format(out, "\r\n<%s>\r\n", text);
    if (recipient->host) {
        clean(text, sizeof(text), recipient->host, report->utf8);
        buffer_add_format(out, "    %s answered:\r\n", text);
    }
    size_t length = clean(text, sizeof(text), recipient->reply, report->utf8);
    buffer_add_text(out, "    ");
    add_folded(out, text, length, 4, "    ");
}

static void add_part_for_people(const struct bounce_report *report, const char *boundary,
                                struct buffer *out)
{
    char time[TIMESTAMP_TEXT_SIZE];
    begin_part(out, boundary, "Notification",
               report->utf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii",
               report->utf8);
    buffer_add_format(out, "This is the mail system of %s.\r\n\r\n%s\r\n", report->reporting_host,
                      kinds[report->kind].opening);
    if (report->kind == BOUNCE_DELAYED)
        buffer_add_format(out, "It is given up at %s.\r\n",
                          timestamp_rfc5322(report->tried_until, time));
    for (size_t i = 0; i < report->recipient_count; i++)
        add_recipient_for_people(report, &report->recipients[i], out);
    buffer_add_text(out, "\r\n");
}

static void add_recipient_for_programs(const struct bounce_report *report,
                                       const struct bounce_recipient *recipient, struct buffer *out)
{
    buffer_add_text(out, "\r\n");
    add_original(out, recipient->original, report->utf8);
    add_address(out, "Final-Recipient", recipient->address, report->utf8);
    buffer_add_format(out, "Action: %s\r\n", kinds[report->kind].action);
    add_status(report, recipient->reply, out);
    if (recipient->host)
        add_field(out, "Remote-MTA", "dns", recipient->host, report->utf8);
    add_field(out, "Diagnostic-Code", recipient->own_reason ? "x-gatehouse" : "smtp",
              recipient->reply, report->utf8);
    add_time(out, "Last-Attempt-Date", recipient->attempted_at);
    if (report->kind == BOUNCE_DELAYED)
        add_time(out, "Will-Retry-Until", report->tried_until);
}

static void add_part_for_programs(const struct bounce_report *report, const char *boundary,
                                  struct buffer *out)
{
    char envelope_id[VALUE_LIMIT];
    begin_part(out, boundary, "Delivery report",
               report->utf8 ? "message/global-delivery-status" : "message/delivery-status",
               report->utf8);
    buffer_add_format(out, "Reporting-MTA: dns; %s\r\n", report->reporting_host);
    if (report->envelope_id) {
        decode_xtext(envelope_id, sizeof(envelope_id), report->envelope_id);
        add_field(out, "Original-Envelope-Id", "", envelope_id, report->utf8);
    }
    add_time(out, "Arrival-Date", report->arrived_at);
    for (size_t i = 0; i < report->recipient_count; i++)
        add_recipient_for_programs(report, &report->recipients[i], out);
    buffer_add_text(out, "\r\n");
}

/* The content with CRLF line ends and without NUL, which no part of a message may hold. */
static void add_content(const char *data, size_t length, struct buffer *out)
{
    const char *end = data + length;
    while (data < end) {
        const char *line_feed = memchr(data, '\n', (size_t)(end - data));
        size_t line = (size_t)((line_feed ? line_feed : end) - data);
        size_t kept = line > 0 && data[line - 1] == '\r' ? line - 1 : line;
        while (kept > 0) {
            size_t part = strnlen(data, kept);
            buffer_add(out, data, part);
            if (part < kept)
                buffer_add(out, "?", 1);
            part += part < kept;
            data += part;
            kept -= part;
            line -= part;
        }
        buffer_add_text(out, "\r\n");
        data += line + (line_feed != NULL);
    }
}

static void add_part_with_content(const struct bounce_report *report, const char *boundary,
                                  struct buffer *out)
{
    const char *type = report->content_whole ? "message/rfc822" : "text/rfc822-headers";
    if (report->utf8)
        type = report->content_whole ? "message/global" : "message/global-headers";
    begin_part(out, boundary, report->content_whole ? "Your message" : "Header of your message",
               type, !utf8_is_ascii(report->content, report->content_length));
    add_content(report->content, report->content_length, out);
}

bool bounce_write(const struct bounce_report *report, struct buffer *out)
{
    char boundary[BOUNDARY_SIZE], id[MESSAGE_ID_TEXT_SIZE];
    /* The content was there before the identifier, so that it cannot hold it. */
    snprintf(boundary, sizeof(boundary), "=_%s", message_id_text(&report->id, id));
    add_header(report, boundary, out);
    add_part_for_people(report, boundary, out);
    add_part_for_programs(report, boundary, out);
    add_part_with_content(report, boundary, out);
    buffer_add_format(out, "\r\n--%s--\r\n", boundary);
    return !out->failed;
}
