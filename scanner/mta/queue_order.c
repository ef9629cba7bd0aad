/* The messages in order of their ids: a treap threaded through them. Its priorities are the random
 * bytes of the ids, which are made here, so that nobody outside can choose the tree's shape. */
#include "scanner/mta/queue_private.h"

#include <string.h>

static int compare(const struct message_id *a, const struct message_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

static uint32_t priority(const struct queue_message *message)
{
    uint32_t value;
    memcpy(&value, message->id.bytes + sizeof message->id.bytes - sizeof value, sizeof value);
    return value;
}

/* The tree comes apart into what is below the id and what is above it. */
static void split(struct queue_message *tree, const struct message_id *id,
                  struct queue_message **below, struct queue_message **above)
{
    while (tree) {
        if (compare(&tree->id, id) < 0) {
            *below = tree;
            below = &tree->higher;
            tree = tree->higher;
        } else {
            *above = tree;
            above = &tree->lower;
            tree = tree->lower;
        }
    }
    *below = *above = NULL;
}

static struct queue_message *merge(struct queue_message *below, struct queue_message *above)
{
    struct queue_message *tree, **link = &tree;
    while (below && above) {
        if (priority(below) > priority(above)) {
            *link = below;
            link = &below->higher;
            below = below->higher;
        } else {
            *link = above;
            link = &above->lower;
            above = above->lower;
        }
    }
    *link = below ? below : above;
    return tree;
}

void queue_order_add(struct queue *queue, struct queue_message *message)
{
    struct queue_message **link = &queue->order;
    while (*link && priority(*link) >= priority(message))
        link = compare(&(*link)->id, &message->id) < 0 ? &(*link)->higher : &(*link)->lower;
    split(*link, &message->id, &message->lower, &message->higher);
    *link = message;
}

void queue_order_remove(struct queue *queue, struct queue_message *message)
{
    struct queue_message **link = &queue->order;
    while (*link != message)
        link = compare(&(*link)->id, &message->id) < 0 ? &(*link)->higher : &(*link)->lower;
    *link = merge(message->lower, message->higher);
    message->lower = message->higher = NULL;
}

#define DEPTH_KEPT 128 /* a tree of a million messages is some 50 deep */

/* The messages above the id that the way down to it passed, the nearest last. Of a longer way the
 * farthest are left out; the walk ends before them and goes on with the next call. */
struct way {
    struct queue_message *above[DEPTH_KEPT];
    size_t count;
};

static void go_down(struct way *way, struct queue_message *tree, const struct message_id *after)
{
    while (tree) {
        if (after && compare(&tree->id, after) <= 0) {
            tree = tree->higher;
            continue;
        }
        if (way->count == DEPTH_KEPT) {
            memmove(way->above, way->above + 1, (DEPTH_KEPT - 1) * sizeof way->above[0]);
            way->count--;
        }
        way->above[way->count++] = tree;
        tree = tree->lower;
    }
}

size_t queue_next(struct queue *queue, const struct message_id *after,
                  struct queue_message **messages, size_t most)
{
    struct way way = {.count = 0};
    size_t count = 0;
    go_down(&way, queue->order, after);
    while (way.count && count < most) {
        struct queue_message *message = way.above[--way.count];
        messages[count++] = message;
        go_down(&way, message->higher, NULL);
    }
    return count;
}
