/* Cleaning with any marks: the result can be read as a message, and no file in it has the bytes of
 * one that was to be removed. */
#include "scanner/engine/charset.h"
#include "scanner/engine/clean.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MARKS 8
#define UNPACKED (4u << 20)
#define PARTS 300
#define LEAST_BYTES 24 /* shorter files may be the same by chance */
#define OUT_LIMIT (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct opened {
    struct message *message;
    struct tree *tree;
};

static struct opened open_mail(const char *data, size_t length)
{
    struct tree_limits limits = tree_default_limits(3000000);
    limits.unpacked_bytes = UNPACKED;
    limits.parts = PARTS;
    struct opened opened = {.message = message_parse(data, length)};
    opened.tree = opened.message ? tree_build(opened.message, &limits) : NULL;
    return opened;
}

static void close_mail(struct opened *opened)
{
    tree_free(opened->tree);
    message_free(opened->message);
}

static bool has_bytes(const struct tree_node *node, const struct tree_node *other)
{
    return node->data && node->length == other->length &&
           memcmp(node->data, other->data, node->length) == 0;
}

/* Whether the same bytes also stand where nothing is marked, so that they may stay. */
static bool stays(const struct tree *tree, const char *const *threats, const struct tree_node *node)
{
    for (size_t i = 0; i < tree->count; i++) {
        bool marked = false;
        for (size_t at = i;; at = tree->nodes[at].parent) {
            marked |= threats[at] != NULL;
            if (at == 0)
                break;
        }
        if (!marked && has_bytes(&tree->nodes[i], node))
            return true;
    }
    return false;
}

static void check_cleaned(const struct tree *tree, const char *const *threats,
                          const struct buffer *out)
{
    struct opened after = open_mail(buffer_text(out), out->length);
    if (!after.tree)
        abort();
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_node *node = &tree->nodes[i];
        if (!threats[i] || node->length < LEAST_BYTES || stays(tree, threats, node))
            continue;
        for (size_t j = 0; j < after.tree->count; j++)
            if (has_bytes(&after.tree->nodes[j], node))
                abort();
    }
    close_mail(&after);
}

/* The first bytes choose what is marked, the rest is the message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    static struct charset_converters *converters; /* else each guess loads them anew */
    if (!started) {
        g_mime_init();
        converters = charset_preload();
    }
    started = true;
    if (!converters || size < MARKS)
        return 0;
    struct opened before = open_mail((const char *)data + MARKS, size - MARKS);
    if (before.tree) {
        const char **threats = calloc(before.tree->count, sizeof(*threats));
        struct buffer out;
        buffer_init(&out, OUT_LIMIT);
        for (size_t i = 0; i < before.tree->count; i++)
            if (before.tree->nodes[i].data && data[i % MARKS] >> (i / MARKS % 8) & 1)
                threats[i] = "Test.Marked";
        struct clean clean = {before.tree, threats};
        if (clean_message(&clean, &out, NULL))
            check_cleaned(before.tree, threats, &out);
        buffer_free(&out);
        free(threats);
    }
    close_mail(&before);
    return 0;
}
