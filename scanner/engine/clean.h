/* A message without what is infected in it: parts and members of archives, however nested, are
 * replaced by a note; everything else keeps its bytes. */
#ifndef GATEHOUSE_SCANNER_ENGINE_CLEAN_H
#define GATEHOUSE_SCANNER_ENGINE_CLEAN_H

#include "common/buffer.h"
#include "common/error.h"
#include "scanner/engine/tree.h"

#include <stdbool.h>

struct clean {
    const struct tree *tree;
    /* For each node what was found in it, or NULL to keep it. A container whose members carry the
     * finds is not named itself. */
    const char *const *threats;
};

/* Adds the whole new message to `out`. Archives are written in their own format where a free
 * program can; others (RAR, CAB, LHA, ISO, TNEF) become ZIP files and say so in the note. Where an
 * archive cannot be written anew (encrypted members, damage) it is removed as a whole. A signed
 * message is told that its signature does not fit any more. False with *error: nothing is marked
 * (ERROR_NOT_FOUND), a limit kept the tree from showing everything (ERROR_LIMIT), or `out` is full.
 */
bool clean_message(const struct clean *clean, struct buffer *out, struct error *error);

#endif
