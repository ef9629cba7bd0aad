/* Cleaning with any marks: the result can be read as a message, and no file in it has the bytes of
 * one that was to be removed. */
#include "scanner/engine/clean.h"

#include "fuzz_mail.h"

#define MARKS 8
#define LEAST_BYTES 24 /* shorter files may be the same by chance */
#define OUT_LIMIT (64u << 20)

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
    struct fuzz_mail after = fuzz_mail_open(buffer_text(out), out->length);
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
    fuzz_mail_close(&after);
}

/* The first bytes choose what is marked, the rest is the message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!fuzz_mail_prepare() || size < MARKS)
        return 0;
    struct fuzz_mail before = fuzz_mail_open((const char *)data + MARKS, size - MARKS);
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
    fuzz_mail_close(&before);
    return 0;
}
