/* Lines of policy cases that say what the policies are, as the JSON of the configuration. */
#include "policy_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *member_list(json_t *object, const char *name)
{
    json_t *list = json_object_get(object, name);
    if (!list) {
        list = json_array();
        json_object_set_new(object, name, list);
    }
    return list;
}

static void set_text(json_t *object, const char *name, const char *text)
{
    if (json_object_set_new(object, name, json_string(text)) != 0)
        fail_msg("%s is no UTF-8", name);
}

/* A new object in the list, whose id and name are the second word. */
static json_t *add_object(json_t *policies, const char *list, const struct case_words *words)
{
    json_t *object = json_object();
    set_text(object, "id", case_word(words, 1));
    set_text(object, "name", case_word(words, 1));
    json_array_append_new(member_list(policies, list), object);
    return object;
}

/* The words from `first` up to the next one that `stops` is true for. */
static size_t add_words(json_t *object, const char *name, const struct case_words *words,
                        size_t first, bool (*stops)(const struct case_words *words, size_t index))
{
    json_t *list = member_list(object, name);
    size_t i = first;
    for (; i < words->count && !(stops && stops(words, i)); i++)
        json_array_append_new(list, json_string(words->items[i].text));
    return i;
}

/* --- what filters refer to --- */

static bool is_list_member(const struct case_words *words, size_t index)
{
    return case_word_is(words, index, "names") || case_word_is(words, index, "extensions") ||
           case_word_is(words, index, "media_types") || case_word_is(words, index, "types");
}

static void add_list(json_t *policies, const struct case_words *words)
{
    json_t *list = add_object(policies, "lists", words);
    for (size_t i = 2; i < words->count;) {
        if (!is_list_member(words, i))
            fail_msg("a list has no %s", case_word(words, i));
        i = add_words(list, case_word(words, i), words, i + 1, is_list_member);
    }
}

/* WORD or WORD=WEIGHT; "parts" for words within others, "case" where case counts. */
static void add_dictionary(json_t *policies, const struct case_words *words)
{
    json_t *dictionary = add_object(policies, "dictionaries", words);
    json_t *list = member_list(dictionary, "words");
    for (size_t i = 2; i < words->count; i++) {
        if (case_word_is(words, i, "parts")) {
            json_object_set_new(dictionary, "whole_words", json_false());
        } else if (case_word_is(words, i, "case")) {
            json_object_set_new(dictionary, "match_case", json_true());
        } else {
            json_t *entry = json_object();
            const char *text = case_word(words, i), *weight = strrchr(text, '=');
            g_autofree char *own = weight ? g_strndup(text, (gsize)(weight - text)) : NULL;
            set_text(entry, "text", own ? own : text);
            if (weight)
                json_object_set_new(entry, "weight", json_integer(atoll(weight + 1)));
            json_array_append_new(list, entry);
        }
    }
}

static void add_pattern(json_t *policies, const struct case_words *words)
{
    json_t *pattern = add_object(policies, "patterns", words);
    set_text(pattern, "expression", case_word(words, 2));
    if (words->count > 3)
        set_text(pattern, "check", case_word(words, 3));
}

static void add_folder(json_t *policies, const struct case_words *words)
{
    json_t *folder = add_object(policies, "folders", words);
    json_object_set_new(folder, "quarantine", json_boolean(!case_word_is(words, 2, "copies")));
}

static void add_annotation(json_t *policies, const struct case_words *words)
{
    set_text(add_object(policies, "annotations", words), "text", case_word(words, 2));
}

static void add_template(json_t *policies, const struct case_words *words)
{
    add_object(policies, "templates", words);
}

static void add_group(json_t *policies, const struct case_words *words)
{
    add_words(add_object(policies, "groups", words), "members", words, 2, NULL);
}

/* --- filters --- */

static void add_filter(json_t *policies, const struct case_words *words)
{
    json_t *filter = add_object(policies, "filters", words);
    member_list(filter, "conditions");
    member_list(filter, "actions");
    for (size_t i = 2; i < words->count; i++) {
        if (case_word_is(words, i, "any"))
            set_text(filter, "match", "any");
        else if (case_word_is(words, i, "stop"))
            set_text(filter, "then", "stop");
        else if (case_word_is(words, i, "off"))
            json_object_set_new(filter, "enabled", json_false());
        else if (case_word_is(words, i, "inbound") || case_word_is(words, i, "outbound"))
            json_array_append_new(member_list(filter, "directions"),
                                  json_string(case_word(words, i)));
        else if (case_word_is(words, i, "for"))
            i = add_words(filter, "groups", words, i + 1, NULL);
        else
            fail_msg("a filter has no %s", case_word(words, i));
    }
}

static json_t *last_filter(json_t *policies)
{
    json_t *filters = member_list(policies, "filters");
    if (json_array_size(filters) == 0)
        fail_msg("there is no filter yet");
    return json_array_get(filters, json_array_size(filters) - 1);
}

static bool is_option(const struct case_words *words, size_t index)
{
    return case_word_is(words, index, "case") || case_word_is(words, index, "tags") ||
           case_word_is(words, index, "every") || case_word_is(words, index, "at_least");
}

static void add_options(json_t *condition, const struct case_words *words, size_t index)
{
    for (; index < words->count; index++) {
        if (case_word_is(words, index, "at_least"))
            json_object_set_new(condition, "at_least",
                                json_integer(atoll(case_word(words, ++index))));
        else if (case_word_is(words, index, "case"))
            json_object_set_new(condition, "match_case", json_true());
        else if (is_option(words, index))
            json_object_set_new(condition, case_word(words, index), json_true());
        else
            fail_msg("a condition has no %s there", case_word(words, index));
    }
}

static void add_field(json_t *condition, const char *field)
{
    const char *bracket = strchr(field, '(');
    if (!bracket) {
        set_text(condition, "field", field);
        return;
    }
    g_autofree char *own = g_strndup(field, (gsize)(bracket - field));
    g_autofree char *name = g_strndup(bracket + 1, strcspn(bracket + 1, ")"));
    set_text(condition, "field", own);
    set_text(condition, "name", name);
}

/* if [not] FIELD OPERATION VALUE... OPTION... */
static void add_condition(json_t *policies, const struct case_words *words)
{
    static const char *const references[] = {"dictionary", "pattern", "in_list", NULL};
    json_t *condition = json_object();
    size_t i = 1;
    json_array_append_new(member_list(last_filter(policies), "conditions"), condition);
    if (case_word_is(words, i, "not")) {
        json_object_set_new(condition, "not", json_true());
        i++;
    }
    add_field(condition, case_word(words, i++));
    const char *operation = case_word(words, i++);
    if (strcmp(operation, "is") != 0)
        set_text(condition, "op", operation);
    if (strcmp(operation, "above") == 0 || strcmp(operation, "below") == 0)
        json_object_set_new(condition, "number", json_integer(atoll(case_word(words, i++))));
    else if (g_strv_contains(references, operation))
        set_text(condition, "id", case_word(words, i++));
    else if (i < words->count && !is_option(words, i))
        i = add_words(condition, "values", words, i, is_option);
    add_options(condition, words, i);
}

/* Which members the words behind an action's name are. */
static const struct {
    const char *action, *members[3];
} action_members[] = {
    {"reject", {"text"}},
    {"bounce", {"text"}},
    {"incident", {"folder"}},
    {"add_header", {"name", "value"}},
    {"remove_header", {"name"}},
    {"subject", {"place", "text"}},
    {"annotate", {"id"}},
    {"strip", {"which", "id"}},
    {"add_recipient", {"address"}},
    {"bcc", {"address"}},
    {"forward", {"address"}},
    {"archive", {"address"}},
    {"route", {"host"}},
    {"notify", {"template"}},
};

static void add_action(json_t *policies, const struct case_words *words)
{
    json_t *action = json_object();
    const char *name = case_word(words, 1);
    size_t used = 2;
    json_array_append_new(member_list(last_filter(policies), "actions"), action);
    set_text(action, "action", name);
    for (size_t i = 0; i < G_N_ELEMENTS(action_members); i++) {
        if (strcmp(action_members[i].action, name) != 0)
            continue;
        for (size_t j = 0; j < 3 && action_members[i].members[j] && used < words->count; j++)
            set_text(action, action_members[i].members[j], case_word(words, used++));
    }
    if (strcmp(name, "notify") == 0)
        used = add_words(action, "to", words, used, NULL);
    if (used < words->count)
        fail_msg("%s has no %s", name, case_word(words, used));
}

/* --- all --- */

bool case_policies_line(json_t *policies, const struct case_words *words)
{
    static const struct {
        const char *word;
        void (*add)(json_t *policies, const struct case_words *words);
    } lines[] = {
        {"list", add_list},     {"dictionary", add_dictionary}, {"pattern", add_pattern},
        {"folder", add_folder}, {"annotation", add_annotation}, {"template", add_template},
        {"group", add_group},   {"filter", add_filter},         {"if", add_condition},
        {"do", add_action},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        if (!case_word_is(words, 0, lines[i].word))
            continue;
        lines[i].add(policies, words);
        return true;
    }
    return false;
}
