/* What the targets of text share: one file in a tree made by hand, and what must hold for its text.
 */
#ifndef GATEHOUSE_TESTS_FUZZ_FUZZ_TEXT_H
#define GATEHOUSE_TESTS_FUZZ_FUZZ_TEXT_H

#include "scanner/engine/charset.h"
#include "scanner/engine/text.h"

#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES (256u << 10)
#define TEXT_URLS 100
#define TEXT_US 3000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_text_check(const struct tree *tree, size_t index, enum text_view view)
{
    struct text text;
    struct text_limits limits = text_default_limits(TEXT_US);
    limits.bytes = TEXT_BYTES;
    limits.urls = TEXT_URLS;
    text_init(&text, &limits);
    text_of_node(tree, index, view, &text);
    if (text.content.length > TEXT_BYTES || text.url_count > TEXT_URLS)
        abort();
    for (size_t i = 0; i < text.url_count; i++)
        if (!g_utf8_validate(text.urls[i], -1, NULL))
            abort();
    if (text.content.length > 0 &&
        !g_utf8_validate(text.content.data, (gssize)text.content.length, NULL))
        abort();
    text_free(&text);
}

/* The text of a file of this true type; of an Office document the input is one of its members. */
static inline void fuzz_text(const uint8_t *data, size_t size, const char *type, bool office)
{
    struct tree_node nodes[] = {
        {.kind = TREE_MEMBER, .type = type, .data = (const char *)data, .length = size},
        {.kind = TREE_MEMBER, .type = "text/xml", .data = (const char *)data, .length = size},
    };
    struct tree tree = {.nodes = nodes, .count = 2};
    static struct charset_converters *converters; /* else each guess loads them anew */
    nodes[0].container = office;
    if (!converters)
        converters = charset_preload();
    fuzz_text_check(&tree, 0, TEXT_VISIBLE);
    if (!office)
        fuzz_text_check(&tree, 0, TEXT_WITH_TAGS);
}

#endif
