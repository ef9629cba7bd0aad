/* What goes with the operation of a condition and with an action. */
#include "controlcenter/pages/policy_rules.h"

#include <string.h>

bool policy_rule_field(const char *name, enum policy_field *field)
{
    for (int i = 0; i < POLICY_FIELDS; i++) {
        *field = (enum policy_field)i;
        if (strcmp(policy_field_name(*field), name) == 0)
            return true;
    }
    return false;
}

enum policy_operation policy_rule_operation(enum policy_field field, const char *name)
{
    enum policy_operation first = POLICY_OPERATIONS;
    for (int i = 0; i < POLICY_OPERATIONS; i++) {
        enum policy_operation operation = (enum policy_operation)i;
        if (!policy_field_takes(field, operation))
            continue;
        if (strcmp(policy_operation_name(operation), name) == 0)
            return operation;
        if (first == POLICY_OPERATIONS)
            first = operation;
    }
    return first;
}

enum policy_operand policy_rule_operand(enum policy_field field, enum policy_operation operation)
{
    switch (operation) {
    case POLICY_IN_DICTIONARY:
    case POLICY_HAS_PATTERN:
    case POLICY_IN_LIST:
        return POLICY_REFERENCE;
    case POLICY_EXISTS:
    case POLICY_ENCRYPTED:
        return POLICY_NOTHING;
    case POLICY_ABOVE:
    case POLICY_BELOW:
        return POLICY_NUMBER;
    case POLICY_IS:
        return field == POLICY_LANGUAGE ? POLICY_LINES : POLICY_WORDS;
    default:
        return POLICY_LINES;
    }
}

const char *policy_rule_section(enum policy_operation operation)
{
    return operation == POLICY_IN_DICTIONARY ? "dictionaries"
           : operation == POLICY_HAS_PATTERN ? "patterns"
           : operation == POLICY_IN_LIST     ? "lists"
                                             : "";
}

const char *const *policy_rule_words(enum policy_field field)
{
    static const char *const verdicts[] = {
        "clean",       "virus", "worm", "spyware", "suspicious_attachment", "encrypted_attachment",
        "unscannable", NULL};
    static const char *const directions[] = {"inbound", "outbound", NULL};
    return field == POLICY_VERDICT ? verdicts : directions;
}

bool policy_rule_is_text(enum policy_field field)
{
    return policy_field_takes(field, POLICY_CONTAINS);
}

bool policy_rule_is_size(enum policy_field field)
{
    return field == POLICY_MESSAGE_SIZE || field == POLICY_ATTACHMENT_SIZE;
}

static const struct policy_rule_action actions[] = {
    {"incident", {{"folder", false, "folders"}}},
    {"delete", {{NULL}}},
    {"reject", {{"text", true, NULL}}},
    {"bounce", {{"text", true, NULL}}},
    {"defer", {{NULL}}},
    {"deliver", {{NULL}}},
    {"add_header", {{"name", false, NULL}, {"value", false, NULL}}},
    {"remove_header", {{"name", false, NULL}}},
    {"subject", {{"text", false, NULL}, {"place", false, NULL}}},
    {"annotate", {{"id", false, "annotations"}}},
    {"strip", {{"which", false, NULL}, {"id", false, "lists"}, {"note", true, NULL}}},
    {"add_recipient", {{"address", false, NULL}}},
    {"remove_recipients", {{NULL}}},
    {"bcc", {{"address", false, NULL}}},
    {"forward", {{"address", false, NULL}}},
    {"archive", {{"address", false, NULL}}},
    {"route", {{"host", false, NULL}}},
    {"require_tls", {{NULL}}},
    {"notify", {{"template", false, "templates"}, {"to", false, NULL}}},
};
_Static_assert(sizeof actions / sizeof *actions == POLICY_ACTIONS,
               "the editor has every action of common/policy_model.h");

const struct policy_rule_action *policy_rule_action(const char *name)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}
