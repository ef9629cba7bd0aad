/* Choices among the objects of a list of the policy document. */
#include "controlcenter/pages/policy_options.h"

#include "controlcenter/pages/policy_objects.h"

#include "common/policy_premium.h"

#include <string.h>

struct options {
    struct page *page;
    json_t *rows;
    const char *chosen;
    bool found; /* the chosen one is among them */
};

static void add(struct options *options, const char *id, const char *name)
{
    json_t *row = page_add_object(options->page, options->rows);
    bool chosen = strcmp(id, options->chosen) == 0;
    page_put_text(options->page, row, "id", id);
    page_put_text(options->page, row, "name", name);
    page_put(options->page, row, "chosen", json_boolean(chosen));
    options->found = options->found || chosen;
}

static void add_premium(struct options *options, const char *section)
{
    size_t count;
    const struct policy_list *lists = policy_premium_lists(&count);
    for (size_t i = 0; strcmp(section, "lists") == 0 && i < count; i++)
        add(options, lists[i].id, lists[i].name);
    const struct policy_dictionary *dictionaries = policy_premium_dictionaries(&count);
    for (size_t i = 0; strcmp(section, "dictionaries") == 0 && i < count; i++)
        add(options, dictionaries[i].id, dictionaries[i].name);
    const struct policy_pattern *patterns = policy_premium_patterns(&count);
    for (size_t i = 0; strcmp(section, "patterns") == 0 && i < count; i++)
        add(options, patterns[i].id, patterns[i].name);
}

void policy_options_put(struct page *page, json_t *row, const json_t *document, const char *section,
                        const char *chosen)
{
    struct options options = {.page = page, .chosen = chosen};
    const json_t *object;
    size_t i;
    options.rows = page_put_array(page, row, "options");
    json_array_foreach(json_object_get(document, section), i, object)
    {
        add(&options, json_text_of(object, "id"), json_text_of(object, "name"));
    }
    page_put(page, row, "has_options", json_boolean(json_array_size(options.rows) > 0));
    options.rows = page_put_array(page, row, "premium_options");
    add_premium(&options, section);
    page_put(page, row, "has_premium", json_boolean(json_array_size(options.rows) > 0));
    page_put(page, row, "none_chosen", json_boolean(!options.found));
}
