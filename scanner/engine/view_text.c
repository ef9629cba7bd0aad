#include "scanner/engine/view_private.h"

#include "scanner/engine/language.h"
#include "scanner/engine/text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct reader {
    const struct view_order *order;
    struct view *view;
    size_t left; /* bytes of text that may still be made */
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void note(struct reader *reader, const char *what, const struct policy_node *node)
{
    if (!reader->view->problem)
        reader->view->problem = g_strdup_printf("%s (%s)", what, node->path);
}

/* The node's text, which the view keeps; NULL where it is of no kind that has text. */
static const char *read_text(struct reader *reader, size_t index, enum text_view kind,
                             size_t *length)
{
    const struct policy_node *node = &reader->view->nodes[index];
    struct text_limits limits = text_default_limits(0);
    struct text text;
    limits.stop_us = reader->order->stop_us;
    limits.urls = 0;
    limits.bytes = MIN(limits.bytes, reader->left);
    text_init(&text, &limits);
    char *own = NULL;
    if (text_of_node(reader->order->tree, reader->view->indices[index], kind, &text)) {
        own = g_strndup(buffer_text(&text.content), text.content.length);
        *length = text.content.length;
        reader->left -= MIN(reader->left, *length);
        g_ptr_array_add(reader->view->texts, own);
        if (text.cut && now_us() >= limits.stop_us)
            note(reader, "there was no time to read all of a text", node);
        else if (text.content.failed || text.content.length >= limits.bytes)
            note(reader, "a text is longer than what is looked at", node);
    }
    text_free(&text);
    return own;
}

static bool is_wanted(const struct policy_needs *needs, const struct policy_node *node)
{
    if (node->flags & POLICY_NODE_BODY &&
        (needs->visible_text || needs->text_with_tags || needs->language))
        return true;
    return node->flags & (POLICY_NODE_ATTACHMENT | POLICY_NODE_MEMBER) && needs->attachment_text;
}

/* Only HTML has tags that the visible text does not show. */
static bool has_tags(const struct tree_node *node)
{
    return strcmp(node->type, "text/html") == 0 ||
           (node->declared_type && strstr(node->declared_type, "html"));
}

static void add_text(struct reader *reader, size_t index)
{
    const struct policy_needs *needs = &reader->order->needs;
    struct policy_node *node = &reader->view->nodes[index];
    if (!is_wanted(needs, node))
        return;
    node->visible = read_text(reader, index, TEXT_VISIBLE, &node->visible_length);
    if (!node->visible || !needs->text_with_tags)
        return;
    if (has_tags(&reader->order->tree->nodes[reader->view->indices[index]])) {
        node->with_tags = read_text(reader, index, TEXT_WITH_TAGS, &node->with_tags_length);
        return;
    }
    node->with_tags = node->visible;
    node->with_tags_length = node->visible_length;
}

static const char *language(const struct view *view)
{
    g_autoptr(GString) all = g_string_new(NULL);
    for (size_t i = 0; i < view->message.node_count && all->len < LANGUAGE_LOOK; i++) {
        const struct policy_node *node = &view->nodes[i];
        if (!(node->flags & POLICY_NODE_BODY) || !node->visible)
            continue;
        g_string_append_len(all, node->visible, (gssize)MIN(node->visible_length, LANGUAGE_LOOK));
        g_string_append_c(all, '\n');
    }
    return language_of(all->str, all->len);
}

void view_add_texts(const struct view_order *order, struct view *view)
{
    struct reader reader = {order, view, VIEW_TEXT_BYTES};
    for (size_t i = 0; i < view->message.node_count; i++)
        add_text(&reader, i);
    if (order->needs.language)
        view->message.language = language(view);
}
