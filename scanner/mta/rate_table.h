/* How often each of many (clients, senders, recipients) did something within a time, and who is
 * refused until when. The memory is bounded: where the table is full the one that was not heard of
 * for longest is forgotten. A count is that of a sliding window, estimated from two fixed ones, so
 * nobody gets twice the limit over the border between them. Single-threaded. */
#ifndef GATEHOUSE_SCANNER_MTA_RATE_TABLE_H
#define GATEHOUSE_SCANNER_MTA_RATE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct rate_table;

/* Who does what: `name` is an address of any sort, `kind` what is counted (and where). */
struct rate_key {
    unsigned kind;
    const void *name;
    size_t length;
};

/* Keeps at most `most` keys, about 100 bytes each. */
struct rate_table *rate_table_new(size_t most);
/* NULL is allowed. */
void rate_table_free(struct rate_table *table);

/* How much was counted in the `window` (milliseconds) that ends `now` (of the monotonic clock). */
uint64_t rate_table_count(struct rate_table *table, const struct rate_key *key, int64_t window,
                          int64_t now);
/* Counts one more and returns the count with it. */
uint64_t rate_table_add(struct rate_table *table, const struct rate_key *key, int64_t window,
                        int64_t now);

/* Refuses the key until then, and says until when it is refused (0: it is not). */
void rate_table_block(struct rate_table *table, const struct rate_key *key, int64_t until);
int64_t rate_table_blocked(struct rate_table *table, const struct rate_key *key, int64_t now);

/* Keys that it holds. */
size_t rate_table_size(const struct rate_table *table);

#endif
