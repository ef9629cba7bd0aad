/* The policy document as a file. */
#include "controlcenter/pages/policy_file.h"

#include "controlcenter/pages/policy_objects.h"

#include "common/cleanup.h"
#include "common/json.h"

#include <stdlib.h>
#include <string.h>

#define MARK "gatehouse_policies" /* the first member of a file, with the number of its form */
#define FORM 1

/* The order of members as people read them; others follow by name. */
static const char *const order[] = {
    MARK,        "field",   "action",  "id",           "name",     "enabled",     "directions",
    "groups",    "filters", "lists",   "dictionaries", "patterns", "annotations", "folders",
    "templates", "match",   "members", "malware",      "inbound",  "outbound",    "conditions",
    "actions",   "then",    "not",     "op",           "values",   "number",      "at_least",
};
#define ORDER_COUNT (sizeof order / sizeof *order)

static size_t rank(const char *name)
{
    size_t i = 0;
    while (i < ORDER_COUNT && strcmp(order[i], name) != 0)
        i++;
    return i;
}

static int compare(const void *left, const void *right)
{
    const char *one = *(const char *const *)left, *other = *(const char *const *)right;
    size_t first = rank(one), second = rank(other);
    return first != second ? (first < second ? -1 : 1) : strcmp(one, other);
}

static json_t *ordered(const json_t *value);

static json_t *ordered_object(const json_t *object)
{
    size_t count = json_object_size(object), i = 0;
    const char **names = calloc(count + 1, sizeof *names), *name;
    json_t *copy = names ? json_object() : NULL, *value;
    json_object_foreach((json_t *)object, name, value)
    {
        if (names)
            names[i++] = name;
    }
    if (names)
        qsort(names, count, sizeof *names, compare);
    for (i = 0; copy && i < count; i++)
        if (json_object_set_new(copy, names[i], ordered(json_object_get(object, names[i]))) != 0) {
            json_decref(copy);
            copy = NULL;
        }
    free(names);
    return copy;
}

static json_t *ordered_array(const json_t *array)
{
    json_t *copy = json_array();
    const json_t *value;
    size_t i;
    json_array_foreach(array, i, value)
    {
        if (json_array_append_new(copy, ordered(value)) == 0)
            continue;
        json_decref(copy);
        return NULL;
    }
    return copy;
}

static json_t *ordered(const json_t *value)
{
    if (json_is_object(value))
        return ordered_object(value);
    return json_is_array(value) ? ordered_array(value) : json_deep_copy(value);
}

char *policy_file_write(const json_t *document)
{
    cleanup_json json_t *marked = json_copy((json_t *)document);
    if (!marked || json_object_set_new(marked, MARK, json_integer(FORM)) != 0)
        return NULL;
    cleanup_json json_t *file = ordered(marked);
    return file ? json_dumps(file, JSON_INDENT(2)) : NULL;
}

static bool is_section(const char *name)
{
    for (size_t i = 0; policy_sections[i]; i++)
        if (strcmp(policy_sections[i], name) == 0)
            return true;
    return false;
}

json_t *policy_file_read(const char *text, size_t length, struct error *error)
{
    const char *name;
    json_t *value;
    cleanup_json json_t *file = json_parse(text, length, NULL, error);
    if (!file)
        return NULL;
    const json_t *mark = json_object_get(file, MARK);
    if (!json_is_object(file) || json_integer_value(mark) != FORM) {
        error_set(error, ERROR_INVALID, NULL,
                  "is no file of policies: it needs \"" MARK "\": %d at its beginning", FORM);
        return NULL;
    }
    json_object_del(file, MARK);
    json_object_foreach(file, name, value)
    {
        if (is_section(name) && json_is_array(value))
            continue;
        error_set(error, ERROR_INVALID, NULL,
                  is_section(name) ? "has no list as \"%s\"" : "has \"%s\", which policies do not",
                  name);
        return NULL;
    }
    return json_incref(file);
}
