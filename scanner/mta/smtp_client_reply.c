#include "scanner/mta/smtp_client_reply.h"

#include "common/utf8.h"

#include <string.h>

#define REPLY_LINES 200

void smtp_reply_clear(struct smtp_reply *reply)
{
    reply->code = 0;
    reply->lines = 0;
    reply->length = 0;
    reply->text[0] = '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Length of "5.1.1 " at the start of the text, or 0. */
static size_t status_length(const char *text, size_t length)
{
    size_t at = 0;
    unsigned dots = 0;
    while (at < length && (is_digit(text[at]) || text[at] == '.'))
        dots += text[at++] == '.';
    return dots == 2 && at < length && text[at] == ' ' ? at + 1 : 0;
}

/* Later lines often repeat the enhanced status of the first. */
static size_t repeated_status(const struct smtp_reply *reply, const char *text, size_t length)
{
    size_t status = status_length(text, length);
    bool same =
        status > 0 && reply->length >= 4 + status && memcmp(reply->text + 4, text, status) == 0;
    return same ? status : 0;
}

static void append(struct smtp_reply *reply, const char *text, size_t length)
{
    size_t room = sizeof(reply->text) - 1 - reply->length;
    if (length > room)
        length = room;
    memcpy(reply->text + reply->length, text, length);
    reply->length += utf8_scrub(reply->text + reply->length, length);
    reply->text[reply->length] = '\0';
}

enum smtp_reply_state smtp_reply_add(struct smtp_reply *reply, const char *line, size_t length)
{
    if (length < 3 || line[0] < '2' || line[0] > '5' || !is_digit(line[1]) || !is_digit(line[2]))
        return SMTP_REPLY_MALFORMED;
    if (length > 3 && line[3] != ' ' && line[3] != '-')
        return SMTP_REPLY_MALFORMED;
    if (reply->lines++ >= REPLY_LINES)
        return SMTP_REPLY_MALFORMED;
    reply->code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    bool last = length == 3 || line[3] == ' ';
    size_t skip = length > 3 ? 4 : 3;
    if (reply->lines == 1)
        append(reply, line, 3);
    else
        memcpy(reply->text, line, 3); /* the last line's code counts */
    skip += repeated_status(reply, line + skip, length - skip);
    if (length > skip) {
        append(reply, " ", 1);
        append(reply, line + skip, length - skip);
    }
    return last ? SMTP_REPLY_COMPLETE : SMTP_REPLY_MORE;
}
