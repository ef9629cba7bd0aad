/* winmail.dat: attachments of Outlook's own format ([MS-OXTNEF] section 2.1.3). */
#include "scanner/engine/tree_private.h"

#include <string.h>

#define SIGNATURE 0x223E9F78u
#define HEADER_BYTES 6    /* signature and key */
#define ATTRIBUTE_BYTES 9 /* level, identifier, length */
#define LEVEL_ATTACHMENT 2
#define ATT_RENDER_DATA 0x9002u /* begins an attachment */
#define ATT_DATA 0x800Fu
#define ATT_TITLE 0x8010u
#define ATT_PROPERTIES 0x9005u
#define MAPI_LONG_NAME 0x3707u
#define TYPE_STRING8 0x001Eu
#define TYPE_UNICODE 0x001Fu
#define MOST_PROPERTIES 1000

struct reader {
    const unsigned char *at, *end;
};

static bool read_number(struct reader *reader, size_t bytes, uint32_t *number)
{
    if ((size_t)(reader->end - reader->at) < bytes)
        return false;
    *number = 0;
    for (size_t i = 0; i < bytes; i++)
        *number |= (uint32_t)reader->at[i] << (8 * i);
    reader->at += bytes;
    return true;
}

/* One attachment in the making: its data and names come one after the other. */
struct attachment {
    const unsigned char *data;
    size_t length;
    char name[TREE_NAME_CHARACTERS + 1];
    bool open, long_name;
};

static void take_name(struct attachment *attachment, const unsigned char *text, size_t length)
{
    if (length > TREE_NAME_CHARACTERS)
        length = TREE_NAME_CHARACTERS;
    memcpy(attachment->name, text, length);
    attachment->name[length] = '\0';
}

/* UTF-16 names are told by the characters of theirs that are ASCII; "_" stands for the others. */
static void take_wide_name(struct attachment *attachment, const unsigned char *text, size_t length)
{
    size_t out = 0;
    for (size_t i = 0; i + 1 < length && out < TREE_NAME_CHARACTERS; i += 2) {
        if (text[i] == 0 && text[i + 1] == 0)
            break;
        attachment->name[out++] = text[i + 1] == 0 && text[i] >= ' ' ? (char)text[i] : '_';
    }
    attachment->name[out] = '\0';
}

/* The size of a property's value that has a fixed one; 0: it has a length of its own. */
static size_t fixed_size(uint32_t type)
{
    switch (type) {
    case 0x0002:
    case 0x0003:
    case 0x0004:
    case 0x000A:
    case 0x000B:
        return 4;
    case 0x0005:
    case 0x0006:
    case 0x0007:
    case 0x0014:
    case 0x0040:
        return 8;
    case 0x0048:
        return 16;
    default:
        return 0;
    }
}

static bool skip(struct reader *reader, size_t bytes)
{
    if ((size_t)(reader->end - reader->at) < bytes)
        return false;
    reader->at += bytes;
    return true;
}

/* A named property has its name between tag and value. */
static bool skip_property_name(struct reader *reader)
{
    uint32_t kind, length;
    if (!skip(reader, 16) || !read_number(reader, 4, &kind))
        return false;
    if (kind == 0)
        return skip(reader, 4);
    return read_number(reader, 4, &length) && skip(reader, ((size_t)length + 3) & ~(size_t)3);
}

static bool read_value(struct reader *reader, uint32_t type, uint32_t id,
                       struct attachment *attachment)
{
    uint32_t length, values = 1;
    size_t size = fixed_size(type & 0x0FFF);
    bool several = (type & 0x1000) || size == 0;
    if (several && (!read_number(reader, 4, &values) || values > MOST_PROPERTIES))
        return false;
    for (uint32_t i = 0; i < values; i++) {
        if (size > 0) {
            if (!skip(reader, size))
                return false;
            continue;
        }
        if (!read_number(reader, 4, &length) || (size_t)(reader->end - reader->at) < length)
            return false;
        if (id == MAPI_LONG_NAME && type == TYPE_STRING8)
            take_name(attachment, reader->at, strnlen((const char *)reader->at, length));
        else if (id == MAPI_LONG_NAME && type == TYPE_UNICODE)
            take_wide_name(attachment, reader->at, length);
        attachment->long_name |= id == MAPI_LONG_NAME;
        if (!skip(reader, ((size_t)length + 3) & ~(size_t)3))
            return false;
    }
    return true;
}

static void read_properties(const unsigned char *data, size_t length, struct attachment *attachment)
{
    struct reader reader = {data, data + length};
    uint32_t count, type, id;
    if (!read_number(&reader, 4, &count) || count > MOST_PROPERTIES)
        return;
    while (count-- > 0)
        if (!read_number(&reader, 2, &type) || !read_number(&reader, 2, &id) ||
            (id >= 0x8000 && !skip_property_name(&reader)) ||
            !read_value(&reader, type, id, attachment))
            return;
}

static bool finish(struct tree *tree, size_t index, struct attachment *attachment,
                   uint64_t *from_container)
{
    struct tree_content content = {tree, index, from_container, NULL, 0, 0};
    bool fits = true;
    if (attachment->open && attachment->data)
        fits = tree_content_add(&content, attachment->data, attachment->length) &&
               tree_add_member(tree, index, attachment->name, &content);
    *attachment = (struct attachment){.open = true};
    return fits;
}

static void take_attribute(uint32_t identifier, const unsigned char *data, size_t length,
                           struct attachment *attachment)
{
    if (identifier == ATT_DATA) {
        attachment->data = data;
        attachment->length = length;
    } else if (identifier == ATT_TITLE && !attachment->long_name) {
        take_name(attachment, data, strnlen((const char *)data, length));
    } else if (identifier == ATT_PROPERTIES) {
        read_properties(data, length, attachment);
    }
}

/* False where it ends early. */
static bool read_attributes(struct tree *tree, size_t index, struct reader *reader)
{
    struct attachment attachment = {0};
    uint64_t from_container = 0;
    uint32_t level, identifier, length, checksum;
    bool whole = true;
    while (reader->end - reader->at >= ATTRIBUTE_BYTES && tree_has_time(tree, index)) {
        if (!read_number(reader, 1, &level) || !read_number(reader, 4, &identifier) ||
            !read_number(reader, 4, &length) || (size_t)(reader->end - reader->at) < length) {
            whole = false;
            break;
        }
        const unsigned char *data = reader->at;
        reader->at += length;
        identifier &= 0xFFFF;
        if (level == LEVEL_ATTACHMENT && identifier == ATT_RENDER_DATA &&
            !finish(tree, index, &attachment, &from_container))
            return true;
        if (level == LEVEL_ATTACHMENT)
            take_attribute(identifier, data, length, &attachment);
        if (!read_number(reader, 2, &checksum))
            whole = false;
    }
    return finish(tree, index, &attachment, &from_container) ? whole : true;
}

bool tree_open_tnef(struct tree *tree, size_t index)
{
    struct tree_node *node = &tree->nodes[index];
    struct reader reader = {(const unsigned char *)node->data,
                            (const unsigned char *)node->data + node->length};
    uint32_t signature;
    if (node->length < HEADER_BYTES || !read_number(&reader, 4, &signature) ||
        signature != SIGNATURE || !skip(&reader, 2))
        return false;
    node->container = true;
    if (!read_attributes(tree, index, &reader))
        tree->nodes[index].damaged = true;
    return true;
}
