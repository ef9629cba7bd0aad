/* Writing any message anew: what was added is read in the result, nothing else is before it, and
 * without parts that change the body keeps its bytes. */
#include "scanner/engine/message_header.h"
#include "scanner/engine/rewrite.h"

#include "fuzz_mail.h"

#define CHOICES 2
#define OUT_LIMIT (64u << 20)
#define FIELD "X-Fuzz: mark\r\n"
#define MARK "the annotation"
#define EDITS 6

enum choice { TOP = 1, BOTTOM = 2, OWN_HTML = 4, JAPANESE = 8, SUBJECT = 16, STRIP = 32 };

static bool shows_mark(const struct message *message)
{
    for (size_t i = 0; i < message->count; i++) {
        size_t length;
        char *owned;
        if (message->parts[i].kind != MESSAGE_PART_LEAF)
            continue;
        const char *content = message_part_content(message, i, &length, &owned);
        bool found = memmem(content, length, MARK, strlen(MARK)) != NULL;
        g_free(owned);
        if (found)
            return true;
    }
    return false;
}

static void check(const struct message *before, const struct buffer *out, int choices)
{
    struct message *after = message_parse(out->data, out->length);
    if (!after || out->length < strlen(FIELD) || memcmp(out->data, FIELD, strlen(FIELD)) != 0)
        abort();
    if ((choices & (TOP | BOTTOM)) && !after->cut && !before->cut && !shows_mark(after))
        abort();
    size_t body = before->length - before->parts[0].body;
    if (!(choices & (TOP | BOTTOM | STRIP)) &&
        (out->length < body ||
         memcmp(out->data + out->length - body, before->data + before->parts[0].body, body) != 0))
        abort();
    if ((choices & SUBJECT) && !strstr(after->subject, "[fuzz]"))
        abort();
    message_free(after);
}

static size_t make_edits(int choices, const char *const *reasons, struct rewrite_edit *edits)
{
    size_t count = 0;
    const char *text = choices & JAPANESE ? MARK " \xe7\xa4\xbe\xe5\xa4\x96" : MARK;
    const char *html = choices & OWN_HTML ? "<p>" MARK "</p>" : NULL;
    edits[count++] =
        (struct rewrite_edit){.kind = REWRITE_ADD_FIELD, .name = "X-Fuzz", .text = "mark"};
    if (choices & SUBJECT)
        edits[count++] = (struct rewrite_edit){.kind = REWRITE_SUBJECT, .text = "[fuzz]"};
    for (int side = 0; side < 2; side++)
        if (choices & (side == 0 ? TOP : BOTTOM))
            edits[count++] = (struct rewrite_edit){.kind = REWRITE_ANNOTATE,
                                                   .text = text,
                                                   .html = html,
                                                   .place = (enum rewrite_place)side};
    if (choices & STRIP)
        edits[count++] = (struct rewrite_edit){.kind = REWRITE_STRIP, .reasons = reasons};
    return count;
}

/* The first bytes choose what is done, the rest is the message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!fuzz_mail_prepare() || size < CHOICES)
        return 0;
    struct fuzz_mail mail = fuzz_mail_open((const char *)data + CHOICES, size - CHOICES);
    if (mail.tree) {
        const char **reasons = calloc(mail.tree->count, sizeof(*reasons));
        struct rewrite_edit edits[EDITS];
        struct buffer out;
        buffer_init(&out, OUT_LIMIT);
        for (size_t i = 0; i < mail.tree->count; i++)
            if (data[1] >> (i % 8) & 1)
                reasons[i] = "fuzzing";
        struct rewrite rewrite = {mail.message, mail.tree, edits,
                                  make_edits(data[0], reasons, edits)};
        if (rewrite_message(&rewrite, &out, NULL))
            check(mail.message, &out, data[0]);
        buffer_free(&out);
        free(reasons);
    }
    fuzz_mail_close(&mail);
    return 0;
}
