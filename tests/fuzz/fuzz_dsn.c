/* libFuzzer: delivery status notifications about any addresses, replies and content are well
 * formed: lines end in CRLF, no line is too long but those of the content, no field is forged. */
#include "scanner/mta/bounce.h"

#include "common/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXTS 7

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The input up to a NUL is the first text, and so on; the content is what remains. */
static char *next_text(const uint8_t **data, size_t *size)
{
    const uint8_t *end = *size ? memchr(*data, 0, *size) : NULL;
    size_t length = end ? (size_t)(end - *data) : *size;
    char *text = malloc(length + 1);
    memcpy(text, *data, length);
    text[length] = '\0';
    *data += length + (end != NULL);
    *size -= length + (end != NULL);
    return text;
}

static bool begins(const char *line, const char *name)
{
    return strncmp(line, name, strlen(name)) == 0;
}

static void check_report(const struct bounce_report *report, const struct buffer *out,
                         size_t content_at)
{
    size_t recipients = 0, boundaries = 0;
    char id[MESSAGE_ID_TEXT_SIZE], boundary[MESSAGE_ID_TEXT_SIZE + 4] = "--=_";
    strcat(boundary, message_id_text(&report->id, id));
    for (const char *line = out->data, *end; line < out->data + out->length; line = end + 1) {
        end = memchr(line, '\n', out->length - (size_t)(line - out->data));
        check(end && end > line && end[-1] == '\r' && !memchr(line, '\0', (size_t)(end - line)));
        boundaries += begins(line, boundary);
        if ((size_t)(line - out->data) >= content_at)
            continue;
        check(end - line <= 998);
        check(utf8_valid(line, (size_t)(end - line)));
        for (const char *at = line; at < end - 1; at++)
            check((unsigned char)*at >= ' ' && (report->utf8 || (unsigned char)*at < 0x80));
        recipients += begins(line, "Final-Recipient: ");
    }
    check(recipients == report->recipient_count);
    check(boundaries == 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *texts[TEXTS];
    if (size < 2 || size > 16384)
        return 0;
    uint8_t choice = *data++;
    size--;
    for (size_t i = 0; i < TEXTS; i++)
        texts[i] = next_text(&data, &size);
    struct bounce_recipient recipients[2] = {
        {texts[0], texts[1], texts[2], choice & 1 ? texts[3] : NULL, choice & 1, 0},
        {texts[0], NULL, texts[2], NULL, choice & 1, 0}};
    struct bounce_report report = {.kind = choice >> 1 & 1 ? BOUNCE_DELAYED : BOUNCE_FAILED,
                                   .id = message_id_new(),
                                   .reporting_host = "gate.example",
                                   .to = texts[4],
                                   .envelope_id = choice >> 2 & 1 ? texts[5] : NULL,
                                   .utf8 = choice >> 3 & 1,
                                   .recipients = recipients,
                                   .recipient_count = 1 + (choice >> 4 & 1),
                                   .content = (const char *)data,
                                   .content_length = size,
                                   .content_whole = choice >> 5 & 1};
    struct buffer out = {.limit = 1u << 20};
    check(bounce_write(&report, &out));
    const char *part = strstr(out.data, report.content_whole ? "\nContent-Description: Your"
                                                             : "\nContent-Description: Header");
    const char *content = part ? strstr(part, "\r\n\r\n") : NULL;
    check(content != NULL);
    check_report(&report, &out, (size_t)(content - out.data) + 4);
    buffer_free(&out);
    for (size_t i = 0; i < TEXTS; i++)
        free(texts[i]);
    return 0;
}
