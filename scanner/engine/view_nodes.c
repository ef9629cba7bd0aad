#include "scanner/engine/view_private.h"

#include "scanner/engine/language.h"

#include <string.h>

#define ENCRYPTION_LOOK (64u << 10) /* bytes at the end of a PDF */
#define NO_FILE SIZE_MAX

static bool has_type(const struct tree_node *node, const char *prefix)
{
    return g_str_has_prefix(node->type, prefix);
}

/* --- documents --- */

static bool is_document(const struct tree_node *node)
{
    return has_type(node, "application/vnd.openxmlformats") ||
           has_type(node, "application/vnd.oasis.") || has_type(node, "application/vnd.sun.xml.") ||
           has_type(node, "application/vnd.ms-excel.sheet.binary") ||
           strcmp(node->type, "application/epub+zip") == 0;
}

/* What documents are written in: markup, pictures, fonts. */
static bool is_material(const struct tree_node *node)
{
    return !node->container &&
           (has_type(node, "text/") || has_type(node, "image/") || has_type(node, "font/") ||
            has_type(node, "inode/") || has_type(node, "application/xml") ||
            has_type(node, "application/font") || has_type(node, "application/vnd.ms-opentype") ||
            has_type(node, "application/octet-stream"));
}

static bool has_macro_member(const struct tree *tree, size_t index)
{
    for (size_t i = index + 1; i < tree->count; i++) {
        const struct tree_node *member = &tree->nodes[i];
        if (member->parent != index || !member->name)
            continue;
        if (g_str_has_suffix(member->name, "vbaProject.bin") ||
            g_str_has_prefix(member->name, "Basic/") || g_str_has_prefix(member->name, "Scripts/"))
            return true;
    }
    return false;
}

/* Names of storages in an OLE file are UTF-16; those of macros are always these. */
static bool has_macro_storage(const struct tree_node *node)
{
    static const char project[] = "_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T";
    return node->data && memmem(node->data, node->length, project, sizeof(project)) != NULL;
}

static bool has_macros(const struct tree *tree, size_t index)
{
    const struct tree_node *node = &tree->nodes[index];
    if (is_document(node))
        return has_macro_member(tree, index);
    return strcmp(node->type, "application/x-ole-storage") == 0 && has_macro_storage(node);
}

/* The trailer of a PDF names how it is encrypted; it stands in clear at the end, or in the object
 * of the cross-reference stream. */
static bool is_encrypted(const struct tree_node *node)
{
    static const char mark[] = "/Encrypt";
    if (node->encrypted || !node->data || strcmp(node->type, "application/pdf") != 0)
        return node->encrypted;
    size_t look = node->length < ENCRYPTION_LOOK ? node->length : ENCRYPTION_LOOK;
    return memmem(node->data, look, mark, sizeof(mark) - 1) ||
           memmem(node->data + node->length - look, look, mark, sizeof(mark) - 1);
}

/* --- nodes --- */

static bool is_text(const struct tree_node *node)
{
    return !node->declared_type || g_str_has_prefix(node->declared_type, "text/") ||
           strcmp(node->declared_type, "application/xhtml+xml") == 0;
}

/* Whether the node stands in a message that was attached, so that nobody sees it at once. */
static bool is_in_attached(const struct tree *tree, size_t index)
{
    if (tree->nodes[index].file != NO_FILE)
        return true;
    while (index > 0) {
        index = tree->nodes[index].parent;
        if (index > 0 && tree->nodes[index].kind == TREE_MESSAGE && tree->nodes[index].attachment)
            return true;
    }
    return false;
}

static unsigned place_of(const struct tree *tree, size_t index)
{
    const struct tree_node *node = &tree->nodes[index];
    if (node->kind == TREE_MEMBER || is_in_attached(tree, index))
        return POLICY_NODE_MEMBER;
    if (node->kind == TREE_MESSAGE || node->attachment || !is_text(node))
        return POLICY_NODE_ATTACHMENT;
    return POLICY_NODE_BODY | (node->name ? POLICY_NODE_ATTACHMENT : 0);
}

static bool is_looked_at(const struct tree *tree, size_t index)
{
    const struct tree_node *node = &tree->nodes[index];
    if (node->kind == TREE_MULTIPART || (node->kind == TREE_MESSAGE && index == 0))
        return false;
    return !(node->kind == TREE_MEMBER && is_document(&tree->nodes[node->parent]) &&
             is_material(node));
}

static uint64_t size_of(const struct tree_node *node)
{
    if (node->kind != TREE_MESSAGE)
        return node->length;
    const struct message_part *part = &node->message->parts[node->message_part];
    return part->end - part->body;
}

static struct policy_node describe(const struct tree *tree, size_t index, struct view *view)
{
    const struct tree_node *node = &tree->nodes[index];
    char path[TREE_PATH_SIZE];
    char *own = g_strdup(tree_path(tree, index, path));
    g_ptr_array_add(view->texts, own);
    return (struct policy_node){
        .path = own,
        .name = node->name,
        .declared_type = node->declared_type,
        .type = node->kind == TREE_MESSAGE ? "message/rfc822" : node->type,
        .size = size_of(node),
        .flags = place_of(tree, index) | (is_encrypted(node) ? POLICY_NODE_ENCRYPTED : 0) |
                 (has_macros(tree, index) ? POLICY_NODE_MACROS : 0),
    };
}

void view_build_nodes(const struct tree *tree, struct view *view)
{
    *view = (struct view){.texts = g_ptr_array_new_with_free_func(g_free)};
    view->message.language = LANGUAGE_UNKNOWN;
    view->nodes = g_new0(struct policy_node, tree->count);
    view->indices = g_new0(size_t, tree->count);
    for (size_t i = 0; i < tree->count; i++) {
        if (!is_looked_at(tree, i))
            continue;
        view->indices[view->message.node_count] = i;
        view->nodes[view->message.node_count++] = describe(tree, i, view);
    }
    view->message.nodes = view->nodes;
}
