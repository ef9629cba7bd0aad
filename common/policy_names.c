/* Names of fields, operations and actions, and which go together. */
#include "common/policy_private.h"

#include <string.h>

#define BIT(operation) (1u << POLICY_##operation)
#define TEXT                                                                                       \
    (BIT(CONTAINS) | BIT(EQUALS) | BIT(BEGINS) | BIT(ENDS) | BIT(MATCHES) | BIT(IN_DICTIONARY) |   \
     BIT(HAS_PATTERN))
#define NUMBER (BIT(ABOVE) | BIT(BELOW))

static const struct {
    const char *name;
    unsigned operations;
} fields[POLICY_FIELDS] = {
    [POLICY_SUBJECT] = {"subject", TEXT},
    [POLICY_BODY] = {"body", TEXT},
    [POLICY_ATTACHMENT_TEXT] = {"attachment_text", TEXT},
    [POLICY_ANY_TEXT] = {"any_text", TEXT},
    [POLICY_HEADER] = {"header", TEXT | BIT(EXISTS)},
    [POLICY_SENDER] = {"sender", TEXT | BIT(ADDRESS) | BIT(IN_GROUP)},
    [POLICY_RECIPIENT] = {"recipient", TEXT | BIT(ADDRESS) | BIT(IN_GROUP)},
    [POLICY_FROM] = {"from", TEXT | BIT(ADDRESS)},
    [POLICY_TO] = {"to", TEXT | BIT(ADDRESS)},
    [POLICY_ATTACHMENT_NAME] = {"attachment_name", TEXT},
    [POLICY_ATTACHMENT] = {"attachment", BIT(IN_LIST) | BIT(TYPE) | BIT(MEDIA_TYPE) |
                                             BIT(EXTENSION) | BIT(ENCRYPTED)},
    [POLICY_MESSAGE_SIZE] = {"message_size", NUMBER},
    [POLICY_ATTACHMENT_SIZE] = {"attachment_size", NUMBER},
    [POLICY_ATTACHMENT_COUNT] = {"attachment_count", NUMBER},
    [POLICY_RECIPIENT_COUNT] = {"recipient_count", NUMBER},
    [POLICY_LANGUAGE] = {"language", BIT(IS)},
    [POLICY_VERDICT] = {"verdict", BIT(IS)},
    [POLICY_DIRECTION] = {"direction", BIT(IS)},
};

static const char *const operations[POLICY_OPERATIONS] = {
    [POLICY_CONTAINS] = "contains",     [POLICY_EQUALS] = "equals",
    [POLICY_BEGINS] = "begins",         [POLICY_ENDS] = "ends",
    [POLICY_MATCHES] = "matches",       [POLICY_IN_DICTIONARY] = "dictionary",
    [POLICY_HAS_PATTERN] = "pattern",   [POLICY_EXISTS] = "exists",
    [POLICY_ADDRESS] = "address",       [POLICY_IN_GROUP] = "group",
    [POLICY_IN_LIST] = "in_list",       [POLICY_TYPE] = "type",
    [POLICY_MEDIA_TYPE] = "media_type", [POLICY_EXTENSION] = "extension",
    [POLICY_ENCRYPTED] = "encrypted",   [POLICY_ABOVE] = "above",
    [POLICY_BELOW] = "below",           [POLICY_IS] = "is",
};

static const char *const actions[POLICY_ACTIONS] = {
    [POLICY_ACTION_DELETE] = "delete",
    [POLICY_ACTION_REJECT] = "reject",
    [POLICY_ACTION_BOUNCE] = "bounce",
    [POLICY_ACTION_DEFER] = "defer",
    [POLICY_ACTION_INCIDENT] = "incident",
    [POLICY_ACTION_DELIVER] = "deliver",
    [POLICY_ACTION_ADD_HEADER] = "add_header",
    [POLICY_ACTION_REMOVE_HEADER] = "remove_header",
    [POLICY_ACTION_SUBJECT] = "subject",
    [POLICY_ACTION_ANNOTATE] = "annotate",
    [POLICY_ACTION_STRIP] = "strip",
    [POLICY_ACTION_ADD_RECIPIENT] = "add_recipient",
    [POLICY_ACTION_REMOVE_RECIPIENTS] = "remove_recipients",
    [POLICY_ACTION_BCC] = "bcc",
    [POLICY_ACTION_FORWARD] = "forward",
    [POLICY_ACTION_ARCHIVE] = "archive",
    [POLICY_ACTION_ROUTE] = "route",
    [POLICY_ACTION_REQUIRE_TLS] = "require_tls",
    [POLICY_ACTION_NOTIFY] = "notify",
};

static const char *const checks[] = {
    [POLICY_CHECK_NONE] = "none",     [POLICY_CHECK_LUHN] = "luhn",
    [POLICY_CHECK_IBAN] = "iban",     [POLICY_CHECK_MY_NUMBER] = "my_number",
    [POLICY_CHECK_US_SSN] = "us_ssn", [POLICY_CHECK_EMAIL] = "email",
};
#define CHECKS (sizeof(checks) / sizeof(checks[0]))

const char *policy_field_name(enum policy_field field)
{
    return fields[field].name;
}

const char *policy_operation_name(enum policy_operation operation)
{
    return operations[operation];
}

const char *policy_action_kind_name(enum policy_action_kind kind)
{
    return actions[kind];
}

const char *policy_check_name(enum policy_check check)
{
    return checks[check];
}

bool policy_field_takes(enum policy_field field, enum policy_operation operation)
{
    return (fields[field].operations >> operation & 1u) != 0;
}

bool policy_field_parse(const char *name, enum policy_field *field)
{
    for (size_t i = 0; i < POLICY_FIELDS; i++) {
        if (strcmp(fields[i].name, name) != 0)
            continue;
        *field = (enum policy_field)i;
        return true;
    }
    return false;
}

static bool find_name(const char *const *names, size_t count, const char *name, size_t *index)
{
    for (*index = 0; *index < count; (*index)++)
        if (strcmp(names[*index], name) == 0)
            return true;
    return false;
}

bool policy_operation_parse(const char *name, enum policy_operation *operation)
{
    size_t index;
    if (!find_name(operations, POLICY_OPERATIONS, name, &index))
        return false;
    *operation = (enum policy_operation)index;
    return true;
}

bool policy_action_kind_parse(const char *name, enum policy_action_kind *kind)
{
    size_t index;
    if (!find_name(actions, POLICY_ACTIONS, name, &index))
        return false;
    *kind = (enum policy_action_kind)index;
    return true;
}

bool policy_check_parse(const char *name, enum policy_check *check)
{
    size_t index;
    if (!find_name(checks, CHECKS, name, &index))
        return false;
    *check = (enum policy_check)index;
    return true;
}
