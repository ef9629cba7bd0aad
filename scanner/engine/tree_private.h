/* What the files of the tree share:
 *   tree.c            nodes, and the walk over what is still to be opened
 *   tree_archive.c    archives and compressed files, by libarchive
 *   tree_tnef.c       winmail.dat (MS-OXTNEF)
 *   tree_uuencode.c   files in plain text */
#ifndef GATEHOUSE_SCANNER_ENGINE_TREE_PRIVATE_H
#define GATEHOUSE_SCANNER_ENGINE_TREE_PRIVATE_H

#include "scanner/engine/tree.h"

/* Notes the limit where none was noted; returns false, so that it can end a walk. */
bool tree_hit(struct tree *tree, enum tree_limit limit, size_t where);
/* False (and noted) once the time is over. */
bool tree_has_time(struct tree *tree, size_t where);

/* A new last node below `parent`, or NULL where a limit forbids it. Pointers to nodes become
 * invalid. */
struct tree_node *tree_add(struct tree *tree, size_t parent, enum tree_kind kind);

/* Bytes in the making that came out of the container `index`. */
struct tree_content {
    struct tree *tree;
    size_t container;
    uint64_t *from_container; /* bytes that came out of it in all */
    char *data;
    size_t length, capacity;
};
/* Adds bytes; false where a limit or memory forbids it. */
bool tree_content_add(struct tree_content *content, const void *data, size_t length);

/* Adds a member with this content, which is taken over; `name` is any text and may be NULL. */
bool tree_add_member(struct tree *tree, size_t container, const char *name,
                     struct tree_content *content);

/* Each opens the node where it is one of theirs, adds the members, and returns whether it was. */
bool tree_open_archive(struct tree *tree, size_t index);
bool tree_open_tnef(struct tree *tree, size_t index);
bool tree_open_uuencode(struct tree *tree, size_t index);

#endif
