/* The subject with text before or behind it, or another one. What is kept of it keeps its encoding
 * where that reads as it should afterwards. */
#include "scanner/engine/charset.h"
#include "scanner/engine/encoded_words.h"
#include "scanner/engine/header_text.h"
#include "scanner/engine/rewrite_private.h"

#include <string.h>

#define WHOLE G_MAXSIZE

/* As people read it. */
static char *decode(const char *value, size_t length, const char *charset)
{
    g_autofree char *line = header_text_unfold(value, length, charset);
    char *text = encoded_words_decode(line, NULL);
    header_text_clean(text, WHOLE);
    return text;
}

static bool is_there(const char *subject, const char *text, enum rewrite_place place)
{
    return place == REWRITE_BEGIN ? g_str_has_prefix(subject, text)
                                  : g_str_has_suffix(subject, text);
}

static bool is_ascii(const char *text)
{
    while (*text && !(*text & 0x80))
        text++;
    return *text == '\0';
}

/* Between two encoded words white space does not count, so that it goes into ours. */
static void add_before(struct buffer *out, const char *text, const char *raw)
{
    size_t column = strlen("Subject:");
    if (!is_ascii(text) && g_str_has_prefix(raw, "=?")) {
        g_autofree char *spaced = g_strdup_printf("%s ", text);
        column = rewrite_add_run(out, spaced, column);
    } else {
        column = rewrite_add_words(out, text, column);
    }
    size_t first = strcspn(raw, "\r\n");
    buffer_add_text(out, column + 1 + first > REWRITE_LINE ? "\r\n " : " ");
    buffer_add_text(out, raw);
}

static void add_behind(struct buffer *out, const char *text, const char *raw)
{
    const char *last = strrchr(raw, '\n');
    size_t column = last ? strlen(last + 1) : strlen("Subject: ") + strlen(raw);
    buffer_add_format(out, " %s", raw);
    if (!is_ascii(text) && g_str_has_suffix(raw, "?=")) {
        g_autofree char *spaced = g_strdup_printf(" %s", text);
        rewrite_add_run(out, spaced, column);
    } else {
        rewrite_add_words(out, text, column);
    }
}

/* The raw value with the text beside it, where that is read as `wanted`. */
static bool add_beside(struct buffer *out, const struct rewrite_edit *edit, const char *raw,
                       const char *wanted)
{
    struct buffer value = BUFFER_INIT;
    bool behind = edit->place == REWRITE_END;
    (behind ? add_behind : add_before)(&value, edit->text, raw);
    g_autofree char *read = decode(buffer_text(&value), value.length, NULL);
    bool same = strcmp(read, wanted) == 0;
    if (same)
        buffer_add_format(out, "Subject:%s\r\n", buffer_text(&value));
    buffer_free(&value);
    return same;
}

/* The value as it stands, without what is around it; NULL where it cannot stand in a header. */
static char *take_raw(const struct rewrite_field *field)
{
    char *raw = g_strndup(field->value, field->value_length);
    g_strstrip(raw);
    if (strlen(raw) > 0 && is_ascii(raw) && field->value_length <= HEADER_FIELD_LIMIT)
        return raw;
    g_free(raw);
    return NULL;
}

static void change(struct buffer *out, const struct rewrite_edit *edit,
                   const struct rewrite_field *field, const char *whole, const char *charset)
{
    g_autofree char *old = decode(field->value, field->value_length, charset);
    g_autofree char *text = g_strdup(edit->text);
    header_text_clean(text, WHOLE);
    if (is_there(old, text, edit->place)) {
        buffer_add(out, whole, field->end - field->begin);
        return;
    }
    bool behind = edit->place == REWRITE_END;
    g_autofree char *wanted =
        *old ? g_strdup_printf("%s %s", behind ? old : text, behind ? text : old) : g_strdup(text);
    g_autofree char *raw = take_raw(field);
    if (!raw || !add_beside(out, edit, raw, wanted))
        rewrite_add_field(out, "Subject", wanted, NULL);
}

bool rewrite_subject(struct buffer *header, const struct rewrite_edit *edit, const char *charset)
{
    struct buffer anew = BUFFER_INIT;
    struct rewrite_field field;
    bool seen = false;
    for (size_t at = 0; rewrite_next_field(header, &at, &field);) {
        const char *whole = header->data + field.begin;
        if (!rewrite_field_is(&field, "Subject"))
            buffer_add(&anew, whole, field.end - field.begin);
        else if (edit->place != REWRITE_REPLACE)
            change(&anew, edit, &field, whole, charset);
        else if (!seen)
            rewrite_add_field(&anew, "Subject", edit->text, NULL);
        seen |= rewrite_field_is(&field, "Subject");
    }
    if (!seen)
        rewrite_add_field(&anew, "Subject", edit->text, NULL);
    anew.failed |= header->failed;
    buffer_free(header);
    *header = anew;
    return !header->failed;
}
