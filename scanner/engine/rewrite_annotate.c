/* Which parts of a message are annotated. What is signed or encrypted, or shows no text, gets a
 * part beside it instead. */
#include "scanner/engine/rewrite_private.h"

#include <stdlib.h>
#include <string.h>

#define BOUNDARY_SIZE 64

/* --- the annotations --- */

static void add_text(const char *text, struct buffer *out)
{
    if (out->length > 0)
        buffer_add_text(out, "\r\n\r\n");
    for (; *text; text++) {
        if (*text == '\n')
            buffer_add_text(out, "\r\n");
        else if (*text != '\r')
            buffer_add(out, text, 1);
    }
    while (out->length > 0 && strchr("\r\n", out->data[out->length - 1]))
        out->length--;
    if (out->data)
        out->data[out->length] = '\0';
}

static void add_html(const struct rewrite_edit *edit, struct buffer *out)
{
    if (out->length > 0)
        buffer_add_text(out, "<br>\r\n");
    if (edit->html && *edit->html)
        buffer_add_text(out, edit->html);
    else
        rewrite_html_of_text(edit->text, out);
}

static char *take_text(struct buffer *buffer)
{
    char *text = buffer->length > 0 ? g_utf8_make_valid(buffer_text(buffer), -1) : NULL;
    buffer_free(buffer);
    return text;
}

static void join(const struct rewrite *rewrite, int side, struct rewrite_annotation *annotation)
{
    struct buffer text = BUFFER_INIT, html = BUFFER_INIT;
    for (size_t i = 0; i < rewrite->edit_count; i++) {
        const struct rewrite_edit *edit = &rewrite->edits[i];
        if (edit->kind != REWRITE_ANNOTATE || (edit->place == REWRITE_BEGIN) != (side == 0))
            continue;
        add_text(edit->text, &text);
        add_html(edit, &html);
    }
    annotation->text[side] = take_text(&text);
    annotation->html[side] = take_text(&html);
}

/* --- which parts --- */

enum search { SEARCH_ON, SEARCH_FOUND, SEARCH_BLOCKED };

struct targets {
    const struct rewriter *rewriter;
    bool *chosen; /* for each part */
    int side;
};

static bool is_type(const struct message_part *part, const char *type)
{
    return part->type && strcmp(part->type, type) == 0;
}

static bool is_sealed(const struct message_part *part)
{
    return is_type(part, "multipart/signed") || is_type(part, "multipart/encrypted") ||
           is_type(part, "application/pkcs7-mime") || is_type(part, "application/x-pkcs7-mime");
}

static enum search search_part(struct targets *targets, size_t index);

/* The first child of `parent` behind `after` (in the direction of the side); SIZE_MAX: none. */
static size_t next_child(const struct message *message, size_t parent, size_t after, bool backwards)
{
    size_t i = after;
    while (backwards ? i-- > parent + 1 : ++i < message->count)
        if (message->parts[i].parent == parent)
            return i;
    return SIZE_MAX;
}

/* Every form of the text has to say it. */
static enum search search_alternatives(struct targets *targets, size_t index)
{
    const struct message *message = targets->rewriter->message;
    enum search found = SEARCH_ON;
    for (size_t i = next_child(message, index, index, false); i != SIZE_MAX;
         i = next_child(message, index, i, false)) {
        enum search here = search_part(targets, i);
        found = here > found ? here : found;
    }
    return found;
}

static enum search search_children(struct targets *targets, size_t index)
{
    const struct message *message = targets->rewriter->message;
    bool related = is_type(&message->parts[index], "multipart/related");
    bool backwards = targets->side == REWRITE_END && !related;
    enum search found = SEARCH_ON;
    for (size_t i = next_child(message, index, backwards ? message->count : index, backwards);
         i != SIZE_MAX && found == SEARCH_ON; i = next_child(message, index, i, backwards)) {
        found = search_part(targets, i);
        if (related)
            break;
    }
    return found;
}

/* The depth is limited by MESSAGE_DEPTH_LIMIT. */
static enum search search_part(struct targets *targets, size_t index)
{
    const struct message *message = targets->rewriter->message;
    const struct message_part *part = &message->parts[index];
    if (is_sealed(part))
        return SEARCH_BLOCKED;
    if (targets->rewriter->removed && targets->rewriter->removed[index])
        return SEARCH_ON;
    if (part->kind == MESSAGE_PART_MULTIPART)
        return is_type(part, "multipart/alternative") ? search_alternatives(targets, index)
                                                      : search_children(targets, index);
    if (!rewrite_is_text(message, index))
        return SEARCH_ON;
    targets->chosen[index] = true;
    return SEARCH_FOUND;
}

static void free_part(struct rewrite_part *part)
{
    buffer_free(&part->header);
    buffer_free(&part->body);
}

static bool can_hold(const struct targets *targets, const struct rewrite_annotation *annotation)
{
    const struct message *message = targets->rewriter->message;
    const bool sides[REWRITE_SIDES] = {targets->side == REWRITE_BEGIN,
                                       targets->side == REWRITE_END};
    bool holds = true;
    for (size_t i = 0; i < message->count && holds; i++) {
        struct rewrite_part part = {BUFFER_INIT, BUFFER_INIT};
        if (targets->chosen[i])
            holds = rewrite_text_part(message, i, annotation, sides, &part);
        free_part(&part);
    }
    return holds;
}

/* Chooses the parts of one side; false: there are none that can hold it. */
static bool choose(const struct rewriter *rewriter, const struct rewrite_annotation *annotation,
                   int side, bool *chosen)
{
    struct targets targets = {rewriter, chosen, side};
    if (search_part(&targets, 0) == SEARCH_FOUND && can_hold(&targets, annotation))
        return true;
    memset(chosen, 0, rewriter->message->count * sizeof(*chosen));
    return false;
}

/* --- parts with annotations in them --- */

static void put_part(struct rewriter *rewriter, size_t index, struct rewrite_part *part)
{
    const struct message_part *old = &rewriter->message->parts[index];
    struct rewrite_splice *splice =
        rewrite_add_splice(rewriter, index == 0 ? old->body : old->begin, old->end);
    if (!splice)
        return;
    if (index == 0) {
        buffer_free(&rewriter->header);
        rewriter->header = part->header;
        part->header = (struct buffer)BUFFER_INIT;
    } else {
        buffer_add(&splice->bytes, buffer_text(&part->header), part->header.length);
        buffer_add_text(&splice->bytes, "\r\n");
    }
    buffer_add(&splice->bytes, buffer_text(&part->body), part->body.length);
}

static void put_chosen(struct rewriter *rewriter, const struct rewrite_annotation *annotation,
                       bool *const chosen[REWRITE_SIDES])
{
    for (size_t i = 0; i < rewriter->message->count; i++) {
        struct rewrite_part part = {BUFFER_INIT, BUFFER_INIT};
        const bool sides[REWRITE_SIDES] = {chosen[0][i], chosen[1][i]};
        if (!sides[0] && !sides[1])
            continue;
        if (rewrite_text_part(rewriter->message, i, annotation, sides, &part))
            put_part(rewriter, i, &part);
        else
            rewriter->failed = true;
        free_part(&part);
    }
}

/* --- parts of their own --- */

static void add_own_part(const struct rewrite_annotation *annotation, int side, struct buffer *out)
{
    const char *text = annotation->text[side], *html = annotation->html[side];
    const char *content = text ? text : html;
    GMimeContentEncoding encoding = rewrite_choose_encoding(content, strlen(content));
    buffer_add_format(out,
                      "Content-Type: text/%s; charset=utf-8\r\nContent-Disposition: inline\r\n"
                      "Content-Transfer-Encoding: %s\r\n\r\n",
                      text ? "plain" : "html", rewrite_encoding_name(encoding));
    rewrite_encode(content, strlen(content), encoding, out);
}

/* The line before the first part, without its line break. */
static char *delimiter_of(const struct message *message, size_t first)
{
    size_t end = message->parts[first].begin;
    while (end > 0 && g_ascii_isspace(message->data[end - 1]))
        end--;
    const char *feed = memrchr(message->data, '\n', end);
    size_t begin = feed ? (size_t)(feed - message->data) + 1 : 0;
    return g_strndup(message->data + begin, end - begin);
}

/* Into a multipart/mixed that is there: as its first or last part. */
static void insert_part(struct rewriter *rewriter, const struct rewrite_annotation *annotation,
                        int side)
{
    const struct message *message = rewriter->message;
    size_t first = next_child(message, 0, 0, false),
           last = next_child(message, 0, message->count, true);
    g_autofree char *delimiter = delimiter_of(message, first);
    size_t at = side == REWRITE_BEGIN ? message->parts[first].begin : message->parts[last].end;
    struct rewrite_splice *splice = rewrite_add_splice(rewriter, at, at);
    if (!splice)
        return;
    if (side == REWRITE_END)
        buffer_add_format(&splice->bytes, "\r\n%s\r\n", delimiter);
    add_own_part(annotation, side, &splice->bytes);
    if (side == REWRITE_BEGIN)
        buffer_add_format(&splice->bytes, "\r\n%s\r\n", delimiter);
}

/* One that stands nowhere in the message, and is the same each time. */
static void make_boundary(const struct message *message, char boundary[BOUNDARY_SIZE])
{
    for (unsigned attempt = 0;; attempt++) {
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        g_checksum_update(checksum, (const guchar *)&attempt, sizeof(attempt));
        g_checksum_update(checksum, (const guchar *)message->data, (gssize)message->length);
        snprintf(boundary, BOUNDARY_SIZE, "=_gatehouse_%.32s", g_checksum_get_string(checksum));
        if (!memmem(message->data, message->length, boundary, strlen(boundary)))
            return;
    }
}

static const char *body_encoding(const struct message *message)
{
    const struct message_part *root = &message->parts[0];
    if (root->encoding == GMIME_CONTENT_ENCODING_BINARY)
        return "binary";
    for (size_t i = root->body; i < message->length; i++)
        if (message->data[i] & 0x80)
            return "8bit";
    return NULL;
}

static void begin_wrapping(struct rewriter *rewriter, const char *boundary, struct buffer *moved)
{
    char type[BOUNDARY_SIZE + 64];
    const char *encoding = body_encoding(rewriter->message);
    rewrite_remove_fields(&rewriter->header, "Content-*", moved);
    snprintf(type, sizeof(type), "multipart/mixed;\r\n boundary=\"%s\"", boundary);
    rewrite_set_field(&rewriter->header, "Content-Type", type);
    if (encoding)
        rewrite_set_field(&rewriter->header, "Content-Transfer-Encoding", encoding);
}

/* The message becomes the one part of a multipart/mixed, beside its annotations. */
static void wrap(struct rewriter *rewriter, const struct rewrite_annotation *annotation,
                 const bool sides[REWRITE_SIDES])
{
    const struct message *message = rewriter->message;
    struct buffer moved = BUFFER_INIT;
    char boundary[BOUNDARY_SIZE];
    struct rewrite_splice *splice =
        rewrite_add_splice(rewriter, message->parts[0].body, message->parts[0].body);
    if (!splice)
        return;
    make_boundary(message, boundary);
    begin_wrapping(rewriter, boundary, &moved);
    buffer_add_format(&splice->bytes, "--%s\r\n", boundary);
    if (sides[REWRITE_BEGIN]) {
        add_own_part(annotation, REWRITE_BEGIN, &splice->bytes);
        buffer_add_format(&splice->bytes, "\r\n--%s\r\n", boundary);
    }
    buffer_add(&splice->bytes, buffer_text(&moved), moved.length);
    buffer_add_text(&splice->bytes, "\r\n");
    buffer_free(&moved);
    splice = rewrite_add_splice(rewriter, message->length, message->length);
    if (!splice)
        return;
    buffer_add_format(&splice->bytes, "\r\n--%s", boundary);
    if (sides[REWRITE_END]) {
        buffer_add_text(&splice->bytes, "\r\n");
        add_own_part(annotation, REWRITE_END, &splice->bytes);
        buffer_add_format(&splice->bytes, "\r\n--%s", boundary);
    }
    buffer_add_text(&splice->bytes, "--\r\n");
}

static void put_beside(struct rewriter *rewriter, const struct rewrite_annotation *annotation,
                       const bool sides[REWRITE_SIDES])
{
    const struct message_part *root = &rewriter->message->parts[0];
    if (root->kind != MESSAGE_PART_MULTIPART || !is_type(root, "multipart/mixed")) {
        wrap(rewriter, annotation, sides);
        return;
    }
    for (int side = 0; side < REWRITE_SIDES; side++)
        if (sides[side])
            insert_part(rewriter, annotation, side);
}

/* --- all --- */

static void annotate(struct rewriter *rewriter, const struct rewrite_annotation *annotation,
                     bool *const chosen[REWRITE_SIDES])
{
    bool beside[REWRITE_SIDES] = {false, false};
    for (int side = 0; side < REWRITE_SIDES; side++)
        beside[side] = annotation->html[side] && !choose(rewriter, annotation, side, chosen[side]);
    put_chosen(rewriter, annotation, chosen);
    if (beside[REWRITE_BEGIN] || beside[REWRITE_END])
        put_beside(rewriter, annotation, beside);
}

/* What the header says of the content counts in a MIME message alone (RFC 2045 section 4). */
static void say_mime(struct rewriter *rewriter, const char *before)
{
    if (strcmp(buffer_text(&rewriter->header), before) != 0 &&
        !rewrite_has_field(&rewriter->header, "MIME-Version"))
        rewrite_set_field(&rewriter->header, "MIME-Version", "1.0");
}

void rewrite_annotate(struct rewriter *rewriter, const struct rewrite *rewrite)
{
    struct rewrite_annotation annotation = {0};
    size_t count = rewriter->message->count;
    g_autofree char *before = g_strdup(buffer_text(&rewriter->header));
    bool *chosen[REWRITE_SIDES] = {calloc(count, sizeof(bool)), calloc(count, sizeof(bool))};
    for (int side = 0; side < REWRITE_SIDES; side++)
        join(rewrite, side, &annotation);
    if (!chosen[0] || !chosen[1])
        rewriter->failed = true;
    else if (annotation.html[REWRITE_BEGIN] || annotation.html[REWRITE_END])
        annotate(rewriter, &annotation, chosen);
    say_mime(rewriter, before);
    for (int side = 0; side < REWRITE_SIDES; side++) {
        g_free(annotation.text[side]);
        g_free(annotation.html[side]);
        free(chosen[side]);
    }
}
