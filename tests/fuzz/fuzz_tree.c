/* Files in messages: the tree stays within its limits, whatever the container holds. */
#include "scanner/engine/tree.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define UNPACKED (4u << 20)
#define PARTS 500

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_node(const struct tree *tree, size_t index)
{
    const struct tree_node *node = &tree->nodes[index];
    char path[TREE_PATH_SIZE];
    unsigned sum = 0;
    if (index > 0 && node->parent >= index)
        abort();
    if (strlen(tree_path(tree, index, path)) >= sizeof(path))
        abort();
    for (size_t i = 0; i < node->length; i++)
        sum += (unsigned char)node->data[i];
    if (sum == UINT32_MAX)
        abort();
}

/* The input is the content of a file, sent as it is (8bit). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char header[] = "Content-Type: application/octet-stream; name=\"file\"\r\n\r\n";
    static bool started;
    if (!started)
        g_mime_init();
    started = true;
    size_t length = sizeof(header) - 1 + size;
    char *mail = malloc(length);
    memcpy(mail, header, sizeof(header) - 1);
    memcpy(mail + sizeof(header) - 1, data, size);
    struct tree_limits limits = tree_default_limits(2000000);
    limits.unpacked_bytes = UNPACKED;
    limits.parts = PARTS;
    struct message *message = message_parse(mail, length);
    struct tree *tree = message ? tree_build(message, &limits) : NULL;
    if (tree && (tree->count > PARTS || tree->unpacked > UNPACKED))
        abort();
    for (size_t i = 0; tree && i < tree->count; i++)
        check_node(tree, i);
    tree_free(tree);
    message_free(message);
    free(mail);
    return 0;
}
