#include "scanner/policy/intern.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(const char *text, size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static bool same(const struct intern *intern, uint32_t number, const char *text, size_t length)
{
    const struct intern_entry *entry = &intern->entries[number];
    return entry->length == length &&
           (length == 0 || memcmp(intern->pool + entry->start, text, length) == 0);
}

static size_t slot_of(const struct intern *intern, const char *text, size_t length)
{
    size_t slot = hash_of(text, length) & intern->slot_mask;
    while (intern->slots[slot] && !same(intern, intern->slots[slot] - 1, text, length))
        slot = (slot + 1) & intern->slot_mask;
    return slot;
}

static bool grow(struct intern *intern)
{
    if (intern->count >= UINT32_MAX / 4)
        return false;
    uint32_t room = intern->room ? intern->room * 2 : 16;
    struct intern_entry *entries = realloc(intern->entries, room * sizeof *entries);
    if (!entries)
        return false;
    intern->entries = entries;
    uint32_t *slots = calloc((size_t)room * 2, sizeof *slots);
    if (!slots)
        return false;
    free(intern->slots);
    intern->slots = slots;
    intern->slot_mask = (size_t)room * 2 - 1;
    intern->room = room;
    for (uint32_t i = 0; i < intern->count; i++) {
        const struct intern_entry *entry = &intern->entries[i];
        intern->slots[slot_of(intern, intern->pool + entry->start, entry->length)] = i + 1;
    }
    return true;
}

static bool reserve(struct intern *intern, size_t length)
{
    if (intern->pool && intern->pool_room - intern->pool_length >= length)
        return true;
    size_t room = intern->pool_room * 2 + length + 64;
    char *pool = realloc(intern->pool, room);
    if (!pool)
        return false;
    intern->pool = pool;
    intern->pool_room = room;
    return true;
}

uint32_t intern_add(struct intern *intern, const char *text, size_t length)
{
    uint32_t number = intern_find(intern, text, length);
    if (number != INTERN_NONE)
        return number;
    if ((intern->count == intern->room && !grow(intern)) || !reserve(intern, length))
        return INTERN_NONE;
    intern->slots[slot_of(intern, text, length)] = intern->count + 1;
    memcpy(intern->pool + intern->pool_length, text, length);
    intern->entries[intern->count] = (struct intern_entry){intern->pool_length, length};
    intern->pool_length += length;
    return intern->count++;
}

uint32_t intern_find(const struct intern *intern, const char *text, size_t length)
{
    if (!intern->slots)
        return INTERN_NONE;
    uint32_t number = intern->slots[slot_of(intern, text, length)];
    return number ? number - 1 : INTERN_NONE;
}

const char *intern_text(const struct intern *intern, uint32_t number, size_t *length)
{
    *length = intern->entries[number].length;
    return intern->pool + intern->entries[number].start;
}

void intern_free(struct intern *intern)
{
    free(intern->pool);
    free(intern->entries);
    free(intern->slots);
    *intern = (struct intern){0};
}
