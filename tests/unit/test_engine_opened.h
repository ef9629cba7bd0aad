/* A message taken apart as the engine does it, for the tests of what is done with the parts. */
#ifndef GATEHOUSE_TESTS_UNIT_TEST_ENGINE_OPENED_H
#define GATEHOUSE_TESTS_UNIT_TEST_ENGINE_OPENED_H

#include "scanner/engine/message.h"
#include "scanner/engine/tree.h"

#define MINUTE_US 60000000

struct opened {
    struct message *message;
    struct tree *tree;
};

/* The bytes stay the caller's, and have to stay until close_opened. */
static inline struct opened open_bytes(const char *data, size_t length)
{
    struct tree_limits limits = tree_default_limits(MINUTE_US);
    struct opened opened = {.message = message_parse(data, length)};
    opened.tree = tree_build(opened.message, &limits);
    assert_non_null(opened.tree);
    return opened;
}

static inline void close_opened(struct opened *opened)
{
    tree_free(opened->tree);
    message_free(opened->message);
}

#endif
