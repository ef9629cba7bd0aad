/* Everything that a message is made of: its MIME parts, the members of archives in them, messages
 * in archives, and so on; built once per message and read by whatever looks into it (malware,
 * content, spam). It is made for hostile input: nothing fails, limits only make the tree smaller,
 * and the first one that was hit is told. */
#ifndef GATEHOUSE_SCANNER_ENGINE_TREE_H
#define GATEHOUSE_SCANNER_ENGINE_TREE_H

#include "scanner/engine/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_PATH_SIZE 800       /* bytes of a path with its NUL */
#define TREE_NAME_CHARACTERS 240 /* of a member's name, folders included */

enum tree_limit {
    TREE_LIMIT_NONE,
    TREE_LIMIT_DEPTH,    /* containers in containers */
    TREE_LIMIT_PARTS,    /* nodes in all */
    TREE_LIMIT_UNPACKED, /* bytes that came out of containers in all */
    TREE_LIMIT_RATIO,    /* bytes out of one container by bytes in */
    TREE_LIMIT_TIME,
};

struct tree_limits {
    int depth; /* the message itself is 0 */
    size_t parts;
    uint64_t unpacked_bytes;
    unsigned ratio;  /* to one; not looked at below 1 MiB of unpacked bytes */
    int64_t stop_us; /* CLOCK_MONOTONIC, microseconds */
};

/* 20 levels, 10000 parts, 256 MiB, 1000 to one; `stop_us` is that much ahead. */
struct tree_limits tree_default_limits(int64_t microseconds);

enum tree_kind {
    TREE_MESSAGE,   /* RFC 5322: the root, message/rfc822, or a file that is a message */
    TREE_MULTIPART, /* has children, no content of its own */
    TREE_PART,      /* a MIME part with content */
    TREE_MEMBER,    /* what came out of a container */
};

struct tree_node {
    enum tree_kind kind;
    size_t parent; /* index; the root is its own parent */
    int depth;
    char *name;          /* file name as UTF-8, of members with folders; NULL where there is none */
    char *declared_type; /* the media type that the header says, in lower case; NULL */
    const char *type;    /* by its content (type.h); "" for kinds without content */
    const char *data;    /* content, transfer encoding undone; NULL where there is none to see */
    size_t length;
    bool hidden_name;              /* it turns its direction, so that people read another one */
    bool attachment;               /* a MIME part that is not meant to be shown as the text */
    bool container;                /* was opened: its members follow as children */
    bool encrypted;                /* cannot be looked into without a password */
    bool damaged;                  /* ends early or is broken: there may be more than is shown */
    const struct message *message; /* of MIME parts: the message that they stand in */
    size_t message_part;           /* their index there */
    size_t file; /* and the node that the message was found in; SIZE_MAX: it is the root's */
    char *owned; /* data, where the tree has to free it */
};

struct tree {
    const struct message *message; /* borrowed */
    struct tree_node *nodes;       /* nodes[0] is the message; parents before children */
    size_t count, capacity;
    enum tree_limit limit; /* the first one that was hit */
    size_t limit_node;     /* where */
    uint64_t unpacked;     /* bytes that came out of containers */
    struct tree_limits limits;
    struct message **messages; /* those that were found in files */
    size_t message_count;
};

/* Builds the tree of a parsed message, which must outlive it. NULL only without memory. */
struct tree *tree_build(const struct message *message, const struct tree_limits *limits);
void tree_free(struct tree *tree);

/* The path of a node, such as "forwarded.eml/invoice.zip/run.exe"; parts without a file name are
 * named by their numbers, as message_part_path does. Returns `path`. */
const char *tree_path(const struct tree *tree, size_t index, char path[TREE_PATH_SIZE]);

/* One sentence: which limit, and where; "" where none was hit. Returns `text`. */
const char *tree_limit_text(const struct tree *tree, char *text, size_t size);

#endif
