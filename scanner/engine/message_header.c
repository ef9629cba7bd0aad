#include "scanner/engine/message_header.h"

#include "scanner/engine/message.h"

#include <string.h>
#include <strings.h>

static const char *const names[HEADER_COUNT] = {
    [HEADER_SUBJECT] = "Subject",
    [HEADER_FROM] = "From",
    [HEADER_MESSAGE_ID] = "Message-ID",
    [HEADER_CONTENT_TYPE] = "Content-Type",
    [HEADER_CONTENT_DISPOSITION] = "Content-Disposition",
    [HEADER_CONTENT_TRANSFER_ENCODING] = "Content-Transfer-Encoding",
};

static const char *line_end(const char *at, const char *end)
{
    const char *feed = memchr(at, '\n', (size_t)(end - at));
    return feed ? feed + 1 : end;
}

static bool is_empty_line(const char *line, const char *next)
{
    return *line == '\n' || (*line == '\r' && next - line == 2 && line[1] == '\n');
}

/* The end of a field: its line and those that continue it (RFC 5322 section 2.2.3). */
static const char *field_end(const char *field, const char *end)
{
    const char *at = line_end(field, end);
    while (at < end && (*at == ' ' || *at == '\t'))
        at = line_end(at, end);
    return at;
}

static void take_field(const char *field, const char *end, struct message_header *header)
{
    const char *colon = memchr(field, ':', (size_t)(end - field));
    if (!colon)
        return;
    size_t length = (size_t)(colon - field);
    while (length > 0 && (field[length - 1] == ' ' || field[length - 1] == '\t'))
        length--; /* obsolete syntax, RFC 5322 section 4.5 */
    for (size_t i = 0; i < HEADER_COUNT; i++) {
        struct header_field *known = &header->fields[i];
        if (known->value || strlen(names[i]) != length || strncasecmp(field, names[i], length) != 0)
            continue;
        known->value = colon + 1;
        known->length = (size_t)(end - colon - 1);
    }
}

void message_header_read(const char *data, size_t length, struct message_header *header)
{
    const char *end = data + length, *at = data;
    *header = (struct message_header){.length = length};
    while (at < end) {
        const char *next = line_end(at, end);
        if (is_empty_line(at, next)) {
            header->length = (size_t)(next - data);
            return;
        }
        next = field_end(at, end);
        if ((size_t)(next - data) > MESSAGE_HEADER_LIMIT)
            header->cut = true; /* goes on only to find where the body begins */
        else
            take_field(at, next, header);
        at = next;
    }
}
