/* The tree of parts of one message (RFC 5322, RFC 2045), built once and used by everything that
 * looks into it. It is made for hostile input: nothing fails, limits only make the tree smaller. */
#ifndef GATEHOUSE_SCANNER_ENGINE_MESSAGE_H
#define GATEHOUSE_SCANNER_ENGINE_MESSAGE_H

#include <gmime/gmime.h>
#include <stdbool.h>
#include <stddef.h>

#define MESSAGE_PART_LIMIT 2000           /* parts, containers included */
#define MESSAGE_DEPTH_LIMIT 30            /* parts in parts */
#define MESSAGE_HEADER_LIMIT (256u << 10) /* bytes of one header that are read */
#define MESSAGE_NAME_CHARACTERS 120       /* of a file name */
#define MESSAGE_PATH_SIZE 400             /* bytes of a part path with its NUL */

enum message_part_kind {
    MESSAGE_PART_LEAF,
    MESSAGE_PART_MULTIPART, /* multipart/...: has children, no content of its own */
    MESSAGE_PART_MESSAGE,   /* message/rfc822: one child, the message in it */
};

struct message_part {
    enum message_part_kind kind;
    size_t parent; /* index; the root is its own parent */
    size_t number; /* its place among its siblings, from 1 */
    int depth;
    size_t begin, body, end; /* offsets: header is [begin, body), body is [body, end) */
    GMimeContentEncoding encoding;
    char *name;       /* file name as UTF-8 without '/', or NULL */
    char *type;       /* the media type that the header says, in lower case, or NULL */
    char *charset;    /* as the header says, or NULL */
    bool hidden_name; /* the name had characters that turn its direction */
    bool attachment;  /* Content-Disposition: attachment */
};

struct message {
    const char *data; /* borrowed */
    size_t length;
    struct message_part *parts; /* parts[0] is the message itself; parents before children */
    size_t count;
    bool cut;      /* a limit was reached: there is more than the tree shows */
    char *subject; /* these three: never NULL, "" where there is none */
    char *from;
    char *message_id;
};

/* Parses `length` bytes at `data`, which must outlive the message. NULL only without memory. */
struct message *message_parse(const char *data, size_t length);
void message_free(struct message *message);

/* How many parts have content of their own (1 for a plain message, 0 for an empty one). */
size_t message_leaf_count(const struct message *message);

/* The path of a part, such as "forwarded.eml/invoice.zip"; a part without a file name is "part 1.2"
 * by its numbers, and the only part of a message is "body". Returns `path`. */
const char *message_part_path(const struct message *message, size_t index,
                              char path[MESSAGE_PATH_SIZE]);

/* The content of a leaf with its transfer encoding undone. *owned is what must be given to g_free
 * (NULL where the content is borrowed from the message). Broken encodings give what can be read. */
const char *message_part_content(const struct message *message, size_t index, size_t *length,
                                 char **owned);

#endif
