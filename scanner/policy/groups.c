#include "scanner/policy/groups.h"

#include "common/address.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A member as it stands in the set, and the first group that has it. */
struct slot {
    const char *member; /* borrowed; NULL: free */
    size_t group;
};

struct policy_groups {
    struct slot *slots; /* open addressing, at most half full */
    size_t mask;
    bool needs_directory;
};

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* A member in up to two pieces, so that no lookup needs memory. Only administrators add members:
 * nobody else can make them collide. */
struct key {
    const char *prefix, *rest;
};

/* FNV-1a, regardless of case: names of directory groups are (RFC 4519), addresses come so. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ lower(*text)) * 0x100000001b3u;
    return hash;
}

static size_t hash_key(struct key key)
{
    uint64_t hash = hash_text(hash_text(0xcbf29ce484222325u, key.prefix), key.rest);
    return (size_t)(hash ^ hash >> 32);
}

static bool same_key(const char *member, struct key key)
{
    size_t length = strlen(key.prefix);
    if (strncasecmp(member, key.prefix, length) != 0)
        return false;
    return strcasecmp(member + length, key.rest) == 0;
}

static struct slot *find_slot(const struct policy_groups *groups, struct key key)
{
    size_t at = hash_key(key) & groups->mask;
    while (groups->slots[at].member && !same_key(groups->slots[at].member, key))
        at = (at + 1) & groups->mask;
    return &groups->slots[at];
}

static bool any_condition_needs_directory(const struct policy_set *set)
{
    for (size_t i = 0; i < set->filter_count; i++)
        for (size_t j = 0; j < set->filters[i].condition_count; j++)
            if (set->filters[i].conditions[j].operation == POLICY_IN_GROUP)
                return true;
    return false;
}

static void add_group(struct policy_groups *groups, const struct policy_set *set, size_t index)
{
    const struct policy_texts *members = &set->groups[index].members;
    for (size_t i = 0; i < members->count; i++) {
        struct slot *slot = find_slot(groups, (struct key){"", members->items[i]});
        if (!slot->member)
            *slot = (struct slot){members->items[i], index};
        if (strncmp(members->items[i], "group:", 6) == 0)
            groups->needs_directory = true;
    }
}

struct policy_groups *policy_groups_new(const struct policy_set *set)
{
    size_t members = 0, size = 2;
    for (size_t i = 0; i < set->group_count; i++)
        members += set->groups[i].members.count;
    while (size < members * 2)
        size *= 2;
    struct policy_groups *groups = calloc(1, sizeof(*groups));
    if (!groups)
        return NULL;
    groups->mask = size - 1;
    groups->slots = calloc(size, sizeof(*groups->slots));
    if (!groups->slots) {
        free(groups);
        return NULL;
    }
    for (size_t i = 0; i < set->group_count; i++)
        add_group(groups, set, i);
    groups->needs_directory |= any_condition_needs_directory(set);
    return groups;
}

void policy_groups_free(struct policy_groups *groups)
{
    if (!groups)
        return;
    free(groups->slots);
    free(groups);
}

bool policy_groups_need_directory(const struct policy_groups *groups)
{
    return groups->needs_directory;
}

/* POLICY_DEFAULT_GROUP is beyond every index. */
static size_t first_of(const struct policy_groups *groups, size_t first, struct key key)
{
    const struct slot *slot = find_slot(groups, key);
    return slot->member && slot->group < first ? slot->group : first;
}

size_t policy_groups_find(const struct policy_groups *groups, const char *address,
                          const char *const *directory_groups, size_t count)
{
    const char *domain = address_domain(address);
    size_t first = first_of(groups, POLICY_DEFAULT_GROUP, (struct key){"", address});
    if (*domain)
        first = first_of(groups, first, (struct key){"@", domain});
    for (const char *dot = strchr(domain, '.'); dot; dot = strchr(dot + 1, '.'))
        first = first_of(groups, first, (struct key){"@", dot});
    for (size_t i = 0; i < count; i++)
        first = first_of(groups, first, (struct key){"group:", directory_groups[i]});
    return first;
}

struct config_malware_policy policy_malware(const struct scanner_config *config, size_t group,
                                            enum policy_direction direction,
                                            enum config_verdict verdict)
{
    if (group == POLICY_DEFAULT_GROUP || group >= config->policy->group_count)
        return config->malware[verdict];
    const struct policy_group_malware *own = &config->policy->groups[group].malware[direction];
    if (!own->set[verdict])
        return config->malware[verdict];
    return (struct config_malware_policy){
        .action = (enum config_action)own->action[verdict],
        .hours = own->hours[verdict],
        .then = (enum config_action)own->then[verdict],
        .bypass_content = own->bypass_content[verdict],
    };
}
