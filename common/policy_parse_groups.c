/* `groups` of the policies. */
#include "common/policy_private.h"

#include <string.h>

#define MOST_GROUPS 1000
#define MOST_MEMBERS 10000

_Static_assert(CONFIG_VERDICT_COUNT <= 8, "struct policy_group_malware has room for eight");

static bool read_direction(const json_t *malware, const struct json_place *malware_place,
                           const char *name, struct policy_group_malware *into, struct error *error)
{
    struct json_place place = {.parent = malware_place, .name = name};
    struct config_malware_policy policies[CONFIG_VERDICT_COUNT];
    const json_t *verdicts;
    if (!json_get_object(malware, malware_place, name, false, &verdicts, error))
        return false;
    if (!verdicts)
        return true;
    config_usual_malware(policies);
    if (!config_read_malware(verdicts, &place, policies, error))
        return false;
    for (size_t i = 0; i < CONFIG_VERDICT_COUNT; i++) {
        into->set[i] = json_object_get(verdicts, config_verdict_name((enum config_verdict)i));
        into->action[i] = (int)policies[i].action;
        into->hours[i] = policies[i].hours;
        into->then[i] = (int)policies[i].then;
        into->bypass_content[i] = policies[i].bypass_content;
    }
    return true;
}

static bool read_malware(const json_t *group, const struct json_place *group_place,
                         struct policy_group *into, struct error *error)
{
    static const char *const known[] = {"inbound", "outbound", NULL};
    struct json_place place = {.parent = group_place, .name = "malware"};
    const json_t *malware;
    if (!json_get_object(group, group_place, "malware", false, &malware, error))
        return false;
    return !malware ||
           (config_check_members(malware, &place, known, error) &&
            read_direction(malware, &place, "inbound", &into->malware[POLICY_INBOUND], error) &&
            read_direction(malware, &place, "outbound", &into->malware[POLICY_OUTBOUND], error));
}

static bool read_group(const json_t *value, const struct json_place *place,
                       struct policy_group *group, struct error *error)
{
    static const char *const known[] = {"id", "name", "members", "malware", NULL};
    return policy_read_head(value, place, &group->id, &group->name, error) &&
           policy_read_texts(value, place, "members", false, MOST_MEMBERS, policy_member,
                             &group->members, error) &&
           read_malware(value, place, group, error) &&
           config_check_members(value, place, known, error);
}

bool policy_read_groups(struct policy_reader *reader, const json_t *policies,
                        const struct json_place *place, struct error *error)
{
    struct json_place list = {.parent = place, .name = "groups"};
    struct policy_set *set = reader->set;
    const json_t *array;
    if (!json_get_array(policies, place, "groups", false, MOST_GROUPS, &array, error))
        return false;
    size_t count = json_array_size(array);
    set->groups = config_allocate(count, sizeof(*set->groups), error);
    if (!set->groups)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        set->group_count = i + 1; /* also one that fails halfway is freed */
        if (!read_group(json_array_get(array, i), &element, &set->groups[i], error))
            return false;
    }
    return policy_add_keys(reader, POLICY_SORT_GROUP, &set->groups->id, sizeof(*set->groups), count,
                           &list, error);
}
