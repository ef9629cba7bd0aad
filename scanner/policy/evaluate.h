/* The content filters of a configuration, compiled, and what they say of a message. */
#ifndef GATEHOUSE_SCANNER_POLICY_EVALUATE_H
#define GATEHOUSE_SCANNER_POLICY_EVALUATE_H

#include "common/error.h"
#include "common/policy_model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is said here is said beside the model (common/policy_model.h).
 *
 * Filters. One without conditions is met by every message. Disabled ones, those of the other
 * direction and of other groups are passed over. "then":"stop" counts for the recipients for whom
 * the filter was met.
 *
 * Texts. Case is that of Unicode's simple folding: "STRASSE" is not "straße", the Kelvin sign is
 * "k". Bytes that are not UTF-8 are as "?". "contains", "equals", "begins", "ends" and dictionaries
 * compare text regardless of how it is set: white space of any sort and length, line breaks among
 * it, is one blank, and none between characters of Chinese or Japanese, which break lines anywhere;
 * forms of full width (U+FF01 to U+FF5E) are those of ASCII; soft hyphens, characters of no width,
 * marks of direction and variation, and control characters count as nothing. Values are read the
 * same way, and one of which nothing is left is never found. Expressions and patterns see the text
 * as it is. The body is every part with POLICY_NODE_BODY, attached
 * text every other one that is an attachment or came out of one; "tags" takes text with tags where
 * a part has one, of attachments too. From, To and Cc are read as lists of addresses, each of them
 * a text; so is each header field of a name, each attachment's name, sender and recipient.
 *
 * Occurrences do not overlap. Of a condition's values (and of a dictionary's words) the one that
 * begins first is found, then the longest; the search goes on behind it. An expression that matches
 * nothing between two characters is found there, and the search goes on one character further.
 * "equals", "begins", "ends", "exists", "address" and "group" are found once in a text. What does
 * not stand a pattern's check is passed over, and the search goes on one character behind its
 * beginning. Whole words begin and end at the ends of the text and where not both neighbours are
 * letters, marks, numbers or "_"; characters of Han, Hiragana, Katakana, Thai, Lao, Khmer and
 * Myanmar count as none, so that a word begins and ends anywhere among them.
 *
 * Attachments. Conditions ask attachments and what came out of them; with "every", and for count
 * and size, attachments alone. An extension is what follows any dot of the file's name ("gz" and
 * "tar.gz"), without dots and spaces at its end; names of lists are compared with the file's name
 * with and without folders.
 *
 * Actions. The first of the strictest disposition decides. An incident in a folder that keeps
 * copies is no disposition. All actions that are none fire, whatever the disposition is.
 *
 * Finds are those of conditions without "not", at most 20 of a condition; of an attachment the text
 * is its name (its type where it has none), and offset and length are 0.
 *
 * Limits. An expression may take 500,000 steps from one place to the next find. A condition that
 * only compares numbers or codes is not held up by the clock.
 *
 * Compiled once at configuration load: literals and expressions of all filters are one Vectorscan
 * database, dictionaries another structure, addresses are hashed. Expressions that Vectorscan
 * cannot do, and all counting and marking of finds, are PCRE2's, with match limits. Read-only
 * afterwards but for scratch memory that a process has for itself after fork, so that processes
 * share it, but threads of one do not. Borrows the set, which must not change. NULL with *error:
 * ERROR_INVALID where something that a filter refers to is missing or an expression is wrong. */
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
 * as those that ran into a limit. `with_trace` fills the trace (filters x recipients rows, at
 * most 1,000,000), for which every condition of a filter that applies is looked at. NULL only
 * without memory. */
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
