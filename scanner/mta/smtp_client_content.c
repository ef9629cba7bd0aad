#include "scanner/mta/smtp_client_content.h"

#include <string.h>

/* Part of a line without its end. */
static void add_part(struct smtp_content *content, const char *part, size_t length,
                     struct buffer *out)
{
    if (length == 0)
        return;
    if (!content->in_line && part[0] == '.' && !content->chunked)
        buffer_add(out, ".", 1);
    content->in_line = true;
    for (;;) {
        const char *stray = memchr(part, '\r', length);
        size_t before = stray ? (size_t)(stray - part) : length;
        buffer_add(out, part, before);
        if (!stray)
            return;
        buffer_add(out, " ", 1);
        part += before + 1;
        length -= before + 1;
    }
}

static void add_line_end(struct smtp_content *content, struct buffer *out)
{
    buffer_add(out, "\r\n", 2);
    content->in_line = false;
}

bool smtp_content_add(struct smtp_content *content, const char *data, size_t length,
                      struct buffer *out)
{
    const char *end = data + length;
    while (data < end) {
        const char *line_feed = memchr(data, '\n', (size_t)(end - data));
        size_t part = (size_t)((line_feed ? line_feed : end) - data);
        if (content->held_cr && part > 0)
            add_part(content, "\r", 1, out);
        if (part > 0)
            content->held_cr = data[part - 1] == '\r';
        add_part(content, data, part - (part > 0 && content->held_cr), out);
        data += part;
        if (line_feed) {
            add_line_end(content, out);
            content->held_cr = false;
            data++;
        }
    }
    return !out->failed;
}

bool smtp_content_end(struct smtp_content *content, struct buffer *out)
{
    if (content->in_line || content->held_cr)
        add_line_end(content, out);
    content->held_cr = false;
    return content->chunked ? !out->failed : buffer_add_text(out, ".\r\n");
}
