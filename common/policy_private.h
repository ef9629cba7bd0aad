/* What the files that read policies share. */
#ifndef GATEHOUSE_COMMON_POLICY_PRIVATE_H
#define GATEHOUSE_COMMON_POLICY_PRIVATE_H

#include "common/config_private.h"
#include "common/policy_model.h"

#define POLICY_NAME_MOST 200
#define POLICY_TEXT_MOST 1024
#define POLICY_EXPRESSION_MOST 4096
#define POLICY_VALUES_MOST 1000

/* What other parts of the set refer to. */
enum policy_sort {
    POLICY_SORT_GROUP,
    POLICY_SORT_LIST,
    POLICY_SORT_DICTIONARY,
    POLICY_SORT_PATTERN,
    POLICY_SORT_ANNOTATION,
    POLICY_SORT_FOLDER,
    POLICY_SORT_TEMPLATE,
    POLICY_SORT_FILTER,
    POLICY_SORTS,
};

/* The set that is being read, and the identities so far, sorted; filters are read last. */
struct policy_reader {
    struct policy_set *set;
    struct config_key *keys[POLICY_SORTS];
    size_t counts[POLICY_SORTS];
    size_t words; /* of all dictionaries so far */
};

/* The normal form of a text (to be freed), or NULL with what is wrong in *reason. */
typedef char *(*policy_normalise)(const char *text, const char **reason);

/* 1 to POLICY_TEXT_MOST bytes as they are. */
char *policy_plain(const char *text, const char **reason);
/* The same with A to Z in lower case. */
char *policy_lower(const char *text, const char **reason);
/* An extension without its dot, in lower case. */
char *policy_extension(const char *text, const char **reason);
/* A glob over types by content, or "flag:encrypted" or "flag:macros". */
char *policy_type_or_flag(const char *text, const char **reason);
/* "user@example.com", "@example.com" or "@.example.com". */
char *policy_address(const char *text, const char **reason);
/* The same, or "group:NAME". */
char *policy_member(const char *text, const char **reason);
/* A whole address that mail is sent to, as given. */
char *policy_mailbox(const char *text, const char **reason);
/* The name of a header field (RFC 5322 section 2.2). */
char *policy_header_name(const char *text, const char **reason);
/* One line of text without control characters. */
char *policy_line(const char *text, const char **reason);

/* Reads the array of texts that is member `name`; a missing one is empty unless `required`, which
 * also wants at least one text. */
bool policy_read_texts(const json_t *object, const struct json_place *place, const char *name,
                       bool required, size_t most, policy_normalise normalise,
                       struct policy_texts *texts, struct error *error);
void policy_free_texts(struct policy_texts *texts);

/* Reads a member that is one text in the normal form; a missing one is an error. */
bool policy_read_normal(const json_t *object, const struct json_place *place, const char *name,
                        policy_normalise normalise, char **text, struct error *error);

/* Reads the identity of something of that sort which must exist. */
bool policy_read_reference(const struct policy_reader *reader, const json_t *object,
                           const struct json_place *place, const char *name, enum policy_sort sort,
                           char **id, struct error *error);
bool policy_is_known(const struct policy_reader *reader, enum policy_sort sort, const char *id);

/* The identity and name of an element. */
bool policy_read_head(const json_t *value, const struct json_place *place, char **id, char **name,
                      struct error *error);
/* Adds the identities of a list to the reader; none may stand twice. `ids` points to that of the
 * first element, the next ones follow after `size` bytes each. */
bool policy_add_keys(struct policy_reader *reader, enum policy_sort sort, char *const *ids,
                     size_t size, size_t count, const struct json_place *list, struct error *error);

bool policy_read_groups(struct policy_reader *reader, const json_t *policies,
                        const struct json_place *place, struct error *error);
bool policy_read_filters(struct policy_reader *reader, const json_t *policies,
                         const struct json_place *place, struct error *error);
bool policy_read_condition(const struct policy_reader *reader, const json_t *value,
                           const struct json_place *place, struct policy_condition *condition,
                           struct error *error);
bool policy_read_action(const struct policy_reader *reader, const json_t *value,
                        const struct json_place *place, struct policy_action *action,
                        struct error *error);

bool policy_field_parse(const char *name, enum policy_field *field);
bool policy_operation_parse(const char *name, enum policy_operation *operation);
bool policy_action_kind_parse(const char *name, enum policy_action_kind *kind);
bool policy_check_parse(const char *name, enum policy_check *check);

#endif
