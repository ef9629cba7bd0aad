/* The lists of the policy document as JSON. */
#include "controlcenter/pages/policy_objects.h"

#include "common/cleanup.h"
#include "common/policy_premium.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define NAME_PART 40 /* bytes of a name that an identity begins with */
#define COPIES_MOST 1000

const char *const policy_sections[] = {"filters",      "groups",    "lists",
                                       "dictionaries", "patterns",  "annotations",
                                       "folders",      "templates", NULL};

json_t *policy_section(json_t *document, const char *section)
{
    json_t *list = json_object_get(document, section);
    if (json_is_array(list))
        return list;
    list = json_array();
    return json_object_set_new(document, section, list) == 0 ? list : NULL;
}

json_t *policy_find(const json_t *document, const char *section, const char *id, size_t *index)
{
    json_t *object;
    size_t i;
    json_array_foreach(json_object_get(document, section), i, object)
    {
        if (strcmp(json_text_of(object, "id"), id) != 0)
            continue;
        if (index)
            *index = i;
        return object;
    }
    return NULL;
}

static const char *premium_name(const char *section, const char *id)
{
    size_t count;
    const struct policy_list *lists = policy_premium_lists(&count);
    for (size_t i = 0; strcmp(section, "lists") == 0 && i < count; i++)
        if (strcmp(lists[i].id, id) == 0)
            return lists[i].name;
    const struct policy_dictionary *dictionaries = policy_premium_dictionaries(&count);
    for (size_t i = 0; strcmp(section, "dictionaries") == 0 && i < count; i++)
        if (strcmp(dictionaries[i].id, id) == 0)
            return dictionaries[i].name;
    const struct policy_pattern *patterns = policy_premium_patterns(&count);
    for (size_t i = 0; strcmp(section, "patterns") == 0 && i < count; i++)
        if (strcmp(patterns[i].id, id) == 0)
            return patterns[i].name;
    return "";
}

const char *policy_name_of(const json_t *document, const char *section, const char *id)
{
    const json_t *object = policy_find(document, section, id, NULL);
    return object ? json_text_of(object, "name") : premium_name(section, id);
}

bool policy_name_is_taken(const json_t *document, const char *section, const char *name,
                          const char *id)
{
    const json_t *object;
    size_t i;
    json_array_foreach(json_object_get(document, section), i, object)
    {
        if (strcmp(json_text_of(object, "name"), name) == 0 &&
            strcmp(json_text_of(object, "id"), id) != 0)
            return true;
    }
    return false;
}

void policy_new_id(const char *name, char id[POLICY_ID_SIZE])
{
    unsigned char bits[4];
    size_t length = 0;
    for (; *name && length < NAME_PART; name++) {
        bool is_plain = isascii((unsigned char)*name) && isalnum((unsigned char)*name);
        if (is_plain)
            id[length++] = (char)tolower((unsigned char)*name);
        else if (length > 0 && id[length - 1] != '-')
            id[length++] = '-';
    }
    if (length > 0 && id[length - 1] != '-')
        id[length++] = '-';
    randombytes_buf(bits, sizeof bits);
    sodium_bin2hex(id + length, POLICY_ID_SIZE - length, bits, sizeof bits);
}

void policy_copy_name(const json_t *document, const char *section, const char *of,
                      struct buffer *name)
{
    buffer_add_format(name, "%s (copy)", of);
    for (int i = 2;
         i < COPIES_MOST && policy_name_is_taken(document, section, buffer_text(name), ""); i++) {
        buffer_clear(name);
        buffer_add_format(name, "%s (copy %d)", of, i);
    }
}

void policy_hash(const json_t *object, char hash[POLICY_HASH_SIZE])
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    cleanup_free char *text = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    crypto_hash_sha256(digest, (const unsigned char *)(text ? text : ""), text ? strlen(text) : 0);
    sodium_bin2hex(hash, POLICY_HASH_SIZE, digest, sizeof digest);
}

/* --- what is in use --- */

static bool names(const json_t *object, const char *member, const char *id)
{
    return strcmp(json_text_of(object, member), id) == 0;
}

static bool is_in(const json_t *texts, const char *id)
{
    const json_t *text;
    size_t i;
    json_array_foreach(texts, i, text)
    {
        if (json_is_string(text) && strcmp(json_string_value(text), id) == 0)
            return true;
    }
    return false;
}

/* Which members of conditions and actions hold identities of that list, by what goes with them. */
static const struct {
    const char *section, *of, *member, *value, *id;
} references[] = {
    {"lists", "conditions", "op", "in_list", "id"},
    {"dictionaries", "conditions", "op", "dictionary", "id"},
    {"patterns", "conditions", "op", "pattern", "id"},
    {"lists", "actions", "action", "strip", "id"},
    {"annotations", "actions", "action", "annotate", "id"},
    {"folders", "actions", "action", "incident", "folder"},
    {"templates", "actions", "action", "notify", "template"},
};

static bool uses(const json_t *filter, const char *section, const char *id)
{
    if (strcmp(section, "groups") == 0)
        return is_in(json_object_get(filter, "groups"), id);
    for (size_t r = 0; r < sizeof references / sizeof *references; r++) {
        const json_t *element;
        size_t i;
        if (strcmp(references[r].section, section) != 0)
            continue;
        json_array_foreach(json_object_get(filter, references[r].of), i, element)
        {
            if (names(element, references[r].member, references[r].value) &&
                names(element, references[r].id, id))
                return true;
        }
    }
    return false;
}

json_t *policy_users(const json_t *document, const char *section, const char *id)
{
    json_t *users = json_array();
    const json_t *filter;
    size_t i;
    json_array_foreach(json_object_get(document, "filters"), i, filter)
    {
        if (uses(filter, section, id))
            json_array_append(users, json_object_get(filter, "name"));
    }
    return users;
}
