#include "scanner/engine/tree.h"

#include "scanner/engine/header_text.h"
#include "scanner/engine/tree_private.h"
#include "scanner/engine/type.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_DEPTH 20
#define DEFAULT_PARTS 10000
#define DEFAULT_UNPACKED (256ull << 20)
#define DEFAULT_RATIO 1000
#define RATIO_FREE (1u << 20) /* bytes out of a container before its ratio counts */
#define FIRST_NODES 16
#define NO_FILE SIZE_MAX
#define NESTED_MESSAGES 1000 /* messages in files */

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct tree_limits tree_default_limits(int64_t microseconds)
{
    return (struct tree_limits){.depth = DEFAULT_DEPTH,
                                .parts = DEFAULT_PARTS,
                                .unpacked_bytes = DEFAULT_UNPACKED,
                                .ratio = DEFAULT_RATIO,
                                .stop_us = now_us() + microseconds};
}

/* --- limits --- */

bool tree_hit(struct tree *tree, enum tree_limit limit, size_t where)
{
    if (tree->limit == TREE_LIMIT_NONE) {
        tree->limit = limit;
        tree->limit_node = where;
    }
    return false;
}

bool tree_has_time(struct tree *tree, size_t where)
{
    return now_us() < tree->limits.stop_us || tree_hit(tree, TREE_LIMIT_TIME, where);
}

const char *tree_limit_text(const struct tree *tree, char *text, size_t size)
{
    static const char *const sentences[] = {
        [TREE_LIMIT_DEPTH] = "too many containers in each other",
        [TREE_LIMIT_PARTS] = "too many parts",
        [TREE_LIMIT_UNPACKED] = "too many bytes come out of its containers",
        [TREE_LIMIT_RATIO] = "more comes out of a container than its size can be trusted for",
        [TREE_LIMIT_TIME] = "the time was over",
    };
    char path[TREE_PATH_SIZE];
    if (tree->limit == TREE_LIMIT_NONE)
        text[0] = '\0';
    else
        snprintf(text, size, "%s (%s)", sentences[tree->limit],
                 tree_path(tree, tree->limit_node, path));
    return text;
}

/* --- nodes --- */

static bool grow(struct tree *tree)
{
    if (tree->count < tree->capacity)
        return true;
    size_t capacity = tree->capacity ? tree->capacity * 2 : FIRST_NODES;
    struct tree_node *nodes = reallocarray(tree->nodes, capacity, sizeof(*nodes));
    if (!nodes)
        return false;
    tree->nodes = nodes;
    tree->capacity = capacity;
    return true;
}

struct tree_node *tree_add(struct tree *tree, size_t parent, enum tree_kind kind)
{
    int depth = tree->count ? tree->nodes[parent].depth + 1 : 0;
    if (tree->count >= tree->limits.parts)
        tree_hit(tree, TREE_LIMIT_PARTS, parent);
    else if (depth > tree->limits.depth)
        tree_hit(tree, TREE_LIMIT_DEPTH, parent);
    else if (grow(tree)) {
        struct tree_node *node = &tree->nodes[tree->count++];
        *node = (struct tree_node){.kind = kind, .parent = parent, .depth = depth, .type = ""};
        return node;
    } else {
        tree_hit(tree, TREE_LIMIT_UNPACKED, parent);
    }
    return NULL;
}

bool tree_content_add(struct tree_content *content, const void *data, size_t length)
{
    struct tree *tree = content->tree;
    const struct tree_limits *limits = &tree->limits;
    *content->from_container += length;
    if (length > limits->unpacked_bytes || tree->unpacked > limits->unpacked_bytes - length)
        return tree_hit(tree, TREE_LIMIT_UNPACKED, content->container);
    if (*content->from_container > RATIO_FREE &&
        *content->from_container / limits->ratio > tree->nodes[content->container].length)
        return tree_hit(tree, TREE_LIMIT_RATIO, content->container);
    if (length > content->capacity - content->length) {
        size_t capacity = content->capacity * 2 > content->length + length
                              ? content->capacity * 2
                              : content->length + length;
        char *larger = realloc(content->data, capacity);
        if (!larger)
            return tree_hit(tree, TREE_LIMIT_UNPACKED, content->container);
        content->data = larger;
        content->capacity = capacity;
    }
    if (length == 0)
        return true;
    memcpy(content->data + content->length, data, length);
    content->length += length;
    tree->unpacked += length;
    return true;
}

/* Backslashes become slashes; no name leads upwards or to the root. */
static char *clean_member_name(const char *name, bool *hidden)
{
    if (!name || !*name)
        return NULL;
    char *text = g_utf8_make_valid(name, -1);
    *hidden = header_text_turns(text);
    g_strdelimit(text, "\\", '/');
    header_text_clean(text, TREE_NAME_CHARACTERS);
    g_auto(GStrv) pieces = g_strsplit(text, "/", -1);
    GString *clean = g_string_new(NULL);
    for (size_t i = 0; pieces[i]; i++)
        if (*pieces[i] && strcmp(pieces[i], ".") != 0 && strcmp(pieces[i], "..") != 0)
            g_string_append_printf(clean, "%s%s", clean->len ? "/" : "", pieces[i]);
    g_free(text);
    return g_string_free(clean, clean->len == 0);
}

bool tree_add_member(struct tree *tree, size_t container, const char *name,
                     struct tree_content *content)
{
    struct tree_node *node = tree_add(tree, container, TREE_MEMBER);
    if (!node) {
        free(content->data);
        return false;
    }
    node->name = clean_member_name(name, &node->hidden_name);
    node->owned = content->data;
    node->data = content->data ? content->data : "";
    node->length = content->length;
    tree->nodes[container].container = true;
    return true;
}

/* --- MIME parts --- */

static void take_content(struct tree_node *node)
{
    char *owned;
    node->data = message_part_content(node->message, node->message_part, &node->length, &owned);
    if (!owned)
        return;
    /* The tree frees what it owns with free(). */
    node->owned = malloc(node->length ? node->length : 1);
    if (node->owned)
        memcpy(node->owned, owned, node->length);
    else
        node->length = 0;
    node->data = node->owned ? node->owned : "";
    g_free(owned);
}

static enum tree_kind kind_of(const struct message_part *part)
{
    switch (part->kind) {
    case MESSAGE_PART_MULTIPART:
        return TREE_MULTIPART;
    case MESSAGE_PART_MESSAGE:
        return TREE_MESSAGE;
    default:
        return TREE_PART;
    }
}

/* The parts of a message, as children of the file that it was found in, or as the first nodes. */
static void add_message(struct tree *tree, const struct message *message, size_t file)
{
    size_t first = tree->count;
    for (size_t i = 0; i < message->count; i++) {
        const struct message_part *part = &message->parts[i];
        size_t parent = i > 0 ? first + part->parent : file == NO_FILE ? 0 : file;
        struct tree_node *node = tree_add(tree, parent, kind_of(part));
        if (!node)
            return;
        node->file = file;
        node->message = message;
        node->message_part = i;
        node->name = g_strdup(part->name);
        node->declared_type = g_strdup(part->type);
        node->attachment = part->attachment;
        node->hidden_name = part->hidden_name;
        if (node->kind == TREE_PART)
            take_content(node);
    }
    if (message->cut)
        tree_hit(tree, TREE_LIMIT_PARTS, first);
}

static bool is_message(const struct tree_node *node)
{
    if (strcmp(node->type, "message/rfc822") == 0)
        return true;
    return (node->declared_type && strcmp(node->declared_type, "message/rfc822") == 0) ||
           (node->name && g_str_has_suffix(node->name, ".eml"));
}

/* A file that is a message: its parts are its members. */
static bool open_message(struct tree *tree, size_t index)
{
    if (!is_message(&tree->nodes[index]) || tree->message_count >= NESTED_MESSAGES)
        return false;
    struct message *message = message_parse(tree->nodes[index].data, tree->nodes[index].length);
    struct message **messages =
        message ? reallocarray(tree->messages, tree->message_count + 1, sizeof(*messages)) : NULL;
    if (!messages) {
        message_free(message);
        return false;
    }
    tree->messages = messages;
    tree->messages[tree->message_count++] = message;
    tree->nodes[index].container = true;
    add_message(tree, message, index);
    return true;
}

/* --- the walk --- */

/* The types that a document may give itself by its member "mimetype". Only these: a type is kept
 * for as long as the worker lives, so that mail must not make new ones. */
static const char *document_type(const struct tree_node *member)
{
    static const char *const types[] = {"application/vnd.oasis.opendocument.text",
                                        "application/vnd.oasis.opendocument.text-template",
                                        "application/vnd.oasis.opendocument.text-master",
                                        "application/vnd.oasis.opendocument.text-web",
                                        "application/vnd.oasis.opendocument.spreadsheet",
                                        "application/vnd.oasis.opendocument.spreadsheet-template",
                                        "application/vnd.oasis.opendocument.presentation",
                                        "application/vnd.oasis.opendocument.presentation-template",
                                        "application/vnd.oasis.opendocument.graphics",
                                        "application/vnd.oasis.opendocument.graphics-template",
                                        "application/vnd.oasis.opendocument.chart",
                                        "application/vnd.oasis.opendocument.formula",
                                        "application/vnd.oasis.opendocument.image",
                                        "application/vnd.oasis.opendocument.base",
                                        "application/vnd.sun.xml.writer",
                                        "application/vnd.sun.xml.calc",
                                        "application/vnd.sun.xml.impress",
                                        "application/epub+zip"};
    if (strcmp(member->name, "mimetype") != 0 || member->length > 100)
        return NULL;
    g_autofree char *type = g_strndup(member->data, member->length);
    g_strstrip(type);
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
        if (strcmp(type, types[i]) == 0)
            return g_intern_static_string(types[i]);
    return NULL;
}

/* An Office document in a ZIP or an encrypted one in an OLE container. */
static void refine_type(struct tree *tree, size_t index, size_t first)
{
    static const struct {
        const char *member, *type;
    } marks[] = {
        {"word/document.xml",
         "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
        {"xl/workbook.xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
        {"xl/workbook.bin", "application/vnd.ms-excel.sheet.binary.macroenabled.12"},
        {"ppt/presentation.xml",
         "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
        {"META-INF/MANIFEST.MF", "application/java-archive"},
        {"AndroidManifest.xml", "application/vnd.android.package-archive"},
    };
    for (size_t i = first; i < tree->count; i++) {
        const struct tree_node *member = &tree->nodes[i];
        if (member->parent != index || !member->name)
            continue;
        for (size_t j = 0; j < G_N_ELEMENTS(marks); j++)
            if (strcmp(member->name, marks[j].member) == 0)
                tree->nodes[index].type = g_intern_static_string(marks[j].type);
        const char *type = document_type(member);
        if (type)
            tree->nodes[index].type = type;
    }
}

static bool is_encrypted_office(const struct tree_node *node)
{
    static const char name[] = "E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e";
    return strcmp(node->type, "application/x-ole-storage") == 0 &&
           memmem(node->data, node->length, name, sizeof(name)) != NULL;
}

static void open_node(struct tree *tree, size_t index)
{
    struct tree_node *node = &tree->nodes[index];
    size_t first = tree->count;
    if (!node->data || node->length == 0)
        return;
    node->type = type_of(node->data, node->length);
    if (is_encrypted_office(node))
        node->encrypted = true;
    if (tree_open_archive(tree, index))
        refine_type(tree, index, first);
    else if (!open_message(tree, index) && !tree_open_tnef(tree, index))
        tree_open_uuencode(tree, index);
}

/* Nodes are opened in the order in which they were found: no recursion, whatever the nesting. */
static void open_nodes(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (!tree_has_time(tree, i))
            return;
        open_node(tree, i);
    }
}

struct tree *tree_build(const struct message *message, const struct tree_limits *limits)
{
    struct tree *tree = calloc(1, sizeof(*tree));
    if (!tree)
        return NULL;
    tree->message = message;
    tree->limits = *limits;
    add_message(tree, message, NO_FILE);
    if (tree->count == 0) {
        tree_free(tree);
        return NULL;
    }
    open_nodes(tree);
    return tree;
}

void tree_free(struct tree *tree)
{
    if (!tree)
        return;
    for (size_t i = 0; i < tree->count; i++) {
        g_free(tree->nodes[i].name);
        g_free(tree->nodes[i].declared_type);
        free(tree->nodes[i].owned);
    }
    for (size_t i = 0; i < tree->message_count; i++)
        message_free(tree->messages[i]);
    free(tree->messages);
    free(tree->nodes);
    free(tree);
}

/* --- paths --- */

/* What a node adds to the path; NULL for what only holds others. */
static char *own_name(const struct tree *tree, size_t index)
{
    const struct tree_node *node = &tree->nodes[index];
    char path[MESSAGE_PATH_SIZE];
    if (node->kind == TREE_MEMBER)
        return node->name ? g_strdup(node->name) : g_strdup("unnamed");
    message_part_path(node->message, node->message_part, path);
    return g_strdup(path);
}

/* The node whose path goes before this one's: a message's paths are whole, so of its parts it is
 * the file that the message was found in. NO_FILE: none. */
static size_t above(const struct tree_node *node)
{
    return node->kind == TREE_MEMBER ? node->parent : node->file;
}

const char *tree_path(const struct tree *tree, size_t index, char path[TREE_PATH_SIZE])
{
    char *text = own_name(tree, index);
    while ((index = above(&tree->nodes[index])) != NO_FILE) {
        g_autofree char *name = own_name(tree, index);
        char *longer = g_strdup_printf("%s/%s", name, text);
        g_free(text);
        text = longer;
    }
    size_t length = strlen(text);
    if (length >= TREE_PATH_SIZE) {
        const char *end = g_utf8_find_prev_char(text, text + TREE_PATH_SIZE);
        length = end ? (size_t)(end - text) : 0;
    }
    memcpy(path, text, length);
    path[length] = '\0';
    g_free(text);
    return path;
}
