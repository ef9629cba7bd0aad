/* What the files of cleaning share:
 *   clean.c          messages and their parts
 *   clean_archive.c  archives
 *   clean_note.c     what stands in the place of what was removed */
#ifndef GATEHOUSE_SCANNER_ENGINE_CLEAN_PRIVATE_H
#define GATEHOUSE_SCANNER_ENGINE_CLEAN_PRIVATE_H

#include "scanner/engine/clean.h"

#include <archive.h>

struct cleaner {
    const struct tree *tree;
    const char *const *threats;
    bool *changed; /* for each node: it or something in it is removed */
};

/* The node's content without what is infected. `renamed` (TREE_NAME_CHARACTERS * 4 + 8 bytes) gets
 * the new file name where it became a ZIP file, else "". False: it cannot be written anew. */
#define CLEAN_NAME_SIZE (TREE_NAME_CHARACTERS * 4 + 8)
bool clean_container(const struct cleaner *cleaner, size_t index, struct buffer *out,
                     char renamed[CLEAN_NAME_SIZE]);
bool clean_archive(const struct cleaner *cleaner, size_t index, struct buffer *out,
                   char renamed[CLEAN_NAME_SIZE]);
/* The message whose first node is `first`. */
bool clean_parts(const struct cleaner *cleaner, size_t first, struct buffer *out);

/* Allocates `changed` and sets it from the threats; the caller frees it. *any: there are some.
 * False without memory. */
bool clean_mark_changes(struct cleaner *cleaner, bool *any);

/* Bytes of a message that go with a node. */
struct clean_span {
    size_t begin, end, node;
};
/* The parts of the message whose first node is `first` that are written anew by clean_write_part,
 * in the order of its bytes, none inside of another; `spans` has room for all parts of the message.
 * Returns their number. */
size_t clean_find_spans(const struct cleaner *cleaner, size_t first, struct clean_span *spans);
/* The whole part: its header and its content without what is to be removed, or the note. */
void clean_write_part(const struct cleaner *cleaner, size_t index, struct buffer *out);

/* In lines of 76 characters, each ended by CRLF. */
void clean_add_base64(struct buffer *out, const char *data, size_t length);

/* Whether the node stands in something that is signed or encrypted. */
bool clean_is_signed(const struct tree *tree, size_t index);

/* The note that stands for a node: what was removed and why, one sentence a line (CRLF). */
void clean_note_removed(const struct cleaner *cleaner, size_t index, struct buffer *note);
/* The note about an archive that was written as a ZIP file. */
void clean_note_repacked(const struct cleaner *cleaner, size_t index, struct buffer *note);

/* The archive of a node's content, opened, or NULL where it is none (tree_archive.c). */
struct archive *tree_archive_read(const struct tree_node *node);

#endif
