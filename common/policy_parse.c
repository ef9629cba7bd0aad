/* From the object `policies` of the document to the set. */
#include "common/policy_private.h"

#include "common/policy_premium.h"

#include <stdlib.h>
#include <string.h>

#define MOST_OF_A_SORT 1000
#define MOST_WORDS 1000000
#define MOST_ANNOTATION (64u << 10)
#define MOST_LIST_ENTRIES 10000
#define MOST_WEIGHT 1000

/* --- identities --- */

static bool is_id(const char *text)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(text);
    return length >= 1 && length <= 64 && strspn(text, known) == length;
}

bool policy_read_head(const json_t *value, const struct json_place *place, char **id, char **name,
                      struct error *error)
{
    if (!policy_read_normal(value, place, "id", policy_plain, id, error))
        return false;
    if (!is_id(*id))
        return json_place_error(place, "id", error, "must be 1 to 64 of a-z A-Z 0-9 . _ -");
    if (strncmp(*id, "premium.", 8) == 0 || strcmp(*id, "default") == 0)
        return json_place_error(place, "id", error, "is one of Gatehouse's own");
    if (!policy_read_normal(value, place, "name", policy_line, name, error))
        return false;
    return (**name && strlen(*name) <= POLICY_NAME_MOST) ||
           json_place_error(place, "name", error, "must have 1 to %d bytes", POLICY_NAME_MOST);
}

bool policy_add_keys(struct policy_reader *reader, enum policy_sort sort, char *const *ids,
                     size_t size, size_t count, const struct json_place *list, struct error *error)
{
    struct config_key *keys = config_allocate(count, sizeof(*keys), error);
    if (!keys)
        return false;
    for (size_t i = 0; i < count; i++)
        keys[i] = (struct config_key){*(char *const *)((const char *)ids + i * size), i};
    reader->keys[sort] = keys;
    reader->counts[sort] = count;
    return config_sort_keys(keys, count, list, "id", error);
}

static int compare_id(const void *id, const void *key)
{
    return strcmp(id, ((const struct config_key *)key)->key);
}

static bool is_premium(enum policy_sort sort, const char *id)
{
    static const struct policy_set none;
    if (sort == POLICY_SORT_LIST)
        return policy_find_list(&none, id) != NULL;
    if (sort == POLICY_SORT_DICTIONARY)
        return policy_find_dictionary(&none, id) != NULL;
    return sort == POLICY_SORT_PATTERN && policy_find_pattern(&none, id) != NULL;
}

bool policy_is_known(const struct policy_reader *reader, enum policy_sort sort, const char *id)
{
    if (sort == POLICY_SORT_GROUP && strcmp(id, "default") == 0)
        return true;
    return (reader->counts[sort] > 0 && bsearch(id, reader->keys[sort], reader->counts[sort],
                                                sizeof(struct config_key), compare_id)) ||
           is_premium(sort, id);
}

bool policy_read_reference(const struct policy_reader *reader, const json_t *object,
                           const struct json_place *place, const char *name, enum policy_sort sort,
                           char **id, struct error *error)
{
    return policy_read_normal(object, place, name, policy_plain, id, error) &&
           (policy_is_known(reader, sort, *id) ||
            json_place_error(place, name, error, "there is no %s", *id));
}

/* --- what conditions and actions refer to --- */

static bool read_list(struct policy_reader *reader, const json_t *value,
                      const struct json_place *place, void *into, struct error *error)
{
    static const char *const known[] = {"id",          "name",  "names", "extensions",
                                        "media_types", "types", NULL};
    struct policy_list *list = into;
    (void)reader;
    return policy_read_head(value, place, &list->id, &list->name, error) &&
           policy_read_texts(value, place, "names", false, MOST_LIST_ENTRIES, policy_lower,
                             &list->names, error) &&
           policy_read_texts(value, place, "extensions", false, MOST_LIST_ENTRIES, policy_extension,
                             &list->extensions, error) &&
           policy_read_texts(value, place, "media_types", false, MOST_LIST_ENTRIES, policy_lower,
                             &list->media_types, error) &&
           policy_read_texts(value, place, "types", false, MOST_LIST_ENTRIES, policy_type_or_flag,
                             &list->types, error) &&
           config_check_members(value, place, known, error);
}

static bool read_word(const json_t *value, const struct json_place *place, struct policy_word *word,
                      struct error *error)
{
    static const char *const known[] = {"text", "weight", NULL};
    int64_t weight;
    if (!policy_read_normal(value, place, "text", policy_plain, &word->text, error) ||
        !json_get_integer_or(value, place, "weight", 1, MOST_WEIGHT, 1, &weight, error))
        return false;
    word->weight = (int)weight;
    return config_check_members(value, place, known, error);
}

static bool read_words(struct policy_reader *reader, const json_t *value,
                       const struct json_place *place, struct policy_dictionary *dictionary,
                       struct error *error)
{
    struct json_place list = {.parent = place, .name = "words"};
    const json_t *array;
    if (!json_get_array(value, place, "words", true, MOST_WORDS, &array, error))
        return false;
    size_t count = json_array_size(array);
    reader->words += count;
    if (reader->words > MOST_WORDS)
        return json_place_error(&list, NULL, error, "all dictionaries together may have %d words",
                                MOST_WORDS);
    dictionary->words = config_allocate(count, sizeof(*dictionary->words), error);
    if (!dictionary->words)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        dictionary->word_count = i + 1; /* also one that fails halfway is freed */
        if (!read_word(json_array_get(array, i), &element, &dictionary->words[i], error))
            return false;
    }
    return true;
}

static bool read_dictionary(struct policy_reader *reader, const json_t *value,
                            const struct json_place *place, void *into, struct error *error)
{
    static const char *const known[] = {"id", "name", "words", "whole_words", "match_case", NULL};
    struct policy_dictionary *dictionary = into;
    return policy_read_head(value, place, &dictionary->id, &dictionary->name, error) &&
           json_get_bool_or(value, place, "whole_words", true, &dictionary->whole_words, error) &&
           json_get_bool_or(value, place, "match_case", false, &dictionary->match_case, error) &&
           read_words(reader, value, place, dictionary, error) &&
           config_check_members(value, place, known, error);
}

static bool read_expression(const json_t *value, const struct json_place *place, char **expression,
                            struct error *error)
{
    const char *text;
    struct error wrong = {0};
    if (!json_get_text(value, place, "expression", POLICY_EXPRESSION_MOST, &text, error))
        return false;
    if (!policy_expression_check(text, &wrong))
        return json_place_error(place, "expression", error, "%s", wrong.message);
    *expression = strdup(text);
    return *expression || error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

static bool read_pattern(struct policy_reader *reader, const json_t *value,
                         const struct json_place *place, void *into, struct error *error)
{
    static const char *const known[] = {"id", "name", "expression", "check", NULL};
    struct policy_pattern *pattern = into;
    const char *check;
    (void)reader;
    return policy_read_head(value, place, &pattern->id, &pattern->name, error) &&
           read_expression(value, place, &pattern->expression, error) &&
           json_get_text_or(value, place, "check", POLICY_TEXT_MOST, "none", &check, error) &&
           (policy_check_parse(check, &pattern->check) ||
            json_place_error(place, "check", error,
                             "must be none, luhn, iban, my_number, us_ssn or email")) &&
           config_check_members(value, place, known, error);
}

static bool read_annotation(struct policy_reader *reader, const json_t *value,
                            const struct json_place *place, void *into, struct error *error)
{
    static const char *const known[] = {"id", "name", "text", "html", "place", NULL};
    static const char *const places[] = {"bottom", "top", NULL};
    struct policy_annotation *annotation = into;
    int top;
    (void)reader;
    if (!policy_read_head(value, place, &annotation->id, &annotation->name, error) ||
        !config_read_text(value, place, "text", MOST_ANNOTATION, &annotation->text, error) ||
        !config_read_text(value, place, "html", MOST_ANNOTATION, &annotation->html, error) ||
        !config_read_choice(value, place, "place", places, &top, error))
        return false;
    if (!annotation->text || !*annotation->text)
        return json_place_error(place, "text", error, "must not be empty");
    if (annotation->html && !*annotation->html) {
        free(annotation->html);
        annotation->html = NULL;
    }
    annotation->top = top == 1;
    return config_check_members(value, place, known, error);
}

static bool read_folder(struct policy_reader *reader, const json_t *value,
                        const struct json_place *place, void *into, struct error *error)
{
    static const char *const known[] = {"id", "name", "quarantine", NULL};
    struct policy_folder *folder = into;
    (void)reader;
    if (!policy_read_head(value, place, &folder->id, &folder->name, error))
        return false;
    if (!json_object_get(value, "quarantine"))
        return json_place_error(place, "quarantine", error, "is missing");
    return json_get_bool_or(value, place, "quarantine", false, &folder->quarantine, error) &&
           config_check_members(value, place, known, error);
}

static bool read_template(struct policy_reader *reader, const json_t *value,
                          const struct json_place *place, void *into, struct error *error)
{
    static const char *const known[] = {"id", "name", NULL};
    struct policy_template *template = into;
    (void)reader;
    return policy_read_head(value, place, &template->id, &template->name, error) &&
           config_check_members(value, place, known, error);
}

/* --- all of them --- */

/* Each element's struct begins with its identity. */
#define PART(sort, member, counter, read)                                                          \
    {                                                                                              \
        sort, #member, offsetof(struct policy_set, member), offsetof(struct policy_set, counter),  \
            sizeof(*((struct policy_set *)0)->member), read                                        \
    }

static const struct part {
    enum policy_sort sort;
    const char *name;
    size_t elements, count; /* offsets in the set */
    size_t size;
    bool (*read)(struct policy_reader *reader, const json_t *value, const struct json_place *place,
                 void *into, struct error *error);
} parts[] = {
    PART(POLICY_SORT_LIST, lists, list_count, read_list),
    PART(POLICY_SORT_DICTIONARY, dictionaries, dictionary_count, read_dictionary),
    PART(POLICY_SORT_PATTERN, patterns, pattern_count, read_pattern),
    PART(POLICY_SORT_ANNOTATION, annotations, annotation_count, read_annotation),
    PART(POLICY_SORT_FOLDER, folders, folder_count, read_folder),
    PART(POLICY_SORT_TEMPLATE, templates, template_count, read_template),
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static bool read_part(struct policy_reader *reader, const struct part *part, const json_t *policies,
                      const struct json_place *place, struct error *error)
{
    struct json_place list = {.parent = place, .name = part->name};
    const json_t *array;
    if (!json_get_array(policies, place, part->name, false, MOST_OF_A_SORT, &array, error))
        return false;
    size_t count = json_array_size(array);
    char *elements = config_allocate(count, part->size, error);
    if (!elements)
        return false;
    memcpy((char *)reader->set + part->elements, &elements, sizeof(elements));
    for (size_t i = 0; i < count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        size_t so_far = i + 1; /* also one that fails halfway is freed */
        memcpy((char *)reader->set + part->count, &so_far, sizeof(so_far));
        if (!part->read(reader, json_array_get(array, i), &element, elements + i * part->size,
                        error))
            return false;
    }
    return policy_add_keys(reader, part->sort, (char *const *)(void *)elements, part->size, count,
                           &list, error);
}

static bool read_all(struct policy_reader *reader, const json_t *policies,
                     const struct json_place *place, struct error *error)
{
    static const char *const known[] = {"malware",  "groups",      "lists",   "dictionaries",
                                        "patterns", "annotations", "folders", "templates",
                                        "filters",  NULL};
    if (!json_is_object(policies))
        return json_place_error(place, NULL, error, "must be an object");
    if (!config_check_members(policies, place, known, error))
        return false;
    for (size_t i = 0; i < PARTS; i++)
        if (!read_part(reader, &parts[i], policies, place, error))
            return false;
    return policy_read_groups(reader, policies, place, error) &&
           policy_read_filters(reader, policies, place, error);
}

struct policy_set *policy_set_parse(const json_t *policies, const struct json_place *place,
                                    struct error *error)
{
    struct policy_reader reader = {.set = config_allocate(1, sizeof(*reader.set), error)};
    if (!reader.set)
        return NULL;
    if (policies && !read_all(&reader, policies, place, error)) {
        policy_set_free(reader.set);
        reader.set = NULL;
    }
    for (size_t i = 0; i < POLICY_SORTS; i++)
        free(reader.keys[i]);
    return reader.set;
}
