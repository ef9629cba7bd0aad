/* The content filters of a configuration, compiled, and what they say of a message. */
#ifndef GATEHOUSE_SCANNER_POLICY_EVALUATE_H
#define GATEHOUSE_SCANNER_POLICY_EVALUATE_H

#include "common/error.h"
#include "common/policy_model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Compiled once at configuration load: literals and expressions of all filters are one Vectorscan
 * database, dictionaries another structure, addresses are hashed. Expressions that Vectorscan
 * cannot do, and all counting and marking of finds, are PCRE2's, with match limits. Read-only
 * afterwards, so that processes share it after fork. Borrows the set. */
struct policy_program;
struct policy_program *policy_compile(const struct policy_set *set, struct error *error);
void policy_program_free(struct policy_program *program);

/* What of a message any filter looks at, so that nothing else need be made. */
struct policy_needs {
    bool visible_text, text_with_tags, attachment_text, language, attachments;
};
struct policy_needs policy_needs(const struct policy_program *program);

enum policy_node_flags {
    POLICY_NODE_ATTACHMENT = 1, /* a MIME part that is an attachment */
    POLICY_NODE_MEMBER = 2,     /* came out of a container */
    POLICY_NODE_BODY = 4,       /* a part that is shown as the text of the message */
    POLICY_NODE_ENCRYPTED = 8,
    POLICY_NODE_MACROS = 16, /* an Office document with macros */
};

/* A part of the message; text is UTF-8, NULL where there is none or nobody needs it. */
struct policy_node {
    const char *path;          /* such as "invoice.zip/run.exe" */
    const char *name;          /* file name with folders, or NULL */
    const char *declared_type; /* media type, or NULL */
    const char *type;          /* by content (scanner/engine/type.h) */
    uint64_t size;
    unsigned flags;
    const char *visible, *with_tags;
    size_t visible_length, with_tags_length;
};

struct policy_header {
    const char *name, *value; /* decoded (RFC 2047), unfolded, UTF-8 */
};

struct policy_person {
    const char *address; /* envelope, normalised */
    const char *const *directory_groups;
    size_t directory_group_count;
    size_t group;  /* index of the policy group, or POLICY_DEFAULT_GROUP (groups.h) */
    bool excluded; /* no filter counts for this one: deleted by a malware policy, or bypassed */
};

struct policy_message {
    enum policy_direction direction;
    struct policy_person sender;
    const struct policy_person *recipients;
    size_t recipient_count;
    uint64_t size;
    const struct policy_header *headers;
    size_t header_count;
    const struct policy_node *nodes;
    size_t node_count;
    const char *language; /* ISO 639-1, or "unknown" */
    unsigned verdicts;    /* bits 1 << enum config_verdict; 0: clean */
};

/* A place where a condition was met, for the incident's page and the log. */
struct policy_find {
    size_t filter, condition; /* indices in the set */
    char *part;               /* path of the node; "" for header fields and the envelope */
    char *field;              /* "subject", "body", "header Reply-To" */
    char *text;               /* what matched, at most 200 bytes of UTF-8 */
    size_t offset, length;    /* bytes in the text of the part (visible, or with tags) */
};

enum policy_disposition {
    POLICY_DISPOSE_DELIVER,
    POLICY_DISPOSE_DELETE,
    POLICY_DISPOSE_REJECT,
    POLICY_DISPOSE_BOUNCE,
    POLICY_DISPOSE_DEFER,
    POLICY_DISPOSE_HOLD, /* in a quarantine folder */
};

/* One action of a filter that fired. */
struct policy_fired {
    size_t filter, action;
};

/* What is the same for some recipients. */
struct policy_outcome {
    uint32_t *recipients; /* indices */
    size_t recipient_count;
    enum policy_disposition disposition;
    size_t decided_by;          /* the filter whose disposition counts; SIZE_MAX: none */
    struct policy_fired *fired; /* in order; of a disposition that does not count only incidents in
                                   folders that keep copies, and notifications */
    size_t fired_count;
    size_t *filters; /* that were met, in order */
    size_t filter_count;
};

/* A filter that was looked at, for the dry run. */
struct policy_trace {
    size_t filter;
    uint32_t recipient;
    bool applies; /* direction and group */
    bool met;
    /* By condition: 0 not met, 1 met ("not" counted), 2 not looked at, 3 a limit was reached:
     * counts as not found, whatever "not" says. */
    unsigned char *conditions;
    size_t condition_count;
};

struct policy_result {
    struct policy_outcome *outcomes; /* every recipient is in one of them */
    size_t outcome_count;
    struct policy_find *finds; /* of filters that were met; at most 100 */
    size_t find_count;
    char *problem; /* the first limit that a condition ran into, with filter and condition; NULL */
    struct policy_trace *trace;
    size_t trace_count;
};

/* Evaluates all filters in order for every recipient. Recipients for whom the same filters were met
 * share an outcome. `stop_us` (CLOCK_MONOTONIC, microseconds): conditions that would run later are
 * as those that ran into a limit. `with_trace` fills the trace (filters x recipients rows). NULL
 * only without memory. */
struct policy_result *policy_evaluate(const struct policy_program *program,
                                      const struct policy_message *message, int64_t stop_us,
                                      bool with_trace);
void policy_result_free(struct policy_result *result);

/* Sets matched[i] for each node that the filter found: attachments and members that fit its
 * conditions on attachments (with "not" and "every": those that do not fit), and those whose name
 * or text has what another condition looks for. The finds name only the first ones. false without
 * memory or where a limit was reached. */
bool policy_matched_nodes(const struct policy_program *program,
                          const struct policy_message *message, size_t filter, int64_t stop_us,
                          bool *matched);

#endif
