#include "scanner/engine/rewrite.h"

#include "scanner/engine/clean_file.h"
#include "scanner/engine/clean_private.h"
#include "scanner/engine/message_header.h"
#include "scanner/engine/rewrite_private.h"

#include <stdlib.h>
#include <string.h>

#define SIGNATURE_NOTE                                                                             \
    "The message was signed or encrypted; its signature does not fit any more, because parts of "  \
    "it were removed."

struct rewrite_splice *rewrite_add_splice(struct rewriter *rewriter, size_t begin, size_t end)
{
    if (rewriter->splice_count == rewriter->splice_capacity) {
        size_t capacity = rewriter->splice_capacity ? rewriter->splice_capacity * 2 : 16;
        struct rewrite_splice *splices =
            reallocarray(rewriter->splices, capacity, sizeof(*splices));
        if (!splices) {
            rewriter->failed = true;
            return NULL;
        }
        rewriter->splices = splices;
        rewriter->splice_capacity = capacity;
    }
    struct rewrite_splice *splice = &rewriter->splices[rewriter->splice_count++];
    *splice = (struct rewrite_splice){.begin = begin, .end = end};
    return splice;
}

/* --- what is stripped --- */

/* What is to go, for each node; *any: something is. NULL without memory. */
static const char **collect_reasons(const struct rewrite *rewrite, bool *any)
{
    size_t count = rewrite->tree ? rewrite->tree->count : 0;
    const char **reasons = calloc(count + 1, sizeof(*reasons));
    *any = false;
    for (size_t i = 0; reasons && i < rewrite->edit_count; i++) {
        const struct rewrite_edit *edit = &rewrite->edits[i];
        if (edit->kind != REWRITE_STRIP || !edit->reasons)
            continue;
        for (size_t j = 0; j < count; j++) {
            reasons[j] = reasons[j] ? reasons[j] : edit->reasons[j];
            *any |= reasons[j] != NULL;
        }
    }
    return reasons;
}

/* Members cannot be taken out of archives that were not seen as a whole: their part goes. */
static void mark_whole_parts(const struct tree *tree, const char **reasons)
{
    size_t parts = tree->message->count;
    for (size_t i = tree->count; i-- > 0;) {
        if (!reasons[i] || i < parts)
            continue;
        size_t parent = tree->nodes[i].parent;
        reasons[parent] = reasons[parent] ? reasons[parent] : reasons[i];
        reasons[i] = NULL;
    }
}

/* Whether the first nodes are the parts of the message, each in its place. */
static bool shows_parts(const struct rewrite *rewrite)
{
    size_t last = rewrite->message->count - 1;
    if (rewrite->message->cut || rewrite->tree->count <= last)
        return false;
    const struct tree_node *node = &rewrite->tree->nodes[last];
    return node->message == rewrite->message && node->message_part == last;
}

static void note_signature(struct rewriter *rewriter, const struct cleaner *cleaner)
{
    for (size_t i = 0; i < cleaner->tree->count; i++) {
        if (!cleaner->threats[i] || !clean_is_signed(cleaner->tree, i))
            continue;
        rewrite_add_field(&rewriter->header, "X-Gatehouse-Note", SIGNATURE_NOTE, NULL);
        return;
    }
}

/* The parts that change become splices. */
static void strip(struct rewriter *rewriter, const struct cleaner *cleaner, bool *removed)
{
    size_t count = rewriter->message->count;
    struct clean_span *spans = calloc(count, sizeof(*spans));
    size_t found = spans ? clean_find_spans(cleaner, 0, spans) : 0;
    rewriter->failed |= !spans;
    for (size_t i = 0; i < found; i++) {
        struct rewrite_splice *splice = rewrite_add_splice(rewriter, spans[i].begin, spans[i].end);
        removed[spans[i].node] = true;
        if (splice)
            clean_write_part(cleaner, spans[i].node, &splice->bytes);
    }
    free(spans);
    note_signature(rewriter, cleaner);
}

/* --- the header --- */

static void edit_headers(const struct rewrite *rewrite, struct rewriter *rewriter,
                         struct buffer *added, struct error *error)
{
    const char *charset = rewrite->message->parts[0].charset;
    for (size_t i = 0; i < rewrite->edit_count; i++) {
        const struct rewrite_edit *edit = &rewrite->edits[i];
        if (edit->kind == REWRITE_ADD_FIELD) {
            rewriter->failed |= !rewrite_add_field(added, edit->name, edit->text, error);
        } else if (edit->kind == REWRITE_REMOVE_FIELD) {
            rewrite_remove_fields(added, edit->name, NULL);
            rewrite_remove_fields(&rewriter->header, edit->name, NULL);
        } else if (edit->kind == REWRITE_SUBJECT) {
            rewriter->failed |= !rewrite_subject(&rewriter->header, edit, charset);
        }
    }
    rewriter->failed |= added->failed || rewriter->header.failed;
}

/* --- the message --- */

static int compare_splices(const void *a, const void *b)
{
    const struct rewrite_splice *first = a, *second = b;
    if (first->begin != second->begin)
        return first->begin < second->begin ? -1 : 1;
    return (first->end > second->end) - (first->end < second->end);
}

static bool write_body(const struct rewriter *rewriter, struct buffer *out)
{
    const struct message *message = rewriter->message;
    size_t at = message->parts[0].body;
    for (size_t i = 0; i < rewriter->splice_count; i++) {
        struct rewrite_splice *splice = &rewriter->splices[i];
        if (splice->begin < at || splice->bytes.failed)
            return false;
        buffer_add(out, message->data + at, splice->begin - at);
        buffer_add(out, buffer_text(&splice->bytes), splice->bytes.length);
        at = splice->end;
    }
    return buffer_add(out, message->data + at, message->length - at);
}

static bool write_message(const struct rewrite *rewrite, struct rewriter *rewriter,
                          struct buffer *out, struct error *error)
{
    struct buffer added = BUFFER_INIT;
    edit_headers(rewrite, rewriter, &added, error);
    bool written = !rewriter->failed;
    if (written) {
        if (rewriter->splice_count > 0)
            qsort(rewriter->splices, rewriter->splice_count, sizeof(*rewriter->splices),
                  compare_splices);
        buffer_add(out, buffer_text(&added), added.length);
        buffer_add(out, buffer_text(&rewriter->header), rewriter->header.length);
        buffer_add_text(out, "\r\n");
        written = write_body(rewriter, out) && !out->failed;
    }
    buffer_free(&added);
    return written;
}

static bool rewrite_parts(const struct rewrite *rewrite, const struct cleaner *cleaner,
                          struct buffer *out, struct error *error)
{
    const struct message *message = rewrite->message;
    struct rewriter rewriter = {.message = message};
    bool *removed = calloc(message->count, sizeof(*removed));
    rewriter.removed = removed;
    rewrite_take_header(message->data, message->parts[0].body, &rewriter.header);
    if (removed && cleaner)
        strip(&rewriter, cleaner, removed);
    if (removed && !rewriter.failed)
        rewrite_annotate(&rewriter, rewrite);
    bool written = removed && write_message(rewrite, &rewriter, out, error);
    for (size_t i = 0; i < rewriter.splice_count; i++)
        buffer_free(&rewriter.splices[i].bytes);
    free(rewriter.splices);
    buffer_free(&rewriter.header);
    free(removed);
    return written;
}

/* A message that is itself what goes: the note is the message that the other changes are about. */
static bool rewrite_note(const struct rewrite *rewrite, const struct cleaner *cleaner,
                         struct buffer *out, struct error *error)
{
    struct buffer note = BUFFER_INIT;
    bool written = clean_parts(cleaner, 0, &note);
    struct message *message = written ? message_parse(note.data, note.length) : NULL;
    struct rewrite rest = {message, NULL, rewrite->edits, rewrite->edit_count};
    written = message && rewrite_parts(&rest, NULL, out, error);
    message_free(message);
    buffer_free(&note);
    return written;
}

static bool rewrite_stripped(const struct rewrite *rewrite, const char **reasons,
                             struct buffer *out, struct error *error)
{
    struct cleaner cleaner = {rewrite->tree, reasons, NULL};
    bool any;
    if (!shows_parts(rewrite))
        return error_set(error, ERROR_LIMIT, "rewrite", "not everything in the message was seen");
    if (rewrite->tree->limit != TREE_LIMIT_NONE)
        mark_whole_parts(rewrite->tree, reasons);
    if (!clean_mark_changes(&cleaner, &any))
        return false;
    bool root = reasons[0] || (rewrite->message->parts[0].kind == MESSAGE_PART_LEAF);
    bool written = root ? rewrite_note(rewrite, &cleaner, out, error)
                        : rewrite_parts(rewrite, &cleaner, out, error);
    free(cleaner.changed);
    return written;
}

bool rewrite_message(const struct rewrite *rewrite, struct buffer *out, struct error *error)
{
    struct error reason = {0};
    bool any;
    const char **reasons = collect_reasons(rewrite, &any);
    bool written = reasons && (any ? rewrite_stripped(rewrite, reasons, out, &reason)
                                   : rewrite_parts(rewrite, NULL, out, &reason));
    free(reasons);
    if (!written && reason.code == ERROR_NONE)
        error_set(&reason, ERROR_LIMIT, "rewrite", "the new message cannot be written");
    if (!written && error)
        *error = reason;
    return written;
}

int rewrite_file_write(const struct rewrite *rewrite, uint64_t *size, struct error *error)
{
    struct buffer out = BUFFER_INIT;
    int fd = rewrite_message(rewrite, &out, error) ? clean_file_store(&out, error) : -1;
    *size = out.length;
    buffer_free(&out);
    return fd;
}
