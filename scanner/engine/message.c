#include "scanner/engine/message.h"

#include "scanner/engine/header_text.h"
#include "scanner/engine/message_header.h"

#include <stdlib.h>
#include <string.h>

#define BOUNDARY_LIMIT 256

/* --- what a header says about its part --- */

struct content {
    bool multipart, rfc822, digest;
    bool attachment, hidden_name;
    char *boundary; /* NULL: none */
    char *type;
    char *charset;
    char *name;
    GMimeContentEncoding encoding;
};

static void content_clear(struct content *content)
{
    g_free(content->boundary);
    g_free(content->charset);
    g_free(content->type);
    g_free(content->name);
}

static char *clean_name(const char *name, bool *hidden)
{
    if (!name || !*name)
        return NULL;
    char *valid = g_utf8_make_valid(name, -1);
    *hidden |= header_text_turns(valid);
    header_text_clean(valid, MESSAGE_NAME_CHARACTERS);
    g_strdelimit(valid, "/", '_');
    if (*valid)
        return valid;
    g_free(valid);
    return NULL;
}

static char *lower_type(GMimeContentType *type)
{
    g_autofree char *text = g_mime_content_type_get_mime_type(type);
    char *valid = g_utf8_make_valid(text, -1);
    header_text_clean(valid, MESSAGE_NAME_CHARACTERS);
    for (char *at = valid; *at; at++)
        *at = g_ascii_tolower(*at);
    return valid;
}

static void read_type(const struct header_field *field, struct content *content)
{
    if (!field->value)
        return;
    g_autofree char *text = header_text_parameters(field->value, field->length, NULL);
    GMimeContentType *type = g_mime_content_type_parse(NULL, text);
    if (!type)
        return;
    const char *boundary = g_mime_content_type_get_parameter(type, "boundary");
    content->multipart = g_mime_content_type_is_type(type, "multipart", "*");
    content->digest = g_mime_content_type_is_type(type, "multipart", "digest");
    content->rfc822 = g_mime_content_type_is_type(type, "message", "rfc822") ||
                      g_mime_content_type_is_type(type, "message", "global");
    if (boundary && *boundary && strlen(boundary) <= BOUNDARY_LIMIT)
        content->boundary = g_strdup(boundary);
    content->charset = g_strdup(g_mime_content_type_get_parameter(type, "charset"));
    content->type = lower_type(type);
    content->name =
        clean_name(g_mime_content_type_get_parameter(type, "name"), &content->hidden_name);
    g_object_unref(type);
}

static void read_disposition(const struct header_field *field, struct content *content)
{
    if (!field->value)
        return;
    g_autofree char *text = header_text_parameters(field->value, field->length, content->charset);
    GMimeContentDisposition *disposition = g_mime_content_disposition_parse(NULL, text);
    if (!disposition)
        return;
    char *name = clean_name(g_mime_content_disposition_get_parameter(disposition, "filename"),
                            &content->hidden_name);
    content->attachment = g_mime_content_disposition_is_attachment(disposition);
    g_object_unref(disposition);
    if (!name)
        return;
    g_free(content->name);
    content->name = name;
}

static void read_encoding(const struct header_field *field, struct content *content)
{
    if (!field->value)
        return;
    g_autofree char *text = header_text_unfold(field->value, field->length, NULL);
    header_text_clean(text, HEADER_TEXT_CHARACTERS);
    content->encoding = g_mime_content_encoding_from_string(text);
}

static struct content read_content(const struct message_header *header)
{
    struct content content = {0};
    read_type(&header->fields[HEADER_CONTENT_TYPE], &content);
    read_disposition(&header->fields[HEADER_CONTENT_DISPOSITION], &content);
    read_encoding(&header->fields[HEADER_CONTENT_TRANSFER_ENCODING], &content);
    return content;
}

/* --- the tree --- */

/* False where a limit forbids another part. */
static bool add_part(struct message *message, size_t parent, size_t begin, size_t end)
{
    const struct message_part *above = &message->parts[parent];
    if (message->count >= MESSAGE_PART_LIMIT || above->depth + 1 > MESSAGE_DEPTH_LIMIT) {
        message->cut = true;
        return false;
    }
    const struct message_part *last = &message->parts[message->count - 1];
    struct message_part *part = &message->parts[message->count];
    *part = (struct message_part){
        .parent = parent,
        .number = message->count > 1 && last->parent == parent ? last->number + 1 : 1,
        .depth = above->depth + 1,
        .begin = begin,
        .body = begin,
        .end = end,
    };
    message->count++;
    return true;
}

struct delimiter {
    size_t begin; /* of the line break that belongs to it (RFC 2046 section 5.1.1) */
    size_t next;  /* behind its line */
    bool last;
};

static size_t before_line_break(const struct message *message, size_t least, size_t line)
{
    if (line > least && message->data[line - 1] == '\n')
        line--;
    if (line > least && message->data[line - 1] == '\r')
        line--;
    return line;
}

/* Whether a line that begins with the delimiter text is one: only "--" and white space may follow.
 */
static bool read_delimiter(const struct message *message, size_t at, size_t end,
                           struct delimiter *found)
{
    const char *data = message->data;
    found->last = end - at >= 2 && data[at] == '-' && data[at + 1] == '-';
    if (found->last)
        at += 2;
    while (at < end && (data[at] == ' ' || data[at] == '\t' || data[at] == '\r'))
        at++;
    if (at < end && data[at] != '\n')
        return false;
    found->next = at < end ? at + 1 : end;
    return true;
}

static bool find_delimiter(const struct message *message, size_t from, size_t end,
                           const char *boundary, struct delimiter *found)
{
    size_t length = strlen(boundary);
    size_t least = from;
    while (from < end) {
        const char *hit = memmem(message->data + from, end - from, boundary, length);
        if (!hit)
            return false;
        size_t at = (size_t)(hit - message->data);
        if ((at == least || message->data[at - 1] == '\n') &&
            read_delimiter(message, at + length, end, found)) {
            found->begin = before_line_break(message, least, at);
            return true;
        }
        from = at + 1;
    }
    return false;
}

/* Adds the children of a multipart; false where it has none, and so is a part like any other. */
static bool add_children(struct message *message, size_t index, const char *boundary)
{
    char delimiter[BOUNDARY_LIMIT + 3];
    struct delimiter here, next;
    size_t end = message->parts[index].end, count = message->count;
    snprintf(delimiter, sizeof(delimiter), "--%s", boundary);
    if (!find_delimiter(message, message->parts[index].body, end, delimiter, &here))
        return false;
    while (!here.last && here.next < end) {
        bool more = find_delimiter(message, here.next, end, delimiter, &next);
        if (!add_part(message, index, here.next, more ? next.begin : end) || !more)
            break;
        here = next;
    }
    return message->count > count;
}

static bool is_identity(GMimeContentEncoding encoding)
{
    return encoding != GMIME_CONTENT_ENCODING_BASE64 &&
           encoding != GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE &&
           encoding != GMIME_CONTENT_ENCODING_UUENCODE;
}

static bool in_digest(const struct message *message, size_t index, const bool *digests)
{
    return index > 0 && digests[message->parts[index].parent];
}

static void expand_part(struct message *message, size_t index, const struct content *content,
                        bool default_rfc822)
{
    struct message_part *part = &message->parts[index];
    bool rfc822 = content->rfc822 || default_rfc822;
    if (content->multipart && content->boundary) {
        if (add_children(message, index, content->boundary))
            part->kind = MESSAGE_PART_MULTIPART;
    } else if (rfc822 && is_identity(content->encoding) && part->body < part->end) {
        if (add_part(message, index, part->body, part->end))
            part->kind = MESSAGE_PART_MESSAGE;
    }
}

/* --- the fields of the message itself --- */

static char *field_text(const struct header_field *field, const char *charset)
{
    return field->value ? header_text_decode(field->value, field->length, charset) : g_strdup("");
}

static void take_fields(struct message *message, const struct message_header *header,
                        const char *charset)
{
    message->subject = field_text(&header->fields[HEADER_SUBJECT], charset);
    message->from = field_text(&header->fields[HEADER_FROM], charset);
    message->message_id = field_text(&header->fields[HEADER_MESSAGE_ID], charset);
}

/* Parts are worked off in the order in which they were found: no recursion, whatever the nesting.
 */
static void build(struct message *message, bool *digests)
{
    for (size_t i = 0; i < message->count; i++) {
        struct message_part *part = &message->parts[i];
        struct message_header header;
        message_header_read(message->data + part->begin, part->end - part->begin, &header);
        struct content content = read_content(&header);
        message->cut |= header.cut;
        part->body = part->begin + header.length;
        part->encoding = content.encoding;
        part->name = g_steal_pointer(&content.name);
        part->type = g_steal_pointer(&content.type);
        part->attachment = content.attachment;
        part->hidden_name = content.hidden_name;
        if (i == 0)
            take_fields(message, &header, content.charset);
        bool typed = header.fields[HEADER_CONTENT_TYPE].value != NULL;
        digests[i] = content.digest;
        expand_part(message, i, &content, !typed && in_digest(message, i, digests));
        message->parts[i].charset = g_steal_pointer(&content.charset);
        content_clear(&content);
    }
}

struct message *message_parse(const char *data, size_t length)
{
    struct message *message = calloc(1, sizeof(*message));
    bool *digests = calloc(MESSAGE_PART_LIMIT, sizeof(*digests));
    struct message_part *parts = calloc(MESSAGE_PART_LIMIT, sizeof(*parts));
    if (!message || !digests || !parts) {
        free(message);
        free(digests);
        free(parts);
        return NULL;
    }
    message->data = data;
    message->length = length;
    message->parts = parts;
    message->parts[0].end = length;
    message->parts[0].number = 1;
    message->count = 1;
    build(message, digests);
    free(digests);
    return message;
}

void message_free(struct message *message)
{
    if (!message)
        return;
    for (size_t i = 0; i < message->count; i++) {
        g_free(message->parts[i].name);
        g_free(message->parts[i].type);
        g_free(message->parts[i].charset);
    }
    free(message->parts);
    g_free(message->subject);
    g_free(message->from);
    g_free(message->message_id);
    free(message);
}

size_t message_leaf_count(const struct message *message)
{
    size_t count = 0;
    if (message->length == 0)
        return 0;
    for (size_t i = 0; i < message->count; i++)
        count += message->parts[i].kind == MESSAGE_PART_LEAF;
    return count;
}
