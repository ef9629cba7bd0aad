/* The content of a message as SMTP carries it (RFC 5321 sections 2.3.8 and 4.5.2): lines end in
 * CRLF and nothing else, and a dot at the start of a line is doubled. A lone LF becomes CRLF and a
 * lone CR a space, so that no peer sees another end of the message than we do ("SMTP smuggling").
 */
#ifndef GATEHOUSE_SCANNER_MTA_SMTP_CLIENT_CONTENT_H
#define GATEHOUSE_SCANNER_MTA_SMTP_CLIENT_CONTENT_H

#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>

struct smtp_content {
    bool chunked; /* for BDAT: dots are not doubled, and none ends the content */
    bool in_line; /* the last byte was not the end of a line */
    bool held_cr; /* a CR whose LF may come with the next piece */
};

/* Both add to `out`; false where memory ran out. All zero is the state at the start. */
bool smtp_content_add(struct smtp_content *content, const char *data, size_t length,
                      struct buffer *out);
/* The end: the last line's end where it is missing, and the dot (not where it is chunked). */
bool smtp_content_end(struct smtp_content *content, struct buffer *out);

#endif
