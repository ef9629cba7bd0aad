/* Numbers for texts: each different one gets the next number. */
#ifndef GATEHOUSE_SCANNER_POLICY_INTERN_H
#define GATEHOUSE_SCANNER_POLICY_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INTERN_NONE UINT32_MAX

struct intern_entry {
    size_t start, length; /* in `pool` */
};

struct intern {
    char *pool;
    size_t pool_length, pool_room;
    struct intern_entry *entries;
    uint32_t count, room;
    uint32_t *slots; /* number + 1; 0: empty */
    size_t slot_mask;
};

/* The number of the text, which is copied where it is new; INTERN_NONE without memory. An intern
 * that is all zeros is empty. */
uint32_t intern_add(struct intern *intern, const char *text, size_t length);
/* INTERN_NONE where it is none of them. */
uint32_t intern_find(const struct intern *intern, const char *text, size_t length);
/* Borrowed, not followed by a NUL. */
const char *intern_text(const struct intern *intern, uint32_t number, size_t *length);
void intern_free(struct intern *intern);

#endif
