/* The fields of objects of the policy document as lines of text. */
#include "controlcenter/pages/policy_fields.h"

#include "controlcenter/pages/policy_objects.h"
#include "controlcenter/pages/policy_summary.h"

#include "common/cleanup.h"
#include "common/config_model.h"

#include <string.h>

#define LINES_SHOWN 30

/* As templates/policies/field_name.html names them. */
static const char *const known_fields[] = {
    "name",        "enabled",  "directions", "groups",      "match",          "conditions",
    "actions",     "then",     "members",    "malware",     "names",          "extensions",
    "media_types", "types",    "words",      "whole_words", "match_case",     "expression",
    "check",       "html",     "place",      "quarantine",  "retention_days", "quota_megabytes",
    "subject",     "language", NULL};

static json_t *lines_of(struct page *page, json_t *fields, const char *name)
{
    return page_put_array(page, fields, name);
}

static void add_line(struct page *page, json_t *lines, const char *text)
{
    if (json_array_append_new(lines, json_string(text)) != 0)
        page->failed = true;
}

/* A word of templates/policies/words/value.txt. */
static void add_word(struct page *page, json_t *lines, const char *field, const char *word)
{
    struct buffer text = BUFFER_INIT;
    cleanup_json json_t *data = json_object();
    page_put_true(page, page_put_object(page, data, field), word);
    policy_words(page, "policies/words/value.txt", data, &text);
    add_line(page, lines, text.length > 0 ? buffer_text(&text) : word);
    buffer_free(&text);
}

/* --- fields of every sort --- */

static void add_value(struct page *page, json_t *lines, const json_t *value);

/* {"text":"salary","weight":2} reads as "salary (2)". */
static void add_object(struct page *page, json_t *lines, const json_t *object)
{
    struct buffer text = BUFFER_INIT;
    const json_t *weight = json_object_get(object, "weight");
    const char *word = json_string_value(json_object_get(object, "text"));
    cleanup_free char *raw = word ? NULL : json_dumps(object, JSON_COMPACT | JSON_ENCODE_ANY);
    buffer_add_text(&text, word ? word : raw ? raw : "");
    if (json_is_integer(weight))
        buffer_add_format(&text, " (%" JSON_INTEGER_FORMAT ")", json_integer_value(weight));
    add_line(page, lines, buffer_text(&text));
    buffer_free(&text);
}

static void add_list(struct page *page, json_t *lines, const json_t *values)
{
    const json_t *value;
    size_t i;
    json_array_foreach(values, i, value)
    {
        add_value(page, lines, value);
    }
}

static void add_text_lines(struct page *page, json_t *lines, const char *text)
{
    char line[1024];
    for (const char *at = form_next_line(text, line, sizeof line); at;
         at = form_next_line(at, line, sizeof line))
        add_line(page, lines, line);
}

static void add_value(struct page *page, json_t *lines, const json_t *value)
{
    if (json_is_string(value))
        add_text_lines(page, lines, json_string_value(value));
    else if (json_is_boolean(value))
        add_word(page, lines, "switch", json_is_true(value) ? "yes" : "no");
    else if (json_is_array(value))
        add_list(page, lines, value);
    else
        add_object(page, lines, value);
}

static void put_plain(struct page *page, json_t *fields, const json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        if (strcmp(name, "id") != 0 && !json_object_get(fields, name))
            add_value(page, lines_of(page, fields, name), value);
    }
}

/* --- filters --- */

static void put_names(struct page *page, json_t *fields, const json_t *document,
                      const json_t *groups)
{
    json_t *lines = lines_of(page, fields, "groups");
    const json_t *group;
    size_t i;
    json_array_foreach(groups, i, group)
    {
        const char *id = json_string_value(group);
        const char *name = id ? policy_name_of(document, "groups", id) : "";
        if (*name)
            add_line(page, lines, name);
        else
            add_word(page, lines, "group", "default");
    }
    if (json_array_size(groups) == 0)
        add_word(page, lines, "group", "everybody");
}

static void put_directions(struct page *page, json_t *fields, const json_t *directions)
{
    json_t *lines = lines_of(page, fields, "directions");
    const json_t *direction;
    size_t i;
    json_array_foreach(directions, i, direction)
    {
        add_word(page, lines, "direction", json_string_value(direction));
    }
    if (!directions)
        add_word(page, lines, "direction", "both");
}

static void put_sentences(struct page *page, json_t *fields, const json_t *document,
                          const json_t *filter, const char *member,
                          void (*words)(struct page *, const json_t *, const json_t *,
                                        struct buffer *))
{
    json_t *lines = lines_of(page, fields, member);
    const json_t *element;
    size_t i;
    json_array_foreach(json_object_get(filter, member), i, element)
    {
        struct buffer text = BUFFER_INIT;
        words(page, document, element, &text);
        add_line(page, lines, buffer_text(&text));
        buffer_free(&text);
    }
}

static void put_filter(struct page *page, json_t *fields, const json_t *document,
                       const json_t *filter)
{
    const char *match = json_text_of(filter, "match"), *then = json_text_of(filter, "then");
    add_line(page, lines_of(page, fields, "name"), json_text_of(filter, "name"));
    add_word(page, lines_of(page, fields, "enabled"), "state",
             json_is_false(json_object_get(filter, "enabled")) ? "disabled" : "enabled");
    put_directions(page, fields, json_object_get(filter, "directions"));
    put_names(page, fields, document, json_object_get(filter, "groups"));
    add_word(page, lines_of(page, fields, "match"), "match", *match ? match : "all");
    put_sentences(page, fields, document, filter, "conditions", policy_condition_words);
    put_sentences(page, fields, document, filter, "actions", policy_action_words);
    add_word(page, lines_of(page, fields, "then"), "then", *then ? then : "continue");
}

/* --- groups --- */

static void put_verdict(struct page *page, json_t *lines, const char *direction,
                        const char *verdict, const json_t *policy)
{
    struct buffer text = BUFFER_INIT;
    cleanup_json json_t *data = json_object();
    page_put_true(page, page_put_object(page, data, "direction"), direction);
    page_put_true(page, page_put_object(page, data, "verdict"), verdict);
    page_put_true(page, page_put_object(page, data, "action"), json_text_of(policy, "action"));
    page_put_true(page, page_put_object(page, data, "then"), json_text_of(policy, "then"));
    if (json_is_integer(json_object_get(policy, "hours")))
        page_put_count(page, data, "hours", json_integer_value(json_object_get(policy, "hours")));
    page_put(page, data, "bypass",
             json_boolean(json_is_true(json_object_get(policy, "bypass_content"))));
    policy_words(page, "policies/words/malware.txt", data, &text);
    add_line(page, lines, buffer_text(&text));
    buffer_free(&text);
}

static void put_group(struct page *page, json_t *fields, const json_t *group)
{
    static const char *const directions[] = {"inbound", "outbound"};
    add_line(page, lines_of(page, fields, "name"), json_text_of(group, "name"));
    add_list(page, lines_of(page, fields, "members"), json_object_get(group, "members"));
    json_t *lines = lines_of(page, fields, "malware");
    for (size_t d = 0; d < sizeof directions / sizeof *directions; d++) {
        const json_t *verdicts = json_object_get(json_object_get(group, "malware"), directions[d]);
        for (size_t v = 0; v < CONFIG_VERDICT_COUNT; v++) {
            const char *name = config_verdict_name((enum config_verdict)v);
            const json_t *policy = json_object_get(verdicts, name);
            if (policy)
                put_verdict(page, lines, directions[d], name, policy);
        }
    }
}

json_t *policy_fields(struct page *page, const json_t *document, const char *section,
                      const json_t *object)
{
    json_t *fields = json_object();
    if (!object)
        return fields;
    if (strcmp(section, "filters") == 0)
        put_filter(page, fields, document, object);
    else if (strcmp(section, "groups") == 0)
        put_group(page, fields, object);
    else
        put_plain(page, fields, object);
    return fields;
}

/* --- how they differ --- */

static json_t *set_of(const json_t *lines)
{
    json_t *set = json_object();
    const json_t *line;
    size_t i;
    json_array_foreach(lines, i, line)
    {
        json_object_set_new(set, json_string_value(line), json_true());
    }
    return set;
}

/* Puts those of `lines` that are not among `others`. */
static size_t put_lines(struct page *page, json_t *row, const char *member, const json_t *lines,
                        const json_t *others)
{
    cleanup_json json_t *there = set_of(others);
    json_t *shown = page_put_array(page, row, member);
    const json_t *line;
    size_t i, count = 0;
    json_array_foreach(lines, i, line)
    {
        if (json_object_get(there, json_string_value(line)))
            continue;
        if (count++ < LINES_SHOWN)
            page_put(page, page_add_object(page, shown), "line",
                     json_string(json_string_value(line)));
    }
    return count > LINES_SHOWN ? count - LINES_SHOWN : 0;
}

static void put_field(struct page *page, json_t *rows, const char *name, const json_t *before,
                      const json_t *after)
{
    if (json_equal(before, after) || json_array_size(before) + json_array_size(after) == 0)
        return;
    json_t *row = page_add_object(page, rows);
    bool is_text = strcmp(name, "text") == 0; /* which every word has as a member */
    page_put(page, row, "is_text", json_boolean(is_text));
    page_put_word(page, row, "field", is_text ? "" : name, known_fields);
    size_t removed = put_lines(page, row, "removed", before, after);
    size_t added = put_lines(page, row, "added", after, before);
    if (removed)
        page_put_count(page, row, "more_removed", (int64_t)removed);
    if (added)
        page_put_count(page, row, "more_added", (int64_t)added);
    page_put(page, row, "reordered",
             json_boolean(json_array_size(json_object_get(row, "removed")) == 0 &&
                          json_array_size(json_object_get(row, "added")) == 0));
}

void policy_fields_put(struct page *page, json_t *row, const json_t *before, const json_t *after)
{
    json_t *rows = page_put_array(page, row, "fields");
    const char *name;
    json_t *lines;
    json_object_foreach((json_t *)after, name, lines)
    {
        put_field(page, rows, name, json_object_get(before, name), lines);
    }
    json_object_foreach((json_t *)before, name, lines)
    {
        if (!json_object_get(after, name))
            put_field(page, rows, name, lines, NULL);
    }
}
