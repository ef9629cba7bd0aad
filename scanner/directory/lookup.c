#include "scanner/directory/lookup.h"

#include "common/timestamp.h"
#include "scanner/directory/sources.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define BUCKETS (1u << 14)
#define KEY_SIZE (ADDRESS_SIZE + 16)

/* A question under way. */
struct pending {
    struct work work;
    struct lookups *lookups;
    struct entry *entry;
    const char *address; /* in the entry's key */
    int64_t until;
    struct lookup_answer answer; /* the thread's until the work is done */
};

struct entry {
    struct entry *same, **same_link; /* of one bucket */
    TAILQ_ENTRY(entry) age;          /* while it is remembered: the last that was used first */
    char *key;                       /* "SOURCE PURPOSE ADDRESS" */
    size_t source;
    enum lookup_purpose purpose;
    struct pending *pending; /* NULL: it is remembered */
    struct lookup_waiter *waiters;
    int64_t expires_at;
    size_t bytes;
    enum ldap_answer status;
    struct ldap_routing *routing; /* NULL: none */
    struct ldap_groups groups;
};

TAILQ_HEAD(entry_list, entry);

/* Answers of one kind, the last that was used first. */
struct memory {
    struct entry_list list;
    size_t count, bytes;
};

struct lookups {
    struct sources *sources;
    struct entry *buckets[BUCKETS];
    unsigned char hash_key[crypto_shorthash_KEYBYTES]; /* who chooses addresses cannot choose it */
    struct memory known, unknown;
    size_t hits, misses;
};

/* --- entries --- */

static struct entry **find_bucket(struct lookups *lookups, const char *key)
{
    uint64_t hash = 0;
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)key, strlen(key),
                     lookups->hash_key);
    return &lookups->buckets[hash % BUCKETS];
}

static void add_to_bucket(struct entry **bucket, struct entry *entry)
{
    entry->same = *bucket;
    entry->same_link = bucket;
    if (entry->same)
        entry->same->same_link = &entry->same;
    *bucket = entry;
}

static void entry_free(struct entry *entry)
{
    *entry->same_link = entry->same;
    if (entry->same)
        entry->same->same_link = entry->same_link;
    ldap_groups_free(&entry->groups);
    free(entry->routing);
    free(entry->key);
    free(entry);
}

static struct memory *memory_of(struct lookups *lookups, enum ldap_answer status)
{
    return status == LDAP_ANSWER_KNOWN ? &lookups->known : &lookups->unknown;
}

static void forget(struct lookups *lookups, struct entry *entry)
{
    struct memory *memory = memory_of(lookups, entry->status);
    TAILQ_REMOVE(&memory->list, entry, age);
    memory->count--;
    memory->bytes -= entry->bytes;
    entry_free(entry);
}

static void keep(struct lookups *lookups, struct entry *entry)
{
    struct memory *memory = memory_of(lookups, entry->status);
    TAILQ_INSERT_HEAD(&memory->list, entry, age);
    memory->count++;
    memory->bytes += entry->bytes;
    while (memory->count > LOOKUP_ENTRIES_MOST || memory->bytes > LOOKUP_BYTES_MOST)
        forget(lookups, TAILQ_LAST(&memory->list, entry_list));
}

static size_t measure(const struct entry *entry)
{
    size_t bytes = sizeof(*entry) + strlen(entry->key) + 1;
    bytes += entry->routing ? sizeof(*entry->routing) : 0;
    for (size_t i = 0; i < entry->groups.count; i++)
        bytes += strlen(entry->groups.names[i]) + 1 + sizeof(char *);
    return bytes;
}

static int seconds_to_remember(const struct config_directory_source *config,
                               enum ldap_answer status)
{
    switch (status) {
    case LDAP_ANSWER_KNOWN:
        return config->cache_seconds;
    case LDAP_ANSWER_UNKNOWN:
        return config->negative_cache_seconds;
    case LDAP_ANSWER_UNAVAILABLE:
        break;
    }
    return 0;
}

/* Takes what is worth keeping out of the answer. */
static void remember(struct lookups *lookups, struct entry *entry, struct lookup_answer *answer)
{
    const struct config_directory *config = sources_config(lookups->sources);
    int seconds = seconds_to_remember(&config->sources[entry->source], answer->status);
    if (answer->status == LDAP_ANSWER_KNOWN && entry->purpose == LOOKUP_ROUTING) {
        entry->routing = malloc(sizeof(*entry->routing));
        if (entry->routing)
            *entry->routing = answer->routing;
        else
            seconds = 0;
    }
    if (seconds == 0) {
        entry_free(entry);
        return;
    }
    entry->status = answer->status;
    entry->groups = answer->groups;
    answer->groups = (struct ldap_groups){0};
    entry->expires_at = timestamp_monotonic_ms() + (int64_t)seconds * 1000;
    entry->bytes = measure(entry);
    keep(lookups, entry);
}

/* --- waiters --- */

static void add_waiter(struct entry *entry, struct lookup_waiter *waiter)
{
    waiter->next = entry->waiters;
    waiter->link = &entry->waiters;
    if (waiter->next)
        waiter->next->link = &waiter->next;
    entry->waiters = waiter;
}

void lookup_forget(struct lookup_waiter *waiter)
{
    if (!waiter->link)
        return;
    *waiter->link = waiter->next;
    if (waiter->next)
        waiter->next->link = waiter->link;
    waiter->next = NULL;
    waiter->link = NULL;
}

static void tell_waiters(struct entry *entry, const struct lookup_answer *answer)
{
    while (entry->waiters) {
        struct lookup_waiter *waiter = entry->waiters;
        lookup_forget(waiter);
        waiter->answered(waiter, answer);
    }
}

static void tell_remembered(struct lookups *lookups, struct entry *entry,
                            struct lookup_waiter *waiter)
{
    struct lookup_answer answer = {.status = entry->status, .groups = entry->groups};
    if (entry->routing)
        answer.routing = *entry->routing;
    struct entry_list *list = &memory_of(lookups, entry->status)->list;
    TAILQ_REMOVE(list, entry, age);
    TAILQ_INSERT_HEAD(list, entry, age);
    lookups->hits++;
    waiter->answered(waiter, &answer);
}

/* --- asking --- */

static void run(struct work *work, void *thread_state)
{
    struct pending *pending = (struct pending *)work;
    struct ldap_session *session = thread_state;
    struct lookup_answer *answer = &pending->answer;
    answer->status = LDAP_ANSWER_UNAVAILABLE;
    if (timestamp_monotonic_ms() >= pending->until || !session) {
        error_set(&answer->error, session ? ERROR_TIMEOUT : ERROR_INTERNAL, NULL,
                  session ? "the source has more questions than it answers in time"
                          : "out of memory");
        return;
    }
    switch (pending->entry->purpose) {
    case LOOKUP_RECIPIENT:
        answer->status =
            ldap_session_recipient(session, pending->address, pending->until, &answer->error);
        break;
    case LOOKUP_ROUTING:
        answer->status = ldap_session_routing(session, pending->address, pending->until,
                                              &answer->routing, &answer->error);
        break;
    default:
        answer->status = ldap_session_groups(session, pending->address, pending->until,
                                             &answer->groups, &answer->error);
        break;
    }
}

static void finish(struct lookups *lookups, struct entry *entry, struct lookup_answer *answer)
{
    /* Held: the last waiter may be the last one that holds the sources. */
    struct sources *sources = lookups->sources;
    tell_waiters(entry, answer); /* who asks the same from within is told as well */
    entry->pending = NULL;
    remember(lookups, entry, answer);
    ldap_groups_free(&answer->groups);
    sources_drop(sources);
}

static void on_done(struct work *work)
{
    struct pending *pending = (struct pending *)work;
    struct entry *entry = pending->entry;
    struct lookups *lookups = pending->lookups;
    sources_note(lookups->sources, entry->source, pending->answer.status, &pending->answer.error);
    finish(lookups, entry, &pending->answer);
    free(pending);
}

static struct entry *new_entry(struct lookups *lookups, size_t source, enum lookup_purpose purpose,
                               const char *key, const char *address)
{
    const struct config_directory *config = sources_config(lookups->sources);
    struct entry *entry = calloc(1, sizeof(*entry));
    struct pending *pending = calloc(1, sizeof(*pending));
    char *copy = strdup(key);
    if (!entry || !pending || !copy)
        abort();
    entry->source = source;
    entry->purpose = purpose;
    entry->key = copy;
    entry->pending = pending;
    *pending = (struct pending){
        .work = {.run = run, .done = on_done},
        .lookups = lookups,
        .entry = entry,
        .address = copy + (strlen(key) - strlen(address)),
        .until = timestamp_monotonic_ms() + (int64_t)config->sources[source].timeout_seconds * 1000,
    };
    return entry;
}

static void begin(struct lookups *lookups, struct entry *entry, struct lookup_waiter *waiter)
{
    add_waiter(entry, waiter);
    lookups->misses++;
    sources_hold(lookups->sources);
    if (sources_add_work(lookups->sources, entry->source, &entry->pending->work))
        return;
    struct pending *pending = entry->pending;
    pending->answer.status = LDAP_ANSWER_UNAVAILABLE;
    error_set(&pending->answer.error, ERROR_LIMIT, NULL, "too many questions wait for the source");
    on_done(&pending->work);
}

void lookup_ask(struct lookups *lookups, size_t source, enum lookup_purpose purpose,
                const char *address, struct lookup_waiter *waiter)
{
    char key[KEY_SIZE];
    snprintf(key, sizeof(key), "%zu %d %s", source, (int)purpose, address);
    struct entry **bucket = find_bucket(lookups, key);
    struct entry *entry = *bucket;
    while (entry && strcmp(entry->key, key) != 0)
        entry = entry->same;
    if (entry && entry->pending) {
        add_waiter(entry, waiter);
        return;
    }
    if (entry && entry->expires_at > timestamp_monotonic_ms()) {
        tell_remembered(lookups, entry, waiter);
        return;
    }
    if (entry)
        forget(lookups, entry);
    entry = new_entry(lookups, source, purpose, key, address);
    add_to_bucket(bucket, entry);
    begin(lookups, entry, waiter);
}

/* --- life --- */

struct lookups *lookups_new(struct sources *sources)
{
    struct lookups *lookups = calloc(1, sizeof(*lookups));
    if (!lookups)
        return NULL;
    lookups->sources = sources;
    TAILQ_INIT(&lookups->known.list);
    TAILQ_INIT(&lookups->unknown.list);
    randombytes_buf(lookups->hash_key, sizeof(lookups->hash_key));
    return lookups;
}

void lookups_free(struct lookups *lookups)
{
    if (!lookups)
        return;
    while (!TAILQ_EMPTY(&lookups->known.list))
        forget(lookups, TAILQ_FIRST(&lookups->known.list));
    while (!TAILQ_EMPTY(&lookups->unknown.list))
        forget(lookups, TAILQ_FIRST(&lookups->unknown.list));
    free(lookups);
}

struct lookup_counts lookups_counts(const struct lookups *lookups)
{
    return (struct lookup_counts){.entries = lookups->known.count + lookups->unknown.count,
                                  .hits = lookups->hits,
                                  .misses = lookups->misses};
}
