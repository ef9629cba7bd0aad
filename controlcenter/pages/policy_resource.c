#include "controlcenter/pages/policy_resource.h"

#include "controlcenter/pages/policy_objects.h"

#include "common/cleanup.h"
#include "common/policy_premium.h"

#include <string.h>

static const char *const checks[] = {"none", "luhn", "iban", "my_number", "us_ssn", "email", NULL};
static const char *const places[] = {"bottom", "top", NULL};
static const char *const languages[] = {"en", "ja", NULL};

static const struct resource_kind kinds[] = {
    {.section = "lists",
     .path = "/policies/lists",
     .place = "policy_lists",
     .word = "attachment list",
     .fields = {{.name = "extensions", .input = RESOURCE_LINES},
                {.name = "names", .input = RESOURCE_LINES},
                {.name = "media_types", .input = RESOURCE_LINES},
                {.name = "types", .input = RESOURCE_LINES}},
     .field_count = 4},
    {.section = "dictionaries",
     .path = "/policies/dictionaries",
     .place = "policy_dictionaries",
     .word = "dictionary",
     .fields = {{.name = "words", .input = RESOURCE_WORDS},
                {.name = "whole_words", .input = RESOURCE_CHECK, .usual = true},
                {.name = "match_case", .input = RESOURCE_CHECK}},
     .field_count = 3},
    {.section = "patterns",
     .path = "/policies/patterns",
     .place = "policy_patterns",
     .word = "pattern",
     .fields = {{.name = "expression", .input = RESOURCE_LINE},
                {.name = "check", .input = RESOURCE_WORD, .words = checks}},
     .field_count = 2},
    {.section = "annotations",
     .path = "/policies/annotations",
     .place = "policy_annotations",
     .word = "annotation",
     .fields = {{.name = "text", .input = RESOURCE_TEXT},
                {.name = "html", .input = RESOURCE_TEXT},
                {.name = "place", .input = RESOURCE_WORD, .words = places}},
     .field_count = 3},
    {.section = "templates",
     .path = "/policies/templates",
     .place = "policy_templates",
     .word = "template",
     .fields = {{.name = "language", .input = RESOURCE_WORD, .words = languages},
                {.name = "subject", .input = RESOURCE_LINE},
                {.name = "text", .input = RESOURCE_TEXT},
                {.name = "html", .input = RESOURCE_TEXT}},
     .field_count = 4},
};

const struct resource_kind *resource_of_path(const char *path)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t length = strlen(kinds[i].path);
        if (strncmp(path, kinds[i].path, length) == 0 && (!path[length] || path[length] == '/'))
            return &kinds[i];
    }
    return &kinds[0];
}

/* --- Gatehouse's own --- */

static json_t *texts_of(const struct policy_texts *texts)
{
    json_t *array = json_array();
    for (size_t i = 0; i < texts->count; i++)
        json_array_append_new(array, json_string(texts->items[i]));
    return array;
}

static json_t *list_object(const struct policy_list *list)
{
    return json_pack("{s:s,s:s,s:o,s:o,s:o,s:o}", "id", list->id, "name", list->name, "names",
                     texts_of(&list->names), "extensions", texts_of(&list->extensions),
                     "media_types", texts_of(&list->media_types), "types", texts_of(&list->types));
}

static json_t *dictionary_object(const struct policy_dictionary *dictionary)
{
    json_t *words = json_array();
    for (size_t i = 0; i < dictionary->word_count; i++)
        json_array_append_new(words, json_pack("{s:s,s:i}", "text", dictionary->words[i].text,
                                               "weight", dictionary->words[i].weight));
    return json_pack("{s:s,s:s,s:o,s:b,s:b}", "id", dictionary->id, "name", dictionary->name,
                     "words", words, "whole_words", dictionary->whole_words, "match_case",
                     dictionary->match_case);
}

static json_t *pattern_object(const struct policy_pattern *pattern)
{
    return json_pack("{s:s,s:s,s:s,s:s}", "id", pattern->id, "name", pattern->name, "expression",
                     pattern->expression, "check", policy_check_name(pattern->check));
}

json_t *resource_premium(const struct resource_kind *kind)
{
    json_t *array = json_array();
    size_t count;
    if (strcmp(kind->section, "lists") == 0) {
        const struct policy_list *lists = policy_premium_lists(&count);
        for (size_t i = 0; i < count; i++)
            json_array_append_new(array, list_object(&lists[i]));
    } else if (strcmp(kind->section, "dictionaries") == 0) {
        const struct policy_dictionary *dictionaries = policy_premium_dictionaries(&count);
        for (size_t i = 0; i < count; i++)
            json_array_append_new(array, dictionary_object(&dictionaries[i]));
    } else if (strcmp(kind->section, "patterns") == 0) {
        const struct policy_pattern *patterns = policy_premium_patterns(&count);
        for (size_t i = 0; i < count; i++)
            json_array_append_new(array, pattern_object(&patterns[i]));
    }
    return array;
}

json_t *resource_find_premium(const struct resource_kind *kind, const char *id)
{
    cleanup_json json_t *array = resource_premium(kind);
    json_t *object;
    size_t i;
    json_array_foreach(array, i, object)
    {
        if (strcmp(json_text_of(object, "id"), id) == 0)
            return json_incref(object);
    }
    return NULL;
}
