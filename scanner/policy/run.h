/* One evaluation of the filters over one message; private to it. */
#ifndef GATEHOUSE_SCANNER_POLICY_RUN_H
#define GATEHOUSE_SCANNER_POLICY_RUN_H

#include "scanner/policy/program.h"

struct word_sum {
    uint32_t dictionary;
    int64_t weight;
};

/* A text that conditions look at. */
struct text {
    unsigned kinds;
    uint32_t header;    /* key of the field's name, of TEXT_HEADER */
    uint32_t recipient; /* of TEXT_RECIPIENT */
    const char *part;
    const char *data; /* valid UTF-8 */
    size_t length;
    char *owned;                             /* what `data` is in where it is not the message's */
    struct folded_text folded, loose, cased; /* empty until somebody needs them */
    uint32_t *patterns;                      /* that it may have, sorted */
    size_t pattern_count, pattern_room;
    uint32_t *keys; /* that fit the address or its person's directory groups */
    size_t key_count, key_room;
    struct word_sum *sums; /* of the dictionaries with words in it */
    size_t sum_count;
    bool unknown;   /* it could not be scanned: it may have any pattern */
    bool unweighed; /* not all words in it were found */
};

struct list_answer {
    bool told, one, every; /* fits one attachment or member; each attachment */
};

enum answer { ANSWER_NOT_MET = 0, ANSWER_MET = 1, ANSWER_SKIPPED = 2, ANSWER_LIMIT = 3 };

struct run {
    const struct policy_program *program;
    const struct policy_message *message;
    int64_t stop_us;
    struct text *texts;
    size_t text_count, text_room;
    struct attachment *attachments; /* and members */
    size_t attachment_count;
    uint64_t *seen_patterns, *seen_keys, *seen_dictionaries; /* bits */
    uint32_t *found_in;   /* by pattern: number + 1 of the last text that may have it */
    bool unknown;         /* of a text it is not known what it has */
    uint64_t *candidates; /* bits: filters worth a look */
    unsigned char *memo;  /* by question: 1 + its answer */
    struct list_answer *lists;
    bool late; /* the clock was looked at, and there is no time left */
    char *problem;
};

/* Collects the texts and looks for everything in them. false without memory. */
bool run_start(struct run *run);
void run_end(struct run *run);

/* The texts of a condition, or those of them that belong to the recipient. */
bool run_covers(const struct program_condition *condition, const struct text *text,
                size_t recipient);
/* false without memory. */
bool run_fold(const struct run *run, struct text *text);
/* Makes text->loose, or text->cased. false without memory. */
bool run_loosen(const struct run *run, struct text *text, bool match_case);
bool run_bit(const uint64_t *bits, size_t number);
/* Looks at the clock. */
bool run_is_late(struct run *run);
/* Of a field that is a number; of POLICY_ATTACHMENT the attachments and members. */
int64_t run_number(const struct run *run, enum policy_field field);

/* A place where a condition is met; places in text->data. Returns false to end. */
typedef bool run_occurrence(void *context, const struct text *text, size_t start, size_t end,
                            int64_t weight);
/* Every occurrence of what a condition over texts looks for, in order of the texts and from left
 * to right: of several values the one that begins first, then the longest, and none overlaps
 * another. false where a limit was reached. */
bool run_occurrences(struct run *run, const struct program_condition *condition, size_t recipient,
                     run_occurrence *found, void *context);

/* Whether a condition is met, "not" counted. Those of the message are looked at once. */
enum answer run_condition(struct run *run, size_t filter, size_t condition, size_t recipient);
/* Whether an attachment fits a condition of attachments, without "not". */
bool run_attachment_fits(const struct run *run, const struct program_condition *condition,
                         const struct attachment *attachment);

/* The finds of a filter that was met for the recipients with their bit set. false without memory.
 */
bool run_finds(struct run *run, size_t filter, const bool *met, struct policy_result *result);

/* Recipients for whom the same filters were met so far. */
struct path {
    size_t before; /* the path without its last filter; SIZE_MAX: no filter was met */
    size_t filter;
};
/* Makes the outcomes of the recipients' paths. false without memory. */
bool outcomes_make(const struct policy_program *program, const struct path *paths,
                   size_t path_count, const size_t *recipient_paths, size_t recipient_count,
                   struct policy_result *result);

#endif
