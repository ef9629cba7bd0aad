/* Policies: groups of people, content filters, and what those refer to; the typed form of the
 * members of `policies` in the configuration document, and their validation.
 *
 * "policies":{"malware":{...} (config_model.h),
 *  "groups":[{"id":ID,"name":S,"members":[M],"malware":{"inbound":{V:MP},"outbound":{V:MP}} [{}]}],
 *  "lists":[{"id":ID,"name":S,"names":[GLOB] [],"extensions":[S] [],"media_types":[GLOB] [],
 *     "types":[GLOB] []}],
 *  "dictionaries":[{"id":ID,"name":S,"words":[{"text":S,"weight":N [1]}],
 *     "whole_words":B [true],"match_case":B [false]}],
 *  "patterns":[{"id":ID,"name":S,"expression":S,"check":K ["none"]}],
 *  "annotations":[{"id":ID,"name":S,"text":S,"html":S ["": made from the text],
 *     "place":"top"or"bottom" ["bottom"]}],
 *  "folders":[{"id":ID,"name":S,"quarantine":B}],
 *  "templates":[{"id":ID,"name":S}],
 *  "filters":[{"id":ID,"name":S,"enabled":B [true],"directions":["inbound","outbound"] [both],
 *     "groups":[ID] [[]: everybody],"match":"all"or"any" ["all"],
 *     "conditions":[C],"actions":[A],"then":"continue"or"stop" ["continue"]}]}
 *
 * ID: 1 to 64 of a-z A-Z 0-9 . _ -, none twice in its list; "premium." begins those that Gatehouse
 * has by itself (policy_premium.h), "default" is the group of those in no other one. Groups and
 * filters stand in the order in which they count: the first group with a matching member is a
 * recipient's group inbound; outbound the sender's counts, for all recipients.
 * M: "user@example.com", "@example.com", "@.example.com" (every subdomain) or "group:NAME" (a
 * directory group). V: a verdict's name; MP: {"action","hours","then","bypass_content":B [false]},
 * of verdicts that are not named the general one counts. "bypass_content": no content filter is
 * asked about a message with that verdict that is delivered.
 * GLOB: * and ? regardless of the case of A to Z. "names" fit the file name and the name with its
 * folders. "types" are by content (scanner/engine/type.h), "media_types" what the message says. In
 * "types" of a list "flag:encrypted" and "flag:macros" stand for what the engine says of a part by
 * its flags (POLICY_NODE_ENCRYPTED and POLICY_NODE_MACROS of scanner/policy/evaluate.h, which the
 * engine sets and the evaluation looks at). Something is in an attachment list when one of its four
 * sorts says so. Names of directory groups are compared regardless of the case of A to Z.
 * K: "none", "luhn" (payment cards), "iban", "my_number" (Japan), "us_ssn", "email".
 *
 * C, a condition: {"field":F,"not":B [false], and by field:
 *   text fields "subject", "body" (all parts that are shown as text), "attachment_text" (text in
 *     attachments, members of archives and Office documents), "any_text" (the three together),
 *     "header" (with "name":S; every header field of that name, decoded; presence by op "exists"),
 *     "sender", "recipient" (envelope), "from", "to" (addresses in the header fields; To and Cc),
 *     "attachment_name" (of each attachment or archive member, with folders):
 *     "op": "contains", "equals", "begins", "ends", "matches" (expression), "dictionary",
 *     "pattern", "exists" (header alone), and for the four address fields "address" (values are
 *     M without "group:") and "group" (envelope fields: member of a directory group, values are
 *     names).
 *     "values":[S] (any of them; not for dictionary and pattern, which have "id":ID),
 *     "match_case":B [false], "at_least":N [1] (occurrences over all that the field covers;
 *     of a dictionary: the sum of weights; each pattern's find counts once for each place),
 *     "tags":B [false] ("body" and "any_text": HTML is looked at with its tags, not as seen)
 *   "attachment": "op":"in_list" with "id":ID, or "type" (GLOBs over the type by content),
 *     "media_type" (GLOBs), "extension" (without the dot), "encrypted"; "every":B [false]: true
 *     where there is an attachment and each one fits, else one that fits is enough
 *   numbers "message_size" (bytes), "attachment_size" (bytes, the largest), "attachment_count",
 *     "recipient_count": "op":"above" or "below", "number":N
 *   "language": "values":[ISO 639-1 code] of the visible text, "unknown" where none is told
 *   "verdict": "values":[V or "clean"]
 *   "direction": "values":["inbound","outbound"]
 *   }
 * Fields with one operation alone ("language", "verdict", "direction") have no "op". No conditions
 * with "all" are always met; "any" needs at least one. Actions may be missing ([]) where "then" is
 * "stop". Members that a field or an operation has no use for are refused.
 * "not" turns the result of the condition over. A recipient's condition is looked at for each
 * recipient by itself, and so is a filter that has one.
 *
 * A, an action: {"action":N, and by name}
 *   disposition, the strictest of all that apply counts (in this order): "delete", "reject"
 *     ("text":S [""]: what the sender is told, ASCII, 400 bytes), "bounce" ("text":S [""]: accepted, then returned),
 *     "defer" (451), "incident" with "folder":ID (a quarantine folder holds the message, another
 *     one keeps a copy), "deliver"
 *   "add_header" {"name","value"}, "remove_header" {"name"}, "subject" {"text","place":"begin" or
 *     "end" or "replace"}, "annotate" {"id"}, "strip" {"which":"matched","all" or "list","id":ID
 *     [of list],"note":S [""]}, "add_recipient" {"address"}, "remove_recipients", "bcc"
 *     {"address"}, "forward" {"address"} (a copy as an attachment), "archive" {"address"} (a copy
 *     with the envelope in X-Gatehouse header fields), "route" {"host":S as in
 *     scanner/mta/destination.h}, "require_tls", "notify" {"template":ID,"to":["sender",
 *     "recipients" or ADDRESS]} */
#ifndef GATEHOUSE_COMMON_POLICY_MODEL_H
#define GATEHOUSE_COMMON_POLICY_MODEL_H

#include "common/error.h"
#include "common/json.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum policy_direction { POLICY_INBOUND, POLICY_OUTBOUND, POLICY_DIRECTIONS };

struct policy_texts {
    char **items;
    size_t count;
};

struct policy_group_malware {
    bool set[8]; /* by enum config_verdict */
    int action[8], hours[8], then[8];
    bool bypass_content[8];
};

struct policy_group {
    char *id, *name;
    struct policy_texts members; /* normalised: lower case, A-labels; "group:" names as given */
    struct policy_group_malware malware[POLICY_DIRECTIONS];
};

struct policy_list {
    char *id, *name;
    struct policy_texts names, extensions, media_types, types; /* lower case */
};

struct policy_word {
    char *text;
    int weight;
};

struct policy_dictionary {
    char *id, *name;
    struct policy_word *words;
    size_t word_count;
    bool whole_words, match_case;
};

enum policy_check {
    POLICY_CHECK_NONE,
    POLICY_CHECK_LUHN,
    POLICY_CHECK_IBAN,
    POLICY_CHECK_MY_NUMBER,
    POLICY_CHECK_US_SSN,
    POLICY_CHECK_EMAIL,
};

struct policy_pattern {
    char *id, *name, *expression;
    enum policy_check check;
};

struct policy_annotation {
    char *id, *name, *text, *html; /* html NULL: made from the text */
    bool top;
};

struct policy_folder {
    char *id, *name;
    bool quarantine;
};

struct policy_template { /* its text is the Control Center's */
    char *id, *name;
};

enum policy_field {
    POLICY_SUBJECT,
    POLICY_BODY,
    POLICY_ATTACHMENT_TEXT,
    POLICY_ANY_TEXT,
    POLICY_HEADER,
    POLICY_SENDER,
    POLICY_RECIPIENT,
    POLICY_FROM,
    POLICY_TO,
    POLICY_ATTACHMENT_NAME,
    POLICY_ATTACHMENT,
    POLICY_MESSAGE_SIZE,
    POLICY_ATTACHMENT_SIZE,
    POLICY_ATTACHMENT_COUNT,
    POLICY_RECIPIENT_COUNT,
    POLICY_LANGUAGE,
    POLICY_VERDICT,
    POLICY_DIRECTION,
    POLICY_FIELDS,
};

enum policy_operation {
    POLICY_CONTAINS,
    POLICY_EQUALS,
    POLICY_BEGINS,
    POLICY_ENDS,
    POLICY_MATCHES,
    POLICY_IN_DICTIONARY,
    POLICY_HAS_PATTERN,
    POLICY_EXISTS,
    POLICY_ADDRESS,
    POLICY_IN_GROUP,
    POLICY_IN_LIST,
    POLICY_TYPE,
    POLICY_MEDIA_TYPE,
    POLICY_EXTENSION,
    POLICY_ENCRYPTED,
    POLICY_ABOVE,
    POLICY_BELOW,
    POLICY_IS, /* language, verdict, direction */
    POLICY_OPERATIONS,
};

struct policy_condition {
    enum policy_field field;
    enum policy_operation operation;
    bool negated, match_case, tags, every;
    char *header;               /* name; NULL */
    struct policy_texts values; /* of "address": normalised; lower case where case does not count
                                   in the field's standard (extensions, globs, codes) */
    char *id;                   /* of a dictionary, pattern or list; NULL */
    int64_t number;             /* at_least, or what "above" and "below" compare with */
};

enum policy_action_kind { /* dispositions first, the strictest first */
                          POLICY_ACTION_DELETE,
                          POLICY_ACTION_REJECT,
                          POLICY_ACTION_BOUNCE,
                          POLICY_ACTION_DEFER,
                          POLICY_ACTION_INCIDENT,
                          POLICY_ACTION_DELIVER,
                          POLICY_ACTION_ADD_HEADER,
                          POLICY_ACTION_REMOVE_HEADER,
                          POLICY_ACTION_SUBJECT,
                          POLICY_ACTION_ANNOTATE,
                          POLICY_ACTION_STRIP,
                          POLICY_ACTION_ADD_RECIPIENT,
                          POLICY_ACTION_REMOVE_RECIPIENTS,
                          POLICY_ACTION_BCC,
                          POLICY_ACTION_FORWARD,
                          POLICY_ACTION_ARCHIVE,
                          POLICY_ACTION_ROUTE,
                          POLICY_ACTION_REQUIRE_TLS,
                          POLICY_ACTION_NOTIFY,
                          POLICY_ACTIONS,
};

/* One action; which members count is said by the kind, the others are NULL. */
struct policy_action {
    enum policy_action_kind kind;
    char *name;             /* of a header field */
    char *value;            /* value, text or note */
    char *place;            /* "begin", "end", "replace"; of strip: "matched", "all", "list" */
    char *id;               /* folder, annotation, list or template */
    char *address;          /* address or host */
    struct policy_texts to; /* of notify */
};

enum policy_then { POLICY_CONTINUE, POLICY_STOP };

struct policy_filter {
    char *id, *name;
    bool enabled;
    bool directions[POLICY_DIRECTIONS];
    struct policy_texts groups; /* none: everybody */
    bool any;                   /* one condition is enough; else all are needed */
    struct policy_condition *conditions;
    size_t condition_count;
    struct policy_action *actions;
    size_t action_count;
    enum policy_then then;
};

struct policy_set {
    struct policy_group *groups;
    size_t group_count;
    struct policy_list *lists; /* custom ones alone */
    size_t list_count;
    struct policy_dictionary *dictionaries;
    size_t dictionary_count;
    struct policy_pattern *patterns;
    size_t pattern_count;
    struct policy_annotation *annotations;
    size_t annotation_count;
    struct policy_folder *folders;
    size_t folder_count;
    struct policy_template *templates;
    size_t template_count;
    struct policy_filter *filters;
    size_t filter_count;
};

/* Limits: 1000 groups of 10,000 members, 10,000 filters of 100 conditions and 50 actions, 1000
 * values a condition, 1000 each of lists, patterns, annotations, folders and templates; 1000
 * dictionaries with 1,000,000 words in all; names 200 bytes, expressions 4 KiB, values and words
 * 1 KiB, annotations 64 KiB each; 10,000 entries of each sort a list; weights 1 to 1000, at_least 1
 * to 1,000,000, numbers to 2^40.
 *
 * Reads the object `policies` (its "malware" is config_model.h's and passed over here); NULL is an
 * empty set. Checks every member, every reference (a filter's group, list, dictionary, pattern,
 * folder, template, annotation must exist; "default" and premium ones always do), every expression
 * (policy_expression_check) and that header names and values can stand in a message. NULL with
 * *error (ERROR_INVALID; `where` is such as "policies.filters[3].conditions[0].values[1]"). Free
 * with policy_set_free. */
struct policy_set *policy_set_parse(const json_t *policies, const struct json_place *place,
                                    struct error *error);
void policy_set_free(struct policy_set *set);

/* Compiles the expression (PCRE2, UTF-8, Unicode classes, multi-line) and tries it on texts made
 * to make it explode; false with *error (ERROR_INVALID with the character's number, or ERROR_LIMIT)
 * where it is wrong or takes too many steps. */
bool policy_expression_check(const char *expression, struct error *error);

const char *policy_field_name(enum policy_field field);
const char *policy_operation_name(enum policy_operation operation);
const char *policy_action_kind_name(enum policy_action_kind kind);
const char *policy_check_name(enum policy_check check);
/* Whether the field takes the operation; what the rule editor offers. */
bool policy_field_takes(enum policy_field field, enum policy_operation operation);

/* Binary or hashed searches are the compiled form's business; these walk. NULL: none. The premium
 * ones are found too. */
const struct policy_list *policy_find_list(const struct policy_set *set, const char *id);
const struct policy_dictionary *policy_find_dictionary(const struct policy_set *set,
                                                       const char *id);
const struct policy_pattern *policy_find_pattern(const struct policy_set *set, const char *id);

#endif
