/* People of a message that policies are tried on. */
#include "controlcenter/pages/policy_person.h"

#include "controlcenter/pages/list_rows.h"
#include "controlcenter/pages/policy_objects.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char directory_group[] = "group:";
#define PREFIX (sizeof directory_group - 1)

static bool is_in_directory_group(const json_t *groups, const char *name)
{
    const json_t *group;
    size_t i;
    json_array_foreach(groups, i, group)
    {
        if (strcasecmp(json_string_value(group), name) == 0)
            return true;
    }
    return false;
}

/* "user@example.com", "@example.com" or "@.example.com", all in the normal form. */
static bool is_member(const char *address, const char *member)
{
    const char *domain = strrchr(address, '@');
    size_t suffix = strlen(member);
    if (member[0] != '@')
        return strcmp(address, member) == 0;
    if (!domain || member[1] != '.')
        return domain && strcmp(domain, member) == 0;
    size_t length = strlen(domain + 1);
    return length > suffix - 1 && strcmp(domain + 1 + length - (suffix - 1), member + 1) == 0;
}

static bool has_person(const json_t *group, const char *address, const json_t *directory_groups)
{
    const json_t *member;
    size_t i;
    json_array_foreach(json_object_get(group, "members"), i, member)
    {
        char normal[ADDRESS_SIZE];
        const char *text = json_string_value(member);
        if (strncmp(text, directory_group, PREFIX) == 0) {
            if (is_in_directory_group(directory_groups, text + PREFIX))
                return true;
        } else if (!list_normalise(text, true, normal) && is_member(address, normal)) {
            return true;
        }
    }
    return false;
}

static const char *group_of(const json_t *document, const char *address,
                            const json_t *directory_groups)
{
    const json_t *group;
    size_t i;
    json_array_foreach(json_object_get(document, "groups"), i, group)
    {
        if (has_person(group, address, directory_groups))
            return json_text_of(group, "id");
    }
    return "default";
}

/* The groups behind the address, each "group:NAME". NULL where something else stands there. */
static json_t *read_groups(const char *text)
{
    json_t *groups = json_array();
    while (*(text += strspn(text, " "))) {
        size_t length = strcspn(text, " ");
        if (strncmp(text, directory_group, PREFIX) != 0 || length == PREFIX) {
            json_decref(groups);
            return NULL;
        }
        json_array_append_new(groups, json_stringn(text + PREFIX, length - PREFIX));
        text += length;
    }
    return groups;
}

json_t *policy_person(const json_t *document, const char *line, const char **reason)
{
    char typed[ADDRESS_SIZE], normal[ADDRESS_SIZE];
    size_t length = strcspn(line, " ");
    snprintf(typed, sizeof typed, "%.*s", (int)(length < sizeof typed ? length : sizeof typed - 1),
             line);
    *reason = typed[0] == '@' ? "must be a whole address" : list_normalise(typed, false, normal);
    if (*reason)
        return NULL;
    json_t *groups = read_groups(line + length);
    if (!groups) {
        *reason = "has something behind the address that does not begin with group:";
        return NULL;
    }
    return json_pack("{s:s,s:o,s:s}", "address", typed, "directory_groups", groups, "group",
                     group_of(document, normal, groups));
}
