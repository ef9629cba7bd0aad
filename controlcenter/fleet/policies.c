/* The policies in force as scanners are sent them. They may hold a million words and are the same
 * for all scanners: they are read, checked and written once for each version of them. */
#include "controlcenter/fleet/fleet_private.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/policy_model.h"
#include "controlcenter/store/policies.h"

#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 1000000

/* Members that scanners are sent of an element; NULL first: all of them. */
static const struct {
    const char *name;
    const char *members[4];
} parts[] = {
    {"groups", {NULL}},
    {"lists", {NULL}},
    {"dictionaries", {NULL}},
    {"patterns", {NULL}},
    {"annotations", {NULL}},
    {"folders", {"id", "name", "quarantine"}},
    {"templates", {"id", "name"}},
    {"filters", {NULL}},
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static bool out_of_memory(struct error *error)
{
    return error_set(error, ERROR_INTERNAL, NULL, "out of memory");
}

/* --- what scanners need --- */

static json_t *pick_members(json_t *element, const char *const *members)
{
    json_t *picked = json_object();
    for (size_t i = 0; members[i]; i++) {
        json_t *value = json_object_get(element, members[i]);
        if (value)
            json_object_set(picked, members[i], value);
    }
    return picked;
}

/* What is no array of objects stays, to be refused with its place. */
static json_t *pick_part(json_t *part, const char *const *members)
{
    size_t index;
    json_t *element;
    if (!json_is_array(part) || !members[0])
        return json_incref(part);
    json_t *picked = json_array();
    json_array_foreach(part, index, element)
    {
        json_array_append_new(picked, json_is_object(element) ? pick_members(element, members)
                                                              : json_incref(element));
    }
    return picked;
}

/* The words of a light draft were checked when they were put; their number is known. */
static json_t *without_words(json_t *dictionary, json_int_t *count)
{
    const json_t *words = json_object_get(dictionary, "words");
    if (!json_is_object(words)) {
        *count += (json_int_t)json_array_size(words);
        return json_incref(dictionary);
    }
    json_t *copy = json_copy(dictionary);
    *count += json_integer_value(json_object_get(words, "count"));
    json_object_set_new(copy, "words", json_array());
    return copy;
}

static bool leave_words(json_t *policies, struct error *error)
{
    size_t index;
    json_t *dictionary;
    json_int_t count = 0;
    json_t *dictionaries = json_object_get(policies, "dictionaries");
    if (!json_is_array(dictionaries))
        return true;
    json_t *light = json_array();
    json_array_foreach(dictionaries, index, dictionary)
    {
        json_array_append_new(light, without_words(dictionary, &count));
    }
    if (json_object_set_new(policies, "dictionaries", light) != 0)
        return out_of_memory(error);
    return count <= MOST_WORDS ||
           error_set(error, ERROR_INVALID, "policies.dictionaries",
                     "all dictionaries together may have %d words", MOST_WORDS);
}

static bool is_part(const char *name)
{
    for (size_t i = 0; i < PARTS; i++)
        if (strcmp(name, parts[i].name) == 0)
            return true;
    return false;
}

/* The members of `policies` in the documents of scanners. NULL with *error. */
static json_t *for_scanners(const json_t *document, struct error *error)
{
    const char *name;
    json_t *value;
    if (!json_is_object(document)) {
        error_set(error, ERROR_INVALID, "policies", "must be an object");
        return NULL;
    }
    json_object_foreach((json_t *)document, name, value)
    {
        struct json_place place = {.name = "policies"};
        if (is_part(name))
            continue;
        json_place_error(&place, name, error, "is not known here");
        return NULL;
    }
    json_t *policies = json_object();
    for (size_t i = 0; i < PARTS; i++) {
        json_t *part = json_object_get(document, parts[i].name);
        if (part &&
            json_object_set_new(policies, parts[i].name, pick_part(part, parts[i].members)) != 0) {
            json_decref(policies);
            out_of_memory(error);
            return NULL;
        }
    }
    return policies;
}

static bool is_valid(const json_t *policies, struct error *error)
{
    struct json_place place = {.name = "policies"};
    struct policy_set *set = policy_set_parse(policies, &place, error);
    policy_set_free(set);
    return set != NULL;
}

bool fleet_check_policies(struct fleet *fleet, const json_t *document, struct error *error)
{
    (void)fleet;
    cleanup_json json_t *policies = for_scanners(document, error);
    return policies && leave_words(policies, error) && is_valid(policies, error);
}

json_t *fleet_scanner_policies(struct fleet *fleet, const json_t *document, struct error *error)
{
    struct error local = {0};
    cleanup_json json_t *malware = store_setting_get(fleet->store, "policy.malware", &local);
    if (!malware && local.code != ERROR_NOT_FOUND) {
        if (error)
            *error = local;
        return NULL;
    }
    cleanup_json json_t *policies = for_scanners(document, error);
    if (!policies || (malware && json_object_set(policies, "malware", malware) != 0))
        return NULL;
    return json_incref(policies);
}

/* --- what is in force --- */

/* The members as text without braces, such as "groups":[...],"filters":[...]. */
static json_t *members_text(const json_t *policies)
{
    cleanup_free char *text = json_text(policies);
    size_t length = text ? strlen(text) : 0;
    return length >= 2 ? json_stringn_nocheck(text + 1, length - 2) : NULL;
}

/* *text is "" where nothing was put in force yet. */
static bool read_active(struct fleet *fleet, int64_t *version, json_t **text, struct error *error)
{
    struct error local = {0};
    cleanup_json json_t *document = store_policy_active(fleet->store, version, &local);
    if (!document && local.code == ERROR_NOT_FOUND) {
        *version = 0;
        *text = json_string("");
        return *text || out_of_memory(error);
    }
    cleanup_json json_t *policies = document ? for_scanners(document, &local) : NULL;
    if (policies && is_valid(policies, &local)) {
        *text = members_text(policies);
        return *text || out_of_memory(error);
    }
    if (error)
        *error = local;
    return false;
}

bool fleet_read_policies(struct fleet *fleet, json_t *shared, struct error *error)
{
    int64_t version;
    json_t *text;
    if (!store_policy_active_version(fleet->store, &version, error))
        return false;
    if (!fleet->policies || fleet->policies_version != version) {
        if (!read_active(fleet, &version, &text, error))
            return false;
        json_decref(fleet->policies);
        fleet->policies = text;
        fleet->policies_version = version;
    }
    return json_object_set(shared, "policies", fleet->policies) == 0 || out_of_memory(error);
}
