/* Messages: the tree stays within its limits and its parts within the message. */
#include "scanner/engine/message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_part(const struct message *message, size_t index)
{
    const struct message_part *part = &message->parts[index];
    char path[MESSAGE_PATH_SIZE];
    char *owned;
    size_t length;
    if (part->begin > part->body || part->body > part->end || part->end > message->length ||
        part->depth > MESSAGE_DEPTH_LIMIT || (index > 0 && part->parent >= index))
        abort();
    if (strlen(message_part_path(message, index, path)) >= sizeof(path))
        abort();
    if (part->kind == MESSAGE_PART_LEAF) {
        message_part_content(message, index, &length, &owned);
        g_free(owned);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    if (!started)
        g_mime_init();
    started = true;
    struct message *message = message_parse((const char *)data, size);
    if (!message)
        return 0;
    if (message->count > MESSAGE_PART_LIMIT)
        abort();
    for (size_t i = 0; i < message->count; i++)
        check_part(message, i);
    message_free(message);
    return 0;
}
