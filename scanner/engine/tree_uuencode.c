/* Files in plain text between "begin MODE NAME" and "end" (POSIX uuencode). */
#include "scanner/engine/tree_private.h"

#include <string.h>

#define BEGIN "begin "
#define LINE_BYTES 45 /* of content in one line */

static const char *next_line(const char *at, const char *end)
{
    const char *feed = memchr(at, '\n', (size_t)(end - at));
    return feed ? feed + 1 : end;
}

static size_t line_length(const char *line, const char *next)
{
    size_t length = (size_t)(next - line);
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        length--;
    return length;
}

/* "begin 644 name": the name, or NULL. */
static const char *read_begin(const char *line, size_t length, size_t *name_length)
{
    size_t at = strlen(BEGIN), digits = 0;
    if (length < at + 5 || memcmp(line, BEGIN, at) != 0)
        return NULL;
    while (at < length && line[at] >= '0' && line[at] <= '7' && digits < 4)
        at++, digits++;
    if (digits < 3 || at >= length || line[at] != ' ')
        return NULL;
    *name_length = length - at - 1;
    return *name_length ? line + at + 1 : NULL;
}

static unsigned value(char c)
{
    return ((unsigned char)c - ' ') & 63u;
}

/* False where the line is none of uuencode's, or is its last ("`" or " "). */
static bool decode_line(const char *line, size_t length, unsigned char out[LINE_BYTES + 3],
                        size_t *count)
{
    *count = length ? value(line[0]) : 0;
    if (*count == 0 || *count > LINE_BYTES)
        return false;
    for (size_t i = 0, at = 1; i < *count; i += 3, at += 4) {
        unsigned quad[4] = {0};
        for (size_t j = 0; j < 4; j++)
            if (at + j < length)
                quad[j] = value(line[at + j]);
        out[i] = (unsigned char)(quad[0] << 2 | quad[1] >> 4);
        out[i + 1] = (unsigned char)(quad[1] << 4 | quad[2] >> 2);
        out[i + 2] = (unsigned char)(quad[2] << 6 | quad[3]);
    }
    return true;
}

/* Adds the file whose first line is at `at`; returns where to go on, or NULL where a limit was hit.
 */
static const char *take_file(struct tree *tree, size_t index, const char *at, const char *end,
                             const char *name, size_t name_length, uint64_t *from_container)
{
    struct tree_content content = {tree, index, from_container, NULL, 0, 0};
    unsigned char bytes[LINE_BYTES + 3];
    char text[TREE_NAME_CHARACTERS + 1];
    size_t count;
    bool fits = true;
    while (at < end) {
        const char *next = next_line(at, end);
        if (!decode_line(at, line_length(at, next), bytes, &count))
            break;
        if (!(fits = tree_content_add(&content, bytes, count)))
            break;
        at = next;
    }
    if (name_length > TREE_NAME_CHARACTERS)
        name_length = TREE_NAME_CHARACTERS;
    memcpy(text, name, name_length);
    text[name_length] = '\0';
    return tree_add_member(tree, index, text, &content) && fits ? at : NULL;
}

bool tree_open_uuencode(struct tree *tree, size_t index)
{
    const char *at = tree->nodes[index].data;
    const char *end = at + tree->nodes[index].length;
    uint64_t from_container = 0;
    bool found = false;
    if (strncmp(tree->nodes[index].type, "text/", 5) != 0 ||
        !memmem(at, (size_t)(end - at), BEGIN, 6))
        return false;
    while (at && at < end && tree_has_time(tree, index)) {
        const char *next = next_line(at, end);
        size_t length;
        const char *name = read_begin(at, line_length(at, next), &length);
        at = name ? take_file(tree, index, next, end, name, length, &from_container) : next;
        found |= name != NULL;
    }
    return found;
}
