/* Office documents: OOXML (ECMA-376) and OpenDocument. Which members hold text is told by the
 * element that they begin with, because a document may name its members as it likes. */
#include "scanner/engine/markup.h"
#include "scanner/engine/text_private.h"

#include <glib.h>
#include <string.h>

#define XML_LOOK 200 /* bytes in which the declaration names the encoding */

struct office {
    struct text *text;
    struct markup markup;
    struct buffer decoded;
    const struct dialect *dialect;
    int open;     /* elements whose text counts, within each other */
    bool skipped; /* within a cell whose value is a number of a shared string */
};

/* How the members that begin with one element are read. */
struct dialect {
    const char *root;
    const char *const *texts;  /* elements whose text counts; NULL: all text */
    const char *const *breaks; /* elements that end a line */
};

static const char *const word_texts[] = {"t", "delText", "instrText", NULL};
static const char *const word_breaks[] = {"p", "br", "cr", "tr", NULL};
static const char *const sheet_texts[] = {"t", "v", "oddHeader", "oddFooter", NULL};
static const char *const sheet_breaks[] = {"row", "si", "comment", NULL};
static const char *const slide_texts[] = {"t", "text", NULL};
static const char *const slide_breaks[] = {"p", "br", "cm", NULL};
static const char *const open_breaks[] = {"p", "h", "table-row", "line-break", NULL};
static const char *const nothing[] = {NULL};

static const struct dialect dialects[] = {
    {"document", word_texts, word_breaks},
    {"hdr", word_texts, word_breaks},
    {"ftr", word_texts, word_breaks},
    {"comments", word_texts, word_breaks},
    {"footnotes", word_texts, word_breaks},
    {"endnotes", word_texts, word_breaks},
    {"glossaryDocument", word_texts, word_breaks},
    {"sst", sheet_texts, sheet_breaks},
    {"worksheet", sheet_texts, sheet_breaks},
    {"sld", slide_texts, slide_breaks},
    {"notes", slide_texts, slide_breaks},
    {"cmLst", slide_texts, slide_breaks},
    {"document-content", NULL, open_breaks},
    {"document-styles", NULL, open_breaks},
    {"Relationships", nothing, nothing},
};

static bool is_listed(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static const struct dialect *find_dialect(const char *root)
{
    for (size_t i = 0; i < G_N_ELEMENTS(dialects); i++)
        if (strcmp(dialects[i].root, root) == 0)
            return &dialects[i];
    return NULL;
}

/* --- tags --- */

static bool has_value(const struct markup_attribute *attribute, const char *value)
{
    return attribute->length == strlen(value) &&
           memcmp(attribute->value, value, attribute->length) == 0;
}

/* Links of OpenDocument (xlink:href) and targets of OOXML that lie outside. */
static void read_attributes(struct office *office)
{
    struct markup_attribute attribute, target = {.value = NULL};
    bool outside = false, cell = strcmp(office->markup.name, "c") == 0;
    if (cell)
        office->skipped = false;
    for (size_t at = 0; markup_next_attribute(&office->markup, &at, &attribute);) {
        if (strcmp(attribute.name, "href") == 0 || strcmp(attribute.name, "Target") == 0)
            target = attribute;
        if (strcmp(attribute.name, "TargetMode") == 0)
            outside = has_value(&attribute, "External");
        if (cell && strcmp(attribute.name, "t") == 0)
            office->skipped = has_value(&attribute, "s");
    }
    if (!target.value || (!outside && strcmp(office->markup.name, "Relationship") == 0))
        return;
    buffer_clear(&office->decoded);
    markup_decode(target.value, target.length, false, &office->decoded);
    text_add_url(office->text, buffer_text(&office->decoded), office->decoded.length);
}

static void open_tag(struct office *office)
{
    const char *name = office->markup.name;
    if (!office->dialect)
        office->dialect = find_dialect(name);
    if (!office->dialect)
        return;
    read_attributes(office);
    if (is_listed(office->dialect->breaks, name))
        text_break(office->text);
    else if (strcmp(name, "tab") == 0 || strcmp(name, "s") == 0 || strcmp(name, "c") == 0)
        text_space(office->text);
    if (!office->markup.empty && office->dialect->texts && is_listed(office->dialect->texts, name))
        office->open++;
}

static void close_tag(struct office *office)
{
    const char *name = office->markup.name;
    if (office->dialect->texts && is_listed(office->dialect->texts, name) && office->open > 0)
        office->open--;
    if (is_listed(office->dialect->breaks, name))
        text_break(office->text);
    else if (strcmp(name, "table-cell") == 0)
        text_space(office->text);
}

static void add_text(struct office *office)
{
    if (office->skipped || (office->dialect->texts && office->open == 0))
        return;
    buffer_clear(&office->decoded);
    if (office->markup.literal)
        buffer_add(&office->decoded, office->markup.text, office->markup.length);
    else
        markup_decode(office->markup.text, office->markup.length, false, &office->decoded);
    text_add_words(office->text, buffer_text(&office->decoded), office->decoded.length);
}

/* --- members --- */

static char *own_encoding(const char *data, size_t length)
{
    g_autofree char *head = g_strndup(data, MIN(length, XML_LOOK));
    char *end = g_str_has_prefix(head, "<?xml") ? strstr(head, "?>") : NULL;
    if (!end)
        return NULL;
    *end = '\0';
    const char *at = strstr(head, "encoding");
    if (!at)
        return NULL;
    at += strlen("encoding");
    at += strspn(at, " \t\r\n=\"'");
    return g_strndup(at, strcspn(at, "\"' \t\r\n"));
}

static void read_member(struct text *text, const char *source)
{
    struct office office = {.text = text, .decoded = BUFFER_INIT};
    enum markup_kind kind;
    markup_open(&office.markup, source, strlen(source), false);
    while (text_goes_on(text) && (kind = markup_next(&office.markup)) != MARKUP_END) {
        if (kind == MARKUP_OPEN)
            open_tag(&office);
        if (kind == MARKUP_OPEN && !office.dialect)
            break;
        if (kind == MARKUP_CLOSE && office.dialect)
            close_tag(&office);
        if (kind == MARKUP_TEXT && office.dialect)
            add_text(&office);
    }
    buffer_free(&office.decoded);
}

static bool begins_like_xml(const struct tree_node *node)
{
    size_t at = node->length >= 3 && memcmp(node->data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    if (node->length >= 2 &&
        (memcmp(node->data, "\xff\xfe", 2) == 0 || memcmp(node->data, "\xfe\xff", 2) == 0))
        return true;
    while (at < node->length && at < XML_LOOK && g_ascii_isspace(node->data[at]))
        at++;
    return at < node->length && node->data[at] == '<';
}

void text_of_office(const struct tree *tree, size_t index, struct text *text)
{
    for (size_t i = index + 1; i < tree->count && text_goes_on(text); i++) {
        const struct tree_node *node = &tree->nodes[i];
        if (node->parent != index || !node->data || !begins_like_xml(node))
            continue;
        size_t length = MIN(node->length, TEXT_INPUT_LIMIT);
        g_autofree char *encoding = own_encoding(node->data, length);
        g_autofree char *source = text_decode(node->data, length, encoding);
        read_member(text, source);
        text->cut |= length < node->length;
        text_break(text);
    }
}

/* Readers open a document by these members, whatever else says what it is. */
static bool marks_document(const char *name)
{
    return name && (g_ascii_strcasecmp(name, "[Content_Types].xml") == 0 ||
                    strcmp(name, "content.xml") == 0 || strcmp(name, "META-INF/manifest.xml") == 0);
}

bool text_is_office(const struct tree *tree, size_t index)
{
    const struct tree_node *node = &tree->nodes[index];
    if (!node->container)
        return false;
    if (g_str_has_prefix(node->type, "application/vnd.openxmlformats-") ||
        g_str_has_prefix(node->type, "application/vnd.oasis.opendocument"))
        return true;
    if (strcmp(node->type, "application/zip") != 0)
        return false;
    for (size_t i = index + 1; i < tree->count; i++)
        if (tree->nodes[i].parent == index && marks_document(tree->nodes[i].name))
            return true;
    return false;
}
