/* Names and contents of the parts of a message. */
#include "scanner/engine/message.h"

#include <string.h>

/* "part 2.1": the numbers from the message that the part stands in down to it. */
static char *numbered_name(const struct message *message, size_t index)
{
    g_autofree char *numbers = g_strdup("");
    size_t at = index;
    while (at != 0 && message->parts[message->parts[at].parent].kind == MESSAGE_PART_MULTIPART) {
        char *longer = *numbers ? g_strdup_printf("%zu.%s", message->parts[at].number, numbers)
                                : g_strdup_printf("%zu", message->parts[at].number);
        g_free(numbers);
        numbers = longer;
        at = message->parts[at].parent;
    }
    return *numbers ? g_strdup_printf("part %s", numbers) : g_strdup("body");
}

static char *part_name(const struct message *message, size_t index)
{
    const char *name = message->parts[index].name;
    return name ? g_strdup(name) : numbered_name(message, index);
}

/* Cuts at a character, so that the text stays UTF-8. */
static void copy_cut(const char *text, char path[MESSAGE_PATH_SIZE])
{
    size_t length = strlen(text);
    if (length >= MESSAGE_PATH_SIZE) {
        const char *end = g_utf8_find_prev_char(text, text + MESSAGE_PATH_SIZE);
        length = end ? (size_t)(end - text) : 0;
    }
    memcpy(path, text, length);
    path[length] = '\0';
}

const char *message_part_path(const struct message *message, size_t index,
                              char path[MESSAGE_PATH_SIZE])
{
    g_autofree char *text = part_name(message, index);
    for (size_t at = index; at != 0; at = message->parts[at].parent) {
        size_t above = message->parts[at].parent;
        if (message->parts[above].kind != MESSAGE_PART_MESSAGE)
            continue;
        g_autofree char *name = part_name(message, above);
        char *longer = g_strdup_printf("%s/%s", name, text);
        g_free(text);
        text = longer;
    }
    copy_cut(text, path);
    return path;
}

const char *message_part_content(const struct message *message, size_t index, size_t *length,
                                 char **owned)
{
    const struct message_part *part = &message->parts[index];
    const char *body = message->data + part->body;
    *length = part->end - part->body;
    *owned = NULL;
    if (part->encoding != GMIME_CONTENT_ENCODING_BASE64 &&
        part->encoding != GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE &&
        part->encoding != GMIME_CONTENT_ENCODING_UUENCODE)
        return body;
    char *out;
    size_t out_length, prespace;
    GMimeFilter *filter = g_mime_filter_basic_new(part->encoding, FALSE);
    g_mime_filter_complete(filter, (char *)body, *length, 0, &out, &out_length, &prespace);
    *owned = g_malloc(out_length + 1);
    memcpy(*owned, out, out_length);
    g_object_unref(filter);
    *length = out_length;
    return *owned;
}
