/* `filters` of the policies, and their conditions. */
#include "common/policy_private.h"

#include <stdlib.h>
#include <string.h>

#define MOST_FILTERS 10000
#define MOST_CONDITIONS 100
#define MOST_ACTIONS 50
#define MOST_NUMBER ((int64_t)1 << 40)
#define MOST_OCCURRENCES 1000000

/* --- conditions --- */

static char *expression(const char *text, const char **reason)
{
    static _Thread_local struct error wrong;
    if (policy_expression_check(text, &wrong))
        return policy_plain(text, reason);
    *reason = wrong.message;
    return NULL;
}

static char *type_glob(const char *text, const char **reason)
{
    if (strncmp(text, "flag:", 5) != 0)
        return policy_lower(text, reason);
    *reason = "must be a type; flags stand in lists";
    return NULL;
}

static char *language(const char *text, const char **reason)
{
    bool is_code =
        strlen(text) == 2 && text[0] >= 'a' && text[0] <= 'z' && text[1] >= 'a' && text[1] <= 'z';
    if (is_code || strcmp(text, "unknown") == 0)
        return policy_plain(text, reason);
    *reason = "must be a code of ISO 639-1, such as en, or unknown";
    return NULL;
}

static char *verdict(const char *text, const char **reason)
{
    enum config_verdict parsed;
    if (config_verdict_parse(text, &parsed) || strcmp(text, "clean") == 0)
        return policy_plain(text, reason);
    *reason = "must be a verdict or clean";
    return NULL;
}

static char *direction(const char *text, const char **reason)
{
    if (strcmp(text, "inbound") == 0 || strcmp(text, "outbound") == 0)
        return policy_plain(text, reason);
    *reason = "must be inbound or outbound";
    return NULL;
}

/* How the values of the condition are written; NULL: it has none. */
static policy_normalise normalise_values(const struct policy_condition *condition)
{
    if (condition->field == POLICY_LANGUAGE)
        return language;
    if (condition->field == POLICY_VERDICT)
        return verdict;
    if (condition->field == POLICY_DIRECTION)
        return direction;
    switch (condition->operation) {
    case POLICY_CONTAINS:
    case POLICY_EQUALS:
    case POLICY_BEGINS:
    case POLICY_ENDS:
        return policy_plain;
    case POLICY_MATCHES:
        return expression;
    case POLICY_ADDRESS:
        return policy_address;
    case POLICY_IN_GROUP:
        return policy_line;
    case POLICY_TYPE:
        return type_glob;
    case POLICY_MEDIA_TYPE:
        return policy_lower;
    case POLICY_EXTENSION:
        return policy_extension;
    default:
        return NULL;
    }
}

static bool refers(enum policy_operation operation, enum policy_sort *sort)
{
    *sort = operation == POLICY_IN_DICTIONARY ? POLICY_SORT_DICTIONARY
            : operation == POLICY_HAS_PATTERN ? POLICY_SORT_PATTERN
                                              : POLICY_SORT_LIST;
    return operation == POLICY_IN_DICTIONARY || operation == POLICY_HAS_PATTERN ||
           operation == POLICY_IN_LIST;
}

/* What such a condition may have beside `field`, `not` and `op`. */
static size_t list_members(const struct policy_condition *condition, const char **known)
{
    size_t count = 0;
    enum policy_sort sort;
    known[count++] = "field";
    known[count++] = "not";
    if (!policy_field_takes(condition->field, POLICY_IS))
        known[count++] = "op";
    if (normalise_values(condition))
        known[count++] = "values";
    if (refers(condition->operation, &sort))
        known[count++] = "id";
    if (condition->field <= POLICY_ATTACHMENT_NAME) {
        known[count++] = "match_case";
        known[count++] = "at_least";
    }
    if (condition->field == POLICY_BODY || condition->field == POLICY_ANY_TEXT)
        known[count++] = "tags";
    if (condition->field == POLICY_HEADER)
        known[count++] = "name";
    if (condition->field == POLICY_ATTACHMENT)
        known[count++] = "every";
    if (policy_field_takes(condition->field, POLICY_ABOVE))
        known[count++] = "number";
    known[count] = NULL;
    return count;
}

static bool read_field(const json_t *value, const struct json_place *place,
                       struct policy_condition *condition, struct error *error)
{
    const char *field, *operation;
    if (!json_get_text(value, place, "field", POLICY_TEXT_MOST, &field, error))
        return false;
    if (!policy_field_parse(field, &condition->field))
        return json_place_error(place, "field", error, "there is no field %s", field);
    if (policy_field_takes(condition->field, POLICY_IS)) {
        condition->operation = POLICY_IS;
        return true;
    }
    if (!json_get_text(value, place, "op", POLICY_TEXT_MOST, &operation, error))
        return false;
    return (policy_operation_parse(operation, &condition->operation) &&
            policy_field_takes(condition->field, condition->operation)) ||
           json_place_error(place, "op", error, "%s cannot be asked with %s", field, operation);
}

static bool read_number(const json_t *value, const struct json_place *place,
                        struct policy_condition *condition, struct error *error)
{
    if (policy_field_takes(condition->field, POLICY_ABOVE))
        return json_get_integer(value, place, "number", 0, MOST_NUMBER, &condition->number, error);
    condition->number = 1;
    return json_get_integer_or(value, place, "at_least", 1, MOST_OCCURRENCES, 1, &condition->number,
                               error);
}

bool policy_read_condition(const struct policy_reader *reader, const json_t *value,
                           const struct json_place *place, struct policy_condition *condition,
                           struct error *error)
{
    const char *known[16];
    enum policy_sort sort;
    if (!read_field(value, place, condition, error))
        return false;
    list_members(condition, known);
    if (!config_check_members(value, place, known, error) ||
        !json_get_bool_or(value, place, "not", false, &condition->negated, error) ||
        !json_get_bool_or(value, place, "match_case", false, &condition->match_case, error) ||
        !json_get_bool_or(value, place, "tags", false, &condition->tags, error) ||
        !json_get_bool_or(value, place, "every", false, &condition->every, error) ||
        !read_number(value, place, condition, error))
        return false;
    if (condition->field == POLICY_HEADER &&
        !policy_read_normal(value, place, "name", policy_header_name, &condition->header, error))
        return false;
    if (refers(condition->operation, &sort))
        return policy_read_reference(reader, value, place, "id", sort, &condition->id, error);
    policy_normalise normalise = normalise_values(condition);
    return !normalise || policy_read_texts(value, place, "values", true, POLICY_VALUES_MOST,
                                           normalise, &condition->values, error);
}

/* --- filters --- */

static bool read_conditions(const struct policy_reader *reader, const json_t *value,
                            const struct json_place *place, struct policy_filter *filter,
                            struct error *error)
{
    struct json_place list = {.parent = place, .name = "conditions"};
    const json_t *array;
    if (!json_get_array(value, place, "conditions", true, MOST_CONDITIONS, &array, error))
        return false;
    size_t count = json_array_size(array);
    if (count == 0 && filter->any)
        return json_place_error(&list, NULL, error,
                                "must have at least one where any of them is enough");
    filter->conditions = config_allocate(count, sizeof(*filter->conditions), error);
    if (!filter->conditions)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        filter->condition_count = i + 1; /* also one that fails halfway is freed */
        if (!policy_read_condition(reader, json_array_get(array, i), &element,
                                   &filter->conditions[i], error))
            return false;
    }
    return true;
}

static bool read_actions(const struct policy_reader *reader, const json_t *value,
                         const struct json_place *place, struct policy_filter *filter,
                         struct error *error)
{
    struct json_place list = {.parent = place, .name = "actions"};
    const json_t *array;
    if (!json_get_array(value, place, "actions", true, MOST_ACTIONS, &array, error))
        return false;
    size_t count = json_array_size(array);
    if (count == 0 && filter->then == POLICY_CONTINUE)
        return json_place_error(&list, NULL, error,
                                "must have at least one where the next filters follow");
    filter->actions = config_allocate(count, sizeof(*filter->actions), error);
    if (!filter->actions)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        filter->action_count = i + 1; /* also one that fails halfway is freed */
        if (!policy_read_action(reader, json_array_get(array, i), &element, &filter->actions[i],
                                error))
            return false;
    }
    return true;
}

static bool read_directions(const json_t *value, const struct json_place *place,
                            struct policy_filter *filter, struct error *error)
{
    struct policy_texts names = {0};
    filter->directions[POLICY_INBOUND] = filter->directions[POLICY_OUTBOUND] =
        !json_object_get(value, "directions");
    bool read = filter->directions[POLICY_INBOUND] ||
                policy_read_texts(value, place, "directions", true, POLICY_DIRECTIONS, direction,
                                  &names, error);
    for (size_t i = 0; i < names.count; i++)
        filter->directions[strcmp(names.items[i], "outbound") == 0 ? POLICY_OUTBOUND
                                                                   : POLICY_INBOUND] = true;
    policy_free_texts(&names);
    return read;
}

static bool read_groups(const struct policy_reader *reader, const json_t *value,
                        const struct json_place *place, struct policy_filter *filter,
                        struct error *error)
{
    struct json_place list = {.parent = place, .name = "groups"};
    if (!policy_read_texts(value, place, "groups", false, POLICY_VALUES_MOST + 1, policy_plain,
                           &filter->groups, error))
        return false;
    for (size_t i = 0; i < filter->groups.count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        if (!policy_is_known(reader, POLICY_SORT_GROUP, filter->groups.items[i]))
            return json_place_error(&element, NULL, error, "there is no %s",
                                    filter->groups.items[i]);
    }
    return true;
}

static bool read_filter(const struct policy_reader *reader, const json_t *value,
                        const struct json_place *place, struct policy_filter *filter,
                        struct error *error)
{
    static const char *const known[] = {"id",    "name",       "enabled", "directions", "groups",
                                        "match", "conditions", "actions", "then",       NULL};
    static const char *const matches[] = {"all", "any", NULL};
    static const char *const thens[] = {"continue", "stop", NULL};
    int match, then;
    if (!policy_read_head(value, place, &filter->id, &filter->name, error) ||
        !config_check_members(value, place, known, error) ||
        !json_get_bool_or(value, place, "enabled", true, &filter->enabled, error) ||
        !config_read_choice(value, place, "match", matches, &match, error) ||
        !config_read_choice(value, place, "then", thens, &then, error))
        return false;
    filter->any = match == 1;
    filter->then = then == 1 ? POLICY_STOP : POLICY_CONTINUE;
    return read_directions(value, place, filter, error) &&
           read_groups(reader, value, place, filter, error) &&
           read_conditions(reader, value, place, filter, error) &&
           read_actions(reader, value, place, filter, error);
}

bool policy_read_filters(struct policy_reader *reader, const json_t *policies,
                         const struct json_place *place, struct error *error)
{
    struct json_place list = {.parent = place, .name = "filters"};
    struct policy_set *set = reader->set;
    const json_t *array;
    if (!json_get_array(policies, place, "filters", false, MOST_FILTERS, &array, error))
        return false;
    size_t count = json_array_size(array);
    set->filters = config_allocate(count, sizeof(*set->filters), error);
    if (!set->filters)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_place element = {.parent = &list, .index = i};
        set->filter_count = i + 1; /* also one that fails halfway is freed */
        if (!read_filter(reader, json_array_get(array, i), &element, &set->filters[i], error))
            return false;
    }
    return policy_add_keys(reader, POLICY_SORT_FILTER, &set->filters->id, sizeof(*set->filters),
                           count, &list, error);
}
