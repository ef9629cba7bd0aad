/* Letting a set of policies go, and finding what it or Gatehouse itself has. */
#include "common/policy_private.h"

#include "common/policy_premium.h"

#include <stdlib.h>
#include <string.h>

static void free_lists(struct policy_set *set)
{
    for (size_t i = 0; i < set->list_count; i++) {
        struct policy_list *list = &set->lists[i];
        free(list->id);
        free(list->name);
        policy_free_texts(&list->names);
        policy_free_texts(&list->extensions);
        policy_free_texts(&list->media_types);
        policy_free_texts(&list->types);
    }
    free(set->lists);
}

static void free_dictionaries(struct policy_set *set)
{
    for (size_t i = 0; i < set->dictionary_count; i++) {
        struct policy_dictionary *dictionary = &set->dictionaries[i];
        free(dictionary->id);
        free(dictionary->name);
        for (size_t j = 0; j < dictionary->word_count; j++)
            free(dictionary->words[j].text);
        free(dictionary->words);
    }
    free(set->dictionaries);
}

static void free_the_rest(struct policy_set *set)
{
    for (size_t i = 0; i < set->pattern_count; i++) {
        free(set->patterns[i].id);
        free(set->patterns[i].name);
        free(set->patterns[i].expression);
    }
    for (size_t i = 0; i < set->annotation_count; i++) {
        free(set->annotations[i].id);
        free(set->annotations[i].name);
        free(set->annotations[i].text);
        free(set->annotations[i].html);
    }
    for (size_t i = 0; i < set->folder_count; i++) {
        free(set->folders[i].id);
        free(set->folders[i].name);
    }
    for (size_t i = 0; i < set->template_count; i++) {
        free(set->templates[i].id);
        free(set->templates[i].name);
    }
    free(set->patterns);
    free(set->annotations);
    free(set->folders);
    free(set->templates);
}

static void free_groups(struct policy_set *set)
{
    for (size_t i = 0; i < set->group_count; i++) {
        free(set->groups[i].id);
        free(set->groups[i].name);
        policy_free_texts(&set->groups[i].members);
    }
    free(set->groups);
}

static void free_filter(struct policy_filter *filter)
{
    free(filter->id);
    free(filter->name);
    policy_free_texts(&filter->groups);
    for (size_t i = 0; i < filter->condition_count; i++) {
        free(filter->conditions[i].header);
        free(filter->conditions[i].id);
        policy_free_texts(&filter->conditions[i].values);
    }
    for (size_t i = 0; i < filter->action_count; i++) {
        struct policy_action *action = &filter->actions[i];
        free(action->name);
        free(action->value);
        free(action->place);
        free(action->id);
        free(action->address);
        policy_free_texts(&action->to);
    }
    free(filter->conditions);
    free(filter->actions);
}

void policy_set_free(struct policy_set *set)
{
    if (!set)
        return;
    free_lists(set);
    free_dictionaries(set);
    free_the_rest(set);
    free_groups(set);
    for (size_t i = 0; i < set->filter_count; i++)
        free_filter(&set->filters[i]);
    free(set->filters);
    free(set);
}

/* --- finding --- */

const struct policy_list *policy_find_list(const struct policy_set *set, const char *id)
{
    size_t count;
    const struct policy_list *premium = policy_premium_lists(&count);
    for (size_t i = 0; i < set->list_count; i++)
        if (strcmp(set->lists[i].id, id) == 0)
            return &set->lists[i];
    for (size_t i = 0; i < count; i++)
        if (strcmp(premium[i].id, id) == 0)
            return &premium[i];
    return NULL;
}

const struct policy_dictionary *policy_find_dictionary(const struct policy_set *set, const char *id)
{
    size_t count;
    const struct policy_dictionary *premium = policy_premium_dictionaries(&count);
    for (size_t i = 0; i < set->dictionary_count; i++)
        if (strcmp(set->dictionaries[i].id, id) == 0)
            return &set->dictionaries[i];
    for (size_t i = 0; i < count; i++)
        if (strcmp(premium[i].id, id) == 0)
            return &premium[i];
    return NULL;
}

const struct policy_pattern *policy_find_pattern(const struct policy_set *set, const char *id)
{
    size_t count;
    const struct policy_pattern *premium = policy_premium_patterns(&count);
    for (size_t i = 0; i < set->pattern_count; i++)
        if (strcmp(set->patterns[i].id, id) == 0)
            return &set->patterns[i];
    for (size_t i = 0; i < count; i++)
        if (strcmp(premium[i].id, id) == 0)
            return &premium[i];
    return NULL;
}
