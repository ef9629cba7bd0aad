/* A part that is shown as text, with annotations in it. */
#include "scanner/engine/charset.h"
#include "scanner/engine/header_text.h"
#include "scanner/engine/message_header.h"
#include "scanner/engine/rewrite_private.h"

#include <string.h>

#define ASCII "us-ascii"
#define BACK_TO_ASCII "\x1b(B"

struct draft {
    const struct message_part *part;
    GMimeContentType *type; /* NULL: none that can be read */
    const char *charset;    /* of the new content */
    bool relabelled;        /* it is not what the header says */
    bool flowed;            /* RFC 3676 */
    bool known_encoding;
    const char *content;
    size_t length;
    char *owned, *converted;
};

/* --- the part as it is --- */

bool rewrite_is_text(const struct message *message, size_t index)
{
    const struct message_part *part = &message->parts[index];
    return part->kind == MESSAGE_PART_LEAF && !part->attachment && !part->name &&
           (!part->type || strcmp(part->type, "text/plain") == 0 ||
            strcmp(part->type, "text/html") == 0);
}

static bool is_html(const struct draft *draft)
{
    return draft->part->type && strcmp(draft->part->type, "text/html") == 0;
}

static GMimeContentType *read_type(const struct header_field *field)
{
    if (!field->value)
        return NULL;
    g_autofree char *text = header_text_parameters(field->value, field->length, NULL);
    return g_mime_content_type_parse(NULL, text);
}

static bool knows_encoding(const struct header_field *field, GMimeContentEncoding encoding)
{
    g_autofree char *text =
        field->value ? header_text_unfold(field->value, field->length, NULL) : g_strdup("");
    return encoding != GMIME_CONTENT_ENCODING_DEFAULT || !*g_strstrip(text);
}

static void open_draft(const struct message *message, size_t index, struct draft *draft)
{
    const struct message_part *part = &message->parts[index];
    struct message_header header;
    message_header_read(message->data + part->begin, part->end - part->begin, &header);
    *draft = (struct draft){.part = part, .charset = part->charset ? part->charset : ASCII};
    draft->type = read_type(&header.fields[HEADER_CONTENT_TYPE]);
    const char *format =
        draft->type ? g_mime_content_type_get_parameter(draft->type, "format") : NULL;
    draft->flowed = format && g_ascii_strcasecmp(format, "flowed") == 0 && !is_html(draft);
    draft->known_encoding =
        knows_encoding(&header.fields[HEADER_CONTENT_TRANSFER_ENCODING], part->encoding);
    draft->content = message_part_content(message, index, &draft->length, &draft->owned);
}

static void close_draft(struct draft *draft)
{
    if (draft->type)
        g_object_unref(draft->type);
    g_free(draft->owned);
    g_free(draft->converted);
}

/* Text that is signed or encrypted in itself (RFC 4880 section 6.2). */
static bool has_armor(const struct draft *draft)
{
    static const char armor[] = "-----BEGIN PGP ";
    const char *end = draft->content + draft->length;
    for (const char *at = draft->content;
         (at = memmem(at, (size_t)(end - at), armor, strlen(armor))); at++)
        if (at == draft->content || at[-1] == '\n')
            return true;
    return false;
}

/* --- plain text --- */

/* Lines that RFC 3676 would join or take for quoted ones are kept from it. */
static char *flow_text(const char *text)
{
    GString *out = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\r\n", -1);
    for (size_t i = 0; lines[i]; i++) {
        if (strcmp(lines[i], "-- ") != 0)
            g_strchomp(lines[i]);
        bool stuffed = *lines[i] == ' ' || *lines[i] == '>' || g_str_has_prefix(lines[i], "From ");
        g_string_append_printf(out, "%s%s%s", i > 0 ? "\r\n" : "", stuffed ? " " : "", lines[i]);
    }
    return g_string_free(out, FALSE);
}

struct encoded {
    char *bytes[REWRITE_SIDES]; /* NULL: nothing on that side */
    size_t length[REWRITE_SIDES];
};

static void free_encoded(struct encoded *encoded)
{
    for (int side = 0; side < REWRITE_SIDES; side++)
        g_free(encoded->bytes[side]);
}

static bool encode_all(const struct draft *draft, char *const text[REWRITE_SIDES],
                       const char *charset, struct encoded *encoded)
{
    for (int side = 0; side < REWRITE_SIDES; side++) {
        if (!text[side])
            continue;
        g_autofree char *flowed = draft->flowed ? flow_text(text[side]) : NULL;
        encoded->bytes[side] =
            charset_encode(flowed ? flowed : text[side], charset, &encoded->length[side]);
        if (!encoded->bytes[side])
            return false;
    }
    return true;
}

static bool has_8bit(const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (data[i] & 0x80)
            return true;
    return false;
}

/* ASCII with escapes is Japanese, whatever the header says. */
static void find_charset(struct draft *draft)
{
    bool named = g_ascii_strcasecmp(draft->charset, ASCII) != 0;
    if (named || has_8bit(draft->content, draft->length) ||
        !memchr(draft->content, 0x1b, draft->length))
        return;
    draft->charset = "iso-2022-jp";
    draft->relabelled = true;
}

/* The annotation goes into the charset of the part; where it does not fit, the part becomes UTF-8,
 * provided that this loses nothing. */
static bool fit_charset(struct draft *draft, char *const text[REWRITE_SIDES],
                        struct encoded *encoded)
{
    find_charset(draft);
    if (encode_all(draft, text, draft->charset, encoded))
        return true;
    free_encoded(encoded);
    *encoded = (struct encoded){0};
    draft->converted = charset_decode_exactly(draft->content, draft->length, draft->charset);
    if (!draft->converted)
        return false;
    draft->content = draft->converted;
    draft->length = strlen(draft->converted);
    draft->charset = "utf-8";
    draft->relabelled = true;
    return encode_all(draft, text, draft->charset, encoded);
}

static bool ends_with(const struct draft *draft, const char *text)
{
    size_t length = strlen(text);
    return draft->length >= length &&
           memcmp(draft->content + draft->length - length, text, length) == 0;
}

/* An empty line stands between; a flowed line would swallow one. */
static void end_content(const struct draft *draft, struct buffer *out)
{
    if (g_ascii_strcasecmp(draft->charset, "utf-8") != 0 &&
        charset_ends_shifted(draft->content, draft->length))
        buffer_add_text(out, BACK_TO_ASCII);
    if (!ends_with(draft, "\n"))
        buffer_add_text(out, "\r\n");
    if (draft->flowed && (ends_with(draft, " \r\n") || ends_with(draft, " ")))
        buffer_add_text(out, "\r\n");
    buffer_add_text(out, "\r\n");
}

static bool compose_plain(struct draft *draft, char *const text[REWRITE_SIDES], struct buffer *out)
{
    struct encoded encoded = {0};
    bool fits = !has_armor(draft) && fit_charset(draft, text, &encoded);
    if (fits && encoded.bytes[REWRITE_BEGIN]) {
        buffer_add(out, encoded.bytes[REWRITE_BEGIN], encoded.length[REWRITE_BEGIN]);
        buffer_add_text(out, draft->length > 0 ? "\r\n\r\n" : "\r\n");
    }
    if (fits)
        buffer_add(out, draft->content, draft->length);
    if (fits && encoded.bytes[REWRITE_END]) {
        if (draft->length > 0)
            end_content(draft, out);
        buffer_add(out, encoded.bytes[REWRITE_END], encoded.length[REWRITE_END]);
        buffer_add_text(out, "\r\n");
    }
    free_encoded(&encoded);
    return fits && !out->failed;
}

/* --- HTML --- */

/* Text in two bytes a character holds no tags of ASCII. */
static bool compose_html(const struct draft *draft, char *const html[REWRITE_SIDES],
                         struct buffer *out)
{
    struct buffer top = BUFFER_INIT;
    bool composed = memchr(draft->content, '\0', draft->length) == NULL;
    if (composed && html[REWRITE_BEGIN])
        composed =
            rewrite_html(draft->content, draft->length, html[REWRITE_BEGIN], REWRITE_BEGIN, &top);
    else
        buffer_add(&top, draft->content, draft->length);
    if (composed && html[REWRITE_END])
        composed = rewrite_html(buffer_text(&top), top.length, html[REWRITE_END], REWRITE_END, out);
    else
        buffer_add(out, buffer_text(&top), top.length);
    composed &= !top.failed && !out->failed;
    buffer_free(&top);
    return composed;
}

/* --- the new part --- */

static void set_charset(const struct draft *draft, struct buffer *header)
{
    GMimeContentType *type =
        draft->type ? g_object_ref(draft->type) : g_mime_content_type_new("text", "plain");
    g_mime_content_type_set_parameter(type, "charset", draft->charset);
    g_autofree char *encoded = g_mime_content_type_encode(type, NULL);
    g_auto(GStrv) lines = g_strsplit(g_strstrip(encoded), "\n", -1);
    g_autofree char *value = g_strjoinv("\r\n", lines);
    rewrite_set_field(header, "Content-Type", value);
    g_object_unref(type);
}

/* What can stay as it is stays: bytes that were there before are no reason to encode, those of the
 * annotation are. */
static GMimeContentEncoding new_encoding(const struct draft *draft, const struct buffer *content)
{
    GMimeContentEncoding old = draft->part->encoding;
    if (old == GMIME_CONTENT_ENCODING_BASE64 || old == GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE)
        return old;
    if (old == GMIME_CONTENT_ENCODING_UUENCODE)
        return GMIME_CONTENT_ENCODING_BASE64;
    GMimeContentEncoding needed = rewrite_choose_encoding(buffer_text(content), content->length);
    bool was_so =
        !draft->converted && old != GMIME_CONTENT_ENCODING_BINARY &&
        rewrite_choose_encoding(draft->content, draft->length) != GMIME_CONTENT_ENCODING_7BIT;
    return old == GMIME_CONTENT_ENCODING_BINARY || was_so ? old : needed;
}

static bool is_identity(GMimeContentEncoding encoding)
{
    return encoding != GMIME_CONTENT_ENCODING_BASE64 &&
           encoding != GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE;
}

static void write_part(const struct message *message, const struct draft *draft,
                       const struct buffer *content, struct rewrite_part *part)
{
    const struct message_part *old = draft->part;
    GMimeContentEncoding encoding = new_encoding(draft, content);
    rewrite_take_header(message->data + old->begin, old->body - old->begin, &part->header);
    rewrite_remove_fields(&part->header, "Content-MD5", NULL);
    rewrite_remove_fields(&part->header, "Content-Length", NULL);
    if (draft->relabelled)
        set_charset(draft, &part->header);
    if (encoding != old->encoding && !is_identity(encoding))
        rewrite_set_field(&part->header, "Content-Transfer-Encoding",
                          rewrite_encoding_name(encoding));
    rewrite_encode(buffer_text(content), content->length, encoding, &part->body);
}

bool rewrite_text_part(const struct message *message, size_t index,
                       const struct rewrite_annotation *annotation, const bool sides[REWRITE_SIDES],
                       struct rewrite_part *part)
{
    struct draft draft;
    struct buffer content = BUFFER_INIT;
    char *text[REWRITE_SIDES] = {sides[REWRITE_BEGIN] ? annotation->text[REWRITE_BEGIN] : NULL,
                                 sides[REWRITE_END] ? annotation->text[REWRITE_END] : NULL};
    char *html[REWRITE_SIDES] = {sides[REWRITE_BEGIN] ? annotation->html[REWRITE_BEGIN] : NULL,
                                 sides[REWRITE_END] ? annotation->html[REWRITE_END] : NULL};
    open_draft(message, index, &draft);
    bool composed =
        draft.known_encoding && (is_html(&draft) ? compose_html(&draft, html, &content)
                                                 : compose_plain(&draft, text, &content));
    if (composed)
        write_part(message, &draft, &content, part);
    close_draft(&draft);
    buffer_free(&content);
    return composed && !part->header.failed && !part->body.failed;
}
