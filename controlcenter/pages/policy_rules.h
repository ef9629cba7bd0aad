/* What goes with the operation of a condition and with an action: for the editor of filters. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_POLICY_RULES_H
#define GATEHOUSE_CONTROLCENTER_PAGES_POLICY_RULES_H

#include "common/policy_model.h"

#include <stdbool.h>

#define RULE_MEMBERS_MOST 3

enum policy_operand {
    POLICY_NOTHING,   /* "exists", "encrypted" */
    POLICY_LINES,     /* values, one a line */
    POLICY_WORDS,     /* values out of few */
    POLICY_REFERENCE, /* to a dictionary, pattern or list */
    POLICY_NUMBER,
};

/* False where there is no field of that name. */
bool policy_rule_field(const char *name, enum policy_field *field);
/* The operation of that name, or where the field does not take it the first one that it takes. */
enum policy_operation policy_rule_operation(enum policy_field field, const char *name);
enum policy_operand policy_rule_operand(enum policy_field field, enum policy_operation operation);
/* The list of the document that the operation refers to; "" for none. */
const char *policy_rule_section(enum policy_operation operation);
/* The values of a field that has few of them (POLICY_WORDS); ends with NULL. */
const char *const *policy_rule_words(enum policy_field field);
/* Fields of text, which have occurrences and case. */
bool policy_rule_is_text(enum policy_field field);
/* Fields whose number is a size in bytes. */
bool policy_rule_is_size(enum policy_field field);

struct policy_rule_member {
    const char *name;    /* of the document; NULL ends the list */
    bool optional;       /* may be left empty */
    const char *section; /* of an identity: the list of the document; else NULL */
};
struct policy_rule_action {
    const char *name;
    struct policy_rule_member members[RULE_MEMBERS_MOST + 1];
};
/* NULL where there is no action of that name. */
const struct policy_rule_action *policy_rule_action(const char *name);

#endif
