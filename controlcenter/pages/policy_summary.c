/* Filters in plain words. */
#include "controlcenter/pages/policy_summary.h"

#include "controlcenter/pages/policy_objects.h"

#include "common/cleanup.h"
#include "common/policy_model.h"

#include <string.h>

#define VALUES_SHOWN 5 /* of a condition; the others are counted */
#define INCOMPLETE "…"

static bool is_closing(char character)
{
    return character == ',' || character == '.' || character == ':';
}

/* Only the line ends of the templates become spaces: what people wrote stays as it is. */
void policy_words(struct page *page, const char *template, const json_t *data, struct buffer *text)
{
    struct error error = {0};
    struct buffer raw = BUFFER_INIT;
    bool space = false;
    if (!template_render(page->application->templates, template, data, &raw, &error))
        page->failed = true;
    size_t start = text->length;
    for (const char *at = buffer_text(&raw); *at; at++) {
        if (*at == '\n') {
            space = true;
            continue;
        }
        if (space && text->length > start && text->data[text->length - 1] != ' ' &&
            !is_closing(*at) && *at != ' ')
            buffer_add(text, " ", 1);
        buffer_add(text, at, 1);
        space = false;
    }
    buffer_free(&raw);
}

/* --- lists of things in a sentence --- */

/* Items of a list that know where they stand, so that a template can join them. */
static json_t *add_item(struct page *page, json_t *items, size_t index, size_t count,
                        const char *text)
{
    json_t *item = page_add_object(page, items);
    page_put(page, item, "text", json_string(text));
    page_put(page, item, "rest", json_boolean(index > 0));
    page_put(page, item, "last", json_boolean(index + 1 == count));
    return item;
}

static void put_values(struct page *page, json_t *data, const char *name, const json_t *values)
{
    size_t count = json_array_size(values);
    size_t shown = count > VALUES_SHOWN ? VALUES_SHOWN : count;
    json_t *items = page_put_array(page, data, name);
    for (size_t i = 0; i < shown; i++) {
        const char *value = json_string_value(json_array_get(values, i));
        add_item(page, items, i, shown + (count > shown), value ? value : INCOMPLETE);
    }
    if (count == 0)
        add_item(page, items, 0, 1, INCOMPLETE);
    if (count > shown)
        page_put_count(page, data, "more", (int64_t)(count - shown));
}

static void put_reference(struct page *page, json_t *data, const json_t *document,
                          const char *section, const char *id)
{
    const char *name = policy_name_of(document, section, id);
    page_put(page, data, "name", json_string(*name ? name : INCOMPLETE));
}

static void put_text(struct page *page, json_t *data, const json_t *object, const char *member)
{
    const char *text = json_text_of(object, member);
    page_put(page, data, member, json_string(*text ? text : INCOMPLETE));
}

/* --- conditions --- */

/* Fields that are several texts: their negation says that none of them is so. */
static bool has_several(const char *field)
{
    static const char *const several[] = {"from", "to", "attachment_name"};
    for (size_t i = 0; i < sizeof several / sizeof *several; i++)
        if (strcmp(several[i], field) == 0)
            return true;
    return false;
}

static bool is_number(const char *operation)
{
    return strcmp(operation, "above") == 0 || strcmp(operation, "below") == 0;
}

/* "@example.com" reads as the domain; whether all of the values are domains. */
static bool put_addresses(struct page *page, json_t *data, const json_t *values)
{
    bool all = json_array_size(values) > 0;
    cleanup_json json_t *read = json_array();
    const json_t *value;
    size_t i;
    json_array_foreach(values, i, value)
    {
        const char *text = json_string_value(value);
        bool is_domain = text && text[0] == '@' && text[1] && text[1] != '.';
        json_array_append_new(read, json_string(text ? text + is_domain : INCOMPLETE));
        all = all && text && text[0] == '@';
    }
    put_values(page, data, "values", read);
    return all;
}

static void put_number(struct page *page, json_t *data, const char *field, const json_t *number)
{
    bool is_size = strcmp(field, "message_size") == 0 || strcmp(field, "attachment_size") == 0;
    int64_t value = json_integer_value(number);
    if (!json_is_integer(number))
        page_put_text(page, data, "number", INCOMPLETE);
    else if (is_size)
        page_put_size(page, data, "number", value);
    else
        page_put_count(page, data, "number", value);
    page_put(page, data, "one", json_boolean(value == 1));
}

static void put_operation(struct page *page, json_t *data, const json_t *document,
                          const json_t *condition, const char *operation)
{
    const json_t *values = json_object_get(condition, "values");
    const char *id = json_text_of(condition, "id");
    bool domains = false;
    if (strcmp(operation, "dictionary") == 0)
        put_reference(page, data, document, "dictionaries", id);
    else if (strcmp(operation, "pattern") == 0)
        put_reference(page, data, document, "patterns", id);
    else if (strcmp(operation, "in_list") == 0)
        put_reference(page, data, document, "lists", id);
    else if (strcmp(operation, "address") == 0)
        domains = put_addresses(page, data, values);
    else if (is_number(operation))
        put_number(page, data, json_text_of(condition, "field"),
                   json_object_get(condition, "number"));
    else
        put_values(page, data, "values", values);
    page_put(page, data, "domains", json_boolean(domains));
}

static void put_words_of_values(struct page *page, json_t *data)
{
    json_t *item;
    size_t i;
    json_array_foreach(json_object_get(data, "values"), i, item)
    {
        page_put_true(page, page_put_object(page, item, "word"), json_text_of(item, "text"));
    }
}

void policy_condition_words(struct page *page, const json_t *document, const json_t *condition,
                            struct buffer *text)
{
    const char *field = json_text_of(condition, "field");
    const char *operation = json_text_of(condition, "op");
    bool negated = json_is_true(json_object_get(condition, "not"));
    int64_t at_least = json_integer_value(json_object_get(condition, "at_least"));
    cleanup_json json_t *data = json_object();
    page_put_true(page, page_put_object(page, data, "field"), field);
    page_put_true(page, page_put_object(page, data, "op"), *operation ? operation : "is");
    page_put(page, data, "not", json_boolean(negated));
    page_put(page, data, "negative", json_boolean(negated && !has_several(field)));
    page_put(page, data, "tags", json_boolean(json_is_true(json_object_get(condition, "tags"))));
    page_put(page, data, "every", json_boolean(json_is_true(json_object_get(condition, "every"))));
    page_put(page, data, "match_case",
             json_boolean(json_is_true(json_object_get(condition, "match_case"))));
    if (at_least > 1)
        page_put_count(page, data, "at_least", at_least);
    const char *header = json_text_of(condition, "name");
    page_put(page, data, "header", json_string(*header ? header : INCOMPLETE));
    put_operation(page, data, document, condition, operation);
    if (strcmp(field, "verdict") == 0 || strcmp(field, "direction") == 0 ||
        strcmp(field, "language") == 0)
        put_words_of_values(page, data);
    policy_words(page, "policies/words/condition.txt", data, text);
}

/* --- actions --- */

/* Which list an action's identity is of, and the member that has it. */
static const struct {
    const char *action, *section, *member;
} action_references[] = {
    {"incident", "folders", "folder"},
    {"annotate", "annotations", "id"},
    {"strip", "lists", "id"},
    {"notify", "templates", "template"},
};

static void put_notified(struct page *page, json_t *data, const json_t *to)
{
    json_t *item;
    size_t i;
    put_values(page, data, "values", to);
    put_words_of_values(page, data);
    json_array_foreach(json_object_get(data, "values"), i, item)
    {
        page_put(page, item, "is_address",
                 json_boolean(strchr(json_text_of(item, "text"), '@') != NULL));
    }
}

void policy_action_words(struct page *page, const json_t *document, const json_t *action,
                         struct buffer *text)
{
    static const char *const texts[] = {"value", "address", "host"};
    const char *kind = json_text_of(action, "action");
    cleanup_json json_t *data = json_object();
    page_put_true(page, page_put_object(page, data, "action"), kind);
    page_put_true(page, page_put_object(page, data, "place"), json_text_of(action, "place"));
    page_put_true(page, page_put_object(page, data, "which"), json_text_of(action, "which"));
    page_put_text(page, data, "text", json_text_of(action, "text"));
    page_put(page, data, "header", json_string(json_text_of(action, "name")));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        put_text(page, data, action, texts[i]);
    for (size_t i = 0; i < sizeof action_references / sizeof *action_references; i++)
        if (strcmp(action_references[i].action, kind) == 0)
            put_reference(page, data, document, action_references[i].section,
                          json_text_of(action, action_references[i].member));
    if (strcmp(kind, "notify") == 0)
        put_notified(page, data, json_object_get(action, "to"));
    policy_words(page, "policies/words/action.txt", data, text);
}

/* --- whole filters --- */

typedef void (*element_words)(struct page *page, const json_t *document, const json_t *element,
                              struct buffer *text);

static void put_elements(struct page *page, json_t *data, const json_t *document,
                         const json_t *filter, const char *member, element_words words)
{
    const json_t *elements = json_object_get(filter, member), *element;
    size_t count = json_array_size(elements), i;
    json_t *items = page_put_array(page, data, member);
    json_array_foreach(elements, i, element)
    {
        struct buffer text = BUFFER_INIT;
        words(page, document, element, &text);
        add_item(page, items, i, count, buffer_text(&text));
        buffer_free(&text);
    }
}

static void put_groups(struct page *page, json_t *data, const json_t *document,
                       const json_t *filter)
{
    const json_t *groups = json_object_get(filter, "groups"), *group;
    cleanup_json json_t *names = json_array();
    size_t i;
    json_array_foreach(groups, i, group)
    {
        const char *id = json_string_value(group);
        bool is_default = id && strcmp(id, "default") == 0;
        page_put(page, data, "default_group", json_boolean(is_default));
        const char *name = id && !is_default ? policy_name_of(document, "groups", id) : "";
        if (!is_default)
            json_array_append_new(names, json_string(*name ? name : INCOMPLETE));
    }
    if (json_array_size(names) > 0)
        put_values(page, data, "values", names);
    page_put(page, data, "named_groups", json_boolean(json_array_size(names) > 0));
    page_put(page, data, "has_groups", json_boolean(json_array_size(groups) > 0));
}

static bool goes(const json_t *filter, const char *direction)
{
    const json_t *directions = json_object_get(filter, "directions"), *one;
    size_t i;
    if (!directions)
        return true;
    json_array_foreach(directions, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), direction) == 0)
            return true;
    }
    return false;
}

void policy_filter_words(struct page *page, const json_t *document, const json_t *filter,
                         struct buffer *text)
{
    cleanup_json json_t *data = json_object();
    bool inbound = goes(filter, "inbound"), outbound = goes(filter, "outbound");
    page_put(page, data, "inbound_only", json_boolean(inbound && !outbound));
    page_put(page, data, "outbound_only", json_boolean(outbound && !inbound));
    page_put(page, data, "both", json_boolean(outbound == inbound));
    page_put(page, data, "any", json_boolean(strcmp(json_text_of(filter, "match"), "any") == 0));
    page_put(page, data, "stop", json_boolean(strcmp(json_text_of(filter, "then"), "stop") == 0));
    put_groups(page, data, document, filter);
    put_elements(page, data, document, filter, "conditions", policy_condition_words);
    put_elements(page, data, document, filter, "actions", policy_action_words);
    page_put(page, data, "has_conditions",
             json_boolean(json_array_size(json_object_get(filter, "conditions")) > 0));
    page_put(page, data, "has_actions",
             json_boolean(json_array_size(json_object_get(filter, "actions")) > 0));
    policy_words(page, "policies/words/filter.txt", data, text);
}
