#include "scanner/engine/clean_private.h"

#include <string.h>

#define THREATS_TOLD 10

static const char *name_of(const struct cleaner *cleaner, size_t index, char path[TREE_PATH_SIZE])
{
    return tree_path(cleaner->tree, index, path);
}

/* Whether `index` is `inner` or above it. */
static bool holds(const struct tree *tree, size_t index, size_t inner)
{
    while (inner > index)
        inner = tree->nodes[inner].parent;
    return inner == index;
}

static void add_threats(const struct cleaner *cleaner, size_t index, struct buffer *note)
{
    const char *told[THREATS_TOLD];
    size_t count = 0;
    for (size_t i = index; i < cleaner->tree->count && count < THREATS_TOLD; i++) {
        const char *threat = cleaner->threats[i];
        bool known = !threat || !holds(cleaner->tree, index, i);
        for (size_t j = 0; j < count && !known; j++)
            known = strcmp(told[j], threat) == 0;
        if (known)
            continue;
        told[count++] = threat;
        buffer_add_format(note, "%s%s", count > 1 ? ", " : "", threat);
    }
}

bool clean_is_signed(const struct tree *tree, size_t index)
{
    for (;; index = tree->nodes[index].parent) {
        const char *type = tree->nodes[index].declared_type;
        if (type &&
            (strcmp(type, "multipart/signed") == 0 || strcmp(type, "application/pkcs7-mime") == 0 ||
             strcmp(type, "multipart/encrypted") == 0))
            return true;
        if (index == 0)
            return false;
    }
}

void clean_note_removed(const struct cleaner *cleaner, size_t index, struct buffer *note)
{
    char path[TREE_PATH_SIZE];
    buffer_add_format(
        note, "%s was removed from this message because of: ", name_of(cleaner, index, path));
    add_threats(cleaner, index, note);
    buffer_add_text(note, ".\r\n");
    if (clean_is_signed(cleaner->tree, index))
        buffer_add_text(note, "The message was signed or encrypted; its signature does not fit any "
                              "more.\r\n");
}

void clean_note_repacked(const struct cleaner *cleaner, size_t index, struct buffer *note)
{
    char path[TREE_PATH_SIZE];
    buffer_add_format(note,
                      "%s was written anew as a ZIP file without what was infected in it, because "
                      "its own format cannot be written.\r\n",
                      name_of(cleaner, index, path));
}
