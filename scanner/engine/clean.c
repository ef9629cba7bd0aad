#include "scanner/engine/clean_private.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BASE64_LINE 57 /* bytes that make a line of 76 characters */

/* --- content --- */

static bool is_own(const struct tree *tree, size_t index, size_t child)
{
    return child < tree->count && tree->nodes[child].parent == index;
}

bool clean_container(const struct cleaner *cleaner, size_t index, struct buffer *out,
                     char renamed[CLEAN_NAME_SIZE])
{
    const struct tree *tree = cleaner->tree;
    const struct tree_node *node = &tree->nodes[index];
    size_t child = index + 1;
    renamed[0] = '\0';
    while (child < tree->count && !is_own(tree, index, child))
        child++;
    if (!node->container || child == tree->count)
        return false;
    if (tree->nodes[child].kind != TREE_MEMBER)
        return clean_parts(cleaner, child, out);
    /* Files in plain text: what stands around them cannot be kept apart from them. */
    return !g_str_has_prefix(node->type, "text/") && clean_archive(cleaner, index, out, renamed);
}

void clean_add_base64(struct buffer *out, const char *data, size_t length)
{
    for (size_t at = 0; at < length; at += BASE64_LINE) {
        size_t piece = length - at < BASE64_LINE ? length - at : BASE64_LINE;
        g_autofree char *line = g_base64_encode((const guchar *)data + at, piece);
        buffer_add_format(out, "%s\r\n", line);
    }
}

/* --- headers --- */

static const char *line_end(const char *at, const char *end)
{
    const char *feed = memchr(at, '\n', (size_t)(end - at));
    return feed ? feed + 1 : end;
}

static bool has_name(const char *field, const char *end, const char *name)
{
    size_t length = strlen(name);
    return (size_t)(end - field) > length && strncasecmp(field, name, length) == 0;
}

/* Copies the fields of a part's header but those that describe the content which goes: `all` of
 * Content-*, or only what an encoding changes. */
static void copy_fields(const char *header, size_t length, bool all, struct buffer *out)
{
    const char *at = header, *end = header + length;
    bool keep = true;
    while (at < end) {
        const char *next = line_end(at, end);
        if (*at != ' ' && *at != '\t') {
            if (*at == '\r' || *at == '\n')
                return;
            keep = !has_name(at, next, "Content-Transfer-Encoding:") &&
                   !has_name(at, next, "Content-MD5:") && !has_name(at, next, "Content-Length:") &&
                   !(all && has_name(at, next, "Content-"));
        }
        if (keep)
            buffer_add(out, at, (size_t)(next - at));
        at = next;
    }
}

static void add_note_part(const struct cleaner *cleaner, size_t index, struct buffer *out)
{
    struct buffer note = BUFFER_INIT;
    clean_note_removed(cleaner, index, &note);
    buffer_add_text(out, "Content-Type: text/plain; charset=utf-8\r\n"
                         "Content-Disposition: inline\r\n"
                         "Content-Transfer-Encoding: base64\r\n\r\n");
    clean_add_base64(out, buffer_text(&note), note.length);
    buffer_free(&note);
}

/* RFC 2231: names may be of any script. */
static void add_name(struct buffer *out, const char *parameter, const char *name)
{
    g_autofree char *encoded = g_uri_escape_string(name, NULL, FALSE);
    buffer_add_format(out, ";\r\n %s*=utf-8''%s", parameter, encoded);
}

static void add_zip_fields(struct buffer *out, const char *name)
{
    const char *slash = strrchr(name, '/');
    buffer_add_text(out, "Content-Type: application/zip");
    add_name(out, "name", slash ? slash + 1 : name);
    buffer_add_text(out, "\r\nContent-Disposition: attachment");
    add_name(out, "filename", slash ? slash + 1 : name);
    buffer_add_text(out, "\r\n");
}

/* --- parts --- */

void clean_write_part(const struct cleaner *cleaner, size_t index, struct buffer *out)
{
    const struct tree_node *node = &cleaner->tree->nodes[index];
    const struct message_part *part = &node->message->parts[node->message_part];
    const char *header = node->message->data + part->begin;
    size_t header_length = part->body - part->begin;
    struct buffer content = BUFFER_INIT;
    char renamed[CLEAN_NAME_SIZE] = "";
    bool kept = !cleaner->threats[index] && clean_container(cleaner, index, &content, renamed);
    copy_fields(header, header_length, !kept || *renamed, out);
    if (kept) {
        if (*renamed)
            add_zip_fields(out, renamed);
        buffer_add_text(out, "Content-Transfer-Encoding: base64\r\n\r\n");
        clean_add_base64(out, buffer_text(&content), content.length);
    } else {
        add_note_part(cleaner, index, out);
    }
    buffer_free(&content);
}

static int compare_spans(const void *a, const void *b)
{
    const struct clean_span *first = a, *second = b;
    if (first->begin != second->begin)
        return first->begin < second->begin ? -1 : 1;
    return (first->node > second->node) - (first->node < second->node);
}

/* A part with parts of its own is written anew only where it is removed as a whole. */
static bool is_written(const struct cleaner *cleaner, size_t index, const struct message_part *part)
{
    return cleaner->threats[index] || (part->kind == MESSAGE_PART_LEAF && cleaner->changed[index]);
}

size_t clean_find_spans(const struct cleaner *cleaner, size_t first, struct clean_span *spans)
{
    const struct message *message = cleaner->tree->nodes[first].message;
    size_t found = 0, count = 0, at = 0;
    for (size_t i = 0; i < message->count && first + i < cleaner->tree->count; i++) {
        const struct message_part *part = &message->parts[i];
        if (is_written(cleaner, first + i, part))
            spans[found++] = (struct clean_span){part->begin, part->end, first + i};
    }
    qsort(spans, found, sizeof(*spans), compare_spans); /* parents before their children */
    for (size_t i = 0; i < found; i++) {
        if (spans[i].begin < at)
            continue;
        at = spans[i].end;
        spans[count++] = spans[i];
    }
    return count;
}

bool clean_parts(const struct cleaner *cleaner, size_t first, struct buffer *out)
{
    const struct message *message = cleaner->tree->nodes[first].message;
    struct clean_span *spans = calloc(message->count, sizeof(*spans));
    size_t count = spans ? clean_find_spans(cleaner, first, spans) : 0;
    size_t at = 0;
    if (!spans)
        return false;
    for (size_t i = 0; i < count; i++) {
        buffer_add(out, message->data + at, spans[i].begin - at);
        clean_write_part(cleaner, spans[i].node, out);
        at = spans[i].end;
    }
    free(spans);
    buffer_add(out, message->data + at, message->length - at);
    return !out->failed;
}

/* --- all --- */

bool clean_mark_changes(struct cleaner *cleaner, bool *any)
{
    const struct tree *tree = cleaner->tree;
    cleaner->changed = calloc(tree->count, sizeof(*cleaner->changed));
    *any = false;
    if (!cleaner->changed)
        return false;
    for (size_t i = tree->count; i-- > 0;) {
        cleaner->changed[i] |= cleaner->threats[i] != NULL;
        *any |= cleaner->changed[i];
        if (i > 0)
            cleaner->changed[tree->nodes[i].parent] |= cleaner->changed[i];
    }
    return true;
}

bool clean_message(const struct clean *clean, struct buffer *out, struct error *error)
{
    struct cleaner cleaner = {clean->tree, clean->threats, NULL};
    if (clean->tree->limit != TREE_LIMIT_NONE)
        return error_set(error, ERROR_LIMIT, "clean", "not everything in the message was seen");
    bool any;
    if (!clean_mark_changes(&cleaner, &any))
        return error_set(error, ERROR_INTERNAL, "clean", "out of memory");
    bool written = any && clean_parts(&cleaner, 0, out);
    free(cleaner.changed);
    if (!any)
        return error_set(error, ERROR_NOT_FOUND, "clean",
                         "nothing in the message is to be removed");
    return written || error_set(error, ERROR_LIMIT, "clean", "the new message cannot be written");
}
