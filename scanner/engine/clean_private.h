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

/* The note that stands for a node: what was removed and why, one sentence a line (CRLF). */
void clean_note_removed(const struct cleaner *cleaner, size_t index, struct buffer *note);
/* The note about an archive that was written as a ZIP file. */
void clean_note_repacked(const struct cleaner *cleaner, size_t index, struct buffer *note);

/* The archive of a node's content, opened, or NULL where it is none (tree_archive.c). */
struct archive *tree_archive_read(const struct tree_node *node);

#endif
