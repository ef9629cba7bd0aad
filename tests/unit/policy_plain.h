/* The content filters a second time, plain and slow, and random ones to compare both over. */
#ifndef GATEHOUSE_TESTS_UNIT_POLICY_PLAIN_H
#define GATEHOUSE_TESTS_UNIT_POLICY_PLAIN_H

#include "scanner/policy/evaluate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- random --- */

/* Random numbers and the memory of what is made from them. */
struct random_source {
    uint64_t state;
    void **blocks;
    size_t count, room;
};
uint32_t random_below(struct random_source *source, uint32_t limit);
/* Frees all that was made since; the numbers go on. */
void random_forget(struct random_source *source);

struct policy_set *random_set(struct random_source *source);
struct policy_message *random_message(struct random_source *source);

/* --- plain --- */

#define PLAIN_FILTERS 16
#define PLAIN_CONDITIONS 6
#define PLAIN_RECIPIENTS 4
#define PLAIN_FINDS 100

struct plain_find {
    size_t filter, condition;
    const char *part;
    char field[64], text[204];
    size_t offset, length;
};

struct plain_result {
    bool met[PLAIN_FILTERS][PLAIN_RECIPIENTS];
    bool looked_at[PLAIN_FILTERS][PLAIN_RECIPIENTS];
    bool conditions[PLAIN_FILTERS][PLAIN_RECIPIENTS][PLAIN_CONDITIONS];
    struct plain_find finds[PLAIN_FINDS];
    size_t find_count;
};

/* Every filter, condition, text and value in turn, each search by PCRE2 alone. */
void plain_evaluate(const struct policy_set *set, const struct policy_message *message,
                    struct plain_result *result);
void plain_end(void);

#endif
