/* The lines of a message's content: its end, stuffed dots, and what must not be in it. */
#include "scanner/mta/smtp_receive.h"

#include <string.h>
#include <strings.h>

static const char received_field[] = "Received:";

static void set_fault(struct smtp_receive *receive, enum smtp_receive_fault fault)
{
    if (receive->fault == SMTP_RECEIVE_FINE)
        receive->fault = fault;
}

static void keep_line_head(struct smtp_receive *receive, const char *data, size_t length)
{
    size_t room = sizeof(receive->line_head) - receive->line_length;
    memcpy(receive->line_head + receive->line_length, data, length < room ? length : room);
}

/* Looks at bytes of one line, without CR and LF. */
static void check_text(struct smtp_receive *receive, const char *data, size_t length)
{
    if (receive->in_header && receive->line_length < sizeof(receive->line_head))
        keep_line_head(receive, data, length);
    receive->line_length += length;
    if (receive->line_length > SMTP_RECEIVE_LINE_LIMIT)
        set_fault(receive, SMTP_RECEIVE_LONG_LINE);
    if (memchr(data, '\0', length))
        set_fault(receive, SMTP_RECEIVE_NUL);
}

static void count_hop(struct smtp_receive *receive)
{
    size_t name = sizeof(received_field) - 1;
    if (receive->line_length < name || strncasecmp(receive->line_head, received_field, name) != 0)
        return;
    if (++receive->hops > SMTP_RECEIVE_HOPS)
        set_fault(receive, SMTP_RECEIVE_LOOP);
}

static void end_line(struct smtp_receive *receive)
{
    if (receive->in_header && receive->line_length == 0)
        smtp_receive_end_header(receive);
    else if (receive->in_header)
        count_hop(receive);
    receive->line_length = 0;
    receive->place = SMTP_RECEIVE_LINE_START;
}

/* After a CR: only LF may follow. Returns the bytes used. */
static size_t after_cr(struct smtp_receive *receive, char next)
{
    if (next == '\n') {
        smtp_receive_store(receive, "\r\n", 2);
        end_line(receive);
        return 1;
    }
    set_fault(receive, SMTP_RECEIVE_BARE_CR);
    receive->place = SMTP_RECEIVE_IN_LINE;
    return 0;
}

static size_t in_line(struct smtp_receive *receive, const char *data, size_t length)
{
    /* Nearly every line ends in CRLF, so the LF is looked for first and the CR in that line alone.
     */
    const char *lf = memchr(data, '\n', length);
    size_t line = lf ? (size_t)(lf - data) : length;
    const char *cr = memchr(data, '\r', line);
    size_t text = cr ? (size_t)(cr - data) : line;
    check_text(receive, data, text);
    if (cr && cr + 1 == lf) {
        smtp_receive_store(receive, data, text + 2);
        end_line(receive);
        return text + 2;
    }
    smtp_receive_store(receive, data, text);
    receive->place = cr ? SMTP_RECEIVE_CR : SMTP_RECEIVE_IN_LINE;
    if (lf && !cr)
        set_fault(receive, SMTP_RECEIVE_BARE_LF);
    return cr || lf ? text + 1 : text;
}

/* A dot begins the line: it is the end's, or was put before the line's own text (RFC 5321 section
 * 4.5.2) and is left out. */
static size_t after_dot_cr(struct smtp_receive *receive, char next, bool *ended)
{
    if (next == '\n') {
        *ended = true;
        receive->place = SMTP_RECEIVE_LINE_START;
        return 1;
    }
    set_fault(receive, SMTP_RECEIVE_BARE_CR);
    receive->place = SMTP_RECEIVE_IN_LINE;
    return 0;
}

static size_t step(struct smtp_receive *receive, const char *data, size_t length, bool *ended)
{
    switch (receive->place) {
    case SMTP_RECEIVE_LINE_START:
        if (receive->dotted && data[0] == '.') {
            receive->place = SMTP_RECEIVE_DOT;
            return 1;
        }
        return in_line(receive, data, length);
    case SMTP_RECEIVE_DOT:
        if (data[0] == '\r') {
            receive->place = SMTP_RECEIVE_DOT_CR;
            return 1;
        }
        return in_line(receive, data, length);
    case SMTP_RECEIVE_DOT_CR:
        return after_dot_cr(receive, data[0], ended);
    case SMTP_RECEIVE_CR:
        return after_cr(receive, data[0]);
    case SMTP_RECEIVE_IN_LINE:
        break;
    }
    return in_line(receive, data, length);
}

size_t smtp_receive_data(struct smtp_receive *receive, const char *data, size_t length, bool *ended)
{
    size_t used = 0;
    *ended = false;
    while (used < length && !*ended)
        used += step(receive, data + used, length - used, ended);
    return used;
}

void smtp_receive_finish(struct smtp_receive *receive)
{
    if (receive->place == SMTP_RECEIVE_CR)
        set_fault(receive, SMTP_RECEIVE_BARE_CR);
    if (receive->place != SMTP_RECEIVE_LINE_START)
        smtp_receive_store(receive, "\r\n", 2);
    if (receive->in_header)
        smtp_receive_end_header(receive);
    smtp_receive_flush(receive);
}

const char *smtp_receive_reply(enum smtp_receive_fault fault)
{
    switch (fault) {
    case SMTP_RECEIVE_BARE_LF:
        return "550 5.6.11 the message has a line feed without a carriage return before it";
    case SMTP_RECEIVE_BARE_CR:
        return "550 5.6.11 the message has a carriage return without a line feed after it";
    case SMTP_RECEIVE_NUL:
        return "550 5.6.0 the message has a NUL byte";
    case SMTP_RECEIVE_LONG_LINE:
        return "550 5.6.0 the message has a line of more than 65536 bytes";
    case SMTP_RECEIVE_TOO_LARGE:
        return "552 5.3.4 the message is larger than this server takes";
    case SMTP_RECEIVE_LOOP:
        return "554 5.4.6 the message has more than 50 Received fields: mail loop";
    case SMTP_RECEIVE_LARGE_HEADER:
        return "552 5.3.4 the header of the message is larger than 1 MiB";
    case SMTP_RECEIVE_NO_SPACE:
        return "452 4.3.1 the storage for messages is full";
    case SMTP_RECEIVE_FINE:
    case SMTP_RECEIVE_NO_STORAGE:
        break;
    }
    return "451 4.3.0 the message cannot be stored at this time";
}
