/* The compiled form of the filters (evaluate.h); for compile.c and what evaluates it alone. */
#ifndef GATEHOUSE_SCANNER_POLICY_PROGRAM_H
#define GATEHOUSE_SCANNER_POLICY_PROGRAM_H

#include "common/policy_model.h"
#include "scanner/policy/attachments.h"
#include "scanner/policy/evaluate.h"
#include "scanner/policy/folding.h"
#include "scanner/policy/intern.h"
#include "scanner/policy/patterns.h"
#include "scanner/policy/words.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which texts of a message a condition covers; a text can be of several kinds. */
enum text_kind {
    TEXT_SUBJECT = 1,
    TEXT_BODY = 2,
    TEXT_BODY_TAGS = 4,
    TEXT_ATTACHMENT = 8,
    TEXT_ATTACHMENT_TAGS = 16,
    TEXT_HEADER = 32,
    TEXT_SENDER = 64,
    TEXT_RECIPIENT = 128,
    TEXT_FROM = 256,
    TEXT_TO = 512,
    TEXT_NAME = 1024,
};
#define TEXT_KINDS 11

/* A key is what is looked up instead of searched for. The first byte of its text is one of these:
 * an address text's kind, a directory group, a header field's name, an extension. */
enum key_sort {
    KEY_SENDER = 's',
    KEY_RECIPIENT = 'r',
    KEY_FROM = 'f',
    KEY_TO = 't',
    KEY_SENDER_GROUP = 'S',
    KEY_RECIPIENT_GROUP = 'R',
    KEY_HEADER = 'h',
    KEY_EXTENSION = 'x',
};

struct condition_value {
    uint32_t id;    /* of the pattern or the key */
    uint32_t value; /* which one of the condition's values */
};

struct program_condition {
    const struct policy_condition *source;
    uint32_t question;              /* the same of all conditions that differ in "not" alone */
    unsigned kinds;                 /* of texts; 0: it looks at no text */
    uint32_t header;                /* key of the name, of TEXT_HEADER */
    struct condition_value *values; /* sorted by id */
    size_t value_count;
    enum policy_check check; /* of "pattern" */
    bool hidden;             /* has a pattern that only trying finds */
    bool empty_value;        /* "equals" with the empty text */
    uint32_t dictionary;     /* among those that are used */
    uint32_t list;           /* likewise */
    struct globs globs;      /* of "type" and "media_type" */
    int64_t least;           /* occurrences, or what "above" and "below" compare with */
    unsigned verdicts;       /* bits; bit 31: clean */
    bool directions[POLICY_DIRECTIONS];
    bool for_recipient; /* each recipient is looked at by itself */
};

struct program_filter {
    const struct policy_filter *source;
    struct program_condition *conditions;
    size_t *groups; /* sorted indices, the default group last; none: everybody */
    size_t group_count;
    bool for_recipient;
    bool has_groups;
};

/* Filters by what must be found before they can be met. */
struct waking {
    uint32_t *starts; /* one more than there are ids */
    uint32_t *filters;
};

/* A filter that waits for a number, so that it costs nothing but the comparison. */
struct number_wait {
    int64_t limit;
    uint32_t filter;
    enum policy_field field; /* POLICY_ATTACHMENT: the count of attachments and members */
    bool above, negated;
};

struct policy_program {
    const struct policy_set *set;
    struct folding *folding;
    struct program_filter *filters;
    struct program_condition *conditions;
    size_t filter_count, condition_count;
    struct patterns *patterns;
    struct intern keys;
    uint32_t question_count;
    const struct policy_dictionary **dictionaries;
    size_t dictionary_count;
    struct words *words;
    struct attachment_list **lists;
    size_t list_count;
    struct waking by_pattern, by_dictionary, by_key;
    struct number_wait *number_waits;
    size_t number_wait_count;
    uint64_t *always; /* bits: filters that are looked at whatever is found */
    unsigned literal_kinds, expression_kinds, word_kinds, address_kinds, group_kinds, all_kinds;
    bool has_extensions;
    struct policy_needs needs;
};

/* The kinds of texts of a condition; 0: none. */
unsigned program_kinds(const struct policy_condition *condition);

#endif
