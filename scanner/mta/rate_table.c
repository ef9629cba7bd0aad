#include "scanner/mta/rate_table.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_BUCKETS 64

/* Keys are kept as keyed hashes of 128 bits: nobody can choose two that fall together, and long
 * names take no more room than short ones. */
struct digest {
    unsigned char bytes[crypto_shorthash_siphashx24_BYTES];
};

struct entry {
    struct entry *next;            /* in the bucket */
    struct entry *older, *younger; /* by the last time that it was heard of */
    struct digest digest;
    int64_t window; /* the number of the window that `current` counts in */
    uint32_t previous, current;
    int64_t blocked_until;
};

struct rate_table {
    unsigned char key[crypto_shorthash_siphashx24_KEYBYTES];
    size_t most, count, mask;
    struct entry *oldest, *youngest;
    struct entry *buckets[];
};

struct rate_table *rate_table_new(size_t most)
{
    size_t buckets = LEAST_BUCKETS;
    while (buckets < most)
        buckets *= 2;
    struct rate_table *table = calloc(1, sizeof(*table) + buckets * sizeof(struct entry *));
    if (!table || sodium_init() < 0)
        abort();
    randombytes_buf(table->key, sizeof(table->key));
    table->most = most;
    table->mask = buckets - 1;
    return table;
}

void rate_table_free(struct rate_table *table)
{
    struct entry *entry = table ? table->oldest : NULL;
    while (entry) {
        struct entry *younger = entry->younger;
        free(entry);
        entry = younger;
    }
    free(table);
}

size_t rate_table_size(const struct rate_table *table)
{
    return table->count;
}

/* --- finding --- */

/* The kind is hashed into the key, so that a name has an entry for each. */
static struct digest digest_of(const struct rate_table *table, const struct rate_key *key)
{
    struct digest digest;
    unsigned char own[sizeof(table->key)];
    memcpy(own, table->key, sizeof(own));
    for (size_t i = 0; i < sizeof(key->kind); i++)
        own[i] ^= (unsigned char)(key->kind >> (8 * i));
    crypto_shorthash_siphashx24(digest.bytes, key->name, key->length, own);
    return digest;
}

static struct entry **bucket_of(struct rate_table *table, const struct digest *digest)
{
    uint64_t number;
    memcpy(&number, digest->bytes, sizeof(number));
    return &table->buckets[number & table->mask];
}

static struct entry *find(struct rate_table *table, const struct digest *digest)
{
    struct entry *entry = *bucket_of(table, digest);
    while (entry && memcmp(&entry->digest, digest, sizeof(*digest)) != 0)
        entry = entry->next;
    return entry;
}

/* --- age --- */

static void unlink_age(struct rate_table *table, struct entry *entry)
{
    *(entry->older ? &entry->older->younger : &table->oldest) = entry->younger;
    *(entry->younger ? &entry->younger->older : &table->youngest) = entry->older;
}

static void link_youngest(struct rate_table *table, struct entry *entry)
{
    entry->older = table->youngest;
    entry->younger = NULL;
    *(entry->older ? &entry->older->younger : &table->oldest) = entry;
    table->youngest = entry;
}

static void forget_oldest(struct rate_table *table)
{
    struct entry *entry = table->oldest;
    struct entry **link = bucket_of(table, &entry->digest);
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    unlink_age(table, entry);
    free(entry);
    table->count--;
}

static struct entry *find_or_add(struct rate_table *table, const struct rate_key *key)
{
    struct digest digest = digest_of(table, key);
    struct entry *entry = find(table, &digest);
    if (entry) {
        unlink_age(table, entry);
        link_youngest(table, entry);
        return entry;
    }
    if (table->count == table->most)
        forget_oldest(table);
    struct entry **bucket = bucket_of(table, &digest);
    entry = calloc(1, sizeof(*entry));
    if (!entry)
        abort();
    entry->digest = digest;
    entry->next = *bucket;
    *bucket = entry;
    link_youngest(table, entry);
    table->count++;
    return entry;
}

/* --- counting --- */

/* What of the window before still lies within the one that ends now, taken as spread evenly. */
static uint64_t count_at(const struct entry *entry, int64_t window, int64_t now)
{
    int64_t number = now / window, passed = now % window;
    uint64_t current = entry->window == number ? entry->current : 0;
    uint64_t previous = entry->window == number       ? entry->previous
                        : entry->window == number - 1 ? entry->current
                                                      : 0;
    return current + previous * (uint64_t)(window - passed) / (uint64_t)window;
}

uint64_t rate_table_count(struct rate_table *table, const struct rate_key *key, int64_t window,
                          int64_t now)
{
    struct digest digest = digest_of(table, key);
    const struct entry *entry = find(table, &digest);
    return entry ? count_at(entry, window, now) : 0;
}

uint64_t rate_table_add(struct rate_table *table, const struct rate_key *key, int64_t window,
                        int64_t now)
{
    struct entry *entry = find_or_add(table, key);
    int64_t number = now / window;
    if (entry->window != number) {
        entry->previous = entry->window == number - 1 ? entry->current : 0;
        entry->current = 0;
        entry->window = number;
    }
    if (entry->current < UINT32_MAX)
        entry->current++;
    return count_at(entry, window, now);
}

void rate_table_block(struct rate_table *table, const struct rate_key *key, int64_t until)
{
    find_or_add(table, key)->blocked_until = until;
}

int64_t rate_table_blocked(struct rate_table *table, const struct rate_key *key, int64_t now)
{
    struct digest digest = digest_of(table, key);
    const struct entry *entry = find(table, &digest);
    return entry && entry->blocked_until > now ? entry->blocked_until : 0;
}
