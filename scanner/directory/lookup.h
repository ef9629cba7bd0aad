/* What sources said about addresses: remembered for a while, and asked once where several want to
 * know the same at the same time. */
#ifndef GATEHOUSE_SCANNER_DIRECTORY_LOOKUP_H
#define GATEHOUSE_SCANNER_DIRECTORY_LOOKUP_H

#include "common/ldap/ldap_source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of each kind of answer, known and unknown: who tries addresses that do not exist cannot have
 * those that do forgotten. */
#define LOOKUP_ENTRIES_MOST 50000
#define LOOKUP_BYTES_MOST (32u << 20)

struct sources;
struct lookups;

enum lookup_purpose { LOOKUP_RECIPIENT, LOOKUP_ROUTING, LOOKUP_GROUPS, LOOKUP_PURPOSES };

struct lookup_answer {
    enum ldap_answer status;
    struct ldap_routing routing; /* of LOOKUP_ROUTING */
    struct ldap_groups groups;   /* of LOOKUP_GROUPS */
    struct error error;          /* why it is LDAP_ANSWER_UNAVAILABLE */
};

/* Part of what the asker allocates. `answered` is called once, from the event loop; the answer is
 * borrowed for the call. */
struct lookup_waiter {
    void (*answered)(struct lookup_waiter *waiter, const struct lookup_answer *answer);
    struct lookup_waiter *next, **link; /* NULL: does not wait */
};

struct lookup_counts {
    size_t entries, hits, misses;
};

/* One for each `sources`, which makes and frees it. NULL: no memory. */
struct lookups *lookups_new(struct sources *sources);
void lookups_free(struct lookups *lookups);
struct lookup_counts lookups_counts(const struct lookups *lookups);

/* Asks the source of that index. An answer that is remembered is given at once, within the call;
 * otherwise the waiter is told later. */
void lookup_ask(struct lookups *lookups, size_t source, enum lookup_purpose purpose,
                const char *address, struct lookup_waiter *waiter);
/* The waiter is not told any more; it may have been told before. */
void lookup_forget(struct lookup_waiter *waiter);

#endif
